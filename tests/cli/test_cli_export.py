"""From one search to networks for several budgets, as files that run without supernet."""

from __future__ import annotations

import importlib
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import supernet as sn
import supernet.pipeline
from supernet.strategies import STRATEGIES

MACRO = [
    "--model=nasbench-macro",
    "--model.channels=4",
    "--model.features=8",
    "--model.stages=[1,1]",
    "--strategy=spos",
    "--split.limit=300",
    "--train.steps=20",
    "--train.batch_size=32",
    "--search.searcher=exhaustive",
    "--evaluate.batch_size=64",
    "--retrain.top=1",
    "--retrain.train.steps=10",
    "--retrain.train.batch_size=32",
]
"""A space of nine networks, all scored."""


@pytest.fixture(scope="module")
def run_once(tmp_path_factory) -> Path:
    from supernet.cli import main

    out = tmp_path_factory.mktemp("searched") / "run"
    assert main(["run", "--out", str(out), *MACRO]) == 0
    return out


@pytest.fixture
def folder(run_once, tmp_path) -> Path:
    """Return a copy of a finished run."""
    return Path(shutil.copytree(run_once, tmp_path / "run"))


def described(folder: Path, name: str) -> dict:
    return json.loads((folder / "exports" / name / "architecture.json").read_text())


ALONE = """
import sys
sys.modules["supernet"] = None
import torch
images, *ways = sys.argv[1:]
images, found = torch.load(images), {}
for way in ways:
    if way.endswith(".pt2"):
        run = torch.export.load(way).module()
    else:
        import onnxruntime
        session = onnxruntime.InferenceSession(way)
        name = session.get_inputs()[0].name
        run = lambda batch: torch.from_numpy(session.run(None, {name: batch.numpy()})[0])
    found[way] = [run(batch).detach() for batch in (images, images[:1])]
torch.save(found, "out.pt")
"""


