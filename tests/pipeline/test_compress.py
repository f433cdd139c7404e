"""`compress`: a trained model made smaller within targets."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial

import pytest
import torch
from torch import nn

import supernet as sn
from supernet.data import DataSource, Digits, Normalise, Tensors
from supernet.errors import ConfigError, ConstraintError
from supernet.net.pretrained import read_pretrained
from supernet.pipeline import compression
from supernet.search import RandomSearch
from supernet.strategies import Blockwise
from supernet.track import tables
from supernet.track.metrics import Metrics
from supernet.zoo.resnet import ResNet

QUICK = {
    "train.steps": 12,
    "retrain.train.steps": 6,
    "search.searcher.population": 10,
    "search.searcher.generations": 2,
    "search.searcher.parents": 4,
}


@pytest.fixture(scope="module")
def data():
    """Return examples as the model takes them, with a test split."""
    digits = Digits().load().train
    images, labels = Normalise.of(digits)(digits.inputs), digits.targets
    return Tensors((images[:1400], labels[:1400]), (images[1400:], labels[1400:]))


@pytest.fixture(scope="module")
def model(data):
    """Return a small network that was trained."""
    raw = data.load().train
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = ResNet(image=(1, 8, 8), widths=(16, 32), blocks=2)
        optimizer = torch.optim.SGD(found.parameters(), lr=0.05, momentum=0.9)
        for _ in range(60):
            batch = torch.randint(len(raw), (64,))
            loss = nn.functional.cross_entropy(found(raw.inputs[batch]), raw.targets[batch])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return found.eval()


@pytest.fixture(scope="module")
def compressed(model, data, tmp_path_factory):
    """Return what two targets led to, and the folder."""
    out = tmp_path_factory.mktemp("compressed") / "run"
    targets = ["macs <= 60%", "macs <= 40% and params <= 50%"]
    return sn.compress(model, data, targets, out=out, options=QUICK, progress=False), out


def correct(network, data):
    test = data.load().test
    with torch.no_grad():
        return (network(test.inputs).argmax(1) == test.targets).double().mean().item()


@pytest.mark.slow
def test_networks_are_within_their_targets_and_measured_beside_the_model(compressed, model, data):
    found, out = compressed
    first, second = found.networks
    whole = found.original
    assert [one.name for one in found.networks] == ["macs <= 60%", "macs <= 40% and params <= 50%"]
    assert first.costs["macs"] <= 0.6 * whole.costs["macs"]
    assert second.costs["macs"] <= 0.4 * whole.costs["macs"]
    assert second.costs["params"] <= 0.5 * whole.costs["params"]
    assert whole.costs["params"] == sum(one.numel() for one in model.parameters())
    assert found.measure == "accuracy"
    assert found.images == 397
    assert whole.score["accuracy"] == pytest.approx(correct(model, data))
    for one in found.networks:
        assert type(one.model) is ResNet
        assert sum(p.numel() for p in one.model.parameters()) == one.costs["params"]
        assert one.score["accuracy"] == pytest.approx(correct(one.model, data))
        lead = one.score["accuracy"] - whole.score["accuracy"]
        assert one.lead.value == pytest.approx(lead, abs=0.01)  # half an example is added to each
        assert one.lead.low < one.lead.value < one.lead.high
        assert one.latency_ms > 0
        program = torch.export.load(one.folder / "model.pt2").module()
        test = data.load().test.inputs[:8]
        torch.testing.assert_close(program(test), one.model(test), rtol=1e-3, atol=1e-4)
    assert whole.lead is None
    assert (out / "report.html").exists()


@pytest.mark.slow
def test_the_supernet_is_trained_once_for_all_targets(compressed, model, data, monkeypatch):
    found, out = compressed
    before = (out / "supernet.pt").read_bytes()
    again = sn.compress(
        model, data, "macs <= 40% and params <= 50%", out=out, options=QUICK, progress=False
    )
    assert (out / "supernet.pt").read_bytes() == before
    (network,) = again.networks
    for one, other in zip(
        network.model.parameters(), found.networks[1].model.parameters(), strict=True
    ):
        assert torch.equal(one, other)


@pytest.mark.slow
def test_the_command_prints_what_it_led_to(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import torch\nfrom supernet.zoo.resnet import ResNet\n"
        "def trained():\n    torch.manual_seed(0)\n    return ResNet(image=(1, 8, 8), widths=(16, 32))\n"
    )
    options = [f"--{name}={value}" for name, value in QUICK.items()]
    command = [sys.executable, "-m", "supernet", "compress", "mine:trained", "--data", "digits"]
    said = subprocess.run(
        [*command, "--json", "--target", "macs <= 50%", "--onnx", "--out", "run", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(said.stdout)
    whole, small = found["networks"]
    assert (whole["name"], small["name"]) == ("original", "macs <= 50%")
    assert small["costs"]["macs"] <= 0.5 * whole["costs"]["macs"]
    assert small["lead"]["low"] <= small["lead"]["value"] <= small["lead"]["high"]
    folder = tmp_path / "run" / "exports" / "macs-le-50pct"
    assert {"model.pt", "model.pt2", "model.onnx"} <= {one.name for one in folder.iterdir()}


def test_defaults_give_way_to_what_is_said():
    given = compression._defaults({"train.steps": 3, "train.optimizer": "SGD"})
    assert not {"train.epochs", "train.optimizer", "train.optimizer.lr"} & given.keys()
    assert given["retrain.train.epochs"] == 15
    assert "retrain.train.epochs" not in compression._defaults({"retrain.train.steps": 3})
    evolution = compression._defaults({})
    assert evolution == {**compression.DEFAULTS, **compression.SEARCHERS["evolution"]}
    for other in (
        compression._defaults({"search.searcher": "milp"}),
        compression._defaults({}, searcher="milp"),
    ):
        assert other == {**compression.DEFAULTS, "search.searcher.design": "replacements"}
    assert compression._defaults({}, searcher=RandomSearch(5)) == compression.DEFAULTS
    for strategy in ("blockwise", Blockwise, Blockwise()):
        assert "train.teacher" not in compression._defaults({}, strategy)
        assert "retrain.train.teacher" in compression._defaults({}, strategy)


class Counted(DataSource):
    """A source that counts how often it was loaded."""

    def __init__(self, raw, times):
        self.raw, self.times = raw, times

    def load(self):
        """Return what it was given."""
        self.times.append(1)
        return self.raw

    def __getstate__(self):
        return {}  # what it is told apart by does not change when it is loaded


class NotInONNX(ResNet):
    """A network with a function that ONNX lacks."""

    def forward(self, images):
        """Map images to logits."""
        logits = super().forward(images)
        return logits + 0.0 * torch.special.i0e(logits)


@pytest.mark.slow
def test_blocks_and_single_replacements_where_onnx_cannot_be(model, data, tmp_path, capsys):
    odd, times = NotInONNX(image=(1, 8, 8), widths=(16, 32), blocks=2), []
    odd.load_state_dict(model.state_dict())
    found = sn.compress(
        odd.eval(),
        Counted(data.load(), times),
        ["macs <= 70%", "macs <= 50%"],
        strategy="blockwise",
        searcher="milp",
        out=tmp_path / "run",
        options={
            "train.steps": 10,
            "retrain.train.steps": 4,
            "retrain.baselines": 0,
            "search.searcher.count": 40,
            "search.searcher.batch": 5,
        },
        onnx=True,
        progress=False,
    )
    assert len(times) == 1
    said = capsys.readouterr()
    assert said.err.count("model.onnx is not written: ") == 2
    for one, share in zip(found.networks, (0.7, 0.5), strict=True):
        assert one.costs["macs"] <= share * found.original.costs["macs"]
        assert (one.folder / "model.pt2").exists()
        assert not (one.folder / "model.onnx").exists()
        assert one.score["accuracy"] == pytest.approx(correct(one.model, data))
    metrics = found.result.metrics
    assert metrics["test"]["random"] == []
    assert metrics["search"]["searcher"] == "IntegerProgramming"
    text = tables.tested_text(Metrics.from_json(dict(metrics)))
    assert "read for networks within other bounds (macs <= 70%)" in text
    assert "with other options" not in text


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"targets": []}, ConfigError, 'give a target such as "macs <= 50%"'),
        ({"model": ResNet}, ConfigError, "a trained model is an nn.Module"),
        ({"targets": "mac <= 50%"}, ConstraintError, "did you mean 'macs'"),
        ({"targets": "macs <= 0.1%"}, ConstraintError, "no architecture satisfies"),
        (
            {"targets": ["macs <= 60%", "macs <= 0.1%"]},
            ConstraintError,
            "no architecture satisfies",
        ),
        ({"task": "no.such:Task"}, ConfigError, "no.such"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_trained(
    model, data, tmp_path, arguments, error, words
):
    asked = {"model": model, "data": data, "out": tmp_path / "run", "options": QUICK, **arguments}
    with pytest.raises(error, match=words):
        partial(sn.compress, **asked, progress=False)()
    assert not (tmp_path / "run" / "supernet.pt").exists()


@pytest.fixture(scope="module")
def vision(tmp_path_factory):
    """Return a small vision transformer as Hugging Face's, and the folder that it is written into."""
    import transformers

    torch.manual_seed(0)
    config = transformers.ViTConfig(
        image_size=8,
        patch_size=2,
        num_channels=1,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_labels=10,
    )
    model = transformers.ViTForImageClassification(config).eval()
    folder = tmp_path_factory.mktemp("vision") / "vit"
    model.save_pretrained(folder)
    return model, folder


