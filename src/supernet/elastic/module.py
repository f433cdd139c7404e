"""A module whose parameters, buffers and numbers are seen in the sizes that are chosen.

`Elastic` is mixed into a class of modules. What the class reads of itself (`self.weight`,
`self.running_mean`, `self.groups`) has the shape or the value that the gates say, so its own `forward`
computes the network of that size, whatever it does. Under no gate everything is the largest. Weights are
shared by slicing: Yu and Huang, "Universally Slimmable Networks" (ICCV 2019).

The gradient of a slice is zero outside of it, not missing, so momentum and weight decay also move what
a step does not use, as in the published codes.
"""

from __future__ import annotations

import copyreg
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, SupportsIndex, cast

import torch
from torch import nn

from supernet.elastic.masks import masked_part
from supernet.elastic.size import Dimension, Size
from supernet.elastic.spec import ElasticSpec, elastic_spec
from supernet.modules.copies import copied

__all__ = [
    "Elastic",
    "ElasticLayer",
    "Recording",
    "RecordingLayer",
    "collect_parts",
    "elastic_class",
    "make_plain",
    "used_part",
]


class Elastic(nn.Module):
    """What is mixed into a class of modules, before it in the order of bases.

    It adds few names, so that the module's own keep their meaning; see `elastic_spec`, `collect_parts`
    and `make_plain`.
    """

    _ordinary: type[nn.Module]
    """The class of the module when nothing of it is open any more."""
    _extra: tuple[str, ...] = ()
    """What it has only while it is open."""
    _mixed: type[Elastic] | None = None
    """Of a class that `elastic_class` made, what was mixed in."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        """Return how it is copied and pickled; a class of `elastic_class` is found by no name."""
        how = super().__reduce_ex__(max(2, int(protocol)))
        mixed = type(self).__dict__.get("_mixed")
        if mixed is None or not isinstance(how, tuple) or how[0] is not copyreg.__newobj__:  # type: ignore[attr-defined]
            return how
        return (_blank, (self._ordinary, mixed, *how[1][1:]), *how[2:])

    def __getattr__(self, name: str) -> Any:
        """Return what is neither in the class nor in the object's own dictionary."""
        found = elastic_spec(self)
        if found is None:
            return super().__getattr__(name)
        if name in found.numbers:
            return found.numbers[name].now
        value = super().__getattr__(name)
        if name in found.shapes and isinstance(value, torch.Tensor):
            part = self._used(name, value)
            if not any(dimension.weighed for dimension in found.dimensions):
                return part
            return masked_part(self, name, part, found.shapes[name])
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; of a buffer that is seen in part that part, in a copy of the whole."""
        found = elastic_spec(self)
        whole = self._buffers.get(name) if found is not None and name in found.shapes else None
        if whole is not None and isinstance(value, torch.Tensor):
            shape = cast(ElasticSpec, found).shapes[name]
            part = used_part(whole, shape).shape
            if part != whole.shape and part == value.shape:
                whole = whole.clone()
                _put(whole, shape, value)
                value = whole
        super().__setattr__(name, value)

    def extra_repr(self) -> str:
        """Return what the class says of the module; some read their numbers from its dictionary."""
        numbers = cast(ElasticSpec, elastic_spec(self)).now()
        self.__dict__.update(numbers)
        try:
            return super().extra_repr()
        finally:
            for name in numbers:
                del self.__dict__[name]

    def _used(self, name: str, value: torch.Tensor) -> torch.Tensor:
        """Return the part of a parameter or buffer that is used under the gates."""
        return used_part(value, self.__dict__["_opened"].shapes[name])


_classes: dict[tuple[type, type], type[nn.Module]] = {}


def elastic_class(kind: type[nn.Module], base: type[Elastic]) -> type[nn.Module]:
    """Return the class of modules of a kind that are elastic, always the same one.

    Args:
        kind: a class of modules.
        base: class that is mixed into it.
    """
    if (kind, base) not in _classes:
        has = {"_ordinary": kind, "_mixed": base}
        _classes[kind, base] = type(f"Elastic{kind.__name__}", (base, kind), has)
    return _classes[kind, base]


def _blank(kind: type[nn.Module], base: type[Elastic], *arguments: object) -> nn.Module:
    """Return an elastic module that is to be filled, for `copy` and `pickle`."""
    made = elastic_class(kind, base)
    return made.__new__(made, *arguments)


def used_part(whole: torch.Tensor, shape: Sequence[Size | None]) -> torch.Tensor:
    """Return the part of a tensor that is used under the gates, of the sizes of its axes."""
    spans = [None if size is None else size.span for size in shape]
    cuts = tuple(
        (axis, *span) for axis, span in enumerate(spans) if span and span[1] != whole.shape[axis]
    )
    part = whole
    if len(cuts) > 1 and whole.requires_grad and torch.is_grad_enabled():
        part = cast(torch.Tensor, _Cut.apply(whole, cuts))  # type: ignore[no-untyped-call]
    else:
        for axis, start, length in cuts:
            part = part.narrow(axis, start, length)
    for axis, (size, span) in enumerate(zip(shape, spans, strict=False)):
        if size is not None and span is None:
            part = size.take(part, axis)
    return part


def _put(whole: torch.Tensor, shape: Sequence[Size | None], part: torch.Tensor) -> None:
    """Write the part that is used under the gates into a tensor, of the sizes of its axes."""
    places = []
    for axis, (size, count) in enumerate(zip_longest(shape, whole.shape)):
        place = torch.arange(count) if size is None else size.apart(whole.device)
        places.append(place.to(whole.device).view(-1, *(1,) * (whole.ndim - 1 - axis)))
    whole[tuple(places)] = part


class _Cut(torch.autograd.Function):
    """A part of a tensor along several axes, whose gradient is put in its place at once."""

    @staticmethod
    def forward(
        ctx: Any, whole: torch.Tensor, cuts: tuple[tuple[int, int, int], ...]
    ) -> torch.Tensor:
        """Return the part from `start` on, `length` long, of each (axis, start, length)."""
        ctx.shape, ctx.cuts = whole.shape, cuts
        layout = torch.contiguous_format
        if whole.ndim == 4 and not whole.is_contiguous():
            layout = torch.channels_last
        for axis, start, length in cuts:
            whole = whole.narrow(axis, start, length)
        # Else every operator makes it so, once more in its backward pass.
        return whole.contiguous(memory_format=layout)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Return the gradient of the whole, zero outside of the part."""
        (gradient,) = gradients
        found = gradient.new_zeros(ctx.shape)
        place = found
        for axis, start, length in ctx.cuts:
            place = place.narrow(axis, start, length)
        place.copy_(gradient)
        return found, None