def run_alone(files: list[Path], images: torch.Tensor, workplace: Path) -> list[list[torch.Tensor]]:
    """Run programmes where supernet cannot be imported, on all images and on the first."""
    torch.save(images, workplace / "in.pt")
    ways = [str(file.resolve()) for file in files]
    command = [sys.executable, "-c", ALONE, "in.pt", *ways]
    done = subprocess.run(command, cwd=workplace, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = torch.load(workplace / "out.pt")
    return [found[way] for way in ways]


@pytest.mark.slow
def test_several_budgets_get_several_networks(folder, call):
    picks = ["macs <= 30%", "macs >= 40% and macs <= 6.5e1%", "params >= 90%"]
    arguments = [argument for pick in picks for argument in ("--pick", pick)]
    code, shown, err = call("export", "--run", str(folder), *arguments)
    assert code == 0, err
    names = ["macs-le-30pct", "macs-ge-40pct-and-macs-le-6.5e1pct", "params-ge-90pct"]
    found = [described(folder, name) for name in names]
    assert len({one["key"] for one in found}) == 3
    with sn.pipeline.open_run([], folder, mode="add", progress=False) as opened:
        costs, space = opened.costs, opened.inputs.space
        largest = {name: table.range(space)[1] for name, table in costs.items()}
    for one, pick in zip(found, picks, strict=True):
        architecture = sn.Architecture(one["architecture"])
        assert one["pick"] == pick
        assert one["costs"] == {name: table.cost(architecture) for name, table in costs.items()}
        assert one["key"] in shown
    shares = [one["costs"]["macs"] / largest["macs"] for one in found]
    assert shares[0] <= 0.3 < 0.4 <= shares[1] <= 0.65 + 1e-9
    assert found[2]["costs"]["params"] >= 0.9 * largest["params"]


@pytest.mark.slow
def test_each_is_the_best_within_its_bound(folder, call, read):
    assert call("export", "--run", str(folder), "--pick", "macs <= 45%")[0] == 0
    one = described(folder, "macs-le-45pct")
    candidates, _ = read
    rows = [(row[3], row[4], row[0], row[6]) for row in candidates(folder)]
    largest = max(macs for *_, macs in rows)
    within = [row for row in rows if row[3] <= 0.45 * largest]
    assert 0 < len(within) < len(rows)
    best = min(within, key=lambda row: (-row[1], row[0], row[2]))
    assert (one["key"], one["supernet"]["accuracy"]) == (best[2], best[1])


@pytest.mark.slow
def test_programmes_run_where_supernet_cannot_be_imported(folder, tmp_path, call):
    code, _, err = call("export", "--run", str(folder), "--pick", "macs <= 45%", "--onnx")
    assert code == 0, err
    one = described(folder, "macs-le-45pct")
    with sn.pipeline.open_run([], folder, mode="add", progress=False) as opened:
        images = opened.inputs.splits.search.inputs[:7]
        normalise = opened.inputs.normalise
        space = sn.SuperNet(opened.inputs.models.built("any"))
    network = sn.derive(space, sn.Architecture(one["architecture"]))
    exported = folder / "exports/macs-le-45pct"
    network.load_state_dict(torch.load(exported / "model.pt", weights_only=True))
    expected = network.eval()(normalise(images)).detach()
    assert expected.std() > 0
    files = [exported / name for name in ("model.pt2", "model.onnx")]
    for found in run_alone(files, images, tmp_path):
        for outputs in found:
            torch.testing.assert_close(outputs, expected[: len(outputs)], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_inherited_weights_score_as_under_the_supernet_and_differences_are_on_record(folder, call):
    shutil.rmtree(folder / "retrain")
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["digest"]  # the change is meant
    del metrics["retrain"], metrics["test"]
    (folder / "metrics.json").write_text(json.dumps(metrics))
    code, shown, err = call("export", "--run", str(folder), "--pick", "macs <= 70%", "--onnx")
    assert code == 0, err
    assert "inherited" in shown
    one = described(folder, "macs-le-70pct")
    assert one["weights"] == "inherited"
    assert one["validation"]["loss"] == pytest.approx(one["supernet"]["loss"], rel=1e-5)
    checked = one["verification"]
    for name in ("model.pt2", "model.onnx"):
        assert checked[name]["examples"] == 60
        assert checked[name]["max_relative"] <= checked["tolerance"]
    assert 0 < checked["model.onnx"]["max_abs"] < 1e-3
    assert one["input"] == {"dtype": "uint8", "shape": ["batch", 1, 8, 8]}


@pytest.mark.slow
def test_the_better_weights_are_taken_where_an_architecture_was_retrained(folder, call):
    chosen = json.loads((folder / "architecture.json").read_text())
    every = "macs >= 1"  # so the best of all, which was retrained
    assert call("export", "--run", str(folder), "--pick", every)[0] == 0
    one = described(folder, "macs-ge-1")
    assert one["key"] == chosen["key"]
    row = json.loads((folder / "metrics.json").read_text())["retrain"]["candidates"][0]
    alone, inherited = row["stand_alone"]["scratch"], one["supernet"]
    better = (alone["accuracy"], -alone["loss"]) > (inherited["accuracy"], -inherited["loss"])
    assert one["weights"] == ("scratch" if better else "inherited")
    score = alone if better else inherited
    assert one["validation"]["loss"] == pytest.approx(score["loss"], rel=1e-5)


@pytest.mark.slow
def test_what_is_known_to_be_better_after_retraining_is_taken(folder, call):
    """The random baseline was retrained; what if it had turned out best?"""
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["digest"]  # the change is meant
    row = next(row for row in metrics["retrain"]["candidates"] if row["role"] == "random")
    row["stand_alone"]["scratch"]["accuracy"] = 0.995
    best = metrics["retrain"]["candidates"][0]["key"]
    assert row["key"] != best
    (folder / "metrics.json").write_text(json.dumps(metrics))
    code, _, err = call("export", "--run", str(folder), "--pick", "macs >= 1")
    assert code == 0, err
    one = described(folder, "macs-ge-1")
    assert (one["key"], one["weights"], one["warning"]) == (row["key"], "scratch", None)
    told = " ".join(err.split())
    assert f"{row['key']} is the best network known" in told
    assert f"by one-shot score {best} is the best" in told


@pytest.mark.slow
def test_weights_that_only_rank_networks_come_with_a_warning(folder, call):
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["digest"]  # the change is meant
    del metrics["retrain"], metrics["test"]
    (folder / "metrics.json").write_text(json.dumps(metrics))
    code, _, err = call("export", "--run", str(folder), "--pick", "macs <= 70% and params <= 80%")
    assert code == 0, err
    one = described(folder, "macs-le-70pct-and-params-le-80pct")
    assert "warning: macs-le-70pct-and-params-le-80pct: its weights are" in " ".join(err.split())
    assert f"{100 * one['validation']['accuracy']:.2f} %" in one["warning"]
    assert "SPOS trains them to rank networks" in one["warning"]
    assert "--search.constraints '[macs <= 70%, params <= 80%]'" in one["warning"]


def test_strategies_for_networks_that_need_no_retraining_say_so():
    ready = set()
    for name, path in STRATEGIES.items():
        module, _, kind = path.rpartition(".")
        if getattr(importlib.import_module(module), kind).one_stage:
            ready.add(name)
    assert ready == {"sandwich", "attentivenas", "alphanet", "ofa"}


@pytest.mark.slow
def test_without_a_pick_the_chosen_network_of_the_run(folder, tmp_path, call):
    code, _, err = call("export", "--run", str(folder), "--to", str(tmp_path / "there"))
    assert code == 0, err
    exported = tmp_path / "there/chosen"
    assert sorted(path.name for path in exported.iterdir()) == [
        "architecture.json",
        "made-by-supernet.json",
        "model.pt",
        "model.pt2",
    ]
    weights = [torch.load(path / "model.pt", weights_only=True) for path in (folder, exported)]
    assert list(weights[0]) == list(weights[1])
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.slow
def test_exporting_changes_nothing_else_and_can_be_repeated(folder, call):
    def files():
        return {
            path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and "exports" not in path.parts
        }

    before = files()
    arguments = ["export", "--run", str(folder), "--pick", "macs <= 45%", "--search.seed_of_none"]
    assert call(*arguments)[0] == 2  # an unknown option
    assert call(*arguments[:-1], "--onnx")[0] == 0
    assert call(*arguments[:-1])[0] == 0
    assert files() == before
    exported = folder / "exports/macs-le-45pct"
    assert not (exported / "model.onnx").exists()  # of the export before
    assert [path.name for path in (folder / "exports").iterdir()] == ["macs-le-45pct"]


@pytest.mark.slow
def test_a_table_of_latencies_may_be_given_afterwards(folder, tmp_path, call):
    table = tmp_path / "latency.json"
    measure = ["latency", "--run", str(folder), "--table", str(table), "--repeats", "2"]
    assert call(*measure)[0] == 0
    costs = f"--search.costs=[{table}]"
    pick = ["--pick", "latency_ms <= 80% and macs <= 80%"]
    code, shown, err = call("export", "--run", str(folder), costs, *pick)
    assert code == 0, err
    assert "latency_ms" in shown
    assert described(folder, "latency_ms-le-80pct-and-macs-le-80pct")["costs"]["latency_ms"] > 0
    again = call("export", "--run", str(folder), *pick)
    assert again[0] == 2
    assert "costs are known for macs, params" in again[2]


def refused(result: tuple[int, str, str], *words: str) -> None:
    assert result[0] == 2, result
    assert "Traceback" not in result[2]
    for word in words:
        assert word in result[2], result[2]


@pytest.mark.quick_with("-words1")
@pytest.mark.parametrize(
    ("pick", "words"),
    [
        ("macs < 3", ["macs < 3", "macs <= 40e6"]),
        ("", ["cannot be read"]),
        ("macs <= 50% or params <= 50%", ["cannot be read"]),
        ("energy <= 3", ["energy", "macs, params"]),
        ("macs <= 10", ["reaches from"]),
    ],
)
def test_wrong_picks(pick, words, folder, call):
    refused(call("export", "--run", str(folder), "--pick", "macs <= 90%", "--pick", pick), *words)
    assert not (folder / "exports").exists()


@pytest.mark.slow
def test_a_bound_that_no_candidate_keeps_to(tmp_path, call):
    """Says what there is, and how to search for more; what it says to do works."""
    out = str(tmp_path / "run")
    tiny = [option for option in MACRO if "searcher" not in option]
    few = ["--search.searcher=random", "--search.searcher.count=2"]
    bounded = ["--search.constraints=[macs >= 60%]"]
    assert call("train", "--out", out, *tiny, *few, *bounded)[0] == 0
    assert call("search", "--run", out)[0] == 0
    result = call("export", "--run", out, "--pick", "macs <= 40%")
    refused(result, "none of the", "smallest macs among them is", "supernet search --run")
    command = result[2].partition("supernet search ")[2].strip()
    assert call("search", *shlex.split(command))[0] == 0
    assert call("export", "--run", out, "--pick", "macs <= 40%")[0] == 0
    refused(call("export", "--run", out), "no chosen network yet", "--pick")


@pytest.mark.slow
def test_folders_that_cannot_be_exported_from(folder, tmp_path, call):
    nowhere = call("export", "--run", str(tmp_path / "nowhere"), "--pick", "macs <= 50%")
    refused(nowhere, "is no run folder")
    assert not (tmp_path / "nowhere").exists()
    (folder / "supernet.pt").rename(tmp_path / "supernet.pt")
    refused(call("export", "--run", str(folder), "--pick", "macs <= 50%"), "no trained supernet")
    (tmp_path / "supernet.pt").rename(folder / "supernet.pt")
    mine = folder / "exports/macs-le-50pct"
    mine.mkdir(parents=True)
    (mine / "thesis.txt").write_text("mine")
    refused(call("export", "--run", str(folder), "--pick", "macs <= 50%"), "is not replaced")
    assert (mine / "thesis.txt").read_text() == "mine"
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["digest"]  # the change is meant
    metrics["search"]["protocol"]["weights"] = "of another supernet"
    (folder / "metrics.json").write_text(json.dumps(metrics))
    refused(call("export", "--run", str(folder), "--pick", "macs <= 60%"), "other weights")


@pytest.mark.parametrize("name", ["onnx", "onnxscript"])
def test_without_onnx_the_message_says_how_to_get_it(name, folder, call, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)  # so that it cannot be imported
    result = call("export", "--run", str(folder), "--onnx")
    refused(result, f"ONNX needs {name}, which", "pip install 'supernet[onnx]'")
    assert not (folder / "exports").exists()


@pytest.mark.slow
def test_without_onnxruntime_onnx_is_written_unverified_and_says_so(folder, call, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    code, _, err = call("export", "--run", str(folder), "--pick", "macs <= 45%", "--onnx")
    assert code == 0
    assert "model.onnx is not verified" in err
    checked = described(folder, "macs-le-45pct")["verification"]
    assert checked["model.onnx"] is None
    assert checked["model.pt2"]["examples"] == 60


@pytest.mark.slow
def test_from_python(tmp_path):
    class Net(nn.Module):
        def __init__(self, classes: int = 2):
            super().__init__()
            self.a = sn.Choice({"wide": wide(8), "slim": wide(2)}, label="a")
            self.head = nn.Linear(4, classes)

        def forward(self, x):
            return self.head(self.a(x))

    def wide(width):
        return nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 4))

    random = torch.Generator().manual_seed(0)
    inputs = torch.randn(80, 6, generator=random)
    options = {"train.steps": 4, "retrain.train.steps": 2, "retrain.top": 1}
    result = sn.run(
        Net,
        (inputs, (inputs[:, 0] > 0).long()),
        strategy="spos",
        searcher="exhaustive",
        out=tmp_path / "run",
        options=options,
        progress=False,
    )
    slim, chosen = (
        result.export_networks("params <= 60%")[0],
        result.export_networks(to=tmp_path / "to")[0],
    )
    assert slim.content["architecture"] == {"a": "slim"}
    assert slim.folder == tmp_path / "run/exports/params-le-60pct"
    program = torch.export.load(chosen.folder / "model.pt2").module()
    torch.testing.assert_close(program(inputs), result.model(inputs))
