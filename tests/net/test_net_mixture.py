"""Sums under soft gates are those of the plain formula, however few passes they take."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

import supernet as sn
from supernet.choice import Gate
from supernet.choice.mixture import shared
from supernet.errors import SpaceError
from supernet.ops import Zero, pool
from supernet.zoo import NASBench201


def branch(kernel=3, *, affine=False, relu=True, **norm):
    layers = [nn.ReLU()] if relu else []
    layers.append(nn.Conv2d(4, 4, kernel, padding=kernel // 2, bias=False))
    return nn.Sequential(*layers, nn.BatchNorm2d(4, affine=affine, **norm))


class Doubled(nn.Module):
    """An option whose structure is not known."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return self.factor * x


class Chain(nn.Sequential):
    """A sequence of a class of its own."""


CASES = {
    "nasbench201": lambda: [Zero(), nn.Identity(), branch(1), branch(3), pool("avg")],
    "affine": lambda: [branch(1, affine=True), branch(3, affine=True), nn.Identity()],
    "no relu": lambda: [branch(1, relu=False), branch(3, relu=False, affine=True)],
    "no statistics": lambda: [branch(1, track_running_stats=False), branch(3, affine=True)],
    "cumulative average": lambda: [branch(1, momentum=None), branch(3, momentum=0.4)],
    "unknown structure": lambda: [Doubled(), branch(3), Chain(*branch(1)), pool("max")],
    "several layers": lambda: [nn.Sequential(*branch(3), *branch(1, affine=True)), Zero()],
    "without a norm": lambda: [nn.Identity(), pool("avg"), nn.AvgPool2d(3, 1, 1), Doubled()],
    "zeros only": lambda: [Zero(), Zero()],
    "norm at the front": lambda: [nn.Sequential(nn.BatchNorm2d(4)), branch(3)],
    "pools and norms": lambda: [
        nn.Sequential(pool("max"), nn.BatchNorm2d(4)),
        nn.Sequential(pool("avg"), nn.BatchNorm2d(4, affine=False)),
        pool("max"),
        nn.MaxPool2d(5, 1, 2),
        nn.MaxPool2d(3, 1, 1, dilation=1),
    ],
    "in place on their own": lambda: [
        nn.Sequential(pool("avg"), nn.ReLU(inplace=True), nn.BatchNorm2d(4)),
        nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(inplace=True), nn.BatchNorm2d(4)),
        pool("avg"),
        branch(1),
    ],
    "frozen": lambda: [branch(1).requires_grad_(False), nn.Identity(), branch(3)],
}


@pytest.fixture(params=CASES)
def choice(request):
    torch.manual_seed(0)
    choice = sn.Choice(CASES[request.param](), label="mixed").double()
    for module in choice.modules():
        if isinstance(module, nn.BatchNorm2d) and module.affine:
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return choice


def formula(choice, x, weights):
    total = 0
    for weight, option in zip(weights, choice.options, strict=True):
        total = total + weight * option(x)
    return total


def gated(choice, x, weights):
    choice.set_gate(Gate(tuple(range(len(weights))), weights))
    return choice(x)


