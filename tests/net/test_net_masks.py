"""One-hot masks compute what the slice does; others are the mixture, with its gradient."""

from __future__ import annotations

import copy
from itertools import pairwise, product

import pytest
import torch
from torch import nn

from supernet import convert
from supernet import elastic as el
from supernet.choice import Choice, Gate, Routing
from supernet.conversion import Widths
from supernet.elastic import JoinedSize, ProductSize
from supernet.elastic.composed import CentreSize
from supernet.elastic.masks import expected_mask
from supernet.errors import RoutingError
from supernet.net import SuperNet
from supernet.space import Architecture

DOUBLE = torch.float64


class Network(nn.Module):
    """Widths behind norms and activations, in residual streams, depthwise and in groups."""

    def __init__(self):
        super().__init__()
        width = el.Dimension("width", [2, 4, 6])
        inner = el.ScaledSize(width, el.Dimension("expansion", [1.5, 2]))
        kernel = el.Dimension("kernel", [1, 3, 5])
        self.stem = nn.Sequential(el.Conv2d(1, width, 3), el.BatchNorm2d(width), nn.ReLU())
        self.block = nn.Sequential(
            el.Conv2d(width, inner, 1, bias=False),
            el.BatchNorm2d(inner),
            nn.Sigmoid(),  # not 0 where its input is
            el.Conv2d(inner, inner, kernel, groups=inner, stride=1),
            nn.Tanh(),
            el.Conv2d(inner, width, 1),
        )
        self.groups = nn.Sequential(
            el.Conv2d(width, width, 3, groups=3), el.GroupNorm(2, width), nn.Sigmoid()
        )
        self.join = el.Conv2d(JoinedSize(width, width, 1), 3, kernel, dilation=2, padding=4)
        self.head = el.Linear(ProductSize(width, 4), 3)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.block(x)
        y = self.groups(x)
        joined = self.join(torch.cat((x, y, x.new_ones(len(x), 1, *x.shape[2:])), 1))
        return self.head(nn.functional.adaptive_avg_pool2d(y, 2).flatten(1)) + joined.mean((2, 3))


def images(count=4):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 1, 8, 8, dtype=DOUBLE, generator=generator)


def made(model):
    torch.manual_seed(0)
    supernet = SuperNet(model()).double().train()
    for module in supernet.modules():
        if isinstance(module, nn.BatchNorm2d | nn.GroupNorm) and module.weight is not None:
            nn.init.uniform_(module.__dict__["_parameters"]["weight"], 0.5, 1.5)
            nn.init.normal_(module.__dict__["_parameters"]["bias"])
    return supernet


def one_hot(supernet, architecture):
    gates = {}
    for label, value in architecture.items():
        options = supernet.space.decision(label).options
        weights = torch.tensor([float(option == value) for option in options], dtype=DOUBLE)
        gates[label] = Gate(tuple(range(len(options))), weights)
    return Routing(gates)


@pytest.mark.parametrize("training", [True, False])
def test_a_mask_of_one_number_computes_what_the_slice_does(training):
    supernet = made(Network).train(training)
    x, seen = images(), []
    for architecture in supernet.space:
        masked = supernet(x, one_hot(supernet, architecture))
        expected = supernet(x, architecture)
        torch.testing.assert_close(masked, expected, rtol=1e-10, atol=1e-10)
        seen.append(expected)
    assert len(seen) == 18
    assert all(not torch.allclose(a, b) for a, b in pairwise(seen))


def test_gradients_of_the_weights_are_those_of_the_slice():
    supernet, architecture = made(Network), None
    for architecture in (supernet.space[0], supernet.space[7]):
        found = []
        for route in (architecture, one_hot(supernet, architecture)):
            supernet.zero_grad(set_to_none=True)
            supernet(images(), route).pow(3).sum().backward()
            found.append({n: p.grad for n, p in supernet.named_parameters()})
        for name, gradient in found[0].items():
            torch.testing.assert_close(found[1][name], gradient, rtol=1e-9, atol=1e-9)


