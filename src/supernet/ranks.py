"""Several processes that train one model: PyTorch's collectives, as far as they are needed.

Each process, a rank, computes on its part of every batch. What is a mean over the batch is the mean
over the ranks of what each finds for its part, as parts are equally large; so whoever needs the whole
asks for that mean, forward (`agreed`, of losses), backward (`shared`, of what all ranks hold alike) or
both (statistics of batch norm, see `supernet.pooled_norm`). Without other ranks all of these do nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from supernet.errors import ConfigError, RanksError
from supernet.meeting import meet

__all__ = [
    "add_up",
    "agreed",
    "alone",
    "apart",
    "averaged",
    "begin",
    "broadcast",
    "bytes_of_all",
    "bytes_of_first",
    "end",
    "environment_ranks",
    "explained",
    "first_says",
    "gathered",
    "is_apart",
    "local_ranks",
    "mean_of_all",
    "own_part",
    "rank",
    "ranks",
    "reduced_bytes",
    "shared",
    "store",
    "timeout",
]

_reduced = 0

_alone = False
"""Whether this rank computes by itself, so that it sees no others."""

_store: Any = None
"""What ranks write down for each other beside the collectives."""

_timeout = timedelta(minutes=10)

_apart = False
"""Whether ranks compute on batches of their own, so that statistics of batch norm are not pooled."""


def ranks() -> int:
    """Return how many processes compute together; 1 for a process alone."""
    together = dist.is_available() and dist.is_initialized() and not _alone
    return dist.get_world_size() if together else 1


def rank() -> int:
    """Return which of them this is, from 0."""
    return dist.get_rank() if ranks() > 1 else 0


def own_part(count: int) -> slice:
    """Return which of so many neighbours are this rank's: as many as every other rank has.

    Raises:
        ConfigError: they cannot be divided so.
    """
    size, rest = divmod(count, ranks())
    if rest or not size:
        raise ConfigError(
            f"{count} cannot be divided into {ranks()} equal parts, one for each process; choose a "
            f"multiple of {ranks()} (train.batch_size)"
        )
    return slice(rank() * size, (rank() + 1) * size)


def averaged(tensors: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Return the means over the ranks of tensors, such as gradients, some of which may be missing.

    They travel in flat buckets, one for each type, in the order of their indices and not of memory,
    which ranks need not agree on. Without other ranks they are returned as they are.

    Args:
        tensors: tensors, equal in shape and type on all ranks; None on all where there is none.
    """
    global _reduced
    found = list(tensors)
    if ranks() == 1:
        return found
    buckets: dict[tuple[torch.dtype, torch.device], dict[int, Tensor]] = {}
    for number, tensor in enumerate(found):
        if tensor is not None:
            buckets.setdefault((tensor.dtype, tensor.device), {})[number] = tensor.detach()
    for bucket in buckets.values():
        flat = torch.cat([tensor.reshape(-1) for tensor in bucket.values()])
        add_up(flat)
        flat /= ranks()
        _reduced += flat.numel() * flat.element_size()
        parts = torch.split(flat, [tensor.numel() for tensor in bucket.values()])
        for (number, tensor), part in zip(bucket.items(), parts, strict=True):
            found[number] = torch.empty_like(tensor).copy_(part.view(tensor.shape))
    return found


def add_up(tensor: Tensor) -> None:
    """Make a tensor the sum of those of all ranks, in place."""
    with explained():
        dist.all_reduce(tensor)


def reduced_bytes() -> int:
    """Return the bytes of all tensors that `averaged` was given so far: what is sent of gradients."""
    return _reduced


def gathered(value: Tensor) -> Tensor:
    """Return the tensors of all ranks, equal in shape and type, `[ranks, ...]`."""
    if ranks() == 1:
        return value[None]
    parts = [torch.empty_like(value) for _ in range(ranks())]
    with explained():
        dist.all_gather(parts, value.contiguous())
    return torch.stack(parts)


class _Mean(torch.autograd.Function):
    """Mean over the ranks in one direction or both; the other one passes on what it is given."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, forward: bool, backward: bool) -> Tensor:
        ctx.directions = forward, backward
        if not forward:
            return x.view_as(x)
        found = x.detach().clone(memory_format=torch.contiguous_format)
        add_up(found)
        return found.div_(ranks())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        forward, backward = ctx.directions
        # As a function of its own, so that it can be differentiated again.
        found: Tensor = mean_of_all(gradient, True, forward) if backward else gradient
        return found, None, None


def mean_of_all(x: Tensor, forward: bool, backward: bool) -> Tensor:
    """Return the mean over the ranks.

    Args:
        x: tensor, equal in shape and type on all ranks.
        forward: whether the value is the mean; else it is this rank's.
        backward: whether the gradient is the mean; else it is this rank's.
    """
    found: Tensor = _Mean.apply(x, forward, backward)  # type: ignore[no-untyped-call]
    return found


def agreed(loss: Tensor) -> Tensor:
    """Return the mean over the ranks, with the gradient of this rank's own value."""
    return mean_of_all(loss, True, False) if ranks() > 1 else loss


