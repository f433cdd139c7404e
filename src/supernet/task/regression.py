"""Regression: one or several numbers of an example."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from supernet.errors import ConfigError, DataError
from supernet.task import counts
from supernet.task.base import Batch, Task, outputs_of

__all__ = ["Regression"]

Loss = Literal["mse", "mae", "huber"]


class Regression(Task):
    """The model maps inputs to numbers `[batch]` or `[batch, k]`; targets are floats of this shape.

    Outputs `[batch, 1]` for targets `[batch]` are taken as `[batch]`. Figures over the whole data set
    are "rmse" (the root of the mean squared error), "mae" (the mean absolute error), both over all k
    numbers, and "r2" (the share of the variance that is explained, 1 at best; the mean over those of the
    k numbers whose targets vary).

    Args:
        loss: "mse", the squared error; "mae", the absolute one; or "huber", squared up to `delta` and
            linear from there.
        delta: error from which Huber's loss is linear.

    Raises:
        ConfigError: there is no such loss, or delta is not above 0.
    """

    lower_is_better = ("loss", "rmse", "mae")
    mixes = False

    def __init__(self, loss: Loss = "mse", delta: float = 1.0) -> None:
        if loss not in get_args(Loss):
            raise ConfigError(f"loss is one of {', '.join(get_args(Loss))}, not {loss!r}")
        if not 0 < delta < math.inf:
            raise ConfigError(f"delta is an error above 0, not {delta}")
        self.kind = loss
        self.delta = delta

    def outputs(self, targets: Tensor) -> int | None:
        """Return the number of numbers of an example."""
        wanted = targets.is_floating_point() and targets.ndim in (1, 2)
        return (targets.shape[1] if targets.ndim == 2 else 1) if wanted else None

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the loss, a mean over examples and numbers.

        Raises:
            DataError: targets or outputs have another shape or type.
        """
        return self._losses(*_predicted(model, batch)).mean()

    def measure(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return "loss" and "mae" `[batch]`, and what the other figures are made of.

        "moments" are the squared error, the target and its square, `[batch, 3, k]`.
        """
        outputs, targets = _predicted(model, batch)
        precise = targets.double()
        squared = (outputs.double() - precise).square()
        return {
            "loss": self._losses(outputs, targets).mean(1),
            "mae": (outputs - targets).abs().mean(1),
            "moments": torch.stack([squared, precise, precise.square()], 1),
        }

    def figures(self, means: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the loss, "rmse", "mae" and "r2"."""
        squared, target, target_squared = means["moments"].unbind(0)
        variance = (target_squared - target.square()).clamp(min=0)
        # What is left of the difference of two large numbers may be rounding alone.
        varies = variance > 1e-12 * target_squared
        explained = counts.mean_ratio(variance - squared, torch.where(varies, variance, 0))
        return {
            "loss": means["loss"],
            "rmse": squared.mean().sqrt(),
            "mae": means["mae"],
            "r2": explained,
        }

    def _losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each number, `[batch, k]`."""
        if self.kind == "huber":
            return F.huber_loss(outputs, targets, reduction="none", delta=self.delta)
        loss = F.mse_loss if self.kind == "mse" else F.l1_loss
        return loss(outputs, targets, reduction="none")


def _predicted(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return outputs and targets `[batch, k]`, checked (free of cost: no value is read).

    Raises:
        DataError: these are no floats `[batch]` or `[batch, k]`, of one shape.
    """
    targets = batch[-1]
    if targets.ndim not in (1, 2) or not targets.is_floating_point():
        advice = (
            "use the task classification for class numbers, or give targets.float()"
            if targets.ndim < 3
            else "give targets.flatten(1) for so many numbers, or use another task"
        )
        raise DataError(
            "regression needs the numbers of each example, floats [batch] or [batch, k], but the "
            f"targets are {targets.dtype} {list(targets.shape)}; {advice}"
        )
    outputs = outputs_of(model, batch)
    shape = list(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
    count = targets.shape[1] if targets.ndim == 2 else 1
    if shape != list(targets.shape) and (targets.ndim == 2 or shape != [len(targets), 1]):
        raise DataError(
            f"regression needs outputs of the shape of the targets, {list(targets.shape)}, but the "
            f"model returned {shape}; give it {count} output{'' if count == 1 else 's'}, such as "
            f"--model.classes {count}"
        )
    return outputs.reshape(len(targets), -1), targets.to(outputs.dtype).reshape(len(targets), -1)
