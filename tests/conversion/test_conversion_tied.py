"""Widths of several layers that are one decision: `uniform` and `square`."""

from __future__ import annotations

import torch
from torch import nn

from supernet.conversion import Depths, Widths, convert
from supernet.cost import count_params, measure_costs
from supernet.net import SuperNet, derive


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, -1, self.size).permute(2, 0, 3, 1, 4).unbind(0)
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).reshape(b, n, -1))


class Block(nn.Module):
    def __init__(self, width, heads, inner):
        super().__init__()
        self.attention = Attention(width, heads)
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x):
        x = x + self.attention(x)
        return x + self.down(self.up(x).relu())


class Tower(nn.Module):
    """Blocks on tokens; the inner width of the last is another one."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(5, 32)
        self.blocks = nn.ModuleList(Block(32, 4, inner) for inner in (64, 64, 48))
        self.head = nn.Linear(32, 3)

    def forward(self, x):
        x = self.embed(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(1))


def opened(fractions=(0.5, 1.0), **options):
    torch.manual_seed(0)
    model, x = Tower().eval(), torch.randn(2, 6, 5)
    rules = [Widths(fractions=fractions, multiple=8, **options), Depths(least=1.0)]
    return model, x, SuperNet(convert(model, x, rules=rules)).eval()


def check(supernet, x):
    """Check that networks compute and cost what is derived of them."""
    costs = measure_costs(supernet, x[:1])
    for architecture in supernet.space:
        network = derive(supernet, architecture).eval()
        with torch.no_grad():
            torch.testing.assert_close(supernet(x, routing=architecture), network(x))
        assert count_params(network) == costs["params"].cost(architecture)


def test_alike_layers_of_repeated_blocks_are_one_decision():
    _, x, supernet = opened(uniform=True)
    assert supernet.space.labels == {
        "embed",
        "blocks.*.attention.qkv",
        "blocks.*.up",
        "blocks.2.up",  # 48 is no width of the others
    }
    check(supernet, x)


def test_each_layer_keeps_its_own_most_important_channels():
    model, _, supernet = opened(uniform=True)
    narrow = supernet.space.build(
        lambda d: d.value([0 if d.label == "blocks.*.up" else len(d.options) - 1])
    )
    network = derive(supernet, narrow)
    for place in (0, 1):
        weights = model.blocks[place].down.weight.abs().sum(0)
        kept = network.blocks[place].down.weight.abs().sum(0)
        torch.testing.assert_close(kept.sort().values, weights.sort().values[-32:])


def test_square_matrices_stay_square():
    _, x, supernet = opened(uniform=True, square=True)
    assert supernet.space.labels == {"blocks.*.attention.qkv", "blocks.*.up", "blocks.2.up"}
    narrow = supernet.space.build(lambda d: d.value([0]))
    assert narrow["blocks.*.attention.qkv"] == 2  # heads of 8 channels each
    network = derive(supernet, narrow)
    assert network.blocks[0].attention.out.weight.shape == (16, 16)
    assert network.blocks[1].attention.qkv.weight.shape == (48, 16)
    assert network.embed.weight.shape == (16, 5)
    check(supernet, x)


def test_square_without_uniform_is_one_decision_over_the_residual():
    _, x, supernet = opened(square=True)
    tied = {label for label in supernet.space.labels if "qkv" in label}
    assert tied == {"blocks.0.attention.qkv"}
    check(supernet, x)


def test_a_size_that_was_scored_is_trained_too():
    _, x, supernet = opened(fractions=(0.25, 0.5, 1.0))
    # Its positions lie apart, heads of queries, keys and values, and are found while it is scored.
    architecture = supernet.space.build(lambda d: d.value([1]))
    with torch.inference_mode():
        supernet(x, routing=architecture)
    supernet(x, routing=architecture).sum().backward()
    assert supernet.model.blocks[0].attention.qkv.weight.grad.abs().sum() > 0
