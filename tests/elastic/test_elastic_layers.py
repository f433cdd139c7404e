"""Elastic layers compute with a part of their weights what the ordinary layer of that size computes."""

from __future__ import annotations

import random

import pytest
import torch
from torch import nn

from supernet import elastic as el
from supernet.choice import Choice
from supernet.cost import count_macs, count_params, measure_costs
from supernet.errors import SpaceError
from supernet.net import SuperNet, derive
from supernet.net.batchnorm import recalibrated
from supernet.space import Architecture, Ordered


def width():
    return el.Dimension("width", [4, 6, 8])


def convolution(w):
    return el.Conv2d(3, w, el.Dimension("kernel", [3, 5, 7]), stride=2)


LAYERS = {
    "conv1d": (lambda w: el.Conv1d(w, el.ScaledSize(w, 2), 3), (2, 8, 9)),
    "conv2d": (convolution, (2, 3, 9, 9)),
    "conv2d with matrices": (
        lambda w: el.Conv2d(3, w, el.Dimension("kernel", [1, 3, 5]), transforms=True),
        (2, 3, 9, 9),
    ),
    "conv2d dilated": (
        lambda w: el.Conv2d(w, w, el.Dimension("kernel", [3, 5]), dilation=2, bias=False),
        (2, 8, 9, 9),
    ),
    "conv2d in groups": (lambda w: el.Conv2d(w, el.ScaledSize(w, 2), 3, groups=4), (2, 8, 5, 5)),
    "conv2d depthwise": (
        lambda w: el.Conv2d(w, w, el.Dimension("kernel", [3, 5]), groups=w),
        (2, 8, 9, 9),
    ),
    "conv3d": (lambda w: el.Conv3d(2, w, 3), (2, 2, 4, 4, 4)),
    "linear": (lambda w: el.Linear(w, el.Dimension("out", [3, 5])), (2, 7, 8)),
    "embedding": (lambda w: el.Embedding(11, w, padding=0), (2, 7)),
    "batch norm 1d": (lambda w: el.BatchNorm1d(w), (6, 8)),
    "batch norm 2d": (lambda w: el.BatchNorm2d(w), (3, 8, 4, 4)),
    "batch norm 3d": (lambda w: el.BatchNorm3d(w, affine=False), (3, 8, 2, 2, 2)),
    "layer norm": (lambda w: el.LayerNorm(w), (2, 7, 8)),
    "rms norm": (lambda w: el.RMSNorm(w), (2, 7, 8)),
    "group norm": (lambda w: el.GroupNorm(2, w), (2, 8, 4, 4)),
    "attention": (
        lambda w: el.SelfAttention(w, el.Dimension("heads", [1, 2, 3]), 4),
        (2, 7, 8),
    ),
    "attention of open heads": (
        lambda w: el.SelfAttention(
            w, el.Dimension("heads", [1, 3]), el.Dimension("head", [2, 3, 4])
        ),
        (2, 7, 8),
    ),
    "causal attention": (lambda w: el.SelfAttention(w, 2, 4, causal=True), (2, 7, 8)),
}


@pytest.fixture(params=LAYERS)
def layer(request):
    make, shape = LAYERS[request.param]
    torch.manual_seed(0)
    module = make(width())
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.1 * torch.randn_like(p))
    x = torch.randint(11, shape) if request.param == "embedding" else torch.randn(shape)
    return SuperNet(module), x


def architectures(space):
    return [space[i] for i in range(space.size)]


def test_every_size_is_the_ordinary_layer_of_that_size(layer):
    supernet, x = layer
    assert supernet.space.size > 1
    for mode in (True, False):
        supernet.train(mode)
        for architecture in architectures(supernet.space):
            with supernet.route(architecture):
                (inputs,) = supernet.model.entering(x)
                plain = supernet.model.plain()
                expected = plain(inputs)
            assert plain.training == mode
            assert type(plain).__module__.startswith(("torch.nn", "supernet.elastic.attention"))
            torch.testing.assert_close(supernet(inputs, architecture), expected)


def test_without_a_route_it_is_the_largest(layer):
    supernet, x = layer
    largest = Architecture({d.label: d.options[-1] for d in supernet.space.decisions})
    supernet.eval()
    torch.testing.assert_close(supernet.model(x), supernet(x, largest), rtol=0, atol=0)


def test_gradients_are_those_of_the_ordinary_layer(layer):
    supernet, x = layer
    for architecture in architectures(supernet.space)[:4]:
        with supernet.route(architecture):
            (inputs,) = supernet.model.entering(x)
            plain = supernet.model.plain()
        if any("transforms" in name for name, _ in supernet.named_parameters()):
            continue  # these have gradients of their own
        weights = list(supernet.parameters()) or [inputs.requires_grad_()]
        mine = torch.autograd.grad(supernet(inputs, architecture).square().sum(), weights)
        others = list(plain.parameters()) or [inputs]
        theirs = torch.autograd.grad(plain(inputs).square().sum(), others)
        total = sum(float(g.square().sum()) for g in mine)
        assert total == pytest.approx(sum(float(g.square().sum()) for g in theirs), rel=1e-4)


@pytest.mark.slow_with("attention of open heads")
def test_costs_are_those_of_the_ordinary_layer(layer):
    supernet, x = layer
    costs = measure_costs(supernet, x[:1])
    for architecture in architectures(supernet.space):
        with supernet.route(architecture):
            (inputs,) = supernet.model.entering(x[:1])
            plain = supernet.model.plain()
        assert costs["params"].cost(architecture) == count_params(plain)
        assert costs["macs"].cost(architecture) == count_macs(plain, inputs)


