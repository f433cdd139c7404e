"""Operators that depend on the order of channels: sorted networks compute what the model does."""

from __future__ import annotations

import random

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from supernet.conversion import Depths, Widths, conversion_of, convert
from supernet.cost import measure_costs
from supernet.net import SuperNet, derive
from supernet.space import Architecture


class Between(nn.Module):
    """A linear layer, something that is done to its features, and two more."""

    def __init__(self, between, entering=32):
        super().__init__()
        self.a, self.b, self.head = nn.Linear(6, 32), nn.Linear(entering, 16), nn.Linear(16, 3)
        self.between = between

    def forward(self, x):
        return self.head(F.relu(self.b(self.between(self.a(x)))))


class BetweenPlanes(nn.Module):
    """The same with convolutions."""

    def __init__(self, between, entering=32):
        super().__init__()
        self.a = nn.Conv2d(3, 32, 3, padding=1)
        self.b, self.head = nn.Conv2d(entering, 16, 1), nn.Linear(16, 3)
        self.between = between

    def forward(self, x):
        return self.head(F.relu(self.b(self.between(self.a(x)))).mean((2, 3)))


class ChannelAttention(nn.Module):
    """ECA: a convolution over the means of channels."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x):
        gate = self.conv(x.mean((2, 3)).unsqueeze(1)).sigmoid()
        return x * gate.transpose(1, 2).unsqueeze(-1)


class Parts(nn.Module):
    """Slices are assigned to a tensor of zeros."""

    def forward(self, x):
        y = torch.zeros_like(x)
        y[:, :8] = x[:, :8]
        y[:, 8:] = x[:, 8:].tanh()
        return y


def rotated(x):
    first, second = x.chunk(2, -1)
    return x * 0.5 + torch.cat([-second, first], -1)


def shortcut(x):
    return F.pad(x, (0, 0, 0, 0, 4, 4))


def grown(x):
    return x * torch.ones(1, x.shape[1], 1, 1) + torch.zeros(x.shape[1], 1, 1)


def place_of_largest(x):
    return x * x.argmax(-1, keepdim=True)


def best(x):
    return x * x.max(-1, keepdim=True)[0]


def ranked(x):
    return x + torch.gather(x, -1, x.argsort(-1))


SORTED, KEPT, CLOSED = "sorted", "kept in order", "closed"
FEATURES = {
    "softmax": (SORTED, lambda x: x.softmax(-1)),
    "halves are rotated": (SORTED, rotated),
    "the largest": (SORTED, best),
    "where": (SORTED, lambda x: torch.where(x > 0, x, 0.1)),
    "cast": (SORTED, lambda x: x.to(torch.float32)),
    "running sum": (KEPT, lambda x: x.cumsum(-1)),
    "running maximum": (KEPT, lambda x: x.cummax(-1)[0]),
    "triangle": (KEPT, lambda x: (x[:, :, None] * x[:, None]).tril().sum(-1)),
    "flip": (CLOSED, lambda x: x.flip(-1)),
    "roll": (CLOSED, lambda x: x.roll(3, -1)),
    "sort": (CLOSED, lambda x: x.sort(-1)[0]),
    "place of the largest": (CLOSED, place_of_largest),
    "gather": (CLOSED, ranked),
    "differences": (CLOSED, lambda x: x.diff(dim=-1)),
    "best few": (CLOSED, lambda x: x.topk(8, -1)[0]),
    "every other": (CLOSED, lambda x: x[:, ::2]),
    "interpolation": (CLOSED, lambda x: F.interpolate(x[:, None], 32, mode="linear")[:, 0]),
    "pooling": (CLOSED, lambda x: F.max_pool1d(x[:, None], 2)[:, 0]),
    "looked up": (CLOSED, lambda x: x[:, torch.arange(32).flip(0)]),
    "selected": (CLOSED, lambda x: x.index_select(-1, torch.arange(16))),
}
ENTERING = {"differences": 31, "best few": 8, "every other": 16, "pooling": 16, "selected": 16}
PLANES = {
    "channel shuffle": (SORTED, nn.ChannelShuffle(4), 32),
    "pixel shuffle": (SORTED, nn.PixelShuffle(2), 8),
    "pixel unshuffle": (SORTED, nn.PixelUnshuffle(2), 128),
    "windows": (SORTED, lambda x: F.fold(F.unfold(x, 3, padding=1), (8, 8), 3, padding=1), 32),
    "zeros around": (SORTED, shortcut, 40),
    "made from a shape": (SORTED, grown, 32),
    "repeated": (SORTED, lambda x: x.repeat(1, 2, 1, 1), 64),
    "each repeated": (SORTED, lambda x: x.repeat_interleave(2, 1), 64),
    "assigned in parts": (SORTED, Parts(), 32),
    "channel attention": (KEPT, ChannelAttention(), 32),
    "pooling of channels": (KEPT, lambda x: F.avg_pool3d(x, (3, 1, 1), 1, (1, 0, 0)), 32),
    "other edges": (CLOSED, lambda x: F.pad(x, (0, 0, 0, 0, 2, 2), mode="circular"), 36),
}


def checked(model, x, fractions=(0.25, 0.5, 1.0), depths=()):
    """Convert, compare the largest with the model and others with what is derived, go backwards."""
    supernet = SuperNet(convert(model, x, rules=(Widths(fractions=fractions, multiple=4), *depths)))
    supernet.eval()
    space = supernet.space
    largest = space.build(lambda d: d.value(range(len(d.options) - d.high, len(d.options))))
    torch.testing.assert_close(supernet(x, largest), model(x), rtol=1e-4, atol=1e-5)
    stream = random.Random(0)
    for architecture in (space.build(lambda d: d.value(range(d.low))), space.sample(stream)):
        derived = derive(supernet, architecture)
        torch.testing.assert_close(derived(x), supernet(x, architecture), rtol=1e-4, atol=1e-5)
    supernet.train()
    supernet(x, architecture).square().sum().backward()
    return supernet


def with_ranks(model):
    """Give the first layer channels of which the last matter most."""
    weight = model.b.weight
    with torch.no_grad():
        weight.mul_(torch.arange(1.0, weight.shape[1] + 1).view(1, -1, *[1] * (weight.ndim - 2)))
    return model.eval()


def what_became(supernet, model):
    """Return whether the width of the first layer is open, and its channels were moved."""
    if "a" not in supernet.space.labels:
        return CLOSED
    now, before = supernet.model.a._parameters["weight"], model.a.weight
    return KEPT if torch.equal(now, before) else SORTED


@pytest.mark.slow_with(
    "the largest",
    "halves are rotated",
    "triangle",
    "interpolation",
    "every other",
    "cast",
    "running sum",
    "selected",
    "where",
    "roll",
    "looked up",
    "flip",
    "sort",
    "differences",
    "gather",
    "place of the largest",
    "running maximum",
)
@pytest.mark.parametrize("name", FEATURES)
def test_features(name):
    expected, between = FEATURES[name]
    torch.manual_seed(0)
    model = with_ranks(Between(between, ENTERING.get(name, 32)))
    supernet = checked(model, torch.randn(3, 6))
    assert what_became(supernet, model) == expected
    if expected == CLOSED:
        rows = {row.name: row for row in conversion_of(supernet.model).rows}
        assert len(rows["a"].closed) == 2  # the model's input, and why
        assert "does not follow" not in str(rows["a"].closed)


@pytest.mark.quick_with("pixel unshuffle", "repeated")
@pytest.mark.parametrize("name", PLANES)
def test_planes(name):
    expected, between, entering = PLANES[name]
    torch.manual_seed(0)
    model = with_ranks(BetweenPlanes(between, entering))
    supernet = checked(model, torch.randn(2, 3, 8, 8))
    assert what_became(supernet, model) == expected


@pytest.mark.slow
def test_weight_norm():
    torch.manual_seed(0)
    norm = nn.utils.parametrizations.weight_norm
    model = nn.Sequential(
        norm(nn.Conv1d(3, 16, 3, padding=1)),
        nn.ReLU(),
        norm(nn.Conv1d(16, 16, 3, padding=1, groups=16)),
        norm(nn.Conv1d(16, 5, 1)),
    ).eval()
    supernet = checked(model, torch.randn(2, 3, 9))
    (decision,) = supernet.space.decisions
    assert decision.options == (4, 8, 16)


LAYERS = {
    "transposed": lambda: (nn.ConvTranspose2d(3, 16, 2), nn.ConvTranspose2d(16, 4, 2)),
    "ordinary": lambda: (nn.Conv2d(3, 16, 2), nn.Conv2d(16, 4, 2)),
    "of both kinds": lambda: (nn.ConvTranspose2d(3, 16, 2), nn.Conv2d(16, 4, 2)),
    "depthwise": lambda: (
        nn.Sequential(nn.Conv2d(3, 16, 1), nn.Conv2d(16, 16, 3, groups=16)),
        nn.Conv2d(16, 4, 2),
    ),
}


@pytest.mark.slow_with("transposed", "ordinary", "depthwise")
@pytest.mark.parametrize("name", LAYERS)
def test_the_channels_that_matter_are_those_that_are_multiplied(name):
    torch.manual_seed(0)
    first, second = LAYERS[name]()
    model = nn.Sequential(first, nn.ReLU(), second).eval()
    across = (slice(None),) * (0 if name == "transposed" else 1)
    with torch.no_grad():
        second.weight[(*across, slice(0, 12))] = 0  # the last four alone matter
        maker = first[-1] if isinstance(first, nn.Sequential) else first
        maker.weight.mul_(0.01)  # smaller than all others, were it theirs that count
    x = torch.randn(2, 3, 6, 6)
    supernet = SuperNet(convert(model, x, rules=(Widths(multiple=4),))).eval()
    (decision,) = supernet.space.decisions
    narrow = supernet(x, Architecture({decision.label: 4}))
    torch.testing.assert_close(narrow, model(x), rtol=1e-4, atol=1e-5)


class Functional(nn.Module):
    """Weights of the model's own, multiplied in several ways."""

    def __init__(self, how):
        super().__init__()
        self.words = nn.Embedding(11, 16)
        self.w = nn.Parameter(torch.randn(*((4, 16) if how in ("linear", "turned") else (16, 4))))
        self.how = how

    def forward(self, words):
        x = torch.relu(self.words(words))
        if self.how == "linear":
            return F.linear(x, self.w)
        if self.how == "turned":
            return x @ self.w.t()
        if self.how == "matmul":
            return x @ self.w
        return torch.einsum("bnc,cd->bnd", x, self.w)


