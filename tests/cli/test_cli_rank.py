"""`supernet rank` on the command line: what is printed, written and refused."""

from __future__ import annotations

import json
import random
import shutil

import pytest

import supernet as sn
from supernet.pipeline import open_run

pytestmark = pytest.mark.slow


@pytest.fixture
def run(finished, tmp_path):
    """Return a copy of a finished run, and a table of what 30 of its networks are worth."""
    folder, table = tmp_path / "run", tmp_path / "truth.json"
    shutil.copytree(finished, folder)
    with open_run([], folder, progress=False, mode="read") as opened:
        space, draws = opened.inputs.space, random.Random(3)
        drawn = {space.canonical(one).key: one for one in map(space.__getitem__, range(40))}
    rows = [{"architecture": dict(one), "value": draws.random()} for one in drawn.values()]
    table.write_text(json.dumps(rows))
    return folder, table


def test_a_table_a_verdict_and_json_are_printed(run, call):
    folder, table = run
    code, out, err = call("rank", "--run", str(folder), "--truth", str(table), "--count", "12")
    assert code == 0, err
    assert "12 networks, a random choice of the" in " ".join(out.split())
    assert "Kendall's τ" in out
    assert f"ranking: {folder / 'ranking.json'}" in out
    code, out, err = call(
        "rank", "--run", str(folder), "--truth", str(table), "--count", "12", "--json"
    )
    assert code == 0, err
    printed = json.loads(out)
    written = json.loads((folder / "ranking.json").read_text())
    assert printed.items() <= written.items()
    assert printed["figures"]["n"] == 12
    assert len(written["keys"]) == 12
    code, out, err = call("report", "--run", str(folder))
    assert code == 0, err
    assert printed["verdict"]["text"][:20] in (folder / "report.html").read_text()


def test_what_is_wrong_is_said(run, call, tmp_path):
    folder, table = run
    for arguments, words in (
        (["--truth", "nasbench201:cifar"], "did you mean 'cifar10'?"),
        (["--truth", str(tmp_path / "none.csv")], "No such file"),
        (["--truth", str(table), "--count", "3"], "whole number from 10"),
        (["--truth", str(table), "--train.steps", "3"], "nothing is trained where a truth is"),
        (["--device", "cpu"], "probes take options of their training and their model"),
        (["--train.step", "3"], "train.step"),
    ):
        code, out, err = call("rank", "--run", str(folder), *arguments)
        assert (code, out) == (2, "")
        assert words in err
    code, _, err = call("rank", "--run", str(tmp_path / "other"), "--truth", str(table))
    assert code == 2
    assert "is no run folder" in err
    assert not (tmp_path / "other").exists()
    assert not (folder / "ranking.json").exists()


def test_probes_are_trained_as_the_options_say(run, call):
    folder, _ = run
    code, out, err = call(
        *("rank", "--run", str(folder), "--probes", "4", "--twice", "1", "--train.steps", "3"),
        *("--train.optimizer.lr=0.01", "--json"),
    )
    assert code == 0, err
    printed = json.loads(out)
    assert printed["verdict"]["kind"] == "too few"
    assert printed["probes"]["train"]["steps"] == 3
    assert printed["probes"]["train"]["optimizer"]["init_args"]["lr"] == 0.01
    assert printed["probes"]["trainings"] == [2, 1, 1, 1]
    assert len(list((folder / "probes").glob("*.pt"))) == 5


def test_python_and_the_command_find_the_same(run, call):
    folder, table = run
    assert call("rank", "--run", str(folder), "--truth", str(table))[0] == 0
    written = json.loads((folder / "ranking.json").read_text())
    ranking = sn.rank(folder, table, progress=False)
    assert {**ranking.to_json(), "digest": written["digest"]} == written
