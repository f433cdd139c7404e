"""What is promised of what a strategy leaves in the supernet and in checkpoints, and learns."""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import nn

from supernet.errors import RoutingError
from supernet.net import SuperNet
from supernet.strategies import Coupled, Strategy
from supernet.task import Batch, Classification, Task
from supernet.testing.promises import expect, promise
from supernet.testing.strategy_case import (
    SEED,
    STEPS,
    StrategyCase,
    learns,
    moments,
    resting,
    trained,
)
from supernet.train import Moment, digest

__all__ = [
    "architecture_parameters_follow_the_examples",
    "it_continues_from_its_state",
    "no_route_outlives_the_step",
    "training_learns",
    "what_it_learned_is_in_the_space",
]


RESTARTS = (4, 9)
"""Steps before which a run of `STEPS` is restored from its state."""


FOLLOWED = 8
"""Steps after which architecture parameters have moved."""


class TaskError(KeyError):
    """What a task of a user may raise."""


class Failing(Task):
    """A task that runs the model and fails."""

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        model(batch[0])
        raise TaskError

    def measure(self, model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        raise NotImplementedError


@promise
def no_route_outlives_the_step(case: StrategyCase) -> None:
    """No route outlives the step, nor one whose task raises an error."""
    supernet = case.supernet()
    strategy = case.strategy(supernet)
    strategy.backward(supernet, Classification(), case.batch, moments()[3])
    for learner in (strategy, resting(strategy)):
        try:
            learner.backward(supernet, Failing(), case.batch, moments()[4])
        except TaskError:
            pass
        else:
            expect(False, "the task's error to be raised", "none")
        open_ones = [choice for choice in supernet.choices if choice.gate is not None]
        expect(not open_ones, "no gates after the error", f"gates of {len(open_ones)} choices")
        try:
            supernet(case.batch[0])
        except RoutingError:
            pass
        else:
            expect(False, "a supernet that has no route after the error", "that it runs")
        modes = [
            name
            for name, module in supernet.named_modules()
            if not (module.training and getattr(module, "track_running_stats", True))
        ]
        expect(not modes, "modules in training mode after the error", f"others: {modes}")


class Training(NamedTuple):
    """All that a checkpoint holds the state of."""

    strategy: Strategy
    weights: SuperNet
    optimizer: torch.optim.Optimizer

    @classmethod
    def begun(cls, case: StrategyCase) -> Training:
        supernet = case.supernet()
        optimizer = case.optimizer(supernet.parameters())
        return cls(case.strategy(supernet, optimizer), supernet, optimizer)

    def states(self) -> dict[str, Mapping[str, Any]]:
        return {
            "strategy": self.strategy.state_dict(),
            "weights": self.weights.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def go_on_from(self, states: Mapping[str, Mapping[str, Any]]) -> None:
        self.strategy.load_state_dict(states["strategy"])
        self.weights.load_state_dict(states["weights"])
        self.optimizer.load_state_dict(dict(states["optimizer"]))

    def run(self, case: StrategyCase, steps: Iterable[int]) -> list[float]:
        losses = []
        for step in steps:
            moment = Moment(step, STEPS, SEED)
            loss = self.strategy.backward(self.weights, Classification(), case.batch, moment)
            losses.append(loss.item())
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        return losses


@promise
def it_continues_from_its_state(case: StrategyCase) -> None:
    """A strategy that is restored from its state continues to the same bits."""

    def results(training: Training, part: range) -> dict[str, object]:
        losses = training.run(case, part)
        found: dict[str, object] = {"losses": losses}
        found |= {f"state of the {name}": digest(s) for name, s in training.states().items()}
        found["metrics"] = training.strategy.metrics()
        found["architectures that were learned"] = training.strategy.learned(training.weights)
        return found

    whole = Training.begun(case)
    whole.run(case, range(RESTARTS[0]))
    for start, end in pairwise((*RESTARTS, STEPS)):
        restored = Training.begun(case)
        restored.go_on_from(_written(whole.states()))
        wanted = results(whole, range(start, end))
        seen = results(restored, range(start, end))
        for what in wanted:
            expect(
                seen[what] == wanted[what],
                f"the {what} {wanted[what]}, when it is restored before step {start}",
                seen[what],
            )


def _written(states: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what a checkpoint gives back of states."""
    file = io.BytesIO()
    torch.save(states, file)
    file.seek(0)
    try:
        return dict(torch.load(file, weights_only=True))
    except pickle.UnpicklingError as error:
        what = str(error).split(". ")[0]  # then torch advises to load what is not safe
        expect(False, "a state of tensors and plain values", what)
        raise


@promise
def what_it_learned_is_in_the_space(case: StrategyCase) -> None:
    """What it learned lies in the space, its metrics are finite numbers and its warnings texts."""
    strategy, supernet = case.first_steps.strategy, case.first_steps.supernet
    learned = strategy.learned(supernet)
    if learns(strategy):
        expect(learned, "architectures", "none, though the strategy has a method `learned`")
    for architecture in learned:
        expect(architecture in supernet.space, "architectures of the space", architecture)
    for name, value in strategy.metrics().items():
        expect(math.isfinite(value), f"a finite number for the metric {name!r}", value)
    for warning in strategy.warnings():
        expect(isinstance(warning, str), "a text for a warning", repr(warning))


@promise
def architecture_parameters_follow_the_examples(case: StrategyCase) -> None:
    """Architecture parameters, where it learns any, follow the examples."""
    if not isinstance(case.make(), Coupled):
        return

    def learned(on: StrategyCase) -> Mapping[str, torch.Tensor]:
        training = Training.begun(on)
        training.run(on, range(FOLLOWED))
        assert isinstance(training.strategy, Coupled)
        return training.strategy.alphas

    examples = replace(case.examples, targets=case.examples.targets.roll(1, 0))
    one, other = learned(case), learned(replace(case, examples=examples))
    same = [label for label in one if torch.equal(one[label], other[label])]
    expect(
        len(same) < len(one),
        f"architecture parameters that differ after {FOLLOWED} steps on other targets",
        f"the same for {same}; does their gradient reach them?",
    )


@promise
def training_learns(case: StrategyCase) -> None:
    """Training with it lowers the loss."""
    if not case.make().of_task:  # its loss depends on what is drawn, and on what the model can do
        return
    first, last = trained(case, Classification())
    expect(last < 0.9 * first, f"less than {0.9 * first:.4g} after 100 steps", f"{last:.4g}")