class Block(nn.Module):
    def __init__(self, channels, name):
        super().__init__()
        expand = el.Dimension(f"{name}.expand", [0.5, 1, 2])
        kernel = el.Dimension(f"{name}.kernel", [3, 5])
        inner = el.ScaledSize(channels, expand, multiple=2)
        self.body = nn.Sequential(
            el.Conv2d(channels, inner, 1, bias=False),
            el.BatchNorm2d(inner),
            nn.ReLU(),
            el.Conv2d(inner, inner, kernel, groups=inner, bias=False, transforms=True),
            el.BatchNorm2d(inner),
            nn.ReLU(),
            el.Conv2d(inner, channels, 1, bias=False),
            el.BatchNorm2d(channels),
        )

    def forward(self, x):
        return x + self.body(x)


class Net(nn.Module):
    """Widths, kernels, expansions, a depth, and a choice of operations."""

    def __init__(self):
        super().__init__()
        w = el.Dimension("width", [4, 6, 8])
        self.stem = nn.Sequential(el.Conv2d(1, w, 3, bias=False), el.BatchNorm2d(w), nn.ReLU())
        self.blocks = el.depth([Block(w, f"block{i}") for i in range(3)], [1, 2, 3], "depth")
        self.operation = Choice({"conv": el.Conv2d(w, w, 3), "skip": nn.Identity()})
        self.head = el.Linear(w, 10)

    def forward(self, x):
        return self.head(self.operation(self.blocks(self.stem(x))).mean((2, 3)))


@pytest.fixture
def net():
    torch.manual_seed(0)
    return SuperNet(Net())


def drawn(space, count=25):
    stream = random.Random(0)
    return [space.sample(stream) for _ in range(count)]


def test_the_space_holds_what_exists(net):
    assert net.space.size == 3 * 2 * (6 + 6**2 + 6**3)
    shallow = Architecture(
        {
            "width": 4,
            "depth": 1,
            "operation": "skip",
            "block0.expand": 0.5,
            "block0.kernel": 3,
        }
    )
    net.space.validate(shallow)
    assert all(isinstance(d, Ordered) for d in net.space.decisions if d.label != "operation")


def test_derived_networks_compute_and_cost_what_the_supernet_says(net):
    x = torch.randn(4, 1, 8, 8)
    costs = measure_costs(net, x[:1])
    net.train()
    for architecture in drawn(net.space):
        net(torch.randn(8, 1, 8, 8), architecture)  # statistics that differ by channel
    net.eval()
    smallest, largest = (costs["macs"].range(net.space)[i] for i in (0, 1))
    for architecture in drawn(net.space, 10):
        derived = derive(net, architecture)
        torch.testing.assert_close(derived(x), net(x, architecture))
        assert count_params(derived) == costs["params"].cost(architecture)
        assert count_macs(derived, x[:1]) == costs["macs"].cost(architecture)
        assert smallest <= costs["macs"].cost(architecture) <= largest
        assert not any(isinstance(m, el.Elastic | el.Dimension) for m in derived.modules())
        assert not {id(p) for p in derived.parameters()} & {id(p) for p in net.parameters()}


@pytest.mark.slow_with("enable_grad")
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.inference_mode])
def test_recalibrated_statistics_are_those_of_the_derived_network(net, mode):
    batches = [torch.randn(16, 1, 8, 8) for _ in range(3)]
    for architecture in drawn(net.space, 5):
        derived = derive(net, architecture)
        with mode(), recalibrated(derived, batches, derived):
            expected = derived(batches[0])
        with mode(), net.route(architecture), recalibrated(net, batches, net):
            torch.testing.assert_close(net(batches[0]), expected)


def test_smaller_kernels_pass_through_their_matrices():
    conv = el.Conv2d(1, 1, el.Dimension("kernel", [1, 3]), bias=False, transforms=True)
    supernet, x = SuperNet(conv), torch.randn(1, 1, 5, 5)
    centre = conv.weight[..., 1:2, 1:2]
    one = Architecture({"kernel": 1})
    torch.testing.assert_close(supernet(x, one), x * centre)  # the identity at first
    with torch.no_grad():
        conv.transforms["1"].mul_(3)
    torch.testing.assert_close(supernet(x, one), 3 * x * centre)
    supernet(x, one).sum().backward()
    assert conv.transforms["1"].grad.abs().sum() > 0


def test_what_makes_no_layer_is_refused():
    w = width()
    with pytest.raises(SpaceError, match="increasing numbers"):
        el.Dimension("width", [8, 4])
    with pytest.raises(SpaceError, match="groups of 4 channels do not divide"):
        el.GroupNorm(4, w)
    with pytest.raises(SpaceError, match="for a depthwise one"):
        el.Conv2d(w, 8, 3, groups=w)
    grouped = SuperNet(el.Conv2d(4, el.Dimension("out", [3, 4]), 3, groups=2))
    with pytest.raises(
        SpaceError, match="2 channels that enter and 2 that leave do not divide 4 and"
    ):
        grouped(torch.randn(1, 4, 5, 5), Architecture({"out": 3}))
    with pytest.raises(SpaceError, match="at most 3, but there are 2 blocks"):
        el.depth([nn.Identity(), nn.Identity()], [1, 3], "depth")
    with pytest.raises(SpaceError, match="whole numbers"):
        el.depth([nn.Identity()], [0.5, 1], "depth")
