"""Help shows what is met first, fits two screens, and lists everything where that is asked for."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from supernet.commands.base import HELPS, _is_option
from supernet.option_help import write_helps
from supernet.option_lines import option_lines
from supernet.option_text import Option
from supernet.parser import build_parser
from supernet.track.contents import STEPS

OPTION = re.compile(r"--([a-z_][\w.]*)")


def test_help_of_a_run_fits_two_screens(call):
    code, out, _ = call("run", "--help")
    lines = out.splitlines()
    assert code == 0
    assert 40 <= len(lines) <= 80
    assert max(map(len, lines)) <= 100
    for option in ("--out", "--seed", "--model", "--train.optimizer.lr", "--search.constraints"):
        assert option in out
    assert re.search(r"--train\.steps N +number of optimizer steps \(default: 500\)", out)
    assert re.search(r"--search\.searcher NAME .*\(default: random\)", out)
    assert "--train.checkpoint_seconds" not in out
    assert "'supernet run --help all'" in out


def test_shipped_helps_are_those_of_the_parser(tmp_path):
    write_helps(tmp_path)
    made = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert made == {file.name: file.read_text() for file in HELPS.iterdir()}, (
        "they are stale: run `make made`"
    )


def test_help_of_a_step_needs_no_parser_of_options():
    code = (
        "import sys; from supernet.cli import main; main(['run', '--help']); "
        "assert not {'torch', 'jsonargparse', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_help_all_lists_every_option(call):
    code, out, _ = call("run", "--help", "all")
    assert code == 0
    for action in build_parser("supernet run")._actions:
        assert f"--{action.dest}" in out or action.dest == "help"
    for own in ("--out DIR", "--trust", "--profile.trace N"):
        assert own in out


@pytest.mark.parametrize(
    ("command", "shown", "hidden"),
    [
        ("train", "sharing.until", "retrain.top"),
        ("search", "evaluate.tune.finalists", "train.steps"),
        ("retrain", "retrain.match", "search.constraints"),
        ("test", "device", "retrain.match"),
    ],
)
def test_help_of_a_step_shows_what_its_results_depend_on(command, shown, hidden, call):
    code, out, _ = call(command, "--help")
    assert code == 0
    found = OPTION.findall(out)
    assert shown in found
    assert hidden not in found
    assert max(map(len, out.splitlines())) <= 100
    (step,) = [one for one in STEPS if one.name == command]
    for option in step.options:
        assert any(one == option or one.startswith(f"{option}.") for one in found)


def test_long_words_stand_on_a_line_of_their_own():
    lines = option_lines([("--short N", "words"), (f"--{'long' * 12} N", "other words")])
    assert lines == [
        "  --short N                       words",
        f"  --{'long' * 12} N",
        "                                  other words",
    ]


@pytest.mark.parametrize(
    ("text", "brief"),
    [
        ("auto, cpu, cuda, ...", "auto, cpu, cuda, ..."),
        ("A share. More of it.", "A share"),
        ("a norm; null for none.", "a norm"),
        ("a share such as 0.5 of all.", "a share such as 0.5 of all"),
    ],
)
def test_the_first_phrase_of_a_help(text, brief):
    assert Option("x", "N", text, None).brief == brief


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--train.stepz", "3"], "no option '--train.stepz'; did you mean '--train.steps'?"),
        (
            ["train", "--few_shot.train.optimiser.lr=1"],
            "did you mean '--few_shot.train.optimizer'?",
        ),
        (["run", "--trian.steps=3"], "did you mean '--train.steps'?"),
        (
            ["rank", "--retrain.short.modle.channels", "8", "--run", "nowhere"],
            "--retrain.short.modle",
        ),
        (["test", "--run", "nowhere"], "nowhere is no run folder"),
        (["rank", "--run", "nowhere"], "nowhere is no run folder"),
        (["export", "--run", "nowhere"], "nowhere is no run folder"),
        (["report", "--run", "nowhere"], "nowhere is no run folder"),
    ],
)
def test_wrong_options_and_folders_are_known_before_pytorch_is_loaded(arguments, said):
    code = (
        "import sys; from supernet.cli import main; "
        f"code = main({arguments!r}); assert 'torch' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr


@pytest.mark.parametrize(
    "name",
    [
        "train",
        "train.steps",
        "evaluate.tune",
        "strategy.vanish",
        "strategy.help",
        "logger.folder.deep",
    ],
)
def test_names_below_options_that_have_others_are_left_to_the_parser(name):
    known = (HELPS / "options.txt").read_text().split()
    assert _is_option(name, known)


@pytest.mark.parametrize(
    "name", ["", "trian", "train.stepz", "few_shot.train.x.y", "steps", "train."]
)
def test_names_that_no_option_has_are_known(name):
    assert not _is_option(name, (HELPS / "options.txt").read_text().split())


def test_scipys_statistics_are_loaded_when_they_are_needed():
    parts = {"scipy.stats", "scipy.optimize", "scipy.linalg"}
    code = f"import sys, supernet.pipeline; assert not {parts} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
