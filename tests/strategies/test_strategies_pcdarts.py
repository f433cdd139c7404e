from __future__ import annotations

import pytest
import torch

from supernet.choice import Choice, InputChoice
from supernet.data import Digits, Loader
from supernet.net import SuperNet
from supernet.strategies import PCDARTS, Alpha, TrainingContext
from supernet.task import Classification
from supernet.train import Moment
from supernet.zoo import DARTS, NASBenchMacro
from supernet.zoo.darts import PRESETS


def made(model=None, **arguments):
    torch.manual_seed(0)
    supernet = SuperNet(model or DARTS((1, 8, 8), cells=3, channels=4, nodes=2, partial=2)).train()
    strategy = PCDARTS(**arguments)
    loader = Loader(Digits().load().train, 16, 3)
    strategy.prepare(supernet, TrainingContext(3, {}, search=loader))
    return strategy, supernet, loader.batch(0)


def set_alphas(strategy, **given):
    with torch.no_grad():
        for alpha in strategy.alphas.values():
            alpha.zero_()
        for label, values in given.items():
            strategy.alphas[label.replace("__", ".")].copy_(torch.tensor(values))


def test_the_input_of_a_node_is_weighed_by_edges_and_operations():
    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            edge = {"a": Choice([torch.nn.Linear(2, 2), torch.nn.Identity()], label="a.op")}
            edge["b"] = Choice([torch.nn.Identity(), torch.nn.ReLU()], label="b.op")
            edge["c"] = torch.nn.Identity()
            self.edges = InputChoice(edge, pick=2, label="edges")

        def forward(self, inputs):
            return self.edges(list(inputs.unbind(1)))

    torch.manual_seed(0)
    model = Two()
    supernet, strategy = SuperNet(model), PCDARTS()
    loader = Loader(Digits().load().train, 16, 3)
    strategy.prepare(supernet, TrainingContext(3, {}, search=loader))
    with torch.no_grad():
        strategy.alphas["edges"].copy_(torch.tensor([1.0, 2.0, 0.5]))
        strategy.alphas["a.op"].copy_(torch.tensor([0.3, -0.3]))
        strategy.alphas["b.op"].copy_(torch.tensor([0.0, 1.0]))
    x = torch.randn(5, 3, 2)
    output = supernet(x, strategy.routing(supernet, Moment(0, 10, 3)))

    beta = torch.softmax(torch.tensor([1.0, 2.0, 0.5]), 0)
    a, b = torch.softmax(torch.tensor([0.3, -0.3]), 0), torch.softmax(torch.tensor([0.0, 1.0]), 0)
    linear = model.edges.options[0].options[0]
    expected = beta[0] * (a[0] * linear(x[:, 0]) + a[1] * x[:, 0])
    expected = expected + beta[1] * (b[0] * x[:, 1] + b[1] * x[:, 1].relu()) + beta[2] * x[:, 2]
    torch.testing.assert_close(output, expected)


@pytest.mark.slow
def test_alphas_and_betas_rest_for_three_tenths_and_then_move():
    strategy, supernet, batch = made()
    before = {label: alpha.detach().clone() for label, alpha in strategy.alphas.items()}

    def moved():
        return {
            label for label, old in before.items() if not torch.equal(strategy.alphas[label], old)
        }

    steps = 51  # progress is step / 50
    for step in (0, 14):
        strategy.backward(supernet, Classification(), batch, Moment(step, steps, 3))
        assert not moved()
    strategy.backward(supernet, Classification(), batch, Moment(15, steps, 3))
    assert moved() == set(before)


def test_edges_are_ranked_by_products():
    strategy, supernet, _ = made()

    def strong(name, value):
        return [value if name == other else 0.0 for other in PRESETS["DARTS"]]

    set_alphas(
        strategy,
        normal__node1__edges=[0.0, 2.0, 2.0],
        normal__node1__from0=strong("sep3", 1.5),  # the strongest operation, on the weakest edge
        normal__node1__from1=strong("max3", 0.5),
        normal__node1__from2=strong("none", 0.5),
        reduce__node1__edges=[0.0, 0.1, 0.1],
        reduce__node1__from0=strong("sep3", 1.5),
        reduce__node1__from2=strong("none", 3.0),  # takes the weight from all others
    )
    (found,) = strategy.learned(supernet)
    assert found in supernet.space
    assert found["normal.node1.edges"] == ("1", "2")
    assert found["normal.node1.from1"] == "max3"
    assert found["normal.node1.from2"] != "none"
    assert found["reduce.node1.edges"] == ("0", "1")
    assert found["reduce.node1.from0"] == "sep3"


def test_where_a_node_may_have_fewer_edges_those_below_the_uniform_share_are_left_out():
    model = DARTS((1, 8, 8), cells=3, channels=4, nodes=2, operations="S2", edges=(1, 3))
    strategy, supernet, _ = made(model)
    set_alphas(
        strategy,
        normal__node0__edges=[3.0, -3.0],
        normal__node1__edges=[1.0, -2.0, 1.0],
        reduce__node1__edges=[0.0, 0.0, 0.0],
        normal__node1__from1=[9.0, -9.0],  # a sure operation does not make an edge
    )
    (found,) = strategy.learned(supernet)
    assert found["normal.node0.edges"] == ("0",)
    assert found["normal.node1.edges"] == ("0", "2")
    assert found["reduce.node1.edges"] == ("0", "1", "2")


def test_chains_have_no_edges_to_normalise():
    strategy, supernet, batch = made(
        NASBenchMacro((1, 8, 8), channels=4, stages=(1, 1), features=8), alpha=Alpha(6e-4)
    )
    loss = strategy.backward(supernet, Classification(), batch, Moment(0, 10, 3))
    assert loss.isfinite()
    with torch.no_grad():
        for label, alpha in strategy.alphas.items():
            alpha.copy_(torch.arange(3.0) if label == "layer1" else -torch.arange(3.0))
    (found,) = strategy.learned(supernet)
    options = supernet.space.decision("layer0").options
    assert found["layer0"] == options[0]
    assert found["layer1"] == options[2]


def test_the_defaults_are_the_paper_s():
    strategy = PCDARTS()
    assert strategy.alpha == Alpha(6e-4, (0.5, 0.999), 1e-3, 15 / 50, 1e-3)
