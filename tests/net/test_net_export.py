import io
import random

import pytest
import torch

import supernet as sn
from supernet.net.export import export_program
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
