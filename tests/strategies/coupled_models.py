"""A small supernet that counts what runs, and what a run tells a coupled strategy."""

import torch
from torch import nn

from supernet.choice import Choice
from supernet.cost import measure_costs
from supernet.data import Examples, Loader
from supernet.strategies import TrainingContext
from supernet.task import Task
from supernet.train import Moment

BATCH = torch.linspace(-1, 2, 24).reshape(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
"""Training examples of `Chain`."""


class Counting(nn.Module):
    """A module that counts its calls."""

    def __init__(self, module):
        super().__init__()
        self.module, self.calls = module, 0

    def forward(self, x):
        self.calls += 1
        return self.module(x)


def layer():
    return Counting(nn.Sequential(nn.Linear(4, 4), nn.Tanh()))


class Chain(nn.Module):
    """A decision of three options, and one whose first option holds another."""

    def __init__(self):
        super().__init__()
        inner = Choice({"p": layer(), "q": layer()}, label="inner")
        three = {"a": layer(), "b": layer(), "skip": Counting(nn.Identity())}
        self.first = Choice(three, label="first")
        self.outer = Choice({"deep": nn.Sequential(layer(), inner), "flat": layer()}, label="outer")
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.outer(self.first(x)))


class Factors(nn.Module):
    """One decision between constant factors."""

    def __init__(self, *factors):
        super().__init__()
        self.pick = Choice([Times(factor) for factor in factors], label="pick")

    def forward(self, x):
        return self.pick(x)


class Times(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(float(factor)))

    def forward(self, x):
        return self.factor * x


class Mean(Task):
    """The loss is the mean output: linear in the gates of `Factors`."""

    def loss(self, model, batch):
        return model(batch[0]).mean()

    def measure(self, model, batch):
        return {"loss": model(batch[0]).mean(1)}


def ready(strategy, model=None, seed=4, inputs=None, start=None):
    """Return a supernet that the strategy is prepared for; `start` are its α by decision."""
    torch.manual_seed(1)
    supernet = strategy.build(Chain() if model is None else model)
    torch.manual_seed(2)
    inputs = torch.randn(64, 4) if inputs is None else inputs
    examples = Examples(inputs, torch.arange(len(inputs)) % 3)
    loader = Loader(examples, 8, seed, purpose="search")
    strategy.prepare(
        supernet, TrainingContext(seed, measure_costs(supernet, inputs[:1]), search=loader)
    )
    with torch.no_grad():
        for label, values in (start or {}).items():
            strategy.alphas[label].copy_(torch.tensor(values))
    for module in supernet.modules():
        if isinstance(module, Counting):
            module.calls = 0
    return supernet


def calls(choice):
    return [sum(m.calls for m in o.modules() if isinstance(m, Counting)) for o in choice.options]


def at(step, steps=11, seed=4):
    return Moment(step, steps, seed)


def values(strategy):
    return {label: alpha.detach().clone() for label, alpha in strategy.alphas.items()}


def moved(strategy, before):
    """Return the decisions whose α moved."""
    return {label for label, a in strategy.alphas.items() if not torch.equal(a, before[label])}