class Read(nn.Module):
    """One layer that reads an open width, and one with an open kernel; both are linear in the gates."""

    def __init__(self):
        super().__init__()
        self.make = el.Conv2d(1, el.Dimension("width", [1, 3, 4]), 3)
        self.read = el.Conv2d(self.width, 2, el.Dimension("kernel", [1, 3, 5]), bias=False)

    @property
    def width(self):
        return self.make.dimensions[0]

    def forward(self, x):
        return self.read(self.make(x).sigmoid())


def test_weights_that_are_not_one_hot_are_the_mixture_of_all_networks():
    supernet, x = made(Read), images()
    g = torch.tensor([0.2, 0.5, 0.3], dtype=DOUBLE, requires_grad=True)
    h = torch.tensor([0.1, 0.3, 0.6], dtype=DOUBLE, requires_grad=True)
    found = supernet(x, Routing({"width": Gate((0, 1, 2), g), "kernel": Gate((0, 1, 2), h)}))
    expected = sum(
        a * b * supernet(x, Architecture({"width": width, "kernel": kernel}))
        for (a, width), (b, kernel) in product(
            zip(g, (1, 3, 4), strict=True), zip(h, (1, 3, 5), strict=True)
        )
    )
    torch.testing.assert_close(found, expected)
    for one, other in zip(
        torch.autograd.grad(found.pow(2).sum(), (g, h)),
        torch.autograd.grad(expected.pow(2).sum(), (g, h)),
        strict=True,
    ):
        torch.testing.assert_close(one, other)
        assert (one != 0).all()


def test_options_that_are_not_listed_are_not_computed():
    supernet, x = made(Read), images()
    shapes = []
    hook = supernet.model.make.register_forward_hook(lambda m, i, o: shapes.append(o.shape[1]))
    g = torch.tensor([0.25, 0.75], dtype=DOUBLE)
    for listed, largest in (((0, 1), 3), ((1, 0), 3), ((2, 0), 4)):
        gates = Routing({"width": Gate(listed, g), "kernel": Gate((2,))})
        expected = sum(
            w * supernet(x, Architecture({"width": (1, 3, 4)[i], "kernel": 5}))
            for w, i in zip(g, listed, strict=True)
        )
        torch.testing.assert_close(supernet(x, gates), expected)
        assert shapes[-1] == largest
    hook.remove()


def test_expected_masks_by_hand():
    width, heads = el.Dimension("width", [1, 2, 4]), el.Dimension("heads", [1, 2])
    width.set_gate(Gate((0, 1, 2), torch.tensor([0.5, 0.25, 0.25])))
    heads.set_gate(Gate((0, 1), torch.tensor([0.5, 0.5])))
    like = torch.ones(1)

    def mask(size):
        return expected_mask([size], like).tolist()

    assert mask(width) == [1.0, 0.5, 0.25, 0.25]
    assert mask(el.ScaledSize(width, 2)) == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25]
    assert mask(ProductSize(heads, width)) == [1, 0.5, 0.25, 0.25, 0.5, 0.25, 0.125, 0.125]
    assert mask(JoinedSize(heads, 1, width)) == [1, 0.5, 1, 1, 0.5, 0.25, 0.25]
    heads.set_gate(Gate((0,)))
    assert mask(ProductSize(heads, width)) == [1, 0.5, 0.25, 0.25]
    assert mask(JoinedSize(heads, width)) == [1, 1, 0.5, 0.25, 0.25]
    kernel = CentreSize(width)
    expected = [[0.25] * 4, [0.25, 1, 0.5, 0.25], [0.25, 0.5, 0.5, 0.25], [0.25] * 4]
    assert expected_mask([kernel, kernel], like).tolist() == expected  # not the product of two
    same = Gate((0, 1), torch.tensor([0.5, 0.5]))
    twins = el.Dimension("both", [1, 2]), el.Dimension("both", [1, 2])
    for twin in twins:
        twin.set_gate(same)
    assert mask(ProductSize(*twins)) == [1, 0.5, 0.5, 0.5]  # one decision: 1 of 1, or 2 of 2


