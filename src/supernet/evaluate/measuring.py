"""Scores of ordinary models, under weights of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from supernet.data import Examples, Normalise, chunks
from supernet.evaluate.measure_sums import MeasureSums, Score
from supernet.evaluate.resampling import Array
from supernet.modules.modes import evaluating
from supernet.task import Task, checked_figures, checked_measures
from supernet.task.preference import Preference
from supernet.user_code import calling

__all__ = ["SCORING", "ExampleResults", "example_results", "measure"]

SCORING = "measuring a network"
"""What is said to be done when code of users raises."""


@dataclass(frozen=True)
class ExampleResults:
    """What was measured of each example.

    Attributes:
        name: figure that networks are compared by.
        measures: measures that it is made of, by name, `[examples, ...]`.
        values: the part of each example in the figure, `[examples]`; None where it is no mean over
            examples.
    """

    name: str
    measures: Mapping[str, Array]
    values: Array | None


def measure(
    model: nn.Module, task: Task, examples: Examples, normalise: Normalise, batch_size: int
) -> Score:
    """Return the figures of an ordinary model in evaluation mode, with its own statistics.

    Raises:
        DataError: the task does not measure values per example, or makes no figures of them.
        DivergedError: the loss is not a finite number.
    """
    return _tally(model, task, examples, normalise, batch_size).score()


def example_results(
    model: nn.Module,
    task: Task,
    examples: Examples,
    normalise: Normalise,
    batch_size: int,
    preference: Preference,
) -> tuple[Score, ExampleResults]:
    """Return what `measure` does, and what of each example makes the figure that is compared.

    Args:
        model: ordinary model.
        task: task that measures.
        examples: examples to measure on.
        normalise: normalisation of the examples.
        batch_size: examples in a batch.
        preference: says which figure that is, see `Preference.final`.

    Raises:
        DataError: the task does not measure values per example, or makes no figures of them.
        DivergedError: the loss is not a finite number.
    """
    kept = list[dict[str, torch.Tensor]]()
    tally = _tally(model, task, examples, normalise, batch_size, kept)
    score = tally.score()
    name, means = preference.final(score), tally.means()
    passed_on = checked_figures(task, means)[name] is means.get(name)
    names = [name] if passed_on else list(means)
    each = {one: torch.cat([batch[one] for batch in kept]).double().cpu().numpy() for one in names}
    return score, ExampleResults(name, each, each[name] if passed_on else None)


def _tally(
    model: nn.Module,
    task: Task,
    examples: Examples,
    normalise: Normalise,
    batch_size: int,
    kept: list[dict[str, torch.Tensor]] | None = None,
) -> MeasureSums:
    """Return the sums of all measures; add those of each batch to `kept`, if it is given."""
    tally = MeasureSums(task)
    with calling(SCORING), torch.inference_mode(), evaluating(model):
        for batch in chunks(examples, batch_size, normalise):
            measures = checked_measures(task, model, batch)
            tally.add(measures, len(batch[-1]))
            if kept is not None:
                kept.append(measures)
    return tally
