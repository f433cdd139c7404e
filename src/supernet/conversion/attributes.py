"""Numbers of modules that no operator is passed: those that tell a size follow it, others are named.

`num_features` of a norm without weights, `in_features` of a layer of one's own, `embed_dim` of a model:
code reads them for a check, or nothing does, but a network that is derived should say what it is. Such a
number follows an open size if its name speaks of sizes and all axes around the module that have as many
positions are of that one size. Those that code reads, which may count something else, follow only if the
code does not run otherwise.

What stays as it is, the rows of a conversion say: numbers that code computes with, as in
`x.sum(-1) / self.dim`, those that a constructor computed from a width (`dim ** -0.5`), and those of a
configuration that many modules share.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator

import torch
from torch import nn

from supernet.conversion.axes import Dim, extent
from supernet.conversion.open_widths import Sizes, leaves
from supernet.conversion.sources import Source
from supernet.conversion.trace import OperatorTrace
from supernet.elastic.size import Size

__all__ = ["TOLD", "computed_notes", "configured", "size_attributes"]

TOLD = -1
"""Says, in a way to take a module's attributes, that one tells a size although code reads it."""

_SIZES = (
    *("feature", "channel", "dim", "width", "hidden", "embed", "embd", "planes", "size", "units"),
    *("model", "filters", "d_ff", "ffn", "inner", "neurons", "in_", "out_"),
)
_OTHERS = (
    *("kernel", "window", "patch", "image", "img", "batch", "max", "min", "vocab", "input", "seq"),
    *("grid", "pool", "stride", "pad", "dilation", "layers", "depth", "step"),
)


def size_attributes(
    name: str, module: nn.Module, trace: OperatorTrace, sizes: Sizes, read: Collection[Source]
) -> dict[str, Size]:
    """Return the attributes that tell a size and are not read, with the size.

    Args:
        name: name of the module.
        module: the module of this name.
        trace: trace of the model.
        sizes: sizes of the axes.
        read: attributes that code reads, which may mean something else by them.
    """
    found = {}
    for own, value in module.__dict__.items():
        if type(value) is not int or value < 2 or (name, own) in read or not _speaks_of_sizes(own):
            continue
        could_be = [sizes.of(dim) for dim in _around(name, trace) if extent(dim) == value]
        if could_be and could_be[0] is not None and all(size is could_be[0] for size in could_be):
            found[own] = could_be[0]
    return found


def computed_notes(
    name: str, module: nn.Module, trace: OperatorTrace, sizes: Sizes, read: Collection[Source]
) -> Iterator[str]:
    """Yield what is to be said of attributes that seem to be an open width, or made from one, and stay.

    Those of torch's own layers follow, or mean something else.

    Args:
        name: name of the module.
        module: the module of this name, opened: what follows a size is no attribute any more.
        trace: trace of the model.
        sizes: sizes of the axes.
        read: attributes that code reads.
    """
    kind = getattr(type(module), "_ordinary", type(module))
    if kind.__module__.startswith("torch.nn."):
        return
    numbers = [number.dim for number in trace.numbers.get(name, ())]
    counts = set()
    for dim in (*_around(name, trace), *numbers):
        if sizes.of(dim) is not None:
            counts |= {extent(dim), *(axis.extent for axis, _, _ in leaves(dim) if not axis.fixed)}
    for own, value in module.__dict__.items():
        if type(value) is int and value in counts - {1} and (name, own) in read and not _else(own):
            yield f"{own} ({value}) stays that of the largest network"
        if type(value) is float:
            for words in _made(value, counts - {1}):
                yield f"{own} ({value:.4g}) is {words}, and stays so in narrower networks"


def _made(value: float, counts: Collection[int]) -> Iterator[str]:
    """Yield how a number may have been made of one of these."""
    for count in sorted(counts):
        made = {f"{count} ** 0.5": count**0.5, f"{count} ** -0.5": count**-0.5}
        made |= {f"1 / {count}": 1 / count, f"{count}.0": float(count)}
        for words, number in made.items():
            if math.isclose(value, number, rel_tol=1e-9):
                yield words


def configured(model: nn.Module, trace: OperatorTrace, sizes: Sizes) -> dict[str, list[str]]:
    """Return by module what is to be said of the configurations that modules hold."""
    open_counts = {
        extent(dim)
        for shape in trace.tensors.values()
        for dim in shape
        if sizes.of(dim) is not None
    }
    found: dict[str, list[str]] = {}
    seen: set[int] = set()
    for name, module in model.named_modules():
        for own, value in module.__dict__.items():
            if isinstance(value, nn.Module | torch.Tensor | type) or id(value) in seen:
                continue
            attributes = getattr(value, "__dict__", None)
            if not isinstance(attributes, dict) or callable(value):
                continue
            seen.add(id(value))
            for key, number in attributes.items():
                if type(number) is int and number in open_counts and _speaks_of_sizes(key):
                    words = f"{own}.{key} ({number}) stays that of the largest network"
                    found.setdefault(name, []).append(words)
    return found


def _speaks_of_sizes(name: str) -> bool:
    return any(word in name for word in _SIZES) and not _else(name)


def _else(name: str) -> bool:
    return any(word in name for word in _OTHERS)


def _around(name: str, trace: OperatorTrace) -> list[Dim]:
    """Return the axes of a module's own tensors, its children's, and what enters and leaves it."""
    prefix = f"{name}." if name else ""
    found = [
        dim
        for tensor, shape in trace.tensors.items()
        if tensor.startswith(prefix) and tensor[len(prefix) :].count(".") <= 1
        for dim in shape
    ]
    passage = trace.passages.get(name)
    if passage is not None:
        shapes = (*passage.entering, *passage.leaving)
        found += [dim for shape in shapes if isinstance(shape, tuple) for dim in shape]
    return found
