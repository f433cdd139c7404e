"""Parameters and multiply-adds of every option, from one forward pass of one example."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any, cast

from torch import nn

from supernet.choice.plain import Part
from supernet.cost.counter import Located, MacCounter, UncountedWarning, counting
from supernet.cost.products import (
    amounts_of,
    check_known,
    check_taken,
    is_converted,
    known_parameters,
    paths_with,
    products_of,
)
from supernet.cost.table import CostTable, Entry
from supernet.cost.trace import OptionTrace, run_all, tracing
from supernet.elastic import Resolution
from supernet.elastic.open_layer import OpenLayer, sizes_of
from supernet.elastic.spec import dimensions_of, elastic_spec
from supernet.errors import SpaceError
from supernet.modules.calls import called
from supernet.modules.hooks import hooked
from supernet.net import SuperNet
from supernet.space import Path

__all__ = ["UncountedWarning", "count_macs", "count_params", "measure_costs"]


def measure_costs(supernet: SuperNet, *example: Any) -> dict[str, CostTable]:
    """Return the tables of "params" and "macs".

    Multiply-adds are those of convolutions, matrix products, recurrent and bilinear layers (half of
    what PyTorch's own counter calls FLOPs), counted per example: the first dimension of `example`
    must be 1. All options run once, in evaluation mode; where the resolution is open, once at each.

    Raises:
        SpaceError: the outputs of a choice's options differ in shape, the resolution is open within an
            option, or a converted model is asked for other sizes than it was converted with.

    Warns:
        UncountedWarning: a module with a weight matrix ran, but nothing of it was counted; or those of
            a converted model were not those of its networks when it was converted.
    """
    _doubted(supernet)
    return {"params": _params(supernet), "macs": _macs(supernet, *example)}


def count_params(model: nn.Module) -> int:
    """Return the number of parameters of an ordinary module, shared ones once.

    Modules with an attribute `training_only` that is true, as auxiliary classifiers, are left out.
    """
    return sum(parameter.numel() for parameter in set(_counted(model)))


def _counted(module: nn.Module) -> Iterator[nn.Parameter]:
    """Yield the parameters but for those that serve training only, one for each of its places."""
    if not getattr(module, "training_only", False):
        yield from module.parameters(recurse=False)
        for child in module.children():
            yield from _counted(child)


def count_macs(model: nn.Module, *example: Any) -> int:
    """Return the multiply-adds of an ordinary module on one example (first dimension 1).

    Warns:
        UncountedWarning: a module with a weight matrix ran, but nothing of it was counted.
    """
    with counting(model, None) as counter:
        called(model, example)
    return counter.total


def _doubted(supernet: SuperNet) -> None:
    for name, module in supernet.model.named_modules():
        if (found := elastic_spec(module)) is not None and found.doubt:
            warnings.warn(
                f"costs of {name or 'the converted model'!r}, and bounds on them, may be wrong: "
                f"{found.doubt}; count those of derived networks by supernet.cost.count_macs",
                UncountedWarning,
                stacklevel=3,
            )


def _params(supernet: SuperNet) -> CostTable:
    counted = set(map(id, _counted(supernet)))
    sizes: dict[object, int] = {}
    places: defaultdict[object, set[Path]] = defaultdict(set)
    held: defaultdict[nn.Module, set[Path]] = defaultdict(set)
    known = known_parameters(supernet, counted)
    for module, paths in supernet.held():
        owned: dict[object, int]
        if products_of(module) is not None:
            continue  # see `known_parameters`
        if dimensions_of(module):
            held[module] |= paths
        if isinstance(module, Part):
            owned = (
                {}
                if dimensions_of(module)
                else {("part", id(module)): count_params(module.plain())}
            )
        else:
            mine = [p for p in module.parameters(recurse=False) if id(p) in counted]
            for parameter in known.keys() & mine:  # another module shares it
                known[parameter][1].update(paths)
            owned = {id(p): p.numel() for p in mine if p not in known}
        for key, size in owned.items():
            sizes[key] = size
            places[key] |= paths
    amounts: Counter[frozenset[Path]] = Counter()
    for key, found in places.items():
        amounts[frozenset(found)] += sizes[key]
    entries = [Entry(paths, amount) for paths, amount in amounts.items()]
    for module, found in held.items():
        for atoms, plain in sizes_of(module):
            entries.append(Entry(paths_with(found, atoms), count_params(plain)))
    for numbers, found in known.values():
        for atoms, amount in amounts_of([numbers]):
            entries.append(Entry(paths_with(found, atoms), amount))
    return CostTable("params", entries)


def _macs(supernet: SuperNet, *example: Any) -> CostTable:
    check_known(supernet, *example)
    runs = [(chosen, _macs_of(supernet, chosen, *example)) for chosen in _resolutions(supernet)]
    entries = []
    for paths in dict.fromkeys(paths for _, amounts in runs for paths in amounts):
        each = [amounts[paths] for _, amounts in runs]
        if len(set(each)) == 1:
            entries.append(Entry(paths, each[0]))
        else:
            found = zip(runs, each, strict=True)
            entries += [Entry(paths_with(paths, run[0]), amount) for run, amount in found]
    return CostTable("macs", entries)


def _resolutions(supernet: SuperNet) -> list[Path]:
    """Return the resolutions that the model can run at; one that says nothing if none is open.

    Raises:
        SpaceError: the resolution is open within an option.
    """
    sides = {}
    for module, path in supernet.places():
        if isinstance(module, Resolution):
            if path:
                raise SpaceError(
                    f"the resolution {module.side.label!r} is open within an option ({path}); resize "
                    "images before all choices"
                )
            sides[module.side.label] = module.side
    return list(product(*([(str(side.label), n) for n in side.names] for side in sides.values())))


def _macs_of(supernet: SuperNet, chosen: Path, *example: Any) -> Counter[frozenset[Path]]:
    """Return the multiply-adds by the paths to them, where these resolutions are chosen."""
    open_layers = {
        module
        for module, _ in supernet.places()
        if dimensions_of(module)
        and products_of(module) is None
        and not isinstance(module, Resolution)
    }
    calls: list[tuple[nn.Module, frozenset[Path], tuple[Any, ...]]] = []
    with (
        tracing(supernet) as trace,
        _located(supernet, trace) as located,
        counting(supernet.model, located) as counter,
        _set_aside(open_layers, counter, located, calls),
        _known(supernet, counter, located) as known,
    ):
        run_all(supernet, *example, chosen=chosen)
    found = counter.macs.copy()
    given = dict(chosen)
    found.update(known)
    for module, paths, inputs in calls:
        for atoms, plain in sizes_of(module):
            if all(given.get(label, option) == option for label, option in atoms):
                entering = cast(OpenLayer, module).entering(*inputs)
                found[paths_with(paths, atoms)] += count_macs(plain, *entering)
    return found


@contextmanager
def _located(supernet: SuperNet, trace: OptionTrace) -> Iterator[Located]:
    """Follow which modules run that are not always kept, and yield what tells the paths to them."""
    running: list[nn.Module] = []
    known: dict[tuple[Path, tuple[nn.Module, ...]], frozenset[Path]] = {}

    def located() -> frozenset[Path]:
        key = (trace.path, tuple(running))
        if key not in known:
            known[key] = supernet.flow.paths(*key)
        return known[key]

    def enter(module: nn.Module, _: Any) -> None:
        running.append(module)

    def leave(*_: Any) -> None:
        running.pop()

    with hooked(supernet.flow.kept, enter, leave):
        yield located


@contextmanager
def _set_aside(
    layers: set[nn.Module],
    counter: MacCounter,
    located: Located,
    calls: list[tuple[nn.Module, frozenset[Path], tuple[Any, ...]]],
) -> Iterator[None]:
    """Note the calls of layers whose shape is open, and count nothing in them."""

    def enter(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if not counter.pauses:
            calls.append((module, located(), inputs))
        counter.pauses += 1

    def leave(*_: Any) -> None:
        counter.pauses -= 1

    with hooked(layers, enter, leave):
        yield


@contextmanager
def _known(
    supernet: SuperNet, counter: MacCounter, located: Located
) -> Iterator[Counter[frozenset[Path]]]:
    """Count the known products of modules as they are called, and nothing else of their own code.

    Yields:
        What will have been counted, by the paths to it. A model that is called several times has the
        same products each time.
    """
    found: Counter[frozenset[Path]] = Counter()
    modules = {m: calls for m in supernet.modules() if (calls := products_of(m)) is not None}
    amounts = {m: [list(amounts_of(call)) for call in calls] for m, calls in modules.items()}
    turns: Counter[nn.Module] = Counter()
    pauses: list[int] = []

    def enter(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        if is_converted(module):
            check_taken(module, *inputs, named)
        pauses.append(counter.pauses)
        counter.pauses = int(module in modules)
        if calls := amounts.get(module):
            paths = located()
            for atoms, amount in calls[turns[module] % len(calls)]:
                found[paths_with(paths, atoms)] += amount
            turns[module] += 1

    def leave(*_: Any) -> None:
        counter.pauses = pauses.pop()

    with hooked(supernet.model.modules() if modules else (), enter, leave, named=True):
        yield found
