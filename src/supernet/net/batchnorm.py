"""Batch norm, and instance norm with running statistics, when a sub-network of a supernet is scored.

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
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.modules.instancenorm import _InstanceNorm

from supernet.errors import ConfigError
from supernet.modules.hooks import hooked
from supernet.modules.modes import evaluating

__all__ = [
    "Norm",
    "Statistics",
    "batch_statistics",
    "explaining_single_values",
    "norms_with_statistics",
    "recalibrated",
    "reestimated",
    "statistics_of",
    "unrecorded",
    "with_statistics",
]

T = TypeVar("T")

Norm = _BatchNorm | _InstanceNorm
"""A norm that can have running statistics."""

Statistics = tuple[tuple[Norm, ...], torch.Tensor]
"""Norms, and the running means and variances of all of them in one tensor."""

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@contextmanager
def batch_statistics(model: nn.Module) -> Iterator[None]:
    """Evaluation mode in which batch norm uses the statistics of the batch and records nothing."""
    norms = norms_with_statistics(model)
    tracking = [norm.track_running_stats for norm in norms]
    with evaluating(model):
        try:
            for norm in norms:
                _set(norm, training=True, track_running_stats=False)
            yield
        finally:
            for norm, own in zip(norms, tracking, strict=True):
                _set(norm, track_running_stats=own)


@contextmanager
def recalibrated(model: nn.Module, batches: Iterable[T], run: Callable[[T], Any]) -> Iterator[None]:
    """Evaluation mode with statistics estimated by running `run(batch)` on every batch.

    The estimate is PyTorch's cumulative average: the mean, over all batches that reach the batch
    norm, of the batch mean and of the unbiased batch variance (for instance norm: over all
    instances, of their own). Nothing runs if no norm has statistics.
    """
    norms = norms_with_statistics(model)
    with evaluating(model), reestimated(norms, batches if norms else (), run):
        yield


@contextmanager
def reestimated(
    norms: Sequence[Norm], batches: Iterable[T], run: Callable[[T], Any]
) -> Iterator[None]:
    """Like `recalibrated`, for the norms of a part of a model that is in evaluation mode."""
    own = [
        {name: cast(torch.Tensor, norm._buffers[name]) for name in _STATISTICS} for norm in norms
    ]
    settings = [
        {name: norm.__dict__[name] for name in ("momentum", "track_running_stats", "training")}
        for norm in norms
    ]
    try:
        for norm, buffers in zip(norms, own, strict=True):
            norm._buffers["running_mean"] = torch.zeros_like(buffers["running_mean"])
            norm._buffers["running_var"] = torch.ones_like(buffers["running_var"])
            # On the CPU, since the cumulative average reads it at every batch.
            norm._buffers["num_batches_tracked"] = torch.zeros((), dtype=torch.long)
            _set(norm, momentum=None, track_running_stats=True, training=True)
        with _averaging([norm for norm in norms if isinstance(norm, _InstanceNorm)]):
            for batch in batches:
                run(batch)
        for norm in norms:
            _set(norm, training=False)
        yield
    finally:
        for norm, buffers, setting in zip(norms, own, settings, strict=True):
            norm._buffers.update(buffers)
            _set(norm, **setting)


def statistics_of(norms: Sequence[Norm]) -> Statistics:
    """Return the statistics of the norms that `reestimated` found any for."""
    found = {
        norm: (norm._buffers["running_mean"], norm._buffers["running_var"])
        for norm in norms
        if isinstance(norm, _InstanceNorm) or norm._buffers["num_batches_tracked"]
    }
    # One tensor for all, as a tensor takes more memory than the few numbers in it.
    parts = [cast(torch.Tensor, part) for pair in found.values() for part in pair]
    return tuple(found), torch.cat(parts) if parts else torch.empty(0)


@contextmanager
def with_statistics(norms: Sequence[Norm], statistics: Statistics) -> Iterator[None]:
    """Like `reestimated`, with statistics that it found before."""
    owners, values = statistics
    with reestimated(norms, (), lambda _: None):
        means = [cast(torch.Tensor, norm._buffers["running_mean"]) for norm in owners]
        sizes = [len(mean) for mean in means for _ in ("mean", "var")]
        parts = iter(torch.split(values, sizes))
        for norm in owners:
            norm._buffers["running_mean"], norm._buffers["running_var"] = next(parts), next(parts)
        yield


@contextmanager
def explaining_single_values(batch_size: int) -> Iterator[None]:
    """Say what to do where PyTorch refuses to take the statistics of a single value.

    Raises:
        ConfigError: a batch norm met a batch with one value per channel.
    """
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ConfigError(
            f"batch norm met a batch with one value per channel, which has no variance: with "
            f"evaluate.batch_size {batch_size} a batch holds a single image; choose a batch size "
            f"of 2 or more, and give at least 2 images ({error})"
        ) from error


def norms_with_statistics(model: nn.Module) -> list[Norm]:
    """Return the norms that have running statistics (others use the batch's or instance's own)."""
    return [
        module
        for module in model.modules()
        if isinstance(module, _BatchNorm | _InstanceNorm) and module.running_mean is not None
    ]


def _set(norm: Norm, **settings: object) -> None:
    norm.__dict__.update(settings)  # past `nn.Module`'s slow setter


@contextmanager
def unrecorded(norms: Sequence[_NormBase]) -> Iterator[None]:
    """Within the block norms in training mode record no running statistics."""
    before = [norm.track_running_stats for norm in norms]
    try:
        for norm in norms:
            norm.track_running_stats = False
        yield
    finally:
        for norm, tracks in zip(norms, before, strict=True):
            norm.track_running_stats = tracks


@contextmanager
def _averaging(norms: Sequence[_InstanceNorm]) -> Iterator[None]:
    """Let instance norms take the cumulative average, which PyTorch offers for batch norm alone."""
    uses = dict.fromkeys(norms, 0)

    def count(norm: nn.Module, _: object) -> None:
        norm = cast(_InstanceNorm, norm)
        uses[norm] += 1
        _set(norm, momentum=1 / uses[norm])

    with hooked(norms, count):
        yield
