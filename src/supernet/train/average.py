"""Averaged weights: what is used in the end is a moving average over the steps, not the last step.

The exponential moving average of Polyak and Juditsky (1992), as Tarvainen and Valpola, "Mean teachers"
(2017), use it: after step t, average ← d_t · average + (1 − d_t) · weights. As in TensorFlow and timm,
d_t = min(decay, (1 + t) / (10 + t)) with t = 1 at the first step, so that the first weights are soon
forgotten.

A step moves few of a supernet's parameters, and only these are touched: a parameter that stayed where
it was for k steps is caught up with in one go before it moves again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any

import torch
from torch import nn

from supernet.errors import ConfigError

__all__ = ["MovingAverage"]


class MovingAverage:
    """The moving average of parameters.

    Args:
        parameters: parameters, by name; the average starts at their values.
        decay: d, in (0, 1): the average is over about 1 / (1 − d) steps.

    Raises:
        ConfigError: the decay is out of range.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        if not 0 < decay < 1:
            raise ConfigError(f"ema is the decay of a moving average, in (0, 1), not {decay}")
        self._parameters = dict(parameters)
        self._average = {name: p.detach().clone() for name, p in parameters.items()}
        self._since = dict.fromkeys(self._parameters, 0)
        rising = math.ceil((10 * decay - 1) / (1 - decay))  # steps until d_t is the decay
        logs = (math.log(min(decay, (1 + t) / (10 + t))) for t in range(1, rising + 1))
        self._rising = list(accumulate(logs, initial=0.0))
        self._log = math.log(decay)

    def before_move(self, step: int) -> None:
        """Catch up with the parameters that are about to move: those that have a gradient.

        Args:
            step: number of steps done before.
        """
        self._catch_up([n for n, p in self._parameters.items() if p.grad is not None], step)

    @contextmanager
    def in_place(self, step: int) -> Iterator[None]:
        """Within the block the parameters are the average.

        Args:
            step: number of steps done.
        """
        kept = {name: p.detach().clone() for name, p in self._parameters.items()}
        try:
            self.take(step)
            yield
        finally:
            _set(self._parameters, kept)

    def take(self, step: int) -> None:
        """Make the parameters the average.

        Args:
            step: number of steps done.
        """
        self._catch_up(list(self._parameters), step)
        _set(self._parameters, self._average)

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` continues from."""
        return {"average": self._average, "since": self._since}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        _set(self._average, state["average"])
        self._since = dict(state["since"])

    def _catch_up(self, names: Sequence[str], step: int) -> None:
        """Let the average take in what parameters were since it last did."""
        names = [name for name in names if self._since[name] < step]
        if not names:
            return
        weights = [1 - math.exp(self._sum(step) - self._sum(self._since[name])) for name in names]
        with torch.no_grad():
            averages = [self._average[name] for name in names]
            torch._foreach_lerp_(averages, [self._parameters[name] for name in names], weights)
        self._since.update(dict.fromkeys(names, step))

    def _sum(self, step: int) -> float:
        """Return the sum of log d_t over the first steps."""
        beyond = step - len(self._rising) + 1
        return self._rising[step] if beyond <= 0 else self._rising[-1] + beyond * self._log


@torch.no_grad()
def _set(to: Mapping[str, torch.Tensor], values: Mapping[str, torch.Tensor]) -> None:
    """Copy values, by name.

    Raises:
        KeyError: a name is missing.
    """
    for name, tensor in to.items():
        tensor.copy_(values[name])
