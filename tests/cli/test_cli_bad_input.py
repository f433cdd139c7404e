"""Wrong input gives one clear message, the right exit code, and loses nothing."""

from __future__ import annotations

import gzip
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from supernet.parser import parse
from supernet.shipped import shipped


def _refused(result: tuple[int, str, str], *words: str, code: int = 2) -> None:
    assert result[0] == code, result
    assert "Traceback" not in result[2]
    for word in words:
        assert word in result[2], result[2]


def _images(folder: Path, counts: dict[str, int], size: int = 8) -> Path:
    random = np.random.default_rng(0)
    for name, count in counts.items():
        (folder / "train" / name).mkdir(parents=True)
        for i in range(count):
            pixels = random.integers(0, 256, (size, size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "train" / name / f"{i}.png")
    return folder


def _folder(path: Path) -> list[str]:
    return ["--data=folder", f"--data.folder={path}"]


@pytest.mark.slow
def test_missing_and_empty_data_folders(tmp_path, call, tiny):
    out = ["--out", str(tmp_path / "run")]
    _refused(call("run", *out, *tiny, *_folder(tmp_path / "nowhere")), "nowhere")
    (tmp_path / "empty").mkdir()
    other = ["--out", str(tmp_path / "run2")]
    _refused(call("run", *other, *tiny, *_folder(tmp_path / "empty")), "empty", "<class>")


def test_corrupt_image_is_named(tmp_path, call, tiny):
    folder = _images(tmp_path / "data", {"a": 12, "b": 12})
    broken = folder / "train" / "a" / "3.png"
    broken.write_bytes(broken.read_bytes()[:40])
    _refused(call("run", "--out", str(tmp_path / "r"), *tiny, *_folder(folder)), str(broken))


def test_corrupt_idx_file_is_named(tmp_path, call, tiny):
    for name in ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"):
        (tmp_path / name).write_bytes(gzip.compress(b"\0\0\x08\x03" + bytes(50)))
    data = ["--data=idx", f"--data.folder={tmp_path}"]
    _refused(call("run", "--out", str(tmp_path / "r"), *tiny, *data), "train-images-idx3-ubyte.gz")


@pytest.mark.slow
def test_one_class_and_too_few_images(tmp_path, call, tiny):
    one = _images(tmp_path / "one", {"a": 12})
    _refused(call("run", "--out", str(tmp_path / "r1"), *tiny, *_folder(one)), "class")
    few = _images(tmp_path / "few", {"a": 9, "b": 1})
    _refused(call("run", "--out", str(tmp_path / "r2"), *tiny, *_folder(few)), "b")
    limited = [*tiny, "--split.limit=5"]
    _refused(call("run", "--out", str(tmp_path / "r3"), *limited), "class")


@pytest.mark.quick_with(
    "options0-words0",
    "options1-words1",
    "options3-words3",
    "options5-words5",
    "options6-words6",
    "options9-words9",
    "options11-words11",
    "options16-words16",
)
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--trian.steps=3"], ["trian.steps"]),
        (["--train.steps=many"], ["train.steps", "'many'", "a whole number"]),
        (["--train.steps=0"], ["steps", "at least 1"]),
        (
            ["--strategy=spsos"],
            [
                "spsos",
                "alphanet, attentivenas, bender, betadarts, blockwise, cdarts, darts",
                "spos,",
            ],
        ),
        (["--strategy.vanish=1.5"], ["vanish"]),
        (["--model=no.such.Net"], ["no.such"]),
        (["--model.chanels=3"], ["chanels"]),
        (["--model.channels=-1"], ["positive"]),
        (["--model.groups=[1,1,1,1,1]"], ["halved"]),
        (["--config=nowhere.yaml"], ["nowhere.yaml"]),
        (["--device=cuda:7"], ["cuda:7"]),
        (["--threads=-2"], ["threads", "-2"]),
        (["--search.constraints=[macs < 3]"], ["macs < 3", "macs <= 40e6"]),
        (["--search.constraints=[latency_ms <= 3]"], ["latency_ms", "macs, params"]),
        (["--search.constraints=[macs <= 10]"], ["macs <= 10", "reaches from"]),
        (["--retrain.top=0"], ["retrain.top"]),
        (["--evaluate.batch_size=0"], ["evaluate.batch_size"]),
        (["--search.searcher=exhaustive", "--search.searcher.limit=10"], ["limit"]),
        (["--retrain.model={chanels: 3}"], ["chanels"]),
        (["--retrain.model.channels=abc"], ["cannot be built with channels 'abc'", "TypeError"]),
    ],
)
def test_wrong_options(tmp_path, call, tiny, options, words):
    if options[0].startswith("--search.searcher="):
        tiny = [option for option in tiny if not option.startswith("--search")]
    _refused(call("run", "--out", str(tmp_path / "run"), *tiny, *options), *words)
    assert not (tmp_path / "run" / "supernet.pt").exists()