class ElasticLayer(Elastic):
    """An elastic module that holds no others, and is replaced as a whole when a network is derived."""

    leads: tuple[tuple[int, Size], ...] = ()
    """The axes of the first input that are open, and their sizes."""

    @property
    def dimensions(self) -> list[Dimension]:
        """The dimensions that something of the module depends on, each once."""
        return cast(ElasticSpec, elastic_spec(self)).dimensions

    def entering(self, *inputs: Any) -> tuple[Any, ...]:
        """Return what of the largest inputs enters under the gates that are set."""
        first, *others = inputs
        for axis, size in self.leads:
            first = size.take(first, axis)
        return (first, *others)

    def plain(self) -> nn.Module:
        """Return an ordinary layer of the size that the gates say, with copies of the used weights."""
        memo: dict[int, object] = {}
        for module in self.modules():
            if isinstance(module, Elastic):
                collect_parts(module, memo)
        return make_plain(copied(self, memo))


class Recording(Elastic):
    """An elastic module with buffers, such as statistics: what its code writes in them is kept.

    A part whose positions lie apart, as those of concatenated channels, is a copy. While the module runs
    in training mode it has one for each buffer, and what became of them is written back.
    """

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Run, as the class of the module does."""
        if not self.training or "_held" in self.__dict__:
            return super().__call__(*inputs, **options)
        held: dict[str, torch.Tensor] = {}
        self.__dict__["_held"] = held
        try:
            y = super().__call__(*inputs, **options)
        finally:
            del self.__dict__["_held"]
        shapes = self.__dict__["_opened"].shapes
        for name, part in held.items():
            whole = self._buffers[name]
            if whole is not None:
                _put(whole, shapes[name], part.detach())
        return y

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; what was written in the part of a buffer before is overwritten."""
        super().__setattr__(name, value)  # which reads it before
        self.__dict__.get("_held", {}).pop(name, None)

    def _used(self, name: str, value: torch.Tensor) -> torch.Tensor:
        """Return the part that is used; of buffers that are recorded in, the same for a whole call."""
        held: dict[str, torch.Tensor] | None = self.__dict__.get("_held")
        if held is None or name not in self._buffers:
            return super()._used(name, value)
        sizes = self.__dict__["_opened"].shapes.get(name, ())
        if all(size is None or size.span is not None for size in sizes):
            return super()._used(name, value)  # a view: what is written in it is in the whole
        if name not in held:
            held[name] = super()._used(name, value)
        return held[name]


class RecordingLayer(Recording, ElasticLayer):
    """A layer with buffers, such as a norm."""


def collect_parts(module: Elastic, memo: dict[int, object]) -> None:
    """Note, for `copy.deepcopy`, what stands for the open parts under the gates that are set."""
    found = cast(ElasticSpec, elastic_spec(module))
    memo[id(found)] = found.now()
    for name in found.shapes:
        own, buffer = module._parameters.get(name), module._buffers.get(name)
        whole = buffer if own is None else own
        if whole is None or id(whole) in memo:
            continue  # of shared weights the part is shared too
        part = module._used(name, whole).detach().clone()
        memo[id(whole)] = (
            nn.Parameter(part, whole.requires_grad) if isinstance(whole, nn.Parameter) else part
        )


def make_plain(module: nn.Module) -> nn.Module:
    """Make a copy that was made with what `collect_parts` notes, and all within, ordinary modules."""
    for part in module.modules():
        if isinstance(part, Elastic):
            numbers = part.__dict__.pop("_opened")
            for name in ("leads", "_conversion", *part._extra):
                part.__dict__.pop(name, None)
                part._modules.pop(name, None)
            part.__dict__.update(numbers)
            part.__class__ = part._ordinary  # type: ignore[assignment]
    return module
