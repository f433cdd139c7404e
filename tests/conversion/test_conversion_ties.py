"""Numbers that tie axes, and decisions that close themselves because the code does not follow them."""

from __future__ import annotations

import pytest
import torch
from test_conversion_orders import checked
from torch import nn
from torch.nn import functional as F

from supernet.conversion import Depths, Kernels, Widths, conversion_of, convert
from supernet.net import SuperNet, derive


class Attention(nn.Module):
    """Four heads, whose size is written in several ways."""

    def __init__(self, how):
        super().__init__()
        self.num_heads, self.head_dim, self.dim, self.how = 4, 8, 32, how
        self.shape = (4, 8)
        self.qkv, self.proj = nn.Linear(32, 96), nn.Linear(32, 32)

    def forward(self, x):
        b, n, c = x.shape
        heads = (self.num_heads, self.head_dim)
        if self.how in ("width", "flattened"):
            heads = (self.num_heads, c // self.num_heads)
        elif self.how == "tuple":
            heads = self.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, *heads).permute(2, 0, 3, 1, 4).unbind(0)
        y = ((q @ k.transpose(-2, -1) * q.size(-1) ** -0.5).softmax(-1) @ v).transpose(1, 2)
        if self.how == "width":
            y = y.reshape(b, n, c)
        elif self.how == "attribute":
            y = y.reshape(b, n, self.dim)
        elif self.how == "expression":
            y = y.reshape(b, n, self.num_heads * self.head_dim)
        else:
            y = y.flatten(2)
        return self.proj(y)