def outcome(compute, choice, *, of_weights=True):
    """Return output, gradients and buffers after two passes, with signs and scales of all kinds."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(3, 4, 6, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(len(choice.options), generator=generator, dtype=torch.float64)
    weights.requires_grad_(of_weights)
    for _ in range(2):
        y = compute(choice, x, weights)
        if y.requires_grad:
            (y * torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view_as(y)).sum().backward()
    tensors = {"y": y, "x": x.grad, "weights": weights.grad, **dict(choice.named_buffers())}
    return {**tensors, **{name: p.grad for name, p in choice.named_parameters()}}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if value is None:
            assert found[name] is None, name
        else:
            torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("of_weights", [True, False])
@pytest.mark.parametrize("channels_last", [True, False])
def test_same_as_the_formula(choice, training, of_weights, channels_last):
    """Outputs, gradients of input, weights and parameters, and running statistics."""
    if channels_last:
        choice.to(memory_format=torch.channels_last)
    choice.train(training)
    other = copy.deepcopy(choice)
    expected = outcome(formula, other, of_weights=of_weights)
    assert_same(outcome(gated, choice, of_weights=of_weights), expected)


def test_some_of_the_options_in_another_order():
    torch.manual_seed(0)
    choice = sn.Choice(CASES["nasbench201"]()).double()
    x, weights = torch.randn(2, 4, 5, 5).double(), torch.tensor([0.5, -2.0, 3.0]).double()
    choice.set_gate(Gate((4, 0, 2), weights))
    expected = 0.5 * choice.options[4](x) + 3 * choice.options[2](x)
    torch.testing.assert_close(choice(x), expected, rtol=1e-12, atol=1e-12)


def test_no_gradient_and_inference(choice):
    x, weights = torch.randn(2, 4, 6, 5).double(), torch.rand(len(choice.options)).double()
    choice.eval()
    expected = formula(choice, x, weights)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            torch.testing.assert_close(gated(choice, x + 0, weights + 0), expected)


def test_second_derivatives():
    torch.manual_seed(0)
    choice = sn.Choice(CASES["nasbench201"]()).double()
    found = []
    for compute in (formula, gated):
        weights = torch.linspace(-1, 1, 5).double().requires_grad_()
        x = torch.linspace(-1, 1, 240).double().sin().view(2, 4, 6, 5).requires_grad_()
        loss = compute(choice, x, weights).pow(3).sum()
        (first,) = torch.autograd.grad(loss, weights, create_graph=True)
        found.append(torch.autograd.grad(first.pow(2).sum(), (weights, x)))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("kernel", [3, (1, 5)])
def test_average_pooling_in_float32(padded, kernel):
    """Where it is computed by a convolution."""
    padding = 1 if kernel == 3 else (0, 2)
    pooling = nn.AvgPool2d(kernel, 1, padding, count_include_pad=padded)
    choice = sn.Choice([nn.Identity(), pooling])
    generator = torch.Generator().manual_seed(0)
    values, weights = torch.randn(2, 4, 6, 5, generator=generator), torch.tensor([0.3, 0.7])
    found = []
    for compute in (formula, gated):
        x = values.clone().requires_grad_()
        y = compute(choice, x, weights)
        y.pow(2).sum().backward()
        found.append((y, x.grad))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "pooling",
    [
        nn.AvgPool2d(2),
        nn.AvgPool2d(3, 2, 1),
        nn.AvgPool2d(3, 1, 1, ceil_mode=True),
        nn.AvgPool2d(3, 1, 1, divisor_override=5),
    ],
    ids=repr,
)
def test_other_average_pooling_in_float32(pooling):
    choice = sn.Choice([pooling, copy.deepcopy(pooling)])
    x, weights = torch.rand(2, 4, 6, 6), torch.tensor([0.3, 0.7])
    torch.testing.assert_close(gated(choice, x, weights), formula(choice, x, weights))


PLACES = {
    "option": lambda option: option,
    "first layer": lambda option: option[0],
    "convolution": lambda option: option[1],
    "norm": lambda option: option[-1],
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["forward", "pre", "backward", "forward of its own"])
def test_hooks_run_as_ever(place, kind):
    """An option with a hook within it is called as it stands."""
    torch.manual_seed(0)
    choice = sn.Choice([branch(3), nn.Identity()]).double()
    module, calls = PLACES[place](choice.options[0]), []
    if kind == "forward":
        module.register_forward_hook(lambda *a: calls.append(a[2].shape))
    elif kind == "pre":
        module.register_forward_pre_hook(lambda *a: calls.append(a[1][0].shape))
    elif kind == "backward":
        module.register_full_backward_hook(lambda *a: calls.append(a[2][0].shape))
    else:
        usual = module.forward
        module.forward = lambda x: (calls.append(x.shape), usual(x))[1]
    x = torch.randn(2, 4, 5, 5).double().requires_grad_()
    gated(choice, x, torch.tensor([0.2, 0.8]).double()).sum().backward()
    assert calls == [(2, 4, 5, 5)]


def test_hooks_on_all_modules_run_as_ever():
    choice, seen = sn.Choice([branch(3), nn.Identity(), Zero(), pool("avg")]), []
    handle = register_module_forward_hook(lambda module, *_: seen.append(type(module)))
    try:
        gated(choice, torch.randn(2, 4, 5, 5), torch.rand(4))
    finally:
        handle.remove()
    assert {nn.ReLU, nn.Conv2d, nn.BatchNorm2d, nn.Identity, Zero, nn.AvgPool2d} <= set(seen)


def test_options_in_place_are_refused_as_ever():
    first = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
    choice = sn.Choice([nn.Identity(), first], label="mixed")
    with pytest.raises(SpaceError, match="in place"):
        gated(choice, torch.randn(2, 4, 5, 5), torch.rand(2))


@pytest.mark.parametrize("chosen", [(0, 1, 2, 3, 4), (0, 2, 3)])
def test_autocast_gives_what_the_formula_gives(chosen):
    torch.manual_seed(0)
    options = CASES["nasbench201"]()
    choice = sn.Choice([options[i] for i in chosen])
    x, weights = torch.randn(4, 4, 6, 6), torch.rand(len(chosen), requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        expected = formula(choice, x, weights)
        found = gated(choice, x, weights)
    assert found.dtype == expected.dtype
    torch.testing.assert_close(found.float(), expected.float(), rtol=0.03, atol=0.03)


class Node(nn.Module):
    """Two choices on one tensor."""

    def __init__(self, together):
        super().__init__()
        self.edges = nn.ModuleList(sn.Choice(CASES["nasbench201"](), label=label) for label in "ab")
        self.together = together

    def forward(self, x, between=lambda x: None):
        with shared(self.edges if self.together else []):
            y = self.edges[0](x)
            between(x)
            return y + self.edges[1](x)


def test_shared_computations_change_nothing_but_their_number():
    torch.manual_seed(0)
    weights = torch.rand(5).double()
    x = torch.randn(2, 4, 6, 5).double().requires_grad_()
    node, found, numbers = Node(together=True).double(), [], []
    for together in (False, True):
        node.together = together
        for edge in node.edges:
            edge.set_gate(Gate(tuple(range(5)), weights))
        with torch.profiler.profile() as profile:
            y = node(x)
        numbers.append(sum(e.count for e in profile.key_averages() if e.key == "aten::relu"))
        found.append((y, *torch.autograd.grad(y.pow(2).sum(), [x, *node.parameters()])))
    assert numbers == [2, 1]
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_a_cell_of_nasbench201_computes_nothing_twice():
    """One ReLU and pooling for each of three nodes; no zeros, and no product of feature maps."""
    net = sn.SuperNet(NASBench201(image=(1, 8, 8), channels=4, cells=1, stages=1))
    weights = {decision.label: torch.rand(5) for decision in net.space.decisions}
    routing = sn.Routing.soft(net.space, weights)
    with torch.no_grad(), torch.profiler.profile() as profile:
        net(torch.randn(2, 1, 8, 8), routing)
    calls = {event.key: event.count for event in profile.key_averages()}
    poolings = 3 if torch.backends.mkldnn.is_available() else 0
    assert calls["aten::relu"] == 3 + 1
    assert calls.get("aten::avg_pool2d", 0) == 3 - poolings
    assert calls["aten::addcmul_"] == 2 * 6
    assert not {"aten::zeros_like", "aten::mul"} & calls.keys()


def test_a_tensor_that_changed_is_computed_anew():
    torch.manual_seed(0)
    node, x = Node(together=True), torch.randn(2, 4, 6, 5)
    weights = torch.rand(5)
    for edge in node.edges:
        edge.set_gate(Gate(tuple(range(5)), weights))
    with torch.no_grad():
        first, second = x.clone(), x + 1
        expected = node.edges[0](first) + node.edges[1](second)
        found = node(x, lambda x: x.add_(1))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_shared_results_are_dropped_also_after_an_exception():
    node, held = Node(together=True), []

    def fail():
        with shared(node.edges):
            held.extend(edge.memo for edge in node.edges)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert held[0] is held[1] is not None
    assert node.edges[0].memo is None
    with shared([nn.Identity()]):
        pass
