"""Batch norm when a sub-network of a supernet is scored.

Running statistics that were averaged over many architectures fit none of them. So either each batch
is normalised by its own statistics, or the statistics are estimated anew for one architecture: reset,
then the cumulative average over a fixed set of batches, every batch weighing the same (never an
exponential average, which would only see the last few). Either way the model's own buffers are put
aside and back, not copied, and no later candidate can see what was estimated for an earlier one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from supernet.net.modes import evaluating

__all__ = ["batch_statistics", "norms_with_statistics", "recalibrated", "reestimated"]

T = TypeVar("T")

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@contextmanager
def batch_statistics(model: nn.Module) -> Iterator[None]:
    """Evaluation mode in which batch norm uses the statistics of the batch and records nothing."""
    norms = norms_with_statistics(model)
    tracking = [norm.track_running_stats for norm in norms]
    with evaluating(model):
        try:
            for norm in norms:
                norm.training, norm.track_running_stats = True, False
            yield
        finally:
            for norm, own in zip(norms, tracking, strict=True):
                norm.track_running_stats = own


@contextmanager
def recalibrated(model: nn.Module, batches: Iterable[T], run: Callable[[T], Any]) -> Iterator[None]:
    """Evaluation mode with statistics estimated by running `run(batch)` on every batch.

    The estimate is PyTorch's cumulative average: the mean, over all batches that reach the batch
    norm, of the batch mean and of the unbiased batch variance.
    """
    with evaluating(model), reestimated(norms_with_statistics(model), batches, run):
        yield


@contextmanager
def reestimated(
    norms: Sequence[_BatchNorm], batches: Iterable[T], run: Callable[[T], Any]
) -> Iterator[None]:
    """Like `recalibrated`, for the batch norms of a part of a model that is in evaluation mode."""
    own = [
        {name: cast(torch.Tensor, norm._buffers[name]) for name in _STATISTICS} for norm in norms
    ]
    settings = [(norm.momentum, norm.track_running_stats, norm.training) for norm in norms]
    try:
        for norm, buffers in zip(norms, own, strict=True):
            norm._buffers["running_mean"] = torch.zeros_like(buffers["running_mean"])
            norm._buffers["running_var"] = torch.ones_like(buffers["running_var"])
            # On the CPU, since the cumulative average reads it at every batch.
            norm._buffers["num_batches_tracked"] = torch.zeros((), dtype=torch.long)
            norm.momentum, norm.track_running_stats, norm.training = None, True, True
        for batch in batches:
            run(batch)
        for norm in norms:
            norm.training = False
        yield
    finally:
        for norm, buffers, setting in zip(norms, own, settings, strict=True):
            norm._buffers.update(buffers)
            norm.momentum, norm.track_running_stats, norm.training = setting


def norms_with_statistics(model: nn.Module) -> list[_BatchNorm]:
    """Return the batch norms that have running statistics (others use the batch's own anyway)."""
    return [
        module
        for module in model.modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    ]
