"""Costs of modules whose sizes are open, from the products of numbers that they are."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product as combinations
from math import prod
from typing import Any, cast

from torch import nn

from supernet.choice.routing import Gate
from supernet.elastic import Resolution
from supernet.elastic.composed import multiplied
from supernet.elastic.size import Dimension, Size, as_size
from supernet.elastic.spec import ElasticSpec, elastic_spec
from supernet.errors import SpaceError
from supernet.modules.batches import Inputs, inputs_of
from supernet.net import SuperNet
from supernet.space import Path

__all__ = [
    "amounts_of",
    "check_known",
    "check_taken",
    "is_converted",
    "known_parameters",
    "paths_with",
    "products_of",
]


def amounts_of(products: Sequence[Sequence[Size | int]]) -> Iterator[tuple[Path, int]]:
    """Yield what a sum of products amounts to, by the answers that each part of it depends on."""
    for numbers in products:
        for constant, sizes in multiplied(as_size(size).monomials for size in numbers):
            dimensions = list(dict.fromkeys(d for size in sizes for d in size.dimensions))
            for chosen in combinations(*(range(len(d.names)) for d in dimensions)):
                with _gated(dimensions, chosen):
                    amount = constant * prod(size.now for size in sizes)
                pairs = zip(dimensions, chosen, strict=True)
                yield tuple((str(d.label), d.names[index]) for d, index in pairs), amount


def products_of(module: nn.Module) -> Sequence[Sequence[Sequence[Size | int]]] | None:
    """Return the multiply-adds of a module's own code as products, for each call, if they are known."""
    found = elastic_spec(module)
    return None if found is None else found.products


def check_known(supernet: SuperNet, *example: Any) -> None:
    """Check that the products of all modules that have some hold for what the supernet takes.

    Where a whole converted model lies in the supernet, what that takes is checked when it runs.

    Raises:
        SpaceError: they are for another example, or the resolution is open.
    """
    resolutions = [m for m in supernet.modules() if isinstance(m, Resolution)]
    whole = any(is_converted(module) for module in supernet.modules())
    for module in supernet.modules():
        known = cast(ElasticSpec, elastic_spec(module)).example if products_of(module) else None
        if known is not None and resolutions:
            raise SpaceError(
                f"the resolution {resolutions[0].side.label!r} is open in front of a converted model, "
                f"whose costs are known for an example of {_listed(known.of_one)} only; resize images "
                "outside of the model and convert it once for each size, or write it with the layers "
                "of supernet.elastic instead of converting it"
            )
        if known is not None and not whole:
            check_taken(module, *example)


def check_taken(module: nn.Module, *example: Any) -> None:
    """Check that the products of a module hold for what is taken.

    Raises:
        SpaceError: they are for another example.
    """
    known = cast(Inputs, cast(ElasticSpec, elastic_spec(module)).example)
    asked = inputs_of(example, known.batched if known.fit(example) else ())
    if known.of_one != asked.of_one:
        raise SpaceError(
            f"the model was converted with an example of {_listed(known.of_one)}, and its costs are "
            f"known for it, but are asked for {_listed(asked.of_one)}; convert it with such an example"
        )


def is_converted(module: nn.Module) -> bool:
    """Return whether a module is what `supernet.convert` returned."""
    return "_conversion" in module.__dict__


def _listed(sizes: Sequence[Sequence[int]]) -> str:
    return " and ".join(str(list(shape)) for shape in sizes)


def paths_with(paths: Iterable[Path], atoms: Path) -> frozenset[Path]:
    """Return the paths on which the atoms must hold too."""
    return frozenset(tuple(dict.fromkeys((*path, *atoms))) for path in paths)


def known_parameters(
    supernet: SuperNet, counted: Container[int]
) -> dict[nn.Parameter, tuple[list[Size | int], set[Path]]]:
    """Return the numbers of the parameters of modules whose products are known.

    Args:
        supernet: supernet that the parameters belong to.
        counted: the identities of those that are meant.

    Returns:
        The sizes of each parameter, whose product is its number, and the paths of options that it lies
        in; one that several modules share is there once.
    """
    found: dict[nn.Parameter, tuple[list[Size | int], set[Path]]] = {}
    for module, paths in supernet.held():
        if products_of(module) is not None:
            shapes = cast(ElasticSpec, elastic_spec(module)).shapes
            for name, parameter in module.named_parameters(recurse=False):
                if id(parameter) not in counted:
                    continue
                shape = shapes.get(name, (None,) * parameter.ndim)
                pairs = zip(parameter.shape, shape, strict=True)
                sizes = [number if size is None else size for number, size in pairs]
                found.setdefault(parameter, (sizes, set()))[1].update(paths)
    return found


@contextmanager
def _gated(dimensions: Sequence[Dimension], chosen: Sequence[int]) -> Iterator[None]:
    before = [dimension.gate for dimension in dimensions]
    try:
        for dimension, index in zip(dimensions, chosen, strict=True):
            dimension.set_gate(Gate((index,)))
        yield
    finally:
        for dimension, gate in zip(dimensions, before, strict=True):
            dimension.set_gate(gate)
