"""Models with several inputs, some of which are the same for all examples."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import supernet as sn
from supernet.conversion import Widths
from supernet.cost import build_latency_table, measure_costs
from supernet.errors import ConversionError, SpaceError
from supernet.modules.batches import batched_inputs
from supernet.pipeline import diagnose

WIDTHS = (Widths(multiple=4),)


class Graph(nn.Module):
    """Nodes `[batch, nodes, 6]` and one adjacency matrix `[nodes, nodes]` for all."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 16), nn.Linear(16, 4)

    def forward(self, x, adjacency):
        return (adjacency @ self.b(F.relu(adjacency @ self.a(x)))).mean(1)


class Placed(nn.Module):
    """Adds what is computed of positions, which may be as many as examples."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 16), nn.Linear(6, 16), nn.Linear(16, 4)

    def forward(self, x, positions):
        return self.c(F.relu(self.a(x)).mean(1) + F.relu(self.b(positions)).mean(0))


class Named(nn.Module):
    """Takes a dictionary, a tuple, a number and nothing."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 16), nn.Linear(16, 4)

    def forward(self, given, pair, factor, nothing):
        x, mask = pair
        return self.b(F.relu(self.a(x * mask)) * factor) + given["more"][:, None]


def sizes(nodes):
    return nodes * 6 * 16 + nodes * 16 * 4


@pytest.mark.slow_with("1", "3", "5")
@pytest.mark.parametrize("rows", [1, 2, 3, 5])
def test_an_adjacency_matrix_is_not_cut(rows):
    x, adjacency = torch.randn(rows, 5, 6), torch.rand(5, 5)
    supernet = sn.SuperNet(sn.convert(Graph().eval(), x, adjacency, rules=WIDTHS)).eval()
    macs = measure_costs(supernet, x[:1], adjacency)["macs"]
    wide = supernet.space.build(lambda d: d.value([len(d.options) - 1]))
    assert macs.cost(wide) == sizes(5) + 5 * 5 * (16 + 4)
    assert diagnose(supernet.model, x, adjacency).ranges["macs"][1] == macs.cost(wide)


def test_as_many_positions_as_examples_are_not_cut():
    x, positions = torch.randn(4, 4, 6), torch.randn(4, 6)
    supernet = sn.SuperNet(sn.convert(Placed().eval(), x, positions, rules=WIDTHS)).eval()
    macs = measure_costs(supernet, x[:1], positions)["macs"]
    wide = supernet.space.build(lambda d: d.value([len(d.options) - 1]))
    assert macs.cost(wide) == 2 * 4 * 6 * 16 + 16 * 4
    with pytest.raises(SpaceError, match=r"\[4, 6\] and \[4, 6\].*\[4, 6\] and \[2, 6\]"):
        measure_costs(supernet, x[:1], positions[:2])


@pytest.mark.slow
def test_ghost_batches_cut_only_what_is_cut():
    x, positions = torch.randn(4, 4, 6), torch.randn(4, 6)
    supernet = sn.SuperNet(sn.convert(Placed().eval(), x, positions, rules=WIDTHS)).eval()
    wide = supernet.space.build(lambda d: d.value([len(d.options) - 1]))
    routing = sn.Routing.hard(supernet.space, wide)
    y = supernet(x, positions, routing=[routing, routing])
    torch.testing.assert_close(y, supernet(x, positions, wide))


def test_dictionaries_tuples_and_numbers():
    x, mask, more = torch.randn(3, 5, 6), torch.ones(5, 1), torch.randn(3, 4)
    example = {"more": more}, (x, mask), 2.0, None
    model = Named().eval()
    supernet = sn.SuperNet(sn.convert(model, *example, rules=WIDTHS)).eval()
    one = {"more": more[:1]}, (x[:1], mask), 2.0, None
    wide = supernet.space.build(lambda d: d.value([len(d.options) - 1]))
    torch.testing.assert_close(supernet(*example, wide), model(*example))
    assert measure_costs(supernet, *one)["macs"].cost(wide) == sizes(5)


def test_which_inputs_are_cut_can_be_said():
    x, adjacency = torch.randn(5, 5, 6), torch.rand(5, 5)
    sn.convert(Graph().eval(), x, adjacency, rules=WIDTHS, batched=(True, False))
    with pytest.raises(ConversionError, match=r"1 inputs .* has 2"):
        sn.convert(Graph().eval(), x, adjacency, batched=(True,))
    with pytest.raises(ConversionError, match=r"\[5, 6\] rows"):
        sn.convert(Graph().eval(), torch.randn(6, 5, 6), adjacency, batched=(True, True))
    with pytest.raises(ConversionError, match="tensors"):
        sn.convert(Graph().eval(), 3.0, None)


def test_inputs_of_which_nothing_can_be_told_must_be_said():
    class Mixed(Placed):
        def forward(self, x, positions):
            return super().forward(x, positions).mean(0)

    x, positions = torch.randn(4, 4, 6), torch.randn(4, 6)
    with pytest.raises(ConversionError, match=r"batched=\(True, False\)"):
        sn.convert(Mixed().eval(), x, positions)


@pytest.mark.parametrize(
    ("run", "shapes", "batched"),
    [
        (lambda x, y: x + y, [(4, 3), (4, 3)], (True, True)),
        (lambda x, y: x @ y, [(4, 4), (4, 4)], (True, False)),
        (lambda x, y: y @ x, [(4, 4), (4, 4)], (False, True)),  # rows of y
        (lambda x, y, z: x * y.sum() + z, [(3, 2), (3, 2), (3, 1)], (True, False, True)),
        (lambda x, y: x - x.mean(0) + y, [(4, 3), (4, 3)], (True, True)),  # examples interact
    ],
)
def test_what_is_found_by_running_on_another_number_of_examples(run, shapes, batched):
    example = [torch.randn(shape) for shape in shapes]
    found = batched_inputs(run, example)
    assert found is not None
    assert found.batched == batched


@pytest.mark.slow
def test_a_latency_table_of_a_model_with_an_input_for_all():
    x, adjacency = torch.randn(3, 5, 6), torch.rand(5, 5)
    supernet = sn.SuperNet(sn.convert(Graph().eval(), x, adjacency, rules=WIDTHS)).eval()
    table = build_latency_table(
        supernet,
        x,
        adjacency,
        fit=2,
        held_out=0,
        repeats=1,
        warmup=0,
        timer=lambda call: call() is None or 1.0,
    )
    assert table.content["provenance"]["batch_size"] == 3
    assert table.content["provenance"]["input_shapes"] == [[5, 6], [5, 5]]
