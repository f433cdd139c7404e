"""Whether a training diverged: at which step, with which options, and what helps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from supernet.errors import ConfigError, DivergedError
from supernet.modules.outputs import output_text

__all__ = ["Divergence"]


@dataclass(frozen=True)
class Divergence:
    """Says so where losses or weights of a training are not finite.

    Attributes:
        steps: number of all steps.
        warmup: share of the steps over which the learning rate rises.
        clip: largest gradient norm, or None.
        peak: the highest learning rate.
    """

    steps: int
    warmup: float
    clip: float | None
    peak: float

    @contextmanager
    def at(self, step: int) -> Iterator[None]:
        """Say at which step it was that a learner found itself diverged."""
        try:
            yield
        except DivergedError as error:
            raise DivergedError(f"at step {step} of {self.steps:,}: {error}") from error

    def mean(self, losses: Sequence[torch.Tensor], step: int) -> float:
        """Return the mean of the losses of the steps up to this one, the first step being 1.

        Raises:
            ConfigError: they are no tensors of one number.
            DivergedError: one is not finite.
        """
        for loss in losses:
            if not isinstance(loss, torch.Tensor) or loss.ndim:
                raise ConfigError(
                    "backward(...) of the strategy must return the loss of a step, a tensor of one "
                    f"number, but it returned {output_text(loss)}"
                )
        each = torch.stack(list(losses))
        mean = each.mean().item()
        if not math.isfinite(mean):
            # The first one, where only their sum is infinite.
            first = int((~torch.isfinite(each)).int().argmax())
            number = step - len(losses) + first + 1
            raise self._error(f"the loss is {each[first].item()} at step {number}", number)
        return mean

    def check_weights(self, model: nn.Module, step: int) -> None:
        """Look at all weights and statistics.

        Raises:
            DivergedError: a number is not finite.
        """
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise self._error(f"{name} is not finite at step {step}", step)

    def _error(self, what: str, step: int) -> DivergedError:
        if step == 1:
            return DivergedError(
                f"{what} of {self.steps:,}, before anything was learned: not the training is to blame, "
                "but the model with its first weights, the loss, or the inputs. Mend what gives no "
                "finite number"
            )
        unclipped = "gradients are not clipped"
        clip = unclipped if self.clip is None else f"gradients are clipped to {self.clip:g}"
        return DivergedError(
            f"{what} of {self.steps:,} (learning rate {self.peak:g} at its peak, warm-up over "
            f"{self.warmup:g} of the steps, {clip}). An earlier checkpoint, if there is one, is intact; "
            "a smaller learning rate, a longer warm-up or stronger gradient clipping usually helps"
        )
