"""Whatever is given to the command line ends in one message and exit code 2, and leaves nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from bad_inputs import CONSTRAINTS, FILES, inputs
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import supernet.parser
from supernet.cli import main
from supernet.cost import Constraint, CostTable
from supernet.cost.entry import Entry
from supernet.errors import ConstraintError
from supernet.space import OneOf, SearchSpace


def _fault(call, arguments: list[str]) -> str | None:
    """Return what is wrong with how a command line is refused, or None."""
    started = time.process_time()
    code, out, err = call(*arguments)
    if code != 2:
        return f"exit code {code}: {out[:100]} {err[:200]}"
    if time.process_time() - started > 2:
        return f"takes {time.process_time() - started:.1f} s"
    if "Traceback" in err or not err.startswith("supernet") or len(err) > 2500:
        return err[:300]
    return None


@pytest.mark.parametrize(
    "arguments",
    [
        ["rnu"],
        ["zoo", "--jsno"],
        ["run", "--out=a\0b"],
        ["report", "--out=" + "x" * 300],
        ["doctor", "bender", "--shape=3,x"],
        ["doctor", "bender", "--arguments={a: 1, a: 2}"],
        ["latency", "--batch_size=" + "9" * 5000],
    ],
)
def test_a_sample_of_bad_inputs(call, arguments):
    assert _fault(call, arguments) is None


@pytest.mark.parametrize("name", ["laughs", "deep", "twice", "utf16"])
def test_a_sample_of_bad_files(tmp_path, call, name):
    file = tmp_path / "c.yaml"
    file.write_bytes(FILES[name])
    assert _fault(call, ["run", f"--out={tmp_path / 'run'}", f"--config={file}"]) is None
    assert not (tmp_path / "run").exists()


def test_unknown_commands_and_options_are_answered_with_the_nearest(call):
    assert "did you mean 'run'" in call("rnu")[2]
    assert "did you mean '--json'" in call("zoo", "--jsno")[2]
    assert "did you mean '--shape'" in call("doctor", "bender", "--shap=3")[2]
    assert "did you mean 'spos'" in call("doctor", "spo")[2]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("run --train.step 5", "no option '--train.step'; did you mean '--train.steps'"),
        ("run --see 1", "no option '--see'; did you mean '--seed'"),
        ("run --trus", "no option '--trus'; did you mean '--trust'"),
        ("search --ou x", "no option '--ou'; did you mean '--out'"),
        ("run --profil", "no option '--profil'; did you mean '--profile'"),
        ("export --pic x", "no option '--pic'; did you mean '--pick'"),
        ("rank --probe 3", "no option '--probe'; did you mean '--probes'"),
        ("latency --repeat=3", "no option '--repeat'; did you mean '--repeats'"),
        ("run --train.steps.x 5", "no option 'train.steps.x'; train.steps is a whole number"),
        ("run --device cudaa", "did you mean 'cuda'"),
    ],
)
def test_no_prefix_is_taken_for_an_option(command, said, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = call(*command.split())
    assert (code, out) == (2, "")
    assert said in err
    assert not (tmp_path / "runs/default/config.yaml").exists()


def _usable(arguments):
    """Return whether the arguments are odd, but right: folders that are there, and nothing at all."""
    return arguments == ["zoo", "--"] or bool({"--data=.", "--data=.."} & set(arguments))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_every_bad_input(tmp_path, call, part):
    found = [one for one in inputs(tmp_path) if not _usable(one)]
    assert len(found) > 500
    faults = {
        " ".join(arguments)[:100]: fault
        for arguments in found[part::8]
        if (fault := _fault(call, arguments)) is not None
    }
    assert not faults
    assert not (tmp_path / "run").exists()


SPACE = SearchSpace([OneOf("d", ("a", "b"))])
TABLES = {
    "macs": CostTable(
        "macs",
        [Entry(frozenset([(("d", "a"),)]), 10.0), Entry(frozenset([(("d", "b"),)]), 20.0)],
    )
}


def _read(text: str) -> None:
    """Read a constraint: it is refused, or bounds a known cost by a number that makes sense."""
    try:
        found = Constraint.parse(text, TABLES, SPACE)
    except ConstraintError as error:
        assert len(str(error)) < 600  # noqa: PT017
        return
    assert found.quantity == "macs"
    assert found.holds(10.0) or found.holds(20.0)


@pytest.mark.parametrize("text", CONSTRAINTS)
def test_constraints_that_make_no_sense(text):
    with pytest.raises(ConstraintError) as caught:
        Constraint.parse(text, TABLES, SPACE)
    assert len(str(caught.value)) < 600


def test_an_unknown_quantity_is_answered_with_the_nearest():
    with pytest.raises(ConstraintError, match="did you mean 'macs'"):
        Constraint.parse("mac <= 15", TABLES, SPACE)


PIECES = st.sampled_from(
    [
        "macs",
        "params",
        " ",
        "<=",
        ">=",
        "<",
        "=",
        "10",
        "15",
        ".5",
        "1e1",
        "%",
        "and",
        "-",
        "e",
        "_",
        "\n",
    ]
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=40))
@example("macs<=15")
@example("\nmacs >= 1.5e1 \t")
def test_any_text_as_a_constraint(text):
    _read(text)


@pytest.fixture
def shell(tmp_path):
    """Return a function that runs a shell command in which $S is the command line of supernet."""

    def run(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        given = {**os.environ, "S": f"{sys.executable} -m supernet", **environment}
        return subprocess.run(
            ["bash", "-c", command],
            env=given,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("$S zoo | head -1; exit ${PIPESTATUS[0]}", 0),
        ("$S run --help | head -1; exit ${PIPESTATUS[0]}", 0),
        ("$S zoo >&-", 0),
        ("$S zoo 2>&-", 0),
        ("$S zoo <&-", 0),
        ("$S zoo >/dev/full", 1),
        ("$S run --seed=x 2>&-", 2),
        ("$S run --seed=x 2>/dev/full", 2),
        ("$S run --seed=x >&- 2>&- <&-", 2),
        ("mkdir gone; cd gone; rmdir ../gone; $S run", 2),
    ],
)
def test_streams_and_folders_that_are_gone(shell, command, code):
    done = shell(command)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"COLUMNS": "0", "TERM": "dumb", "HOME": "", "TZ": "Nowhere/Odd"},
        {"COLUMNS": "10", "LINES": "x"},
        {"COLUMNS": "x"},
    ],
)
def test_odd_environments(shell, environment):
    for command in ("$S zoo", "$S run --help", "$S doctor bender --shape 1,8,8"):
        done = shell(command, **environment)
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_signs_that_a_terminal_lacks_are_written_as_escapes(monkeypatch, tmp_path):
    with open(tmp_path / "out", "w", encoding="ascii") as out:
        monkeypatch.setattr("sys.stdout", out)
        assert main(["zoo"]) == 0
        assert out.errors == "strict"
    assert "\\u03b1" in (tmp_path / "out").read_text()


def test_an_import_of_the_parser_is_not_needed_to_be_told_of_a_wrong_command():
    assert supernet.parser  # it is loaded here; in a fresh process it is not
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from supernet.cli import main; main(['rnu']); "
            "assert 'torch' not in sys.modules",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "did you mean 'run'" in done.stderr
