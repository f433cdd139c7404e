"""What a task measures, checked: values per example, and figures of their means over all examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from supernet.errors import DataError
from supernet.task.base import Batch, Task
from supernet.user_code import calling

__all__ = ["batch_figures", "checked_figures", "checked_measures"]


def checked_measures(task: Task, model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
    """Return the task's measures of a batch, each a floating tensor `[batch, ...]` on its device.

    The checks read no value, so they cost nothing.

    Raises:
        DataError: a measure is anything else, or "loss" `[batch]` is not among them.
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
    if measures["loss"].ndim > 1:
        raise DataError(
            f"the measure 'loss' of {name} must be one number per example, [{len(targets)}], but has "
            f"the shape {list(measures['loss'].shape)}; take the mean over all other axes, such as "
            "loss.flatten(1).mean(1)"
        )
    return dict(measures)


def checked_figures(task: Task, means: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the task's figures of means over all examples, each a scalar.

    A figure that is a mean over examples is the very tensor that was given.

    Raises:
        CodeError: the task's own `figures` raised something.
        DataError: a figure is no scalar, or "loss" is not among them.
    """
    name = type(task).__name__
    with calling(f"{name}.figures(means)"):
        figures = task.figures(means)
    if not isinstance(figures, Mapping) or "loss" not in figures:
        given = list(figures) if isinstance(figures, Mapping) else type(figures).__name__
        raise DataError(
            f"{name}.figures returns a dictionary of numbers, 'loss' among them, but it returned "
            f"{given}; add 'loss', which is means['loss']"
        )
    for key, value in figures.items():
        _check_figure(name, key, value, means)
    return dict(figures)


def batch_figures(
    task: Task, batches: Sequence[Mapping[str, torch.Tensor]]
) -> dict[str, torch.Tensor]:
    """Return the task's figures of some batches, each of which counts alike.

    Args:
        task: task that measured them.
        batches: measures of each, `[batch, ...]`.

    Raises:
        DataError: see `checked_figures`.
    """
    means = {
        name: torch.stack([one[name].mean(0) for one in batches]).mean(0) for name in batches[0]
    }
    return checked_figures(task, means)


def _check(what: str, value: object, targets: torch.Tensor) -> None:
    """Check one measure.

    Raises:
        DataError: it is no floating tensor `[batch, ...]` on the device of the batch.
    """
    count = len(targets)
    needed = f"must be values per example, a floating tensor [{count}] or [{count}, ...]"
    if not isinstance(value, torch.Tensor):
        raise DataError(
            f"{what} {needed} on {targets.device}, but is {type(value).__name__}; return the values of "
            "the examples, not their mean"
        )
    if value.ndim == 0 or len(value) != count:
        advice = (
            "return the values of the examples (a loss with reduction='none'); a number of a whole "
            "batch, such as F1, is no mean over examples: measure the counts that it is made of, and "
            "compute it in a method figures(means)"
            if value.ndim == 0
            else "return the values of each of the examples"
        )
        raise DataError(f"{what} {needed}, but has the shape {list(value.shape)}; {advice}")
    if not value.is_floating_point():
        raise DataError(f"{what} {needed}, but is {value.dtype}; return value.float()")
    if value.device != targets.device:
        raise DataError(
            f"{what} {needed} on {targets.device}, where the batch is, but is on {value.device}; "
            "return it without moving it"
        )


def _check_figure(name: str, key: str, value: object, means: Mapping[str, torch.Tensor]) -> None:
    """Check one figure.

    Raises:
        DataError: it is no scalar.
    """
    if not isinstance(value, torch.Tensor):
        raise DataError(
            f"the figure {key!r} of {name} must be a tensor of one number, but is "
            f"{type(value).__name__}; compute it with tensors, without float() or item()"
        )
    if value.ndim == 0:
        return
    if value is means.get(key):
        shape = ", ".join(map(str, value.shape))
        raise DataError(
            f"the measure {key!r} of {name} is [batch, {shape}], so its mean over all examples is no "
            f"number that could be reported; give {name} a method figures(means) that makes numbers of "
            "it and leaves it out, or take the mean over all other axes in measure, such as "
            "value.flatten(1).mean(1)"
        )
    raise DataError(
        f"the figure {key!r} of {name} must be one number, but has the shape {list(value.shape)}; take "
        "the mean of it, or return several figures"
    )
