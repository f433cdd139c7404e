"""Mixtures of experts and state spaces: what is routed by values is open where all experts are alike."""

from __future__ import annotations

import pytest
import torch
from test_conversion_orders import checked
from torch import nn
from torch.nn import functional as F

from supernet.conversion import Depths


class Experts(nn.Module):
    """Each position is sent to the best two of four experts."""

    def __init__(self, how, width=16, hidden=24, experts=4):
        super().__init__()
        self.how = how
        self.gate = nn.Linear(width, experts)
        self.up = nn.Parameter(torch.randn(experts, width, hidden) / 4)
        self.down = nn.Parameter(torch.randn(experts, hidden, width) / 4)

    def forward(self, x):
        weights, chosen = self.gate(x).softmax(-1).topk(2, -1)
        if self.how == "looked up":
            h = torch.einsum("bc,bkch->bkh", x, self.up[chosen])
            y = torch.einsum("bkh,bkhc->bkc", F.relu(h), self.down[chosen])
            return x + (y * weights.unsqueeze(-1)).sum(1)
        gates = torch.zeros(len(x), 4).scatter(-1, chosen, weights)
        if self.how == "all":
            y = torch.matmul(F.relu(torch.matmul(x, self.up)), self.down)
        else:
            y = torch.stack([F.relu(x @ u) @ d for u, d in zip(self.up, self.down, strict=True)])
        return x + (y * gates.t().unsqueeze(-1)).sum(0)


class Routed(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.stem, self.head = nn.Linear(6, 16), nn.Linear(16, 3)
        self.blocks = nn.ModuleList(Experts(how) for _ in range(2))

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


@pytest.mark.quick_with("all")
@pytest.mark.parametrize("how", ["looked up", "all", "one by one"])
def test_widths_of_experts(how):
    torch.manual_seed(0)
    model = Routed(how).eval()
    supernet = checked(model, torch.randn(5, 6), depths=(Depths(least=0.0),))
    options = {d.label: d.options for d in supernet.space.decisions}
    assert options["stem"] == (4, 8, 16)
    assert options["blocks.0"] == (8, 12, 24)
    assert options["blocks.depth"] == (0, 1, 2)


class Selective(nn.Module):
    """A small selective state space: steps, what enters and what leaves depend on the input."""

    def __init__(self, width=16, states=8, rank=4):
        super().__init__()
        self.width, self.states, self.rank = width, states, rank
        self.enter = nn.Linear(6, 2 * width)
        self.conv = nn.Conv1d(width, width, 3, groups=width, padding=2)
        self.select = nn.Linear(width, rank + 2 * states, bias=False)
        self.step = nn.Linear(rank, width)
        self.decay = nn.Parameter(torch.rand(width, states).log())
        self.skip = nn.Parameter(torch.ones(width))
        self.leave = nn.Linear(width, 3)

    def forward(self, x):
        x, gate = self.enter(x).chunk(2, -1)
        x = F.silu(self.conv(x.transpose(1, 2))[..., : x.shape[1]]).transpose(1, 2)
        step, b, c = self.select(x).split([self.rank, self.states, self.states], -1)
        step = F.softplus(self.step(step)).unsqueeze(-1)
        kept = torch.exp(-step * self.decay.exp())
        added = step * b.unsqueeze(2) * x.unsqueeze(-1)
        state, found = x.new_zeros(len(x), x.shape[2], self.states), []
        for place in range(x.shape[1]):
            state = kept[:, place] * state + added[:, place]
            found.append((state * c[:, place, None]).sum(-1))
        y = torch.stack(found, 1) + x * self.skip
        return self.leave(y * F.silu(gate))


@pytest.mark.slow
def test_a_state_space():
    torch.manual_seed(0)
    supernet = checked(Selective().eval(), torch.randn(2, 5, 6), fractions=(0.5, 1.0))
    options = {d.label: d.options for d in supernet.space.decisions}
    assert options["enter"] == (8, 16)
    assert (4, 8) in options.values()  # the states, of one size for what enters and leaves
