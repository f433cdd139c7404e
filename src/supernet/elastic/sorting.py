"""Channels in the order of their importance, so that what narrower networks use is what matters most.

Cai et al., "Once-for-All" (ICLR 2020): the importance of a channel is the L1 norm of the weights that it
is multiplied by. All weights that share the channels are put in the same order, so the largest network
computes what it did.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import cast

import torch
from torch import nn

from supernet.elastic.module import Elastic
from supernet.elastic.size import Order, Size
from supernet.elastic.spec import ElasticSpec, elastic_spec

__all__ = ["reorder", "sort_channels", "widths_now"]


def sort_channels(
    model: nn.Module, trained: Sequence[Mapping[Hashable, int]] = ()
) -> dict[nn.Parameter, tuple[tuple[int, torch.Tensor], ...]]:
    """Put all channels of open widths in the order of their importance, in place, the first first.

    The importance of a channel is the sum of |w| over all weights that multiply it: the inputs of
    convolutions and linear layers, and what a converted model's own code multiplies; where there are
    none, over all parameters that it has a part in. Channels of groups stay where they are, and those
    whose order means something.

    Args:
        model: model of elastic layers.
        trained: narrower widths, as `widths_now` returns them, that shall keep the channels they have:
            within each and between them alone channels change places.

    Returns:
        What was done to each parameter: axes, and which old position came to each new one; an
        optimizer's state is put in order alike by `reorder`.
    """
    orders: dict[Hashable, torch.Tensor] = {}
    for key, count in _widths(model).items():
        importance = _importance(model, key, count, consumers=True)
        if importance is None:
            importance = _importance(model, key, count, consumers=False)
        if importance is not None:
            # Importances (1, 9, 5, 7) give the order 1, 3, 2, 0. Where the narrower width 2 was
            # trained, so that it shall keep channels 0 and 1, these come first among themselves: 1, 0,
            # 3, 2.
            order = importance.argsort(descending=True, stable=True).cpu()
            outside = torch.zeros(count, dtype=torch.long)  # how many of the widths lack a channel
            for widths in trained:
                outside[widths.get(key, count) :] += 1
            orders[key] = order[outside[order].argsort(stable=True)]
    done: dict[nn.Parameter, tuple[tuple[int, torch.Tensor], ...]] = {}
    with torch.no_grad():
        for _, tensor, shape in _open_tensors(model):
            changes = tuple(_changes(shape, orders))
            tensor.copy_(reorder(tensor, changes))
            if isinstance(tensor, nn.Parameter) and changes:
                done[tensor] = changes
    return done


def widths_now(model: nn.Module) -> dict[Hashable, int]:
    """Return how many channels each open width has under the gates that are set."""
    return {
        term.key: term.now
        for _, _, shape in _open_tensors(model)
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


def _open_tensors(
    model: nn.Module,
) -> Iterator[tuple[nn.Module, torch.Tensor, tuple[Size | None, ...]]]:
    """Yield each open parameter and buffer once, with its module and the sizes of its axes."""
    seen = set[int]()
    for module in model.modules():
        if isinstance(module, Elastic) and (found := elastic_spec(module)) is not None:
            for name, shape in found.shapes.items():
                parameter, buffer = module._parameters.get(name), module._buffers.get(name)
                tensor = buffer if parameter is None else parameter
                if tensor is not None and id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield module, tensor, shape


def _widths(model: nn.Module) -> dict[Hashable, int]:
    """Return how many channels there are at most of each size that is open and may be put in order."""
    found, ordered = dict[Hashable, int](), set[Hashable]()
    for module, _, shape in _open_tensors(model):
        terms = [term for size in shape if size is not None for term in size.terms]
        found.update({term.key: term.largest for term in terms if term.dimensions})
        whole = cast(ElasticSpec, elastic_spec(module)).ordered
        ordered |= {term.key for term in terms if whole or term.ordered}
    return {key: count for key, count in found.items() if key not in ordered}


def _importance(
    model: nn.Module, key: Hashable, count: int, consumers: bool
) -> torch.Tensor | None:
    """Return the sum of |w| of each channel; None if no such weight has a part in it."""
    total, found = torch.zeros(count, dtype=torch.float64), False
    for module, tensor, shape in _open_tensors(model):
        if not isinstance(tensor, nn.Parameter):
            continue
        multiplied = _multiplied(module, tensor)
        for axis, size in enumerate(shape):
            if size is None or (consumers and axis not in multiplied):
                continue
            place = size.positions(key)
            if bool((place >= 0).any()):
                others = [other for other in range(tensor.ndim) if other != axis]
                amount = tensor.detach().abs().double().sum(others).cpu()
                total.index_add_(0, place.clamp(min=0), amount * (place >= 0))
                found = True
    return total if found else None


def _multiplied(module: nn.Module, parameter: nn.Parameter) -> frozenset[int]:
    """Return the axes along which a parameter multiplies what comes in and sums it up."""
    known = cast(ElasticSpec, elastic_spec(module)).multiplied
    for name, axes in (known or {}).items():
        if module._parameters.get(name) is parameter:
            return axes
    layer = isinstance(module, nn.Linear | nn.modules.conv._ConvNd)
    if known is not None or not layer or parameter.ndim < 2:
        return frozenset()
    return frozenset({0 if isinstance(module, nn.modules.conv._ConvTransposeNd) else 1})
