"""The command line does what its contract says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from tests.track.figures import tree

from supernet.catalogue import catalogue
from supernet.cli import main


def test_run_folder_holds_the_contracted_files(finished):
    names = {
        "config.yaml",
        "log.jsonl",
        "supernet.pt",
        "candidates.db",
        "architecture.json",
        "model.pt",
        "model.pt2",
        "metrics.json",
        "report.html",
    }
    assert names <= {path.name for path in finished.iterdir()}
    assert not list(finished.rglob("*.supernet-tmp"))
    assert torch.load(finished / "supernet.pt", weights_only=True)["step"] == 30
    assert yaml.safe_load((finished / "config.yaml").read_text())["train"]["steps"] == 30
    records = [json.loads(line) for line in (finished / "log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records if r["stage"] == "train"] == [5, 10, 15, 20, 25, 30]


def test_metrics_hold_every_stage(finished):
    metrics = json.loads((finished / "metrics.json").read_text())
    roles = [row["role"] for row in metrics["retrain"]["candidates"]]
    assert roles in (["top", "top", "probe", "random"], ["top", "top", "random"])
    assert metrics["retrain"]["ranking"]["n"] == 1  # the probe, which may be a top one
    assert metrics["retrain"]["ranking"]["meaningful"] is False
    top = [row for row in metrics["retrain"]["candidates"] if row["role"] == "top"]
    best = max(top, key=lambda r: (r["validation"]["accuracy"], -r["validation"]["loss"]))
    assert metrics["retrain"]["chosen"] == metrics["test"]["chosen"]["key"] == best["key"]
    assert metrics["test"]["images"] == metrics["data"]["test"] == 359
    assert 0 <= metrics["test"]["random"][0]["accuracy"] <= 1


@pytest.mark.slow
def test_exported_program_is_the_tested_model(finished):
    """The programme, run without supernet's classes, gives the accuracy in metrics.json."""
    metrics = json.loads((finished / "metrics.json").read_text())
    code = f"""
import sys, torch
program = torch.export.load({str(finished / "model.pt2")!r}).module()
assert not any(name.startswith("supernet") for name in sys.modules)
weights = torch.load({str(finished / "model.pt")!r}, weights_only=True)
import supernet.data as d
splits = d.split_data(d.Digits().load(), 0, limit=300)
examples = splits.test.open("check")
logits = program(examples.inputs)
print((logits.argmax(1) == examples.targets).double().mean().item(), len(weights))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    accuracy, tensors = done.stdout.split()
    assert float(accuracy) == pytest.approx(metrics["test"]["chosen"]["accuracy"], abs=1e-9)
    assert int(tensors) > 0


@pytest.mark.slow
def test_finished_run_is_not_repeated(finished, call, tiny):
    before = {p.name: p.stat().st_mtime_ns for p in finished.iterdir() if p.name != "report.html"}
    code, out, err = call("run", "--out", str(finished), *tiny)
    assert code == 0
    assert "test: done before" in err
    assert "report.html" in out
    after = {p.name: p.stat().st_mtime_ns for p in finished.iterdir() if p.name != "report.html"}
    assert after == before


@pytest.mark.slow
def test_folder_remembers_its_options(finished, call):
    code, _, err = call("run", "--out", str(finished))
    assert code == 0, err


@pytest.mark.slow
def test_step_by_step_equals_run(tmp_path, finished, call, tiny, read):
    candidates, metrics = read
    out = tmp_path / "steps"
    assert call("train", "--run", str(out), *tiny)[0] == 0
    for step in ("search", "retrain", "test", "report"):
        code, _, err = call(step, "--run", str(out))
        assert code == 0, err
    assert (out / "supernet.pt").read_bytes() == (finished / "supernet.pt").read_bytes()
    assert candidates(out) == candidates(finished)
    assert metrics(out) == metrics(finished)


@pytest.mark.slow
def test_steps_in_the_wrong_order_are_refused(tmp_path, call, tiny):
    code, _, err = call("search", "--run", str(tmp_path / "new"), *tiny)
    assert code == 2
    assert "no run folder" in err
    out = tmp_path / "trained"
    assert call("train", "--run", str(out), *tiny)[0] == 0
    for step, missing in (("retrain", "'search'"), ("test", "'retrain'")):
        code, _, err = call(step, "--run", str(out))
        assert code == 2
        assert missing in err


def test_config_file_and_options_mean_the_same(tmp_path, call, tiny):
    config = tmp_path / "config.yaml"
    config.write_text("strategy: spos\ntrain: {steps: 5, batch_size: 32}\n")
    model = [option for option in tiny if option.startswith(("--model", "--split"))]
    file, options = tmp_path / "file", tmp_path / "options"
    assert call("train", "--out", str(file), "--config", str(config), *model)[0] == 0
    given = ["--strategy", "spos", "--train.steps", "5", "--train.batch_size=32", *model]
    assert call("train", "--out", str(options), *given)[0] == 0
    assert (file / "config.yaml").read_bytes() == (options / "config.yaml").read_bytes()
    assert (file / "supernet.pt").read_bytes() == (options / "supernet.pt").read_bytes()


def test_models_data_and_tasks_by_import_path(tmp_path, call, tiny, monkeypatch):
    """A user's own module and data set in the working directory need no installation."""
    (tmp_path / "mine.py").write_text(
        """
import torch
from torch import nn
import supernet as sn
from supernet.data import Augment, DataSource, Digits, Raw

class Net(nn.Module):
    def __init__(self, classes: int, width: int = 4):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.op = sn.Choice({"conv": nn.Conv2d(width, width, 3, padding=1), "skip": nn.Identity()})
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.op(self.stem(x)).mean((2, 3)))

class Mine(DataSource):
    def load(self):
        raw = Digits().load()
        return Raw("mine", raw.train, None, Augment())
"""
    )
    monkeypatch.chdir(tmp_path)
    options = [o for o in tiny if not o.startswith(("--model", "--search"))]
    code, _, err = call(
        "run", "--model", "mine.Net", "--model.width=3", "--data", "mine.Mine", "--strategy=spos",
        "--search.searcher=exhaustive", *options,
    )  # fmt: skip
    assert code == 0, err
    metrics = json.loads((tmp_path / "runs/default/metrics.json").read_text())
    assert metrics["data"]["name"] == "mine"
    assert metrics["search"]["candidates"] == 2
    sys.modules.pop("mine")