@pytest.mark.slow
def test_mended_option_needs_no_new_folder(tmp_path, call, tiny):
    out = ["--out", str(tmp_path / "run")]
    _refused(call("train", *out, *tiny, "--search.constraints=[macs <= 10]"), "macs <= 10")
    code, _, err = call("train", *out, *tiny, "--search.constraints=[macs <= 90%]")
    assert code == 0, err


@pytest.mark.slow
def test_constraints_that_exclude_each_other(tmp_path, call, tiny):
    together = "--search.constraints=[params >= 95%, macs <= 30%]"
    result = call("run", "--out", str(tmp_path / "run"), *tiny, together)
    _refused(result, "params >= 95% and macs <= 30%", "relax")
    assert not (tmp_path / "run" / "supernet.pt").exists()


def test_bad_configuration_files(tmp_path, call):
    file = tmp_path / "c.yaml"
    for content, word in (("- 1", "name: value"), ("a: [", "YAML"), ("nonsense: 3", "nonsense")):
        file.write_text(content)
        _refused(call("run", "--out", str(tmp_path / "r"), "--config", str(file)), word)
    file.write_text("model: !!python/object/apply:os.system ['touch executed']")
    _refused(call("run", "--out", str(tmp_path / "r"), "--config", str(file)), "tags")
    assert not Path("executed").exists()


@pytest.mark.slow
def test_folder_of_another_configuration(finished, call):
    before = (finished / "config.yaml").read_bytes()
    result = call("run", "--out", str(finished), "--seed=7", "--train.steps=31")
    _refused(result, "seed: 0 and 7", "train.steps: 30 and 31", "--out")
    assert (finished / "config.yaml").read_bytes() == before


def test_unwritable_folder(tmp_path, call, tiny):
    file = tmp_path / "file"
    file.write_text("")
    _refused(call("run", "--out", str(file / "run"), *tiny), str(file / "run"), "--out")


@pytest.fixture
def copy(tmp_path, finished) -> Path:
    shutil.copytree(finished, tmp_path / "copy")
    return tmp_path / "copy"


def _without(folder: Path, *sections: str) -> None:
    from supernet.files import read_json, write_json

    metrics = read_json(folder / "metrics.json")
    left_out = (*sections, "digest")  # without it, the change is meant
    kept = {name: value for name, value in metrics.items() if name not in left_out}
    write_json(folder / "metrics.json", kept)


@pytest.mark.slow
def test_damaged_checkpoint_is_named_and_mended(copy, finished, call, read):
    candidates, metrics = read
    _without(copy, "train", "search", "retrain", "test")
    checkpoint = copy / "supernet.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-3000])
    _refused(call("run", "--out", str(copy)), "supernet.pt", "damaged", "Delete it")
    checkpoint.unlink()
    assert call("run", "--out", str(copy))[0] == 0
    assert checkpoint.read_bytes() == (finished / "supernet.pt").read_bytes()
    assert metrics(copy) == metrics(finished)
    assert candidates(copy) == candidates(finished)


