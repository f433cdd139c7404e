"""Zen-score: how much the features of a network change with its input, with batch norm accounted for.

Lin et al., "Zen-NAS: A Zero-Shot NAS for High-Performance Image Recognition" (ICCV 2021). All weights
are drawn from N(0, 1), x and ε are images of normal noise, and f is the last feature map, before it is
averaged. The score is log E ‖f(x + 0.01 ε) - f(x)‖₁ + Σ over batch norms of log √(mean variance of x's
channels), which undoes what batch norm divided by.

Differences from the authors' code: variances are those of the batch, as in the paper's algorithm,
where the code reads running variances after two batches, 81 % of which are still the 1 that they began
with. One draw of weights, where the code can take the mean of several. Norms of what does not vary,
through which nothing of the input passes, are left out, and no change counts as 1e-30, so the score is
finite.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from supernet.errors import ConfigError
from supernet.modules.calls import called
from supernet.modules.hooks import hooked
from supernet.modules.nested import tensors
from supernet.training_free.network import InitialNetwork, StandIn, noise_like, redrawn

__all__ = ["zen"]

STEP = 0.01
TINY = 1e-30
"""Least variance and change that is told from 0."""


def zen(network: InitialNetwork) -> float:
    """Log of how much the last feature map changes with the input (Lin et al., 2021).

    Very low for a network without a path from input to output.

    Raises:
        ConfigError: the inputs are not of real numbers, or no module returns feature maps.
    """
    if not all(value.is_floating_point() for value in network.inputs):
        raise ConfigError(
            "zen adds noise to inputs, which must be real numbers, but those of this batch are whole "
            "numbers, such as tokens; use another score, such as snip"
        )
    scales = list[float]()

    def enter(module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        values = given[0].transpose(0, 1).flatten(1)
        if (variance := float(values.var(1, correction=0).mean())) > TINY:
            scales.append(0.5 * math.log(variance))

    norms = [module for module in network.model.modules() if isinstance(module, _BatchNorm)]
    first, second = (noise_like(network, "zen inputs", number) for number in range(2))
    weights = redrawn(network, "zen weights", lambda weight: 1.0)
    with network.running(weights, "zen") as model, torch.no_grad():
        with hooked(norms, enter):
            before = _last_map(model, network.like(first))
        moved = [x + STEP * e for x, e in zip(first, second, strict=True)]
        after = _last_map(model, network.like(moved))
    change = float((after - before).abs().flatten(1).sum(1).mean())
    return math.log(max(change, TINY)) + sum(scales)


def _last_map(model: StandIn, inputs: Sequence[Any]) -> torch.Tensor:
    """Run a model, and return the last map of several positions that a module returns.

    Raises:
        ConfigError: there is none.
    """
    found = list[torch.Tensor]()

    def leave(module: nn.Module, given: object, output: object) -> None:
        first = next(tensors(output), None)
        if first is not None and first.ndim > 2 and first[0, 0].numel() > 1:
            found[:] = [first]

    with hooked(model.model.modules(), leave=leave):
        called(model, inputs)
    if not found:
        raise ConfigError(
            "zen compares feature maps [batch, channels, height, width], but no module of the network "
            "returns one; use another score, such as snip"
        )
    return found[0]
