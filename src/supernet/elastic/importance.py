"""How much each channel matters: amounts of the weights that it has a part in, summed up.

The importance of channel j is, with amounts a of one round (a batch, or all data at once),

    I_j = mean over rounds of f( Σ a ) over all elements of weights that multiply channel j,

where a method says what a is, and f: |w| and the identity for `L1`. Weights that multiply a channel are
the inputs of convolutions and linear layers, and what a converted model's own code multiplies; where a
channel has none, all parameters that it has a part in. A channel is whatever an open size counts:
features, filters, neurons, whole heads, the numbers of a head.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from supernet.elastic.module import Elastic
from supernet.elastic.size import Size
from supernet.elastic.spec import ElasticSpec, elastic_spec
from supernet.errors import ConversionError, DivergedError

__all__ = ["L1", "Amounts", "Importance", "channel_importances", "open_tensors"]

Amounts = Mapping[nn.Parameter, torch.Tensor]
"""An amount for each element of open parameters, of the parameter's shape."""


class Importance(ABC):
    """A method of telling how much channels matter."""

    @abstractmethod
    def amounts(self, model: nn.Module) -> Iterable[Amounts]:
        """Yield the amounts of one round after the other; the importance is the mean over rounds.

        Each has an amount for all parameters that multiply channels of open sizes; others count only
        where nothing multiplies the channels.

        Args:
            model: model of elastic layers, which runs as its largest network, `model(*inputs)`. It is
                left as it is.
        """

    def of_channels(self, sums: torch.Tensor) -> torch.Tensor:
        """Return the importance of channels `[channels]` in a round, of the sums of their amounts."""
        return sums


class L1(Importance):
    """The sum of |w|, as Cai et al. sort channels in "Once-for-All" (ICLR 2020); it needs no data."""

    def amounts(self, model: nn.Module) -> Iterator[Amounts]:
        """Yield |w| of all open parameters."""
        parameters = (tensor for _, tensor, _ in open_tensors(model))
        yield {p: p.detach().abs() for p in parameters if isinstance(p, nn.Parameter)}


def channel_importances(model: nn.Module, importance: Importance) -> dict[Hashable, torch.Tensor]:
    """Return the importance of all channels of each open size, `[largest]` of 64 bits, by its key.

    Sizes whose channels no parameter has are left out.

    Args:
        model: model of elastic layers, under the gates of its largest network.
        importance: method.

    Raises:
        ConversionError: the method does not say what a weight amounts to.
        DivergedError: an importance is not a finite number.
    """
    parts = _parts(model)
    total = {part.key: torch.zeros(part.count, dtype=torch.float64) for part in parts}
    rounds = 0
    for amounts in importance.amounts(model):
        rounds += 1
        sums = {key: torch.zeros_like(channels) for key, channels in total.items()}
        for part in parts:
            if part.parameter not in amounts:
                if not part.multiplies:
                    continue
                raise ConversionError(
                    f"{type(importance).__name__} does not say how much the parameter {part.name!r} "
                    "matters, which channels are put in order by: it was not used as a matrix, or by a "
                    "convolution; use another importance, such as Taylor, or L1"
                )
            amount = amounts[part.parameter]
            others = [other for other in range(amount.ndim) if other != part.axis]
            along = amount.double().sum(others).cpu()
            sums[part.key].index_add_(0, part.place.clamp(min=0), along * (part.place >= 0))
        for key, channels in sums.items():
            total[key] += importance.of_channels(channels)
    for key, channels in total.items():
        if not bool(channels.isfinite().all()):
            raise DivergedError(
                f"the importance of channels of {key!r} by {type(importance).__name__} is not a finite "
                "number; look for weights, inputs or a loss that are none"
            )
    return {key: channels / rounds for key, channels in total.items()} if rounds else {}


@dataclass(frozen=True)
class _Part:
    """An axis of a parameter that counts towards the importance of channels.

    Attributes:
        key: key of the size whose channels these are.
        count: number of channels.
        name: name of the parameter, for messages.
        parameter: the parameter.
        axis: the axis.
        place: channel that each position along the axis belongs to, -1 if to none.
        multiplies: whether the parameter multiplies the channels.
    """

    key: Hashable
    count: int
    name: str
    parameter: nn.Parameter
    axis: int
    place: torch.Tensor
    multiplies: bool


def _parts(model: nn.Module) -> list[_Part]:
    """Return what multiplies the channels of each open size; of sizes without it, all of their parts."""
    parts = list[_Part]()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for module, tensor, shape in open_tensors(model):
        if not isinstance(tensor, nn.Parameter):
            continue
        multiplied = _multiplied(module, tensor)
        for axis, size in enumerate(shape):
            # A key that comes twice, as of a width that is joined with itself, has all places at once.
            terms = (
                {} if size is None else {term.key: term for term in size.terms if term.dimensions}
            )
            for key, term in terms.items():
                place = cast(Size, size).positions(key)
                name = names.get(id(tensor), "")
                part = _Part(key, term.largest, name, tensor, axis, place, axis in multiplied)
                parts.append(part)
    consumed = {part.key for part in parts if part.multiplies}
    return [part for part in parts if part.multiplies or part.key not in consumed]


def open_tensors(
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