@pytest.mark.slow
def test_damaged_database_is_named_and_mended(copy, finished, call, read):
    candidates, _ = read
    _without(copy, "search", "retrain", "test")
    database = copy / "candidates.db"
    database.write_bytes(b"this is no database, but long enough to be taken for one" * 100)
    _refused(call("run", "--out", str(copy)), "candidates.db", "damaged", "Delete it")
    database.unlink()
    assert call("run", "--out", str(copy))[0] == 0
    assert candidates(copy) == candidates(finished)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["metrics.json", "config.yaml"])
def test_damaged_text_files_are_named(copy, call, name):
    (copy / name).write_text("{ never closed")
    _refused(call("run", "--out", str(copy)), name, "damaged")


@pytest.mark.quick_with("candidates.db")
@pytest.mark.parametrize("name", ["supernet.pt", "candidates.db", "model.pt"])
def test_deleted_files_are_made_again(copy, finished, call, read, name):
    candidates, metrics = read
    (copy / name).unlink()
    code, _, err = call("run", "--out", str(copy))
    assert code == 0, err
    assert (copy / "supernet.pt").read_bytes() == (finished / "supernet.pt").read_bytes()
    assert (copy / "model.pt").read_bytes() == (finished / "model.pt").read_bytes()
    assert candidates(copy) == candidates(finished)
    assert metrics(copy) == metrics(finished)


def test_deleted_configuration_is_not_replaced_by_the_default(copy, call):
    (copy / "config.yaml").unlink()
    _refused(call("run", "--out", str(copy)), "config.yaml", "put the file back")
    assert not (copy / "config.yaml").exists()


@pytest.mark.slow
def test_only_files_of_the_run_are_cleaned(copy, call):
    (copy / "sub").mkdir()
    own = copy / f".supernet.pt.{2**30}.supernet-tmp"  # of no process that there is
    others = [copy / "sub/.notes.tmp", copy / ".notes.tmp", copy / ".notes.77.tmp"]
    for file in (own, *others):
        file.write_text("x")
    assert call("run", "--out", str(copy))[0] == 0
    assert not own.exists()
    assert all(file.exists() for file in others)


@pytest.mark.slow
def test_missing_retrained_model_is_named_and_made_again(copy, call):
    _without(copy, "test")
    for file in (copy / "retrain").iterdir():
        file.unlink()
    _refused(call("test", "--run", str(copy)), "supernet retrain --run", "missing, unfinished")
    before = (copy / "model.pt").read_bytes()
    assert call("run", "--out", str(copy))[0] == 0
    assert (copy / "model.pt").read_bytes() == before


@pytest.mark.slow
def test_loss_that_is_no_number(tmp_path, call, tiny):
    out = tmp_path / "run"
    options = [*tiny, "--train.clip=null", "--train.optimizer.lr=1e30"]
    _refused(call("run", "--out", str(out), *options), "learning rate", code=1)
    assert (out / "config.yaml").exists()


@pytest.mark.slow
def test_full_disk_loses_nothing(tmp_path, finished, tiny, read, call):
    """With a limit on file sizes every write beyond it fails as on a full disk."""
    candidates, metrics = read
    out = tmp_path / "run"
    command = [sys.executable, "-m", "supernet", "run", "--out", str(out), *tiny]
    limit = (finished / "supernet.pt").stat().st_size // 2

    def shrink() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    full = subprocess.run(command, preexec_fn=shrink, capture_output=True, text=True, check=False)
    assert full.returncode == 1, full.stderr
    assert "the disk is full" in full.stderr
    assert "Traceback" not in full.stderr
    assert (out / "config.yaml").exists()
    assert call("run", "--out", str(out), *tiny)[0] == 0
    assert (out / "supernet.pt").read_bytes() == (finished / "supernet.pt").read_bytes()
    assert candidates(out) == candidates(finished)
    assert metrics(out) == metrics(finished)


@pytest.mark.slow
def test_shipped_configurations_are_valid():
    files = list(shipped().values())
    assert len(files) >= 4
    for file in files:
        _, plain = parse("supernet run", ["--config", str(file)])
        again = parse("supernet run", [], plain)[1]
        assert again == plain