def shared(weights: Tensor) -> Tensor:
    """Return what is given, the same on all ranks; its gradient is the mean over the ranks."""
    if ranks() == 1 or not weights.requires_grad:
        return weights
    return mean_of_all(weights, False, True)


@contextmanager
def alone() -> Iterator[None]:
    """Within the block this rank computes what a process without others does, to the bit."""
    global _alone
    before, _alone = _alone, True
    try:
        with apart():
            yield
    finally:
        _alone = before


def is_apart() -> bool:
    """Return whether batches are of this rank alone, so that statistics of batch norm are not pooled."""
    return _apart


@contextmanager
def apart() -> Iterator[None]:
    """Within the block batches are of this rank alone; means over all are still taken."""
    global _apart
    before, _apart = _apart, True
    try:
        yield
    finally:
        _apart = before


def environment_ranks() -> int:
    """Return the number of processes that `torchrun` started, 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_ranks() -> int:
    """Return how many of the processes that `torchrun` started are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def begin(timeout: timedelta) -> None:
    """Meet the other processes that `torchrun` started.

    Args:
        timeout: time after which waiting for another one is given up.

    Raises:
        RanksError: they do not come, or code of the user began to work with them itself.
    """
    global _store, _timeout
    if dist.is_initialized():
        raise RanksError(
            "torch.distributed.init_process_group() was called before: let supernet begin and end the "
            "work of processes, and call destroy_process_group() before it, or do not call the former"
        )
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    # Small things that are said on the CPU go by gloo, gradients on GPUs by NCCL.
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    with explained():
        shared, number, count = next(dist.rendezvous("env://", timeout=timeout))  # type: ignore[attr-defined]
        shared.set_timeout(timeout)
        room = meet(shared, number, count, timeout)
        collectives = dist.PrefixStore(f"{room}/collectives", shared)  # type: ignore[attr-defined]
        dist.init_process_group(
            backend, store=collectives, rank=number, world_size=count, timeout=timeout
        )
    _store = dist.PrefixStore(f"{room}/supernet", shared)  # type: ignore[attr-defined]
    _timeout = timeout


def end() -> None:
    """Part from the other processes."""
    global _store
    _store = None
    if dist.is_initialized():
        dist.destroy_process_group()


def store() -> Any:
    """Return the `Store` in which ranks write things down for each other; each attempt has its own."""
    assert _store is not None  # asked for between `begin` and `end` only
    return _store


def timeout() -> timedelta:
    """Return the time after which waiting for another rank is given up."""
    return _timeout


def bytes_of_all(content: bytes) -> list[bytes]:
    """Return what each rank gives, by rank."""
    if ranks() == 1:
        return [content]
    with explained():
        sizes = gathered(torch.tensor([len(content)]))[:, 0]
        padded = torch.zeros(int(sizes.max()), dtype=torch.uint8)
        padded[: len(content)] = torch.frombuffer(bytearray(content or b"\0"), dtype=torch.uint8)[
            : len(content)
        ]
        every = gathered(padded)
    return [
        one[: int(size)].numpy().tobytes() for one, size in zip(every, sizes.tolist(), strict=True)
    ]


def bytes_of_first(content: bytes) -> bytes:
    """Return what rank 0 gives."""
    if ranks() == 1:
        return content
    with explained():
        size = torch.tensor([len(content)])
        dist.broadcast(size, 0)
        shown = torch.zeros(int(size), dtype=torch.uint8)
        if rank() == 0:
            shown = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        dist.broadcast(shown, 0)
    return shown.numpy().tobytes()


def first_says(answer: bool) -> bool:
    """Return the answer of rank 0 to a question that depends on a clock or the machine."""
    return bytes_of_first(b"1" if answer else b"0") == b"1"


def broadcast(tensors: Sequence[Tensor]) -> None:
    """Give tensors the values that they have in rank 0, in place."""
    if ranks() == 1:
        return
    with explained(), torch.no_grad():
        for tensor in tensors:
            values = tensor.contiguous()
            dist.broadcast(values, 0)
            if rank() and values is not tensor:
                tensor.copy_(values)


@contextmanager
def explained() -> Iterator[None]:
    """Say what it means where another rank is not there any more.

    Raises:
        RanksError: PyTorch's collectives failed.
    """
    try:
        yield
    except RanksError:
        raise
    except (RuntimeError, ValueError) as error:  # gloo raises the first, a store the second
        raise RanksError(
            f"process {os.environ.get('RANK', '0')} of {environment_ranks()} lost the others "
            f"({str(error).splitlines()[0]}): one of them was ended, or hangs; its own message says "
            "why. What was saved is intact: the same command goes on from the last checkpoint"
        ) from error
