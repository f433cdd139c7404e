import io
import random

import onnxruntime
import pytest
import torch
from torch import nn

import supernet as sn
from supernet.errors import ConfigError, StorageError
from supernet.net.export import Difference, ExportError, export_program
from supernet.zoo import Bender


@pytest.fixture(scope="module")
def exported():
    """Return a derived network with statistics of its own, and the programme it was exported to."""
    torch.manual_seed(0)
    supernet = sn.SuperNet(Bender((3, 9, 9), 5, channels=2, groups=(1, 1), blocks=2))
    model = sn.derive(supernet, supernet.space.sample(random.Random(4)))
    model(torch.randn(16, 3, 9, 9))
    content = export_program(model, torch.randn(1, 3, 9, 9))
    return model, torch.export.load(io.BytesIO(content))


@pytest.mark.slow_with("1")
@pytest.mark.parametrize("batch", [1, 2, 3, 17])
def test_the_programme_reproduces_the_model_for_other_batch_sizes(exported, batch):
    model, program = exported
    x = torch.randn(batch, 3, 9, 9)

    assert torch.allclose(program.module()(x), model.eval()(x), atol=1e-6)


def test_the_programme_holds_evaluation_mode(exported):
    model, program = exported
    x = torch.randn(4, 3, 9, 9)

    assert not torch.allclose(model.train()(x), program.module()(x), atol=1e-3)
    model.eval()


def test_the_programme_is_of_plain_operators(exported):
    _, program = exported
    targets = {str(n.target) for n in program.graph.nodes if n.op == "call_function"}

    assert any("conv2d" in target for target in targets)
    assert all(target.startswith("aten.") for target in targets)


class Deciding(nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            return x
        return -x


class Random(nn.Module):
    def forward(self, x):
        return x + torch.rand(3)


class Sized(nn.Module):
    def forward(self, x):
        return x * 2 if len(x) > 1 else x


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Deciding(), r"Deciding '0' .*test_net_export.py, line \d+: if x.sum\(\) > 0.*torch.where"),
        (Random(), "differ from the module's by"),
        (Sized(), "fails on a batch of 1"),
    ],
)
def test_what_cannot_be_a_programme_is_explained_and_not_written(model, words, tmp_path):
    with pytest.raises(ExportError, match=words):
        sn.export(nn.Sequential(model), torch.ones(1, 3), tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".pt2", ".onnx"])
def test_any_module_can_be_exported(suffix, exported, tmp_path):
    model, _ = exported
    model.train()
    images = torch.randn(5, 3, 9, 9)
    difference = sn.export(model, images[:1], tmp_path / f"model{suffix}")
    assert difference.examples == 2
    assert difference.max_relative < 1e-4
    assert model.training
    expected = model.eval()(images).detach()
    if suffix == ".pt2":
        found = torch.export.load(tmp_path / "model.pt2").module()(images)
    else:
        session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
        found = torch.from_numpy(session.run(None, {"examples": images.numpy()})[0])
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5)


class Several(nn.Module):
    def forward(self, x):
        return {"double": 2 * x, "rest": (x.sum(1), x.argmax(1))}


@pytest.mark.quick_with(".pt2")
@pytest.mark.parametrize("suffix", [".pt2", ".onnx"])
def test_all_outputs_are_compared(suffix, tmp_path):
    assert sn.export(Several(), torch.ones(1, 3), tmp_path / f"model{suffix}").max_abs == 0


def test_differences_are_told():
    one, other = torch.tensor([[1.0, -200.0]]), torch.tensor([[1.01, -200.0]])
    found = Difference.of([one], [other])
    assert found.examples == 1
    assert found.max_abs == pytest.approx(0.01)
    assert found.max_relative == pytest.approx(0.01 / 200)
    with pytest.raises(ExportError, match=r"by 0.03, 0\.00015 of the largest"):
        Difference.of(one, one + torch.tensor([0.03, 0.0]))
    with pytest.raises(ExportError, match="differ from"):
        Difference.of(one, one * torch.nan)
    with pytest.raises(ExportError, match=r"returns \[2\] where the module returns \[1, 2\]"):
        Difference.of(one, one[0])
    with pytest.raises(ExportError, match="1 tensors where the module returns 2"):
        Difference.of((one, one), one)


def test_formats_and_places_that_there_are_not(tmp_path):
    with pytest.raises(ConfigError, match=r"\.pt2 or \.onnx, not as '\.pth'"):
        sn.export(nn.Linear(2, 2), torch.ones(1, 2), tmp_path / "model.pth")
    with pytest.raises(StorageError):
        sn.export(nn.Linear(2, 2), torch.ones(1, 2), tmp_path / "nowhere/model.pt2")
