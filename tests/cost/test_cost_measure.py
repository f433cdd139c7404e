"""Costs from the tables are those of the network built on its own."""

import random
import warnings

import pytest
import torch
from cost_models import MODELS, X, conv, nested, pair
from torch import nn
from torch.nn import functional as F

import supernet as sn
from supernet import elastic as el
from supernet.conversion import convert
from supernet.cost import UncountedWarning, cost_of, count_macs, count_params, measure_costs
from supernet.errors import SpaceError
from supernet.zoo import Bender


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_tables_equal_counting_on_every_derived_network(make):
    supernet = sn.SuperNet(make())
    tables = measure_costs(supernet, X)
    costs = []

    for architecture in supernet.space:
        derived = sn.derive(supernet, architecture)
        expected = {"params": count_params(derived), "macs": count_macs(derived, X)}
        assert cost_of(tables, architecture) == expected, architecture
        costs.append(expected)

    for quantity, table in tables.items():
        values = [cost[quantity] for cost in costs]
        assert table.range(supernet.space) == (min(values), max(values))
    assert len({tuple(cost.values()) for cost in costs}) > 1


@pytest.mark.slow
def test_tables_equal_counting_on_bender_networks():
    supernet = sn.SuperNet(Bender((3, 10, 10), 7, channels=3, groups=(1, 2), blocks=3, affine=True))
    x = torch.randn(1, 3, 10, 10)
    tables, stream = measure_costs(supernet, x), random.Random(0)

    for _ in range(6):
        architecture = supernet.space.sample(stream)
        derived = sn.derive(supernet, architecture)
        expected = {"params": count_params(derived), "macs": count_macs(derived, x)}
        assert cost_of(tables, architecture) == expected


@pytest.mark.parametrize("training", [True, False])
def test_measuring_leaves_no_trace(training):
    supernet = sn.SuperNet(nn.Sequential(conv(3), nn.BatchNorm2d(4), nested())).train(training)
    supernet.model[1].train(not training)
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    modes = [module.training for module in supernet.modules()]

    measure_costs(supernet, X)
    count_macs(supernet.model[0], X)

    assert all(torch.equal(value, before[name]) for name, value in supernet.state_dict().items())
    assert [module.training for module in supernet.modules()] == modes
    assert all(parameter.grad is None for parameter in supernet.parameters())
    assert all(choice.gate is None for choice in supernet.choices)
    for module in supernet.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_a_model_that_fails_leaves_no_trace():
    supernet = sn.SuperNet(nn.Sequential(pair(), nn.Linear(99, 1)))

    with pytest.raises(RuntimeError):
        measure_costs(supernet, X)

    assert all(module.training for module in supernet.modules())
    for module in supernet.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (nn.Conv2d(4, 6, 3, padding=1), (4, 8, 8), 8 * 8 * 6 * 4 * 9),
        (nn.Conv2d(4, 6, 3, padding=1, bias=False), (4, 8, 8), 8 * 8 * 6 * 4 * 9),
        (nn.Conv2d(4, 6, 3, stride=2, padding=1), (4, 8, 8), 4 * 4 * 6 * 4 * 9),
        (nn.Conv2d(4, 6, (1, 7), padding=(0, 3)), (4, 8, 8), 8 * 8 * 6 * 4 * 7),
        (nn.Conv2d(4, 8, 3, groups=2), (4, 8, 8), 6 * 6 * 8 * 2 * 9),
        (nn.Conv2d(4, 4, 5, padding=2, groups=4), (4, 8, 8), 8 * 8 * 4 * 25),
        (nn.Conv1d(4, 6, 3, dilation=2), (4, 10), 6 * 6 * 4 * 3),
        (nn.ConvTranspose2d(4, 6, 2, stride=2), (4, 5, 5), 5 * 5 * 4 * 6 * 4),
        (nn.Linear(5, 7), (5,), 5 * 7),
        (nn.Linear(5, 7, bias=False), (3, 5), 3 * 5 * 7),
        (nn.BatchNorm2d(4), (4, 8, 8), 0),
        (nn.Sequential(nn.ReLU(), nn.MaxPool2d(2)), (4, 8, 8), 0),
    ],
    ids=str,
)
def test_multiply_adds_of_layers(layer, shape, expected):
    assert count_macs(layer, torch.randn(1, *shape)) == expected