@pytest.mark.slow_with("einsum", "matmul", "turned")
@pytest.mark.parametrize("how", ["linear", "turned", "matmul", "einsum"])
def test_the_importance_of_what_is_multiplied_by_weights_of_ones_own(how):
    torch.manual_seed(0)
    model = Functional(how).eval()
    with torch.no_grad():
        (model.w.t() if how in ("linear", "turned") else model.w)[:12] = 0
    x = torch.randint(11, (2, 5))
    supernet = SuperNet(convert(model, x, rules=(Widths(multiple=4),))).eval()
    narrow = supernet(x, Architecture({"words": 4}))
    torch.testing.assert_close(narrow, model(x), rtol=1e-4, atol=1e-5)


class Several(nn.Module):
    """A block that takes its input and positions, and returns its output among other things."""

    def __init__(self, how):
        super().__init__()
        self.fc1, self.fc2, self.how = nn.Linear(16, 24), nn.Linear(24, 16), how
        self.kind = "full"

    def forward(self, x, positions=None, *, mask=None):
        y = self.fc1(x) + positions.sum() if positions is not None else self.fc1(x)
        y = x + self.fc2(F.relu(y if mask is None else y * mask))
        if self.how == "tuple":
            return y, positions, None
        return [positions, y] if self.how == "list" else y


