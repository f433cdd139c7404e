"""Batch norm when a sub-network of a supernet is scored.

Running statistics that were averaged over many architectures fit none of them. So either each batch
is normalised by its own statistics, or the statistics are estimated anew for one architecture: reset,
then the cumulative average over a fixed set of batches, every batch weighing the same (never an
exponential average, which would only see the last few). Either way the model's own buffers are put
aside and back, not copied, and no later candidate can see what was estimated for an earlier one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from supernet.net.modes import evaluating

__all__ = ["batch_statistics", "recalibrated"]

T = TypeVar("T")

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@contextmanager
def batch_statistics(model: nn.Module) -> Iterator[None]:
    """Evaluation mode in which batch norm uses the statistics of the batch and records nothing."""
    norms = _tracking_norms(model)
    with evaluating(model):
        try:
            for norm in norms:
                norm.training, norm.track_running_stats = True, False
            yield
        finally:
            for norm in norms:
                norm.track_running_stats = True


@contextmanager
def recalibrated(model: nn.Module, batches: Iterable[T], run: Callable[[T], Any]) -> Iterator[None]:
    """Evaluation mode with statistics estimated by running `run(batch)` on every batch.

    The estimate is the mean over batches of the batch mean and of the unbiased batch variance, as
    PyTorch's cumulative average is.
    """
    norms = _tracking_norms(model)
    own = [{name: norm._buffers[name] for name in _STATISTICS} for norm in norms]
    momenta = [norm.momentum for norm in norms]
    with evaluating(model):
        try:
            for norm in norms:
                mean, var = (
                    cast(torch.Tensor, norm.running_mean),
                    cast(torch.Tensor, norm.running_var),
                )
                norm._buffers["running_mean"] = torch.zeros_like(mean)
                norm._buffers["running_var"] = torch.ones_like(var)
                norm._buffers["num_batches_tracked"] = torch.zeros((), dtype=torch.long)
                norm.training = True
            for index, batch in enumerate(batches):
                for (
                    norm
                ) in norms:  # momentum None means the same but reads a counter off the device
                    norm.momentum = 1 / (index + 1)
                run(batch)
            for norm in norms:
                norm.training = False
            yield
        finally:
            for norm, buffers, momentum in zip(norms, own, momenta, strict=True):
                norm._buffers.update(buffers)
                norm.momentum = momentum


def _tracking_norms(model: nn.Module) -> list[_BatchNorm]:
    """Return the batch norms that keep running statistics (others use the batch's own anyway)."""
    return [
        module
        for module in model.modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    ]
