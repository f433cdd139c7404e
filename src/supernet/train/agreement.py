"""Ranks that train one model hold the same weights; where they do not, this is said at once.

Gradients are means over all ranks, so what moves by them stays the same everywhere, to the bit. A model
or a strategy that draws random numbers of its own, or a machine that computes wrongly, breaks that in
silence: each rank trains another model, and the mean of their gradients fits none.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from supernet.errors import RanksError
from supernet.ranks import broadcast, bytes_of_all, ranks
from supernet.train.checkpoint import digest

__all__ = ["check_agreement"]


def check_agreement(model: nn.Module, by: Mapping[str, Any], step: int) -> None:
    """Check that all ranks hold the same parameters and states; buffers become those of rank 0.

    Buffers, as the running statistics of batch norm, may be of what a rank has seen, and move nothing.

    Args:
        model: model that is trained.
        by: objects that train it, by name; each has a `state_dict()`.
        step: number of steps that are done.

    Raises:
        RanksError: a rank holds others; names it, and the first tensor that differs.
    """
    if ranks() == 1:
        return
    broadcast(list(model.buffers()))
    states = {name: one.state_dict() for name, one in by.items()}
    states["parameter"] = dict(model.named_parameters())
    every = bytes_of_all(digest(states).encode())
    if len(set(every)) == 1:
        return
    found = [[name, digest(value)] for name, value in _leaves("", states)]
    lists = [json.loads(one) for one in bytes_of_all(json.dumps(found).encode())]
    most = Counter(every).most_common(1)[0][0]
    other = next(number for number, one in enumerate(every) if one != most)
    usual = lists[every.index(most)]
    known = dict(map(tuple, usual))
    name = next(
        (name for name, value in lists[other] if known.get(name) != value), "what is there at all"
    )
    raise RanksError(
        f"after step {step} process {other} of {len(every)} differs from the others in {name}, so they "
        "train different models; no checkpoint was written of it. A model, task or strategy that draws "
        "random numbers of its own, or keeps what it saw of its own batch, is the usual reason. The "
        "last checkpoint is intact"
    )


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield all that is no mapping or list, by its place."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _leaves(f"{name} {key}".strip(), one)
    elif isinstance(value, list | tuple):
        for number, one in enumerate(value):
            yield from _leaves(f"{name} {number}".strip(), one)
    else:
        yield name, value.detach() if isinstance(value, torch.Tensor) else value
