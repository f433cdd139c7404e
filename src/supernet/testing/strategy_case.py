"""A strategy with all that it is tested on, and what tests of it have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from supernet.cost import CostTable, measure_costs
from supernet.data import Examples, Loader, Normalise
from supernet.net import SuperNet
from supernet.strategies import Coupled, SinglePath, Strategy, TrainingContext
from supernet.task import Batch, Classification, Task
from supernet.testing.promises import stirred
from supernet.train import Moment, OptimizerFactory

__all__ = [
    "SEED",
    "STEPS",
    "FirstSteps",
    "Gradients",
    "StrategyCase",
    "adam",
    "gradients",
    "learns",
    "moments",
    "resting",
    "trained",
]

STEPS = 12
SEED = 4
SEARCHED = 200
"""The last examples, which are the search split."""

Gradients = dict[str, torch.Tensor | None]


def adam(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Return the optimizer that strategies are trained with unless another is given."""
    return torch.optim.Adam(parameters, lr=0.03)


@dataclass(frozen=True)
class FirstSteps:
    """What a fresh strategy did in the steps of a short run in which no optimizer moved the weights.

    Attributes:
        strategy: strategy after the last step.
        supernet: supernet after the last step.
        losses: loss that each step returned.
        gradients: gradients that each step left, by the name of the parameter.
    """

    strategy: Strategy
    supernet: SuperNet
    losses: list[torch.Tensor]
    gradients: list[Gradients]


@dataclass
class StrategyCase:
    """A strategy with what it is tested on.

    Attributes:
        make: function that makes the strategy, a new one each time.
        model: function that makes the model, whose inputs are as those of `examples`.
        examples: with classes, 250 or more; the last 200 are the search split.
        optimizer: function that makes the optimizer of the weights, where more than one step is
            taken.
    """

    make: Callable[[], Strategy]
    model: Callable[[], nn.Module]
    examples: Examples
    optimizer: OptimizerFactory = adam

    @property
    def name(self) -> str:
        """The class of the strategy."""
        return type(self.make()).__name__

    @cached_property
    def inputs(self) -> torch.Tensor:
        """The inputs as networks see them, [n, ...]."""
        found = Normalise.of(self.examples)(self.examples.tensor())
        assert isinstance(found, torch.Tensor)  # the models of the contract take one input
        return found

    @property
    def batch(self) -> Batch:
        """The first 32 examples."""
        return self.inputs[:32], self.examples.targets[:32]

    @cached_property
    def costs(self) -> dict[str, CostTable]:
        """The cost tables of the supernet."""
        return dict(measure_costs(self.supernet(), self.inputs[:1]))

    @cached_property
    def first_steps(self) -> FirstSteps:
        """A run of `STEPS` steps that several promises are asked of."""
        return self.steps_of(range(STEPS))

    def steps_of(self, order: Iterable[int], seed: int = SEED, state: int = 0) -> FirstSteps:
        """Return what a fresh strategy does in some steps of a short run.

        Args:
            order: numbers of the steps, in the order in which they are taken.
            seed: seed of the run.
            state: seed of the global random states, which a step must not depend on.
        """
        supernet = self.supernet()
        found = FirstSteps(self.strategy(supernet, seed=seed), supernet, [], [])
        for step in order:
            with stirred(state + step):
                moment = Moment(step, STEPS, seed)
                loss = found.strategy.backward(supernet, Classification(), self.batch, moment)
            found.losses.append(loss)
            found.gradients.append(gradients(supernet))
        return found

    def supernet(self) -> SuperNet:
        """Return a supernet with the same weights each time, in training mode."""
        with stirred(0):
            return self.make().build(self.model()).train()

    def strategy(
        self,
        supernet: SuperNet,
        optimizer: torch.optim.Optimizer | None = None,
        seed: int = SEED,
        targets: torch.Tensor | None = None,
    ) -> Strategy:
        """Return a strategy that is ready to train a supernet.

        Args:
            supernet: supernet that the strategy trains.
            optimizer: optimizer that moves the weights; SGD if it is of no concern.
            seed: seed of the run.
            targets: other ones than those of the examples, [n, ...].
        """
        strategy = self.make()
        targets = self.examples.targets if targets is None else targets
        split = Examples(self.inputs[-SEARCHED:], targets[-SEARCHED:])
        loader = Loader(split, 16, seed, purpose="search")
        strategy.prepare(supernet, TrainingContext(seed, self.costs, search=loader))
        strategy.start(optimizer or torch.optim.SGD(supernet.parameters(), lr=0.05))
        return strategy

    def resting(self, supernet: SuperNet) -> Strategy:
        """Return a strategy that learns no architecture, only weights."""
        return resting(self.strategy(supernet))


def resting(strategy: Strategy) -> Strategy:
    """Return the strategy; it learns no architecture any more, only weights."""
    if isinstance(strategy, Coupled):
        strategy.alpha_rests = lambda moment: True  # type: ignore[method-assign]
    if isinstance(strategy, SinglePath):  # its cost is a function of the weights
        strategy.weight = 0.0
    return strategy


def moments(seed: int = SEED) -> list[Moment]:
    """Return the steps of a short run."""
    return [Moment(step, STEPS, seed) for step in range(STEPS)]


def gradients(supernet: nn.Module) -> Gradients:
    """Return the gradients, and reset them to None."""
    found = {name: parameter.grad for name, parameter in supernet.named_parameters()}
    supernet.zero_grad(set_to_none=True)
    return found


def learns(strategy: Strategy) -> bool:
    """Return whether a strategy learns the architecture."""
    return type(strategy).learned is not Strategy.learned


def trained(
    case: StrategyCase, task: Task, targets: torch.Tensor | None = None, steps: int = 100
) -> tuple[float, float]:
    """Train through the first tenth of a long run; return the mean loss at its start and its end.

    Args:
        case: strategy to train, with what it is tested on.
        task: the loss.
        targets: other ones than those of the examples, [n, ...].
        steps: how many, of 32 examples each.
    """
    supernet, losses = case.supernet(), []
    optimizer = case.optimizer(supernet.parameters())
    strategy = case.strategy(supernet, optimizer, targets=targets)
    targets = case.examples.targets if targets is None else targets
    parts = min(40, len(targets) // 32)
    for step in range(steps):
        part = slice(32 * (step % parts), 32 * (step % parts) + 32)
        batch = case.inputs[part], targets[part]
        losses.append(strategy.backward(supernet, task, batch, Moment(step, 10 * steps, SEED)))
        nn.utils.clip_grad_norm_(supernet.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    found = torch.stack(losses)
    return float(found[:10].mean()), float(found[-10:].mean())