@pytest.mark.parametrize("inference", [True, False])
def test_multiply_adds_of_attention(inference):
    """Four projections, scores and mixture (width 8, 4 tokens), and a hidden layer of 16."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    with torch.inference_mode(inference):
        macs = count_macs(layer, torch.randn(1, 4, 8))

    assert macs == 4 * (4 * 8 * 8) + 2 * (4 * 4 * 8) + 2 * (4 * 8 * 16)


def test_fused_attention_is_counted():
    class Attend(nn.Module):
        def forward(self, x):
            return F.scaled_dot_product_attention(x, x, x)

    assert count_macs(Attend(), torch.randn(1, 2, 5, 4)) == 2 * (2 * 5 * 5 * 4)


def test_parameters_that_serve_training_only_are_not_counted():
    class Training(nn.Module):
        training_only = True

        def __init__(self, *modules):
            super().__init__()
            self.parts = nn.ModuleList(modules)

        def forward(self, x):
            return x

    shared, model = nn.Linear(6, 6), pair()
    whole = nn.Sequential(model, shared, Training(nn.Linear(6, 9), shared))
    assert count_params(whole) == count_params(model) + 6 * 6 + 6
    supernet = sn.SuperNet(whole)
    table = measure_costs(supernet, X)["params"]
    architecture = next(iter(supernet.space))
    assert table.cost(architecture) == count_params(sn.derive(supernet, architecture))


def test_shared_parameters_count_once():
    one, two = nn.Linear(3, 3), nn.Linear(3, 3)
    two.weight = one.weight

    assert count_params(nn.Sequential(one, two, one)) == 9 + 3 + 3


@pytest.mark.parametrize("inference", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_multiply_adds_of_recurrent_layers(kind, gates, batch_first, inference):
    """Every gate of a layer and direction multiplies the input and the hidden state at each time."""
    width, hidden, times = 3, 5, 7
    layer = kind(width, hidden, num_layers=2, bidirectional=True, batch_first=batch_first)
    shape = (1, times, width) if batch_first else (times, 1, width)
    with torch.inference_mode(inference):
        macs = count_macs(layer, torch.randn(shape))

    first, second = gates * hidden * (width + hidden), gates * hidden * (2 * hidden + hidden)
    assert macs == 2 * times * (first + second)


def test_multiply_adds_of_cells_and_projections():
    lstm = nn.LSTM(3, 5, proj_size=2)
    with warnings.catch_warnings():  # PyTorch says that it takes the slower path
        warnings.simplefilter("ignore")
        assert count_macs(lstm, torch.randn(7, 1, 3)) == 7 * (4 * 5 * (3 + 2) + 5 * 2)
    assert count_macs(nn.LSTMCell(3, 5), torch.randn(1, 3)) == 4 * 5 * (3 + 5)
    assert count_macs(nn.GRUCell(3, 5), torch.randn(1, 3)) == 3 * 5 * (3 + 5)


def test_multiply_adds_of_cudnn_recurrence():
    """The kernel of CUDA devices, on tensors without data: two layers, both directions."""
    lstm = nn.LSTM(3, 5, num_layers=2, bidirectional=True)
    x, state = torch.randn(7, 1, 3), torch.zeros(4, 1, 5)

    class Fused(nn.Module):
        def forward(self, x):
            x, *weights = (tensor.to("meta") for tensor in (x, *lstm._flat_weights))
            hx = state.to("meta")
            fixed = (2, 5, 0, 2, False, 0.0, False, True, [], None)
            return torch.ops.aten._cudnn_rnn(x, weights, 4, None, hx, hx, *fixed)[0]

    assert count_macs(Fused(), x) == count_macs(lstm, x) > 0


def test_multiply_adds_of_bilinear_layers():
    """For each output, a matrix times a vector and the product of two vectors, as by `einsum`."""
    layer = nn.Bilinear(3, 4, 5)
    one, two = torch.randn(1, 3), torch.randn(1, 4)

    class Einsum(nn.Module):
        def forward(self, one, two):
            return torch.einsum("noj,nj->no", torch.einsum("ni,oij->noj", one, layer.weight), two)

    assert count_macs(layer, one, two) == 5 * (3 * 4 + 4) == count_macs(Einsum(), one, two)
    assert count_macs(layer, torch.randn(1, 2, 3), torch.randn(1, 2, 4)) == 2 * 5 * (3 * 4 + 4)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x[0] @ x[0, 0], 4 * 3),
        (lambda x: x @ x[0, 0], 4 * 3),
        (lambda x: x[0, 0] @ x[0, 1], 3),
        (lambda x: torch.addbmm(x[0] @ x[0].T, x, x.mT), 2 * 4 * 3 * 4),
        (lambda x: torch.addmv(x[0, :, 0], x[0], x[0, 0]), 4 * 3),
        (lambda x: torch.vdot(x[0, 0], x[0, 1]), 3),
        (lambda x: torch.conv_tbc(x, torch.ones(1, 3, 5), torch.ones(5), 1), (1 + 2) * 4 * 3 * 5),
    ],
)
def test_multiply_adds_of_products_with_vectors(function, expected):
    class Product(nn.Module):
        def forward(self, x):
            return function(x)

    assert count_macs(Product(), torch.randn(1, 4, 3)) == expected


def test_recurrent_options_are_told_apart():
    class Last(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return self.layer(x)[0]

    options = {"lstm": Last(nn.LSTM(3, 5)), "gru": Last(nn.GRU(3, 5)), "flat": nn.Linear(3, 5)}
    supernet = sn.SuperNet(sn.Choice(options, label="op"))
    macs = measure_costs(supernet, torch.randn(1, 1, 3))["macs"]

    assert [macs.cost({"op": name}) for name in options] == [4 * 40, 3 * 40, 15]


class Hidden(nn.Module):
    """Multiplies by a matrix element by element, so that no product is seen."""

    def __init__(self, *shape):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(shape))

    def forward(self, x):
        return (x.unsqueeze(-1) * self.weight).sum(-1)


def test_uncounted_weights_are_named_once_with_their_places():
    options = {"linear": nn.Linear(4, 4), "deep": nn.Sequential(nn.ReLU(), Hidden(4, 4))}
    model = nn.Sequential(Hidden(4, 4), sn.Choice(options), nn.Linear(4, 4))
    model.add_module("again", model[0])

    with pytest.warns(UncountedWarning) as caught:
        measure_costs(sn.SuperNet(model), torch.randn(1, 4))

    (warning,) = caught
    assert "Hidden (0), Hidden (1.options.1.1), though" in str(warning.message)
    assert "Linear" not in str(warning.message)
    assert not any(module._forward_hooks for module in model.modules())


def test_counting_a_model_that_is_uncounted_itself_warns():
    with pytest.warns(UncountedWarning, match=r"Hidden \(the model itself\)"):
        assert count_macs(Hidden(4, 4), torch.randn(1, 4)) == 0


def test_what_needs_no_products_is_not_warned_of():
    class Embed(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens = nn.Embedding(9, 4)
            self.bag = nn.EmbeddingBag(9, 4)
            self.norm = nn.LayerNorm([2, 4])
            self.scale = Hidden(4, 1)
            self.unused = Hidden(4, 4)
            self.places = nn.Parameter(torch.randn(1, 2, 4))
            self.out = nn.Linear(4, 3)

        def forward(self, x):
            y = self.norm(self.tokens(x) + self.places) + self.bag(x)
            return self.out(self.scale(y))

    assert count_macs(Embed(), torch.zeros(1, 2, dtype=torch.long)) == 2 * 4 * 3
    assert count_macs(nn.MultiheadAttention(4, 2), *[torch.randn(3, 1, 4)] * 3) > 0


@pytest.mark.parametrize("name", ["wide", None])
def test_options_of_different_shapes_are_an_error_even_where_they_broadcast(name):
    options = {"same": nn.Identity(), "also": conv(3), "pooled": nn.AdaptiveAvgPool2d(1)}
    supernet = sn.SuperNet(nn.Sequential(conv(1), sn.Choice(options, label=name)))
    message = (
        rf"options of '{name or 1}' cannot be added up: 'same' returns float32 \[1, 4, 6, 6\] "
        r"on cpu, but 'pooled' returns float32 \[1, 4, 1, 1\]"
    )

    with pytest.raises(SpaceError, match=message):
        measure_costs(supernet, X)
    assert not any(module._forward_hooks for module in supernet.modules())


def test_options_whose_sum_fails_are_named_too():
    join = sn.InputChoice({"a": conv(1), "b": nn.Conv2d(4, 3, 1)}, label="join")
    supernet = sn.SuperNet(TwoInputs(join))

    with pytest.raises(SpaceError, match=r"'join'.*'a' returns.*'b' returns"):
        measure_costs(supernet, X)


class TwoInputs(nn.Module):
    def __init__(self, join):
        super().__init__()
        self.join = join

    def forward(self, x):
        return self.join([x, x])


def test_shapes_are_compared_call_by_call():
    shared = pair()
    model = nn.Sequential(shared, nn.MaxPool2d(2), shared)

    assert measure_costs(sn.SuperNet(model), X)["macs"].cost({"0": "1"}) == 16 * (36 + 9)


@pytest.mark.parametrize("sides", [(4, 8), (8,)])
def test_a_resolution_in_front_of_a_converted_model_is_refused(sides):
    """What a converted model multiplies is known for the size that it was converted with."""
    model = nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 2, 3))
    converted = convert(model, torch.randn(1, 1, 8, 8))
    front = nn.Sequential(el.Resolution(el.Dimension("side", sides)), converted)

    with pytest.raises(
        SpaceError, match=r"'side' is open in front of a converted model.* \[1, 8, 8\]"
    ):
        measure_costs(sn.SuperNet(front), torch.randn(1, 1, 8, 8))
    assert measure_costs(sn.SuperNet(converted), torch.randn(1, 1, 8, 8))["macs"]
    with pytest.raises(SpaceError, match=r"converted with an example of \[1, 8, 8\]"):
        measure_costs(sn.SuperNet(converted), torch.randn(1, 1, 9, 9))
