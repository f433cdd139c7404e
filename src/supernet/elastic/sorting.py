"""Channels in the order of their importance, so that what narrower networks use is what matters most.

Cai et al., "Once-for-All" (ICLR 2020), by the L1 norm of the weights that a channel is multiplied by;
or by another importance (`supernet.importance`). All weights that share the channels are put in the same
order, so the largest network computes what it did.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import cast

import torch
from torch import nn

from supernet.elastic.importance import L1, Importance, channel_importances, open_tensors
from supernet.elastic.size import Order, Size
from supernet.elastic.spec import ElasticSpec, elastic_spec

__all__ = ["reorder", "sort_channels", "widths_now"]


def sort_channels(
    model: nn.Module,
    trained: Sequence[Mapping[Hashable, int]] = (),
    importance: Importance | None = None,
) -> dict[nn.Parameter, tuple[tuple[int, torch.Tensor], ...]]:
    """Put all channels of open widths in the order of their importance, in place, the first first.

    Channels of groups stay where they are, and those whose order means something.

    Args:
        model: model of elastic layers; if the importance runs it, under the gates of its largest
            network.
        trained: narrower widths, as `widths_now` returns them, that shall keep the channels they have:
            within each and between them alone channels change places.
        importance: importance of channels; L1 if not given.

    Returns:
        What was done to each parameter: axes, and which old position came to each new one; an
        optimizer's state is put in order alike by `reorder`.

    Raises:
        ConversionError: the importance does not know what a weight amounts to.
        DivergedError: an importance is not a finite number.
    """
    orders: dict[Hashable, torch.Tensor] = {}
    fixed = _ordered(model)
    for key, channels in channel_importances(model, importance or L1()).items():
        if key not in fixed:
            # Importances (1, 9, 5, 7) give the order 1, 3, 2, 0. Where the narrower width 2 was
            # trained, so that it shall keep channels 0 and 1, these come first among themselves: 1, 0,
            # 3, 2.
            order = channels.argsort(descending=True, stable=True)
            outside = torch.zeros(len(order), dtype=torch.long)  # how many widths lack a channel
            for widths in trained:
                outside[widths.get(key, len(order)) :] += 1
            orders[key] = order[outside[order].argsort(stable=True)]
    done: dict[nn.Parameter, tuple[tuple[int, torch.Tensor], ...]] = {}
    with torch.no_grad():
        for _, tensor, shape in open_tensors(model):
            changes = tuple(_changes(shape, orders))
            tensor.copy_(reorder(tensor, changes))
            if isinstance(tensor, nn.Parameter) and changes:
                done[tensor] = changes
    return done


def widths_now(model: nn.Module) -> dict[Hashable, int]:
    """Return how many channels each open width has under the gates that are set."""
    return {
        term.key: term.now
        for _, _, shape in open_tensors(model)
        for size in shape
        if size is not None
        for term in size.terms
        if term.dimensions
    }


def reorder(tensor: torch.Tensor, changes: tuple[tuple[int, torch.Tensor], ...]) -> torch.Tensor:
    """Return a tensor with the positions of some axes in another order."""
    for axis, order in changes:
        tensor = tensor.index_select(axis, order.to(tensor.device))
    return tensor


def _changes(shape: tuple[Size | None, ...], orders: Order) -> Iterator[tuple[int, torch.Tensor]]:
    for axis, size in enumerate(shape):
        if size is not None and any(term.key in orders for term in size.terms):
            yield axis, size.order(orders)


def _ordered(model: nn.Module) -> set[Hashable]:
    """Return the sizes whose channels are not put in order."""
    ordered = set[Hashable]()
    for module, _, shape in open_tensors(model):
        terms = [term for size in shape if size is not None for term in size.terms]
        whole = cast(ElasticSpec, elastic_spec(module)).ordered
        ordered |= {term.key for term in terms if whole or term.ordered}
    return ordered