class Model(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.stem, self.attention, self.head = nn.Linear(6, 32), Attention(how), nn.Linear(32, 3)

    def forward(self, x):
        x = self.stem(x)
        return self.head(x + self.attention(x))


@pytest.mark.slow_with("expression", "tuple", "width", "flattened")
@pytest.mark.parametrize("how", ["width", "flattened", "attribute", "expression", "tuple"])
def test_ways_to_write_heads(how):
    torch.manual_seed(0)
    supernet = checked(Model(how).eval(), torch.randn(2, 5, 6), fractions=(0.25, 0.5, 1.0))
    options = {d.label: d.options for d in supernet.space.decisions}
    if how in ("width", "flattened"):  # the width is that of all heads
        assert options == {"stem": (1, 2, 4)}
    else:
        assert options == {"stem": (8, 16, 32), "attention.qkv": (1, 2, 4)}
    narrow = derive(supernet, supernet.space.build(lambda d: d.value(range(d.low))))
    assert narrow.stem.out_features == 8
    if how == "tuple":
        assert narrow.attention.shape == (1, 8)
    else:
        assert narrow.attention.num_heads == 1


class OneAttribute(nn.Module):
    """Queries and values have heads of one size, since the code has one attribute for both."""

    def __init__(self):
        super().__init__()
        self.heads, self.size = 2, 8
        self.stem, self.out = nn.Linear(6, 16), nn.Linear(16, 3)
        self.q, self.k, self.v = (nn.Linear(16, 16) for _ in range(3))

    def forward(self, x):
        x = self.stem(x)
        q, k, v = (
            layer(x).view(len(x), -1, self.heads, self.size).transpose(1, 2)
            for layer in (self.q, self.k, self.v)
        )
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        return self.out(y.reshape(len(x), -1, self.heads * self.size))


@pytest.mark.slow
def test_an_attribute_that_is_passed_for_two_axes_ties_them():
    torch.manual_seed(0)
    model, x = OneAttribute().eval(), torch.randn(2, 5, 6)
    rules = (Widths(fractions=(0.5, 1.0), multiple=1, inner=True),)
    supernet = SuperNet(convert(model, x, rules=rules)).eval()
    assert {d.label: d.options for d in supernet.space.decisions} == {
        "stem": (8, 16),
        "q": (1, 2),
        "q.2": (4, 8),
    }
    for architecture in supernet.space:
        torch.testing.assert_close(derive(supernet, architecture)(x), supernet(x, architecture))


class Shape(nn.Module):
    """Sizes that are made of others', and halves of them."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 32), nn.Linear(16, 3)

    def forward(self, x):
        x = self.first(x)
        half = x.shape[-1] // 2
        x = x[..., :half] * torch.sigmoid(x[..., half:])
        return self.second(x + torch.zeros(x.size(-1)) + x.new_ones(len(x), x.shape[-1]))


def test_sizes_that_are_made_of_shapes():
    torch.manual_seed(0)
    supernet = checked(Shape().eval(), torch.randn(4, 6))
    assert {d.label: d.options for d in supernet.space.decisions} == {"first": (4, 8, 16)}


class TwoNumbers(nn.Module):
    """The code ties two widths in a way that no operator shows: each alone may not be narrower."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 16), nn.Linear(6, 16), nn.Linear(6, 16)
        self.heads = nn.ModuleList(nn.Linear(16, 3) for _ in range(3))

    def forward(self, x):
        a, b, c = self.a(x), self.b(x), self.c(x)
        assert a.shape[-1] == b.shape[-1]
        return sum(head(y) for head, y in zip(self.heads, (a, b, c), strict=True))


@pytest.mark.slow
def test_decisions_that_the_code_does_not_follow_alone_are_closed():
    torch.manual_seed(0)
    supernet = checked(TwoNumbers().eval(), torch.randn(4, 6))
    assert {d.label for d in supernet.space.decisions} == {"c"}


class Reader(nn.Module):
    """Reads a part of its first block, as torch's own transformers do."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(6, 16), nn.Linear(16, 3)
        self.blocks = nn.ModuleList(Added() for _ in range(3))

    def forward(self, x):
        x = self.stem(x) * self.blocks[0].layer.weight.abs().mean()
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Added(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(16, 16)

    def forward(self, x):
        return x + self.layer(x)


@pytest.mark.slow
def test_a_depth_that_the_code_around_does_not_follow_is_closed_alone():
    torch.manual_seed(0)
    model, x = Reader().eval(), torch.randn(4, 6)
    supernet = checked(model, x, depths=(Depths(least=0.0),))
    assert {d.label for d in supernet.space.decisions} == {"stem"}
    rows = {row.name: row for row in conversion_of(supernet.model).rows}
    assert "cannot be left out" in rows["blocks"].closed[0]
    supernet = checked(model, x, depths=(Depths(least=0.5),))
    assert supernet.space.decision("blocks.depth").options == (2, 3)


CONVOLUTIONS = {
    "half": ({"padding": 3}, (3, 5, 7)),
    "less than half": ({"padding": 1}, (5, 7)),
    "none": ({}, ()),
    "valid": ({"padding": "valid"}, ()),
    "same": ({"padding": "same"}, (3, 5, 7)),
    "around": ({"padding": 3, "padding_mode": "circular"}, (3, 5, 7)),
    "same, reflected": ({"padding": "same", "padding_mode": "reflect"}, (3, 5, 7)),
    "apart": ({"padding": 3, "dilation": 2}, (5, 7)),
}


@pytest.mark.quick_with("valid")
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_kernels_that_the_padding_leaves_room_for(name):
    options, expected = CONVOLUTIONS[name]
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 7, groups=8, **options), nn.Conv2d(8, 5, 1)
    ).eval()
    x = torch.randn(2, 3, 16, 15)
    rules = (Widths(multiple=4), Kernels(sizes=(3, 5, 7)))
    converted = convert(model, x, rules=rules)
    supernet = SuperNet(converted).eval()
    kernels = [d.options for d in supernet.space.decisions if d.label == "1.kernel"]
    assert kernels == ([expected] if expected else [])
    if not expected:
        rows = {row.name: row for row in conversion_of(converted).rows}
        assert any("no room" in reason for reason in rows["1"].closed)
    for architecture in supernet.space:
        derived = derive(supernet, architecture)
        torch.testing.assert_close(derived(x), supernet(x, architecture))
        assert derived(x).shape == model(x).shape


def test_a_kernel_that_grows_within_padding_of_a_word():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 1),
        nn.Conv2d(8, 8, 3, groups=8, padding="same", padding_mode="replicate"),
        nn.Conv2d(8, 5, 1),
    ).eval()
    x = torch.randn(2, 3, 9, 9)
    supernet = SuperNet(convert(model, x, rules=(Kernels(sizes=(3, 5)),))).eval()
    assert supernet.space.decision("1.kernel").options == (3, 5)
    for architecture in supernet.space:  # the larger kernel has zeros around it
        torch.testing.assert_close(supernet(x, architecture), model(x))
        torch.testing.assert_close(derive(supernet, architecture)(x), model(x))


class Shifted(nn.Module):
    """Moves an eighth of the channels by one place, of however many there are."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Linear(6, 32), nn.Linear(32, 16), nn.Linear(16, 5)

    def forward(self, x):
        x = self.a(x)
        part = x.shape[-1] // 8
        x = torch.cat([x[:, 1:, :part], x[:, :-1, part : 2 * part], x[:, 1:, 2 * part :]], 2)
        return self.head(self.b(x).relu())


def test_a_share_that_code_cuts_of_a_width_closes_it_alone():
    x = torch.randn(2, 5, 6)
    space = convert(Shifted().eval(), x, rules=[Widths(multiple=8)])
    assert [str(d.label) for d in SuperNet(space).space.decisions] == ["b"]
    rows = {row.name: row for row in conversion_of(space).rows}
    assert any("where [2, 4, 4] is meant" in reason for reason in rows["a"].closed)
