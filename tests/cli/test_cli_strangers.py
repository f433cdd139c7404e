"""What is not ours is neither overwritten nor removed, whichever option names it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import supernet as sn
from supernet.errors import ConfigError
from supernet.folders import MARK, folder_kind

LATENCY = [
    "--model=nasbench-macro",
    "--model.channels=2",
    "--model.features=4",
    "--model.stages=[1]",
    "--split.limit=60",
]


@pytest.fixture
def copy_of(tmp_path, finished) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def contents(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if path.name != ".supernet-lock"
    }


def refused(result: tuple[int, str, str], *words: str) -> None:
    code, _, err = result
    assert code == 2
    assert len(err.splitlines()) == 1
    for word in words:
        assert word in err


@pytest.mark.parametrize("command", ["run", "latency"])
@pytest.mark.parametrize("name", ["config.yaml", "model.pt", "report.html", "stages/mine.pt"])
def test_a_folder_of_a_stranger(name, command, tmp_path, call, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("mine: 1")
    before = contents(tmp_path)
    for out in (".", str(tmp_path)):
        refused(call(command, "--out", out, *LATENCY), "which a run would overwrite", MARK, "--out")
    refused(call(command, "--out", "", *LATENCY), "path of a file or folder, not ''")
    assert contents(tmp_path) == before


def test_python_refuses_an_empty_folder_too():
    with pytest.raises(ConfigError, match="out is the path of a file or folder"):
        sn.run(lambda: None, out="")


def test_a_run_bears_its_mark_first(finished):
    assert folder_kind(finished) == "run"


def test_exports_replace_neither_a_run_nor_what_was_added(copy_of, tmp_path, call):
    run = Path(shutil.copytree(copy_of, tmp_path / "there" / "chosen"))
    before = contents(run)
    export = ["export", "--run", str(copy_of), "--to"]
    refused(call(*export, str(run.parent)), "marked as 'run'", "--to")
    assert contents(run) == before
    refused(call(*export, str(copy_of / "config.yaml")), "no folder")


@pytest.mark.slow
def test_tables_and_reports_replace_their_like_only(copy_of, tmp_path, call):
    mine = tmp_path / "mine.json"
    for content in ('{"quantity": "latency_ms", "entries": []}', "[", "\xff"):
        mine.write_text(content, encoding="latin-1")
        options = ["--run", str(copy_of), "--table", str(mine), "--repeats=1"]
        refused(call("latency", *options), "no table that supernet measured", "--table")
        refused(call("report", "--run", str(copy_of), "--to", str(mine)), "no report", "--to")
        assert mine.read_text(encoding="latin-1") == content
    refused(call("latency", "--run", str(copy_of), "--table", str(tmp_path)), "no table")


@pytest.mark.slow
def test_measuring_leaves_the_options_of_a_folder(tmp_path, call, monkeypatch):
    """Also of one in which nothing is trained yet."""
    out = tmp_path / "run"
    measure = ["latency", "--out", str(out), "--repeats=1"]
    assert call(*measure, "--model=mine.Missing")[0] == 2
    assert not out.exists()
    assert call(*measure, *LATENCY)[0] == 0
    config = (out / "config.yaml").read_text()
    assert "channels: 2" in config
    metrics = json.loads((out / "metrics.json").read_text())
    del (
        metrics["digest"],
        metrics["latency"],
    )  # as if a run had been killed before its first checkpoint
    (out / "metrics.json").write_text(json.dumps(metrics))
    assert call(*measure, "--model.channels=4")[0] == 0
    assert (out / "config.yaml").read_text() == config


@pytest.mark.slow
def test_finished_stages_are_not_given_up(tmp_path, call, monkeypatch):
    out = tmp_path / "run"
    options = [
        "--model=nasbench201",
        "--model.channels=2",
        "--model.cells=1",
        "--model.stages=1",
        "--split.limit=60",
        "--strategy=pdarts",
        '--strategy.stages=[{"keep": 3}]',
        "--strategy.alpha.warmup=0",
        "--train.steps=2",
        "--train.batch_size=8",
        "--search.searcher=learned",
    ]

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:  # when the supernet itself is to be written
        real = sn.train.Checkpoint.save
        killed.setattr(
            "supernet.train.Checkpoint.save",
            lambda self, state: (
                interrupted() if self.path.name == "supernet.pt" else real(self, state)
            ),
        )
        assert call("train", "--out", str(out), *options)[0] == 1
    before = contents(out / "stages")
    assert list(before) == ["0.pt"]
    refused_by = call("train", "--out", str(out), *options, "--seed=7")
    assert refused_by[0] == 2
    assert "seed" in refused_by[2]
    assert contents(out / "stages") == before
    assert call("train", "--out", str(out), *options)[0] == 0
    assert contents(out / "stages") == before


@pytest.mark.slow
def test_a_run_is_read_without_writing(copy_of, tmp_path, call):
    (copy_of / ".supernet-lock").unlink()
    before = contents(copy_of)
    for end in ("report.html", "page.html"):
        assert call("report", "--run", str(copy_of), "--to", str(tmp_path / "new" / end))[0] == 0
    to = str(tmp_path / "exported")
    code, _, err = call("export", "--run", str(copy_of), "--to", to, "--pick", "macs <= 100%")
    assert code == 0, err
    assert contents(copy_of) == before
    assert not (copy_of / ".supernet-lock").exists()
    assert folder_kind(tmp_path / "exported" / "macs-le-100pct") == "export"
