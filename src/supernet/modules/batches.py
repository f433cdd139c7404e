"""Which of a model's inputs have one row for each example, and batches of any number of examples.

A mask, an adjacency matrix or a table of positions is the same for all examples; cutting it would make
another model of it, or fail. What a model does with batches of two sizes shows which inputs are cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_unflatten

from supernet.failures import check_memory
from supernet.modules.calls import called

__all__ = ["Inputs", "batched_inputs", "inputs_of"]

_TRIES = 64


@dataclass(frozen=True)
class Inputs:
    """What a model takes: the tensors among its inputs, also those in tuples and dictionaries.

    Attributes:
        shapes: shape of each tensor.
        batched: for each tensor, whether its first axis has a row for each example.
    """

    shapes: tuple[tuple[int, ...], ...]
    batched: tuple[bool, ...]

    @property
    def of_one(self) -> tuple[tuple[int, ...], ...]:
        """The shapes without the axis of examples, where there is one."""
        cut = (*self.batched, *(False for _ in self.shapes[len(self.batched) :]))
        pairs = zip(self.shapes, cut, strict=True)
        return tuple(shape[1:] if batched else shape for shape, batched in pairs)

    @property
    def examples(self) -> int:
        """How many rows there are."""
        return next(s[0] for s, cut in zip(self.shapes, self.batched, strict=True) if cut)

    def fit(self, example: Sequence[Any]) -> bool:
        """Return whether inputs are for as many tensors of as many axes."""
        ranks = [tensor.ndim for tensor in _tensors(example)]
        return ranks == [len(shape) for shape in self.shapes]

    def resized(self, example: Sequence[Any], count: int) -> tuple[Any, ...]:
        """Return the inputs for so many examples: the first ones, again and again if there are fewer."""
        return _resized(example, self.batched, count)

    def cut(self, example: Sequence[Any], count: int) -> list[tuple[Any, ...]]:
        """Return the inputs of so many nearly equal parts of a batch."""
        leaves, spec = tree_flatten(tuple(example))
        cut = iter(self.batched)
        parts = [
            leaf.tensor_split(count)
            if isinstance(leaf, torch.Tensor) and next(cut)
            else [leaf] * count
            for leaf in leaves
        ]
        return [tree_unflatten(list(part), spec) for part in zip(*parts, strict=True)]


def inputs_of(example: Sequence[Any], batched: Sequence[bool]) -> Inputs:
    """Return what is known of inputs, of which it is told which have a row for each example."""
    shapes = tuple(tuple(tensor.shape) for tensor in _tensors(example))
    return Inputs(shapes, tuple(batched))


def batched_inputs(run: Callable[..., Any], example: Sequence[Any]) -> Inputs | None:
    """Find which inputs have a row for each example, by running the model on another number of them.

    With the right inputs cut, or repeated, the outputs are the rows of before. Of inputs that may be
    cut or not, such as a mask that is the same in all rows, all are taken.

    Args:
        run: the model, in evaluation mode.
        example: inputs of the model.

    Returns:
        None if no choice of inputs gives as many outputs as examples.
    """
    sizes = [tensor.shape[0] if tensor.ndim else 0 for tensor in _tensors(example)]
    if sum(size > 0 for size in sizes) < 2:
        return inputs_of(example, [size > 0 for size in sizes])
    with torch.no_grad():
        whole = list(_tensors(called(run, example)))
        likely: list[bool] | None = None
        for tries, (size, chosen) in enumerate(_choices(sizes)):
            if tries == _TRIES:
                break
            count = 3 if size != 3 else 2
            try:
                found = list(_tensors(called(run, _resized(example, chosen, count))))
            except Exception as error:  # a model may raise anything where an input does not fit
                check_memory(error)
                continue
            if not _as_many(whole, found, size, count):
                continue
            if _same_rows(whole, found, size, count):
                return inputs_of(example, chosen)
            likely = likely or chosen  # examples have to do with each other
    return None if likely is None else inputs_of(example, likely)


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    for leaf in tree_flatten(value)[0]:
        if isinstance(leaf, torch.Tensor):
            yield leaf


def _choices(sizes: Sequence[int]) -> Iterator[tuple[int, list[bool]]]:
    """Yield numbers of examples, and which inputs have as many rows, most inputs first."""
    for size in dict.fromkeys(size for size in sizes if size):
        places = [place for place, own in enumerate(sizes) if own == size]
        for count in range(len(places), 0, -1):
            for chosen in combinations(places, count):
                yield size, [place in chosen for place in range(len(sizes))]


def _resized(example: Sequence[Any], batched: Sequence[bool], count: int) -> tuple[Any, ...]:
    leaves, spec = tree_flatten(tuple(example))
    cut = iter(batched)
    made = [
        leaf[torch.arange(count, device=leaf.device) % len(leaf)]
        if isinstance(leaf, torch.Tensor) and next(cut)
        else leaf
        for leaf in leaves
    ]
    resized: tuple[Any, ...] = tree_unflatten(made, spec)
    return resized


def _as_many(
    whole: Sequence[torch.Tensor], found: Sequence[torch.Tensor], size: int, count: int
) -> bool:
    """Return whether outputs have rows for as many examples as there are."""
    if [y.ndim for y in whole] != [y.ndim for y in found]:
        return False
    rows = [(y.shape[0], z.shape[0]) for y, z in zip(whole, found, strict=True) if y.ndim]
    return (size, count) in rows and all(y == z or (y, z) == (size, count) for y, z in rows)


def _same_rows(
    whole: Sequence[torch.Tensor], found: Sequence[torch.Tensor], size: int, count: int
) -> bool:
    """Return whether every output has the rows that it had for these examples."""
    for y, z in zip(whole, found, strict=True):
        if y.ndim and (y.shape[0], z.shape[0]) == (size, count):
            y = y[torch.arange(count, device=y.device) % size]
        if y.shape != z.shape or not torch.allclose(y, z, rtol=1e-3, atol=1e-4, equal_nan=True):
            return False
    return True
