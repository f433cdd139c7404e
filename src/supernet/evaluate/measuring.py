"""Scores of ordinary models, under weights of their own."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from supernet.data import Examples, Normalise, chunks
from supernet.evaluate.measure_sums import MeasureSums, Score
from supernet.modules.modes import evaluating
from supernet.task import Task, checked_measures
from supernet.user_code import calling

__all__ = ["SCORING", "example_results", "measure"]

SCORING = "measuring a network"
"""What is said to be done when code of users raises."""


def measure(
    model: nn.Module, task: Task, examples: Examples, normalise: Normalise, batch_size: int
) -> Score:
    """Return the measures of an ordinary model in evaluation mode, with its own statistics.

    Raises:
        DataError: the task does not measure one value per example.
        DivergedError: the loss is not a finite number.
    """
    return example_results(model, task, examples, normalise, batch_size)[0]


def example_results(
    model: nn.Module, task: Task, examples: Examples, normalise: Normalise, batch_size: int
) -> tuple[Score, np.ndarray]:
    """Return what `measure` does, and of each example what networks are ranked by, `[examples]`.

    That is the accuracy, or the loss where there is none.

    Raises:
        DataError: the task does not measure one value per example.
        DivergedError: the loss is not a finite number.
    """
    each = list[torch.Tensor]()
    tally = MeasureSums(each=each)
    with calling(SCORING), torch.inference_mode(), evaluating(model):
        for batch in chunks(examples, batch_size, normalise):
            tally.add(checked_measures(task, model, batch), len(batch[-1]))
    return tally.score(), torch.cat(each).double().cpu().numpy()