def test_what_is_kept_of_masks_serves_later_passes():
    """Made without gradients, in inference mode, and for a copy that lies elsewhere."""
    supernet, x = made(Read), images()
    g = torch.tensor([0.2, 0.5, 0.3], dtype=DOUBLE, requires_grad=True)
    gates = Routing({"width": Gate((0, 1, 2), g), "kernel": Gate((0,))})
    with torch.inference_mode():
        supernet(x, gates)
    assert torch.autograd.grad(supernet(x, gates).sum(), g)[0].abs().min() > 0
    single = copy.deepcopy(supernet).float()
    assert single(x.float(), gates).dtype == torch.float32


def refused():
    width = el.Dimension("open", [2, 4])
    linear, norm = el.Linear(3, width), el.LayerNorm(width)
    yield "layer norm", nn.Sequential(linear, norm, el.Linear(width, 2)), "LayerNorm"
    side = el.Resolution(el.Dimension("open", [4, 8]))
    yield "images", nn.Sequential(side, nn.Conv2d(1, 2, 1)), "Resolution"
    conv = el.Conv2d(1, 2, el.Dimension("open", [1, 3]), transforms=True)
    yield "matrices", nn.Sequential(conv), "pass through matrices"
    attention = el.SelfAttention(4, 2, el.Dimension("open", [2, 4]))
    yield "heads", nn.Sequential(attention), "Attention"


@pytest.mark.parametrize(
    ("model", "reason"), [r[1:] for r in refused()], ids=[r[0] for r in refused()]
)
def test_numbers_that_do_more_than_let_channels_through_are_refused(model, reason):
    supernet = SuperNet(model)
    assert reason in supernet.unweighed["open"]
    gates = Routing({"open": Gate((0, 1), torch.tensor([0.5, 0.5]))})
    with pytest.raises(RoutingError, match=rf"'open' cannot be a mixture.*{reason}"):
        supernet(torch.randn(2, 1, 8, 8), gates)


def test_one_number_left_is_no_obstacle():
    width = el.Dimension("open", [4])
    model = nn.Sequential(el.Linear(3, width), el.LayerNorm(width))
    assert SuperNet(nn.Sequential(model, Choice([nn.Tanh()]))).unweighed == {}


def test_matrices_of_kernels_let_widths_be_weighed():
    width = el.Dimension("width", [2, 4])
    kernel = el.Dimension("kernel", [1, 3])
    supernet = made(
        lambda: nn.Sequential(el.Conv2d(1, width, 1), el.Conv2d(width, 2, kernel, transforms=True))
    )
    assert list(supernet.unweighed) == ["kernel"]
    one = {"width": 2, "kernel": 1}
    gates = one_hot(supernet, Architecture(one))
    gates["kernel"] = Gate((0,))
    torch.testing.assert_close(supernet(images(), gates), supernet(images(), Architecture(one)))


def test_converted_models_are_masked_too():
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.norm = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
            self.b, self.head = nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 3)

        def forward(self, x):
            x = self.norm(self.a(x)).sigmoid()
            return self.head((x + self.b(x)).mean((2, 3)))

    torch.manual_seed(0)
    rules = [Widths("*", fractions=(0.5, 1.0), multiple=4)]
    supernet = SuperNet(convert(Plain(), images().float(), rules=rules)).double().train()
    assert supernet.unweighed == {}
    assert supernet.space.size > 1
    for architecture in supernet.space:
        expected = supernet(images(), architecture)
        found = supernet(images(), one_hot(supernet, architecture))
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
