"""Costs from the tables are those of the network built on its own."""

import random

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import supernet as sn
from supernet.cost import cost_of, count_macs, count_params, measure_costs
from supernet.zoo import Bender

X = torch.randn(1, 4, 6, 6)


def conv(kernel, groups=1):
    return nn.Conv2d(4, 4, kernel, padding=kernel // 2, groups=groups)


def pair(label=None, kernels=(3, 1), pick=1):
    return sn.Choice({str(k): conv(k) for k in kernels}, pick, label)


def plain():
    return nn.Sequential(conv(5), pair(), nn.BatchNorm2d(4), pair(pick=(1, 2)))


def nested():
    inner = nn.Sequential(pair(pick=(1, 2)), conv(1))
    return nn.Sequential(sn.Choice({"deep": inner, "flat": conv(7)}), pair())


def choice_in_choice():
    return sn.Choice(
        {"direct": pair(), "flat": conv(7), "two": nn.Sequential(pair(), pair())}, (1, 3)
    )


def shared_label():
    below = [sn.Choice({"deep": pair("op", (3, 1)), "flat": conv(7)}) for _ in range(2)]
    return nn.Sequential(*below, pair("other"), pair("other", (3, 1)))


def shared_choice():
    shared = pair()
    return nn.Sequential(sn.Choice({"once": nn.Sequential(shared), "no": conv(1)}), shared)


def tied_in_two_options():
    tied = conv(3)
    return sn.Choice(
        {"a": nn.Sequential(tied), "b": nn.Sequential(tied, conv(1)), "c": conv(5)}, (1, 2)
    )


def tied_across_choices():
    tied = conv(3)
    first = sn.Choice({"tied": tied, "other": conv(1)})
    second = sn.Choice({"tied": tied, "inside": nn.Sequential(tied, conv(1)), "other": conv(5)})
    return nn.Sequential(first, second)


def tied_weight():
    one, two = conv(3), conv(3)
    two.weight = one.weight
    return nn.Sequential(sn.Choice([one, conv(1)]), sn.Choice([two, nn.Identity()]))


def same_option_twice():
    shared = conv(3)
    return sn.Choice({"a": shared, "b": shared, "c": conv(1)}, (1, 3))


def option_called_elsewhere():
    shared = conv(3)
    return nn.Sequential(shared, sn.Choice({"a": shared, "b": conv(1)}), shared)


class Inputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = conv(1)
        self.join = sn.InputChoice({"x": conv(3), "first": conv(5), "none": nn.Identity()}, (1, 3))

    def forward(self, x):
        return self.join([x, self.first(x), x])


MODELS = [
    plain,
    nested,
    choice_in_choice,
    shared_label,
    shared_choice,
    tied_in_two_options,
    tied_across_choices,
    tied_weight,
    same_option_twice,
    option_called_elsewhere,
    Inputs,
]


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


def test_shared_parameters_count_once():
    one, two = nn.Linear(3, 3), nn.Linear(3, 3)
    two.weight = one.weight

    assert count_params(nn.Sequential(one, two, one)) == 9 + 3 + 3
