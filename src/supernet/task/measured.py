"""What a task measures, checked: one value per example, or a mean over examples means nothing."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from supernet.errors import DataError
from supernet.task.base import Batch, Task

__all__ = ["checked_measures"]


def checked_measures(task: Task, model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
    """Return the task's measures of a batch, each a floating tensor `[batch]` on its device.

    The checks read no value, so they cost nothing.

    Raises:
        DataError: a measure is anything else, or "loss" is not among them.
    """
    measures, targets = task.measure(model, batch), batch[-1]
    name = type(task).__name__
    if not isinstance(measures, Mapping) or "loss" not in measures:
        given = list(measures) if isinstance(measures, Mapping) else type(measures).__name__
        raise DataError(
            f"{name}.measure returns a dictionary of measures per example, and the measure 'loss' is "
            f"needed to tell networks apart, but it returned {given}; add 'loss', for instance "
            "cross_entropy(logits, targets, reduction='none')"
        )
    for key, value in measures.items():
        _check(f"the measure {key!r} of {name}", value, targets)
    return dict(measures)


def _check(what: str, value: object, targets: torch.Tensor) -> None:
    """Check one measure.

    Raises:
        DataError: it is no floating tensor `[batch]` on the device of the batch.
    """
    count, needed = (
        len(targets),
        f"must be one number per example, a floating tensor [{len(targets)}]",
    )
    if not isinstance(value, torch.Tensor):
        raise DataError(
            f"{what} {needed} on {targets.device}, but is {type(value).__name__}; return the values of "
            "the examples, not their mean"
        )
    if value.shape != (count,):
        advice = (
            "return the values of the examples (a loss with reduction='none'); a number of a whole "
            "batch, such as F1, is no mean over examples and cannot be a measure"
            if value.ndim == 0
            else "take the mean over all other axes, such as value.flatten(1).mean(1)"
            if value.ndim > 1 and len(value) == count
            else "return one value for each of the examples"
        )
        raise DataError(f"{what} {needed}, but has the shape {list(value.shape)}; {advice}")
    if not value.is_floating_point():
        raise DataError(f"{what} {needed}, but is {value.dtype}; return value.float()")
    if value.device != targets.device:
        raise DataError(
            f"{what} {needed} on {targets.device}, where the batch is, but is on {value.device}; "
            "return it without moving it"
        )