class Calling(nn.Module):
    """Blocks that are called in several ways, and whose attributes are read."""

    def __init__(self, how):
        super().__init__()
        self.stem, self.head, self.how = nn.Linear(6, 16), nn.Linear(16, 3), how
        self.blocks = nn.ModuleList(Several(how) for _ in range(3))

    def forward(self, x):
        x, positions = self.stem(x), torch.linspace(0, 1, 5)
        for block in self.blocks:
            assert block.kind == "full"
            if self.how == "tuple":
                x, positions, _ = block(x, positions)
            elif self.how == "list":
                positions, x = block(x=x, positions=positions)
            elif self.how == "named":
                x = block(x, positions=positions, mask=torch.ones(1))
            else:
                x = block(x, positions)
        return self.head(x)


@pytest.mark.quick_with("several")
@pytest.mark.parametrize("how", ["several", "named", "tuple", "list"])
def test_blocks_of_several_tensors_are_left_out(how):
    torch.manual_seed(0)
    model, x = Calling(how).eval(), torch.randn(4, 6)
    supernet = checked(model, x, depths=(Depths(least=0.0),))
    assert supernet.space.decision("blocks.depth").options == (0, 1, 2, 3)
    supernet.eval()
    none = Architecture({"stem": 16, "blocks.depth": 0})
    torch.testing.assert_close(supernet(x, none), model.head(model.stem(x)))
    assert measure_costs(supernet, x[:1])["macs"].cost(none) == 6 * 16 + 16 * 3


class Regions(nn.Module):
    """Computes a gate without gradients, and sums up in full precision within that."""

    def __init__(self):
        super().__init__()
        self.stem, self.gate = nn.Linear(6, 16), nn.Linear(16, 16)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        x = self.stem(x)
        with torch.no_grad():
            gate = self.gate(x)
            with torch.autocast("cpu", enabled=False):
                gate, total = gate.sigmoid(), gate.sum(1, keepdim=True)
        return self.head(x * gate + total)


def test_regions_without_gradients_and_in_full_precision_are_followed():
    model, x = Regions().eval(), torch.randn(4, 6)
    supernet = checked(model, x)
    assert supernet.space.decision("stem").options == (4, 8, 16)
    narrow = Architecture({"stem": 8})
    macs = measure_costs(supernet, x[:1])["macs"].cost(narrow)
    assert macs == 6 * 8 + 8 * 8 + 8 * 3