@pytest.mark.slow
def test_a_model_of_transformers_is_one_again(vision, data, tmp_path):
    model, _ = vision
    found = sn.compress(
        model, data, "macs <= 60%", out=tmp_path / "run", options=QUICK, progress=False
    )
    (one,) = found.networks
    read = type(model).from_pretrained(one.folder / "pretrained").eval()
    images = data.load().test.inputs[:20]
    with torch.no_grad():
        torch.testing.assert_close(read(images).logits, one.model(images).logits)
    assert sum(p.numel() for p in read.parameters()) == one.costs["params"]


@pytest.mark.slow
def test_the_command_takes_the_folder_of_a_model_of_transformers(vision, data, tmp_path):
    _, folder = vision
    (tmp_path / "own_data.py").write_text(
        "from supernet.data import Digits, Normalise, Tensors\n\n\n"
        "class Own(Tensors):\n"
        "    def __init__(self):\n"
        "        digits = Digits().load().train\n"
        "        images, labels = Normalise.of(digits)(digits.inputs), digits.targets\n"
        "        super().__init__((images[:1400], labels[:1400]), (images[1400:], labels[1400:]))\n"
    )
    words = [f"--{name}={value}" for name, value in QUICK.items()]
    command = [sys.executable, "-m", "supernet", "compress", str(folder), "--data", "own_data.Own"]
    done = subprocess.run(
        [*command, "--target", "macs <= 60%", "--out", "run", "--json", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    _, one = json.loads(done.stdout)["networks"]
    assert (tmp_path / one["folder"] / "pretrained" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "holds no config.json"),
        ('{"architectures": ["Own"]}', "'Own', which is no class of transformers"),
        ("{}", "no class of transformers"),
        ('{"architectures": ["ViTForImageClassification"], "model_type": "vit"}', "cannot be read"),
    ],
)
@pytest.mark.slow
def test_folders_that_hold_no_model_are_refused(content, said, tmp_path):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ConfigError, match=said):
        read_pretrained(tmp_path)


def test_targets_are_read_before_anything_is_done():
    with pytest.raises(ConstraintError, match="'50%' cannot be read"):
        sn.compress(None, None, ["macs <= 50%", "50%"])
