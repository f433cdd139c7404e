"""Figures by class, of counts that can be added over examples.

Shapes: counts are `[..., 3, classes]`: how often a class was predicted rightly (hits), how often it was
predicted, and how often it is the target. Their means over examples are as good as the counts, since all
figures are ratios of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from supernet.errors import ConfigError, DataError

__all__ = [
    "ClassWeights",
    "accuracy",
    "balanced_weights",
    "checked_class_weights",
    "checked_weights",
    "f1",
    "iou",
    "mean_ratio",
    "of_classes",
    "recall",
    "weights_like",
]

ClassWeights = Sequence[float] | Literal["balanced"] | None
"""Weights of classes as options say them."""


def of_classes(predicted: Tensor, targets: Tensor, classes: int) -> Tensor:
    """Return the counts of each example, `[batch, 3, classes]`.

    Args:
        predicted: predicted class numbers, `[batch]` or `[batch, n]`; those of `classes` and above are
            not counted.
        targets: class numbers, of the same shape; likewise.
        classes: number of classes.
    """
    hits = torch.where(predicted == targets, targets, classes)
    return torch.stack([_counted(one, classes) for one in (hits, predicted, targets)], 1)


def accuracy(counts: Tensor) -> Tensor:
    """Return the share of all that was predicted rightly, a scalar."""
    hits, _, actual = counts.unbind(-2)
    return hits.sum() / actual.sum().clamp(min=torch.finfo(actual.dtype).tiny)


def f1(counts: Tensor, micro: bool = False) -> Tensor:
    """Return the harmonic mean of precision and recall, a scalar.

    Args:
        counts: `[3, classes]`.
        micro: compute it of the counts of all classes together, instead of the mean over the classes
            that are predicted or targets.
    """
    hits, predicted, actual = (counts.sum(-1, keepdim=True) if micro else counts).unbind(-2)
    return mean_ratio(2 * hits, predicted + actual)


def recall(counts: Tensor) -> Tensor:
    """Return the mean, over the classes that are targets, of the share that was found, a scalar."""
    hits, _, actual = counts.unbind(-2)
    return mean_ratio(hits, actual)


def iou(counts: Tensor) -> Tensor:
    """Return the mean of intersection over union, over the classes that are predicted or targets."""
    hits, predicted, actual = counts.unbind(-2)
    return mean_ratio(hits, predicted + actual - hits)


def _counted(numbers: Tensor, classes: int) -> Tensor:
    """Return how often each class number is there, `[batch, classes]`."""
    numbers = numbers.reshape(len(numbers), -1).clamp(max=classes)
    found = torch.zeros(len(numbers), classes + 1, dtype=torch.int64, device=numbers.device)
    return found.scatter_add_(1, numbers, torch.ones_like(numbers))[:, :classes].float()


def mean_ratio(parts: Tensor, wholes: Tensor) -> Tensor:
    """Return the mean of ratios whose denominator is above 0, a scalar; 0 where there is none."""
    known = wholes > 0
    ratios = torch.where(known, parts / torch.where(known, wholes, 1), 0)
    return ratios.sum() / known.sum().clamp(min=1)


def checked_weights(name: str, weights: Sequence[float] | None) -> tuple[float, ...] | None:
    """Return weights of classes, checked.

    Raises:
        ConfigError: they are none, or one is no number of at least 0.
    """
    if weights is None:
        return None
    found = tuple(weights) if isinstance(weights, Sequence) else ()
    numbers = all(isinstance(one, int | float) and 0 <= one < float("inf") for one in found)
    if not numbers or not any(found):
        raise ConfigError(
            f"{name} is a list of one weight for each, at least 0 and not all 0, such as [1.0, 2.5], "
            f"not {weights!r}"
        )
    return found


def checked_class_weights(weights: ClassWeights) -> tuple[float, ...] | Literal["balanced"] | None:
    """Return `class_weights`, checked.

    Raises:
        ConfigError: they are neither weights nor "balanced".
    """
    if weights == "balanced":
        return "balanced"
    if isinstance(weights, str):
        raise ConfigError(
            f'class_weights are "balanced", or a list of numbers such as [1.0, 2.5], not {weights!r}'
        )
    return checked_weights("class_weights", weights)


def balanced_weights(targets: Tensor, classes: int) -> tuple[float, ...]:
    """Return n / (k · n_c) for each class, so that all have the same share of a loss.

    n is the number of targets, k that of classes that are among them and n_c that of class c, as in
    scikit-learn's `class_weight="balanced"`; 0 of a class that no target is.

    Args:
        targets: class numbers, int64 `[n]`.
        classes: number of classes.
    """
    found = torch.bincount(targets, minlength=classes).double()
    weights = len(targets) / (torch.count_nonzero(found) * found)
    return tuple(torch.where(found > 0, weights, 0).tolist())


def weights_like(
    name: str, weights: tuple[float, ...] | Literal["balanced"] | None, outputs: Tensor
) -> Tensor | None:
    """Return weights as a tensor on the device of outputs `[batch, classes, ...]`.

    Raises:
        ConfigError: they depend on targets, and these are not known.
        DataError: there are not as many as classes.
    """
    if weights is None:
        return None
    if weights == "balanced":
        raise ConfigError(
            f"{name} 'balanced' depends on the targets that are trained on; outside of a run take the "
            "task for them, task = task.of_targets(targets, classes)"
        )
    if len(weights) != outputs.shape[1]:
        raise DataError(
            f"{name} has {len(weights)} weights, but the model's outputs are {list(outputs.shape)}, of "
            f"{outputs.shape[1]}; give one weight for each"
        )
    return torch.tensor(weights, dtype=outputs.dtype, device=outputs.device)
