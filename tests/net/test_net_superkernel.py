"""The options of a superkernel are parts of its weights, and masking computes what a part does."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import supernet as sn
from supernet.choice import Gate, Routing
from supernet.cost import cost_of, count_macs, count_params, measure_costs
from supernet.elastic import SuperKernel
from supernet.net import SuperNet
from supernet.ops import InvertedResidual
from supernet.ops.superblock import indicator
from supernet.space import Architecture

INDICATORS = {
    "mb3e3": (0, 0, 1),
    "mb3e6": (0, 1, 1),
    "mb5e3": (1, 0, 1),
    "mb5e6": (1, 1, 1),
    "identity": (1, 1, 0),
}
"""By option, k, e6 and e3."""

SHAPES = [(4, 4, 1), (4, 6, 1), (4, 4, 2)]
"""Channels that enter, that leave, and the stride; only the first can be left out."""


def made(channels_in=4, channels_out=4, stride=1, affine=True):
    """Return a supernet of one superkernel, with scales and offsets that are not trivial."""
    torch.manual_seed(0)
    kernel = SuperKernel(channels_in, channels_out, stride=stride, affine=affine, label="k")
    for norm in kernel.block.norms if affine else ():
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias)
    for norm in kernel.block.norms:
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 1.5)
    return SuperNet(nn.Sequential(kernel)), kernel


def images(batch=5):
    return torch.randn(batch, 4, 6, 6, generator=torch.Generator().manual_seed(1))


def masked(kernel, option):
    values = torch.tensor(INDICATORS[option], dtype=torch.float32)
    return Routing({"k": kernel.gate_of(values, values.tolist())})


def statistics(kernel):
    return [b.clone() for norm in kernel.block.norms for b in norm.buffers()]


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_masked_block_equals_part_and_derived_network(shape, training, affine):
    for option in made(*shape)[1].names:
        outputs = []
        supernet, kernel = made(*shape, affine)
        derived = sn.derive(supernet.train(training), Architecture({"k": option}))
        outputs.append(derived(images()))
        outputs.append(supernet(images(), Architecture({"k": option})))
        supernet, kernel = made(*shape, affine)
        outputs.append(supernet.train(training)(images(), masked(kernel, option)))
        torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(outputs[2], outputs[0], rtol=1e-5, atol=1e-5)


def test_options_differ():
    supernet, kernel = made()
    found = [supernet(images(), masked(kernel, option)) for option in kernel.names]
    for i, one in enumerate(found):
        assert all(not torch.allclose(one, other, atol=1e-2) for other in found[:i])


def test_a_part_is_an_ordinary_block_with_the_centre_and_the_first_channels():
    supernet, kernel = made()
    derived = sn.derive(supernet, Architecture({"k": "mb3e3"}))[0]
    assert type(derived) is InvertedResidual
    own = derived.state_dict()
    depthwise = kernel.block.depthwise.weight
    assert torch.equal(own["layers.3.weight"], depthwise[:12, :, 1:4, 1:4])
    assert torch.equal(own["layers.0.weight"], kernel.block.expand.weight[:12])
    assert torch.equal(own["layers.6.weight"], kernel.block.project.weight[:, :12])
    assert torch.equal(own["layers.4.running_var"], kernel.block.norms[1].running_var[:12])
    with torch.no_grad():
        derived.layers[3].weight.zero_()
    assert depthwise.abs().min() > 0


def test_gradients_of_a_part_reach_its_weights_only():
    supernet, kernel = made()
    supernet(images(), Architecture({"k": "mb3e3"})).square().sum().backward()
    gradient = kernel.block.depthwise.weight.grad
    assert gradient[:12, :, 1:4, 1:4].abs().max() > 0
    assert gradient[12:].abs().max() == 0
    assert (gradient * kernel.block.ring).abs().max() == 0
    supernet.zero_grad(set_to_none=True)
    x = images().requires_grad_()
    supernet(x, Architecture({"k": "identity"})).sum().backward()
    assert all(p.grad is None for p in supernet.parameters())


def test_gradients_of_the_masked_block_are_those_of_the_part():
    for option in ("mb3e3", "mb3e6", "mb5e3", "mb5e6"):
        found = []
        for route in (Architecture({"k": option}), None):
            supernet, kernel = made()
            route = masked(kernel, option) if route is None else route
            supernet.train()(images(), route).pow(3).mean().backward()
            found.append({name: p.grad for name, p in supernet.named_parameters()})
        for name, gradient in found[0].items():
            torch.testing.assert_close(found[1][name], gradient, rtol=1e-4, atol=1e-5)


def test_a_part_records_statistics_of_its_channels_only():
    supernet, kernel = made()
    before = statistics(kernel)
    supernet.train()(images(), Architecture({"k": "mb3e3"}))
    after = statistics(kernel)
    for norm in (0, 1):
        for old, new in zip(before[3 * norm : 3 * norm + 2], after[3 * norm :], strict=False):
            assert torch.equal(old[12:], new[12:])
            assert (old[:12] != new[:12]).all()
    assert [int(after[i]) - int(before[i]) for i in (2, 5, 8)] == [1, 1, 1]


@pytest.mark.parametrize("momentum", [0.1, None])
def test_statistics_are_those_of_the_ordinary_block(momentum):
    supernet, kernel = made()
    derived = sn.derive(supernet.train(), Architecture({"k": "mb5e3"}))
    norms = [m for m in (*derived.modules(), *supernet.modules()) if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = momentum
    for seed in range(3):
        x = torch.randn(5, 4, 6, 6, generator=torch.Generator().manual_seed(seed))
        derived(x)
        supernet(x, Architecture({"k": "mb5e3"}))
    own = [m for m in derived.modules() if isinstance(m, nn.BatchNorm2d)]
    for one, shared in zip(own, kernel.block.norms, strict=True):
        width = one.num_features
        torch.testing.assert_close(shared.running_mean[:width], one.running_mean)
        torch.testing.assert_close(shared.running_var[:width], one.running_var)


def test_parts_normalise_by_the_batch_where_nothing_is_tracked():
    supernet, kernel = made()
    for norm in kernel.block.norms:
        norm.track_running_stats = False
    before = statistics(kernel)
    supernet.train()(images(), Architecture({"k": "mb3e3"}))
    assert all(map(torch.equal, statistics(kernel), before))


@pytest.mark.parametrize("shape", SHAPES)
def test_costs_are_those_of_the_derived_networks(shape):
    supernet, _ = made(*shape)
    tables = measure_costs(supernet, images(1))
    for architecture in supernet.space:
        derived = sn.derive(supernet, architecture)
        expected = {"params": count_params(derived), "macs": count_macs(derived, images(1))}
        assert cost_of(tables, architecture) == expected


def test_other_routings_keep_the_one_formula():
    """A mixture is the weighted sum of the options, not a mask."""
    supernet, kernel = made()
    supernet.eval()
    weights = torch.tensor([0.1, 0.2, 0.3, 0.15, 0.25])
    expected = sum(
        w * supernet(images(), Architecture({"k": name}))
        for w, name in zip(weights, kernel.names, strict=True)
    )
    found = supernet(images(), Routing({"k": Gate((0, 1, 2, 3, 4), weights)}))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_splitting_keeps_the_part():
    supernet, _ = made()
    expected = supernet.eval()(images(), Architecture({"k": "mb5e3"}))
    part = sn.net.split_supernet(supernet, "k", "mb5e3").eval()
    assert torch.equal(part(images(), Architecture({"k": "mb5e3"})), expected)


@pytest.mark.parametrize(
    ("norm", "threshold", "value"),
    [(2.0, 0.0, 1), (1e3, 0.0, 1), (3.0, 2.999, 1), (3.0, 3.0, 0), (3.0, 40.0, 0), (5.0, -7.0, 1)],
)
def test_an_indicator_is_hard_and_has_the_slope_of_a_sigmoid(norm, threshold, value):
    x, t = (torch.tensor(number, requires_grad=True) for number in (norm, threshold))
    y = indicator(x, t)
    assert y == value
    y.backward()
    expected = derivative(norm, threshold)
    assert expected > 0.19 / (norm + abs(threshold))
    assert float(x.grad) == pytest.approx(expected, rel=1e-5)
    assert float(t.grad) == pytest.approx(-expected, rel=1e-5)


def test_weights_that_are_all_zero_are_off_and_have_finite_slopes():
    x, t = (torch.zeros((), requires_grad=True) for _ in "xt")
    y = indicator(x, t)
    y.backward()
    assert y == 0
    assert 0 < t.grad.abs() < 1e13


def test_norms_are_those_of_ring_and_halves():
    _, kernel = made()
    with torch.no_grad():
        weight = kernel.block.depthwise.weight
        weight.zero_()
        weight[0, 0, 2, 2] = 2.0  # the centre of the first half
        weight[3, 0, 0, 1] = 3.0  # the ring of the first half
        weight[12, 0, 3, 1] = 4.0  # the centre of the second half
        weight[23, 0, 4, 4] = 5.0  # the ring of the second half
    assert kernel.block.sizes().tolist() == [9 + 25, 16 + 25, 4 + 9]
    assert kernel.block.sizes(0.0).tolist() == [9 + 25, 16, 4]
    for thresholds, expected in {
        (0.0, 0.0, 0.0): [1, 1, 1],
        (34.0, 0.0, 0.0): [0, 1, 1],  # equal is not above
        (33.9, 40.9, 12.9): [1, 1, 1],
        (34.1, 16.1, 3.9): [0, 0, 1],  # without the ring the halves are smaller
        (0.0, 0.0, 13.1): [1, 1, 0],
    }.items():
        assert kernel.block.indicators(torch.tensor(thresholds)).tolist() == expected


def test_a_ring_of_zeros_is_off_at_a_threshold_of_zero():
    _, kernel = made()
    with torch.no_grad():
        kernel.block.depthwise.weight.mul_(1 - kernel.block.ring)
    assert kernel.block.indicators(torch.zeros(3)).tolist() == [0, 1, 1]


def test_a_layer_that_changes_the_shape_has_no_indicator_of_its_own():
    _, kernel = made(4, 6)
    on = kernel.block.indicators(torch.tensor([1e9, 1e9]))
    assert on.tolist() == [0, 0, 1]


def test_gradients_of_thresholds_equal_an_independent_computation():
    """The three indicators written out once more, on the weights of an ordinary block."""
    supernet, kernel = made()
    supernet.train()
    block, x = kernel.block, images()
    sizes = block.sizes().detach()
    for off in ((0.5, 0.5, 0.5), (1.01, 0.3, 0.3), (0.9, 1.01, 0.9), (0.9, 0.9, 1.01)):
        thresholds = (torch.tensor(off) * sizes).requires_grad_()
        on = block.indicators(thresholds)
        with supernet.route(Routing({"k": kernel.gate_of(on, on.tolist())})):
            loss = supernet(x).pow(3).mean()
        found = torch.autograd.grad(loss, thresholds)[0]

        values = torch.tensor(on.tolist(), dtype=torch.float64, requires_grad=True)
        reference = written_out(block, x.double(), values).pow(3).mean()
        slopes = torch.autograd.grad(reference, values)[0]
        w = block.depthwise.weight.detach().double()[:, 0]
        ring = float(w.square().sum() - w[:, 1:4, 1:4].square().sum())
        k = values[0].item()
        inner = (w[:, 1:4, 1:4].square()).sum((1, 2))
        outer = w.square().sum((1, 2)) - inner
        second = float((inner + k * outer)[12:].sum())
        first = float((inner + k * outer)[:12].sum())
        t = thresholds.tolist()
        d = [derivative(ring, t[0]), derivative(second, t[1]), derivative(first, t[2])]
        # k also changes the norms that the other two compare, by 2 k · ring
        through = slopes[1] * d[1] * 2 * k * outer[12:].sum()
        through = through + slopes[2] * d[2] * 2 * k * outer[:12].sum()
        expected = [
            -(float(slopes[0]) + float(through)) * d[0],
            -float(slopes[1]) * d[1],
            -float(slopes[2]) * d[2],
        ]
        torch.testing.assert_close(found, torch.tensor(expected), rtol=2e-3, atol=1e-6)
        assert (found != 0).any()


def derivative(norm, threshold):
    size = norm + abs(threshold)
    share = 1 / (1 + math.exp(-(norm - threshold) / size))
    return share * (1 - share) / size


def written_out(block, x, values):
    k, wide, layer = values
    ring = torch.ones(5, 5, dtype=x.dtype)
    ring[1:4, 1:4] = 0

    def norm(y, module):
        weight, bias = module.weight.double(), module.bias.double()
        return F.batch_norm(y, None, None, weight, bias, True, 0.0, module.eps)

    y = F.relu(norm(F.conv2d(x, block.expand.weight.double()), block.norms[0]))
    weight = block.depthwise.weight.double()
    weight = weight * (1 - ring) + k * weight * ring
    y = F.relu(norm(F.conv2d(y, weight, padding=2, groups=24), block.norms[1]))
    y = torch.cat((y[:, :12], wide * y[:, 12:]), 1)
    y = norm(F.conv2d(y, block.project.weight.double()), block.norms[2])
    return x + layer * y


@pytest.mark.parametrize("shape", SHAPES)
def test_indicators_mean_one_option_each(shape):
    _, kernel = made(*shape)
    for name in kernel.names:
        values = torch.tensor(INDICATORS[name], dtype=torch.float32)
        gate = kernel.gate_of(values, values.tolist())
        assert [kernel.names[i] for i in gate.options] == [name]
        assert kernel.shares(values).tolist() == [float(n == name) for n in kernel.names]
    relaxed = torch.tensor([0.3, 0.6, 0.8 if len(kernel.names) == 5 else 1.0])
    assert float(kernel.shares(relaxed).sum()) == pytest.approx(1)
