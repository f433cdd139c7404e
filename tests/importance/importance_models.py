"""Small models, and what they compute when each channel that is read is multiplied by a gate."""

from __future__ import annotations

import copy
from functools import cache

import torch
from torch import nn
from torch.nn import functional as F

import supernet as sn
from supernet.conversion import Widths
from supernet.conversion.trial_networks import largest
from supernet.elastic.importance import channel_importances


class Branches(nn.Module):
    """Channels of `first` that two convolutions read, one of them of two groups; a depthwise one."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.wide = nn.Conv2d(8, 6, 3)
        self.deep = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.point = nn.Conv2d(8, 6, 1, bias=False)
        self.last = nn.Linear(6, 3)

    def forward(self, x, gates=None):
        one = dict.fromkeys(("first", "wide"), torch.ones(()))
        gates = {name: g.view(-1, 1, 1) for name, g in (gates or one).items()}
        y = torch.relu(self.norm(self.first(x))) * gates["first"]
        z = self.deep(torch.relu(self.wide(y))) + F.avg_pool2d(self.point(y), 3, 1)
        return self.last((torch.relu(z) * gates["wide"]).mean((2, 3)))


class Heads(nn.Module):
    """Attention of four heads of three numbers, and seven neurons that a weight of its own reads."""

    def __init__(self):
        super().__init__()
        self.heads = 4
        self.qkv = nn.Linear(5, 36)
        self.out = nn.Linear(12, 5)
        self.up = nn.Linear(5, 7)
        self.down = nn.Parameter(torch.randn(7, 3))

    def forward(self, x, gates=None):
        gates = gates or {"qkv": torch.ones(()), "up": torch.ones(())}
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v) * gates["qkv"].view(-1, 1, 1)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        return ((F.gelu(self.up(x)) * gates["up"]) @ self.down).mean(1)


SIZES = {Branches: {"first": 8, "wide": 6}, Heads: {"qkv": 4, "up": 7}}


def made(kind, seed=0, rows=12):
    """Return a model of a kind with random weights, batches of five or less, and all inputs, labels."""
    torch.manual_seed(seed)
    model = kind()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    inputs = torch.randn(rows, 2, 6, 6) if kind is Branches else torch.randn(rows, 6, 5)
    model(inputs)  # statistics of batch norm that differ by channel
    labels = torch.randint(3, (rows,))
    return model.eval(), list(zip(inputs.split(5), labels.split(5), strict=True))


def converted(model, batches, sort=False):
    """Return a model whose widths are all open, with its channels as they are."""
    return sn.convert(model, batches[0][0][:2], rules=[Widths(multiple=1)], sort=sort)


def measured(model, batches, importance):
    """Return the importances of the channels of a converted model, by label."""
    space = copy.deepcopy(_spaces(type(model)))
    space.load_state_dict(model.state_dict())
    supernet = sn.SuperNet(space)
    with supernet.route(largest(supernet)):
        return channel_importances(supernet.model, importance)


@cache
def _spaces(kind):
    """Return a converted model of a kind, whose weights are replaced."""
    return converted(*made(kind))