def test_zoo_lists_everything_with_a_summary(call):
    code, out, _ = call("zoo", "--json")
    assert code == 0
    listed = json.loads(out)
    assert listed == catalogue()
    assert all(entry["summary"] for group in listed.values() for entry in group.values())
    code, out, _ = call("zoo")
    assert all(name in out for group in listed.values() for name in group)


def test_help_explains_every_option_and_does_not_load_torch():
    code = """
import sys
from supernet.cli import main
try:
    main(["--help"])
finally:
    print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
    assert all(step in done.stdout for step in ("run", "train", "search", "retrain", "test", "zoo"))


def test_unknown_command_is_refused():
    assert main(["serach"]) == 2


@pytest.mark.slow
def test_two_processes_cannot_share_a_folder(tmp_path, finished, call):
    from supernet.track import RunFolder

    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    held = RunFolder(copy)
    code, _, err = call("run", "--out", str(copy))
    held.close()
    assert code == 2
    assert "another process" in err
    assert call("run", "--out", str(copy))[0] == 0


@pytest.mark.slow
def test_models_and_data_sets_by_functions_and_torch_classes(tmp_path, call, tiny, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wanted.py").write_text(WANTED)
    data = ["--data=dataset", "--data.train=wanted.Squares", "--data.arguments.count=90"]
    own = [option for option in tiny if not option.startswith(("--model", "--split"))]
    code, _, err = call("run", "--out=run", "--model=wanted.make", *own, *data)
    assert code == 0, err
    for option, words in (
        ("--model=wanted.unsaid", "-> nn.Module"),
        ("--model=wanted.mkae", "wanted.mkae"),
        ("--data=wanted.Squares", "--data dataset --data.train wanted.Squares"),
    ):
        code, _, err = call("run", "--out=other", option)
        assert code == 2
        assert words in err
        assert len(err.splitlines()) == 1
        assert not (tmp_path / "other").exists()


WANTED = """
import torch
from torch import nn
from torch.utils.data import Dataset
import supernet as sn

def unsaid(classes):
    return nn.Sequential(nn.Flatten(), sn.Choice([nn.Linear(16, classes), nn.Linear(16, classes)]))

def make(classes: int) -> nn.Module:
    return unsaid(classes)

class Squares(Dataset):
    def __init__(self, count):
        self.count = count
    def __len__(self):
        return self.count
    def __getitem__(self, number):
        return torch.full((1, 4, 4), float(number % 3)), number % 3
