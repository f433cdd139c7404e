"""Shells complete commands, options, names and choices from a script of their own."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from supernet.commands import COMMANDS

BASH = shutil.which("bash")
OTHERS = [shell for shell in ("zsh", "fish") if shutil.which(shell)]


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """Return the script of each shell, as a file."""
    import contextlib
    import io

    from supernet.cli import main

    folder = tmp_path_factory.mktemp("scripts")
    for shell in ("bash", "zsh", "fish"):
        with contextlib.redirect_stdout(io.StringIO()) as text:
            assert main(["completion", shell]) == 0
        (folder / shell).write_text(text.getvalue())
    return folder


def completed(script, *words):
    """Return what bash offers for the last of the words."""
    quoted = " ".join(f"'{word}'" for word in ("supernet", *words))
    code = f"source {script}; COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; _supernet; "
    code += 'printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run([BASH, "--norc", "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.skipif(BASH is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["re"], ["retrain", "report"]),
        (["run", "--train.st"], ["--train.steps"]),
        (["run", "--tru"], ["--trust"]),
        (["search", "--search.searcher", "ra"], ["random", "randomnas"]),
        (["run", "--train.schedule", "=", "co"], ["cosine", "constant"]),
        (["run", "--train.schedule", "="], ["cosine", "linear", "constant"]),
        (["run", "--config", "text/"], ["text/gpt", "text/textnas"]),
        (["run", "--train.optimizer", "SG"], ["SGD"]),
        (["configs", "show", "digits/spo"], ["digits/spos"]),
        (["zoo", "evo"], ["evolution"]),
        (["report", "--train.st"], []),
        (["completion", "f"], ["fish"]),
    ],
)
def test_bash_completes(scripts, words, expected):
    assert completed(scripts / "bash", *words) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_know_all_commands(scripts, shell):
    text = (scripts / shell).read_text()
    assert all(command in text for command in COMMANDS)
    assert "nasbench201" in text


@pytest.mark.parametrize("shell", OTHERS)
def test_other_shells_read_their_scripts(scripts, shell):
    done = subprocess.run([shell, "-n", str(scripts / shell)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_shell_is_told_which_was_meant(call):
    code, out, err = call("completion", "bsh")
    assert (code, out) == (2, "")
    assert "did you mean 'bash'" in err
