"""The description of a run folder: what is deleted, repeated and refused goes by it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from supernet.errors import RunFolderError
from supernet.track import RunFolder
from supernet.track.contents import ENTRIES, STEPS
from supernet.track.metrics import Metrics
from supernet.track.records import Failed
from supernet.track.sections import DataRecord, FewShotRecord, TrainRecord

SAMPLES = {
    name: name.replace("KEY", "0a1b").replace("N.", "12.").replace("NAME/", "one/x")
    for entry in ENTRIES
    for name in entry.names
}


@pytest.fixture
def full(tmp_path):
    """A run folder with a file of each kind, and files of the user beside them."""
    folder = RunFolder(tmp_path / "run")
    mine = ["mine.txt", "retrain/mine.pt", "few_shot/0a1b of mine.failed.json", "stages/a.pt"]
    for name in (*SAMPLES.values(), *mine):
        file = folder.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if name != "metrics.json":
            file.write_text("{}")
    yield folder
    folder.close()


def left(folder):
    """Return which of the described files are there, and how many there are besides."""
    every = {one for one in folder.path.rglob("*") if one.is_file()}
    found = {name for name, sample in SAMPLES.items() if folder.path / sample in every}
    return found, len(every) - len(found)


@pytest.mark.parametrize("step", [step.name for step in STEPS])
def test_files_go_when_their_description_says(full, step):
    before, others = left(full)
    full.drop_files(step)
    of_step = [one for one in ENTRIES if step in (one.step, one.after)]
    changed = {n for one in of_step if one.goes == "changed" for n in one.names}
    assert left(full) == (before - changed, others)
    full.forget([step])
    repeated = {n for one in of_step if one.goes == "repeated" for n in one.names}
    assert left(full)[0] - {"metrics.json"} == before - changed - repeated
    expected = {
        "search": {"ranking.json"},
        "retrain": {"architecture.json", "model.pt", "model.pt2"},
    }
    assert repeated == expected.get(step, set())
    assert bool(changed) == (step in ("few_shot", "search", "retrain"))


def test_each_file_alone_keeps_a_stranger_out_and_results_are_known(tmp_path):
    for number, entry in enumerate(ENTRIES):
        for name in entry.names:
            path = tmp_path / f"{number} {name.replace('/', ' ')}"
            file = path / SAMPLES[name]
            file.parent.mkdir(parents=True)
            file.write_text("{}")
            if entry.step == "export":  # exports have a mark of their own
                continue
            with pytest.raises(RunFolderError, match="which a run would overwrite"):
                RunFolder(path)
            if entry.name == "metrics.json":
                continue
            kept = path.with_name(f"kept {path.name}")
            folder = RunFolder(kept)
            (kept / SAMPLES[name]).parent.mkdir(exist_ok=True)
            (kept / SAMPLES[name]).write_text("{}")
            assert folder.has_results() == entry.is_result, name
            folder.close()


def needed(step, metrics):
    return [name for entry in ENTRIES if entry.step == step for name in entry.needed(metrics)]


def test_what_steps_need_is_what_they_found(metrics):
    found = Metrics.from_json(metrics)
    assert needed("train", found) == ["supernet.pt"]
    texts = replace(found, data=DataRecord(vocabulary=9))
    assert needed("train", texts) == ["supernet.pt", "vocabulary.json"]
    rows = replace(found, data=DataRecord(columns=3))
    assert needed("train", rows) == ["supernet.pt", "encoding.json"]
    assert needed("retrain", found) == ["retrain/a1.pt", "architecture.json", "model.pt"]
    untested = replace(found, test=None)
    assert needed("retrain", untested)[:2] == [
        "retrain/a1.pt",
        "retrain/a3.pt",
    ]  # the random one too
    inherited = replace(
        found.retrain,
        candidates=[replace(one, weights="inherited") for one in found.retrain.candidates],
    )
    assert needed("retrain", replace(found, retrain=inherited))[0] == "retrain/a1-inherited.pt"
    untrained = replace(found, retrain=replace(found.retrain, steps=0))
    assert needed("retrain", untrained) == ["architecture.json", "model.pt"]
    one = Failed(
        key="a = 1",
        role="part",
        architecture={},
        kind="numbers",
        error="nan",
        file="few_shot/1.failed.json",
    )
    parts = replace(found, few_shot=FewShotRecord(parts=3, failed=(one,)))
    assert needed("few_shot", parts) == ["few_shot/0.pt", "few_shot/2.pt", "few_shot/1.failed.json"]
    assert needed("few_shot", found) == needed("test", found) == []


def test_a_step_is_complete_with_its_files_only(full):
    train = TrainRecord(seconds=1.0, steps=1, loss=None)
    (full.path / "metrics.json").unlink(missing_ok=True)
    assert not full.complete("train")
    full.record(train)
    assert full.complete("train")
    full.checkpoint.path.unlink()
    assert not full.complete("train")