"""


@pytest.mark.slow
def test_an_older_folder_lacks_options_that_have_defaults(copy_of, call, read):
    config = yaml.safe_load((copy_of / "config.yaml").read_text())
    del config["evaluate"], config["train"]["clip"]
    (copy_of / "config.yaml").write_text(yaml.safe_dump(config))
    before = read[1](copy_of)
    code, _, err = call("run", "--out", str(copy_of))
    assert code == 0, err
    assert read[1](copy_of) == before


@pytest.mark.slow
def test_another_search_in_the_same_folder(copy_of, call, tiny):
    weights = (copy_of / "supernet.pt").read_bytes()
    code, _, err = call(
        "run", "--out", str(copy_of), "--search.searcher=random", "--search.searcher.count=5"
    )
    assert code == 0, err
    assert "search.searcher.class_path" in err
    assert "Repeated for that: search, retrain, test" in err
    assert (copy_of / "supernet.pt").read_bytes() == weights
    metrics = json.loads((copy_of / "metrics.json").read_text())
    assert metrics["search"]["searcher"] == "RandomSearch"
    assert metrics["search"]["candidates"] == 5
    assert len(metrics["tested_before"]) == 1


@pytest.mark.slow
def test_threads_and_device_belong_to_no_step(copy_of, call):
    code, _, err = call("run", "--out", str(copy_of), "--threads=2", "--device=cpu")
    assert code == 0, err
    assert "Repeated" not in err


@pytest.fixture
def copy_of(tmp_path, finished):
    return Path(shutil.copytree(finished, tmp_path / "copy"))


@pytest.mark.slow
def test_output_that_nobody_reads_is_no_error(tmp_path):
    command = f"{sys.executable} -m supernet run --help | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_training_anew_repeats_what_came_from_the_weights(copy_of, call):
    before = torch.load(copy_of / "supernet.pt", weights_only=True)["model"]
    (copy_of / "supernet.pt").unlink()
    code, _, err = call("run", "--out", str(copy_of))
    assert code == 0, err
    assert "other results" not in err  # the same bits again
    metrics = json.loads((copy_of / "metrics.json").read_text())
    del metrics["digest"]  # the change is meant
    metrics["train"]["weights"] = "of another training"
    (copy_of / "metrics.json").write_text(json.dumps(metrics))
    (copy_of / "supernet.pt").unlink()
    code, _, err = call("run", "--out", str(copy_of))
    assert code == 0, err
    assert "train has other results than before; repeated for that: search, retrain, test" in err
    after = torch.load(copy_of / "supernet.pt", weights_only=True)["model"]
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.slow
@pytest.mark.parametrize(
    "option",
    [
        "--train.checkpoint_seconds=9",
        "--retrain.train.checkpoint_seconds=9",
        "--retrain.train.log_every=2",
        "--evaluate.memory=0",
        "--few_shot.train.steps=7",
    ],
)
def test_options_that_change_no_result_repeat_nothing(copy_of, call, option):
    code, _, err = call("run", "--out", str(copy_of), option)
    assert code == 0, err
    assert "Repeated" not in err
    assert "test: done before" in err


@pytest.mark.slow
def test_what_was_tested_before_is_said(copy_of, call):
    code, out, err = call("run", "--out", str(copy_of), "--retrain.probes=0")
    assert code == 0, err
    assert "read 1 time before" in " ".join(out.split())
    assert "read 1 time before, with other options" in (copy_of / "report.html").read_text()


@pytest.mark.slow
def test_a_report_shows_nothing_that_was_given_up(copy_of, call):
    search = ("search", "--run", str(copy_of), "--search.searcher=random")
    code, _, err = call(*search, "--search.searcher.count=5")
    assert code == 0, err
    assert not (copy_of / "architecture.json").exists()
    assert not (copy_of / "model.pt").exists()
    assert call("report", "--run", str(copy_of))[0] == 0


@pytest.mark.slow
def test_the_report_shows_the_candidates_of_the_search_of_now(copy_of, call):
    from supernet.track.run_files import RunFiles

    for size in (16, 256):
        code, _, err = call("run", "--out", str(copy_of), f"--evaluate.batch_size={size}")
        assert code == 0, err
    sizes = {row.provenance.batch_size for row in RunFiles.read(copy_of).candidates}
    assert sizes == {256}


@pytest.mark.slow
def test_a_training_that_diverged_at_once_is_mended_in_place(tmp_path, call, tiny):
    out = ["--out", str(tmp_path / "run"), *tiny]
    code, _, err = call("train", *out, "--train.optimizer.lr=1e30", "--train.clip=null")
    assert code == 1, err
    code, _, err = call("train", *out, "--train.optimizer.lr=0.05")
    assert code == 0, err


@pytest.mark.slow
def test_a_run_whose_reader_leaves_is_not_said_to_be_done(tmp_path, tiny):
    options = " ".join(f"'{option}'" for option in tiny)
    command = f"{sys.executable} -m supernet run --out {tmp_path / 'r'} {options} 2>&1 | head -n 1"
    done = subprocess.run(
        ["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"], capture_output=True, check=False
    )
    assert done.returncode == 1


@pytest.mark.slow
def test_the_code_of_the_report_loads_the_chosen_network(finished, monkeypatch):
    """Both ways compute the same; the module takes normalised examples."""
    codes = [one.text for one in tree((finished / "report.html").read_text()).all("pre")]
    program, module = (code for code in codes if "import torch" in code)
    monkeypatch.chdir(finished)
    examples = torch.randint(0, 17, (5, 1, 8, 8), dtype=torch.uint8)
    first, second = {"examples": examples}, {}
    exec(program, first)
    exec(module, second)
    data = json.loads((finished / "metrics.json").read_text())["data"]
    normalised = (examples / 255 - data["mean"][0]) / data["std"][0]
    with torch.no_grad():
        torch.testing.assert_close(second["network"](normalised), first["outputs"])
