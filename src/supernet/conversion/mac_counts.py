"""What the operators of a followed model multiply and add for one example, compared with what runs.

A model is followed on two examples. Where every operator is known, axes tell which sizes are those of
the batch. Behind an operator that is not known they do not; and it may multiply itself. So multiply-adds
are counted operator by operator while the model runs on one example, and what differs is put right.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import nn

from supernet.conversion.axes import Dim, extent, factors, fix, fixed_dim
from supernet.conversion.operators import OperatorCall
from supernet.conversion.trace import OperatorTrace, again, first
from supernet.conversion.trial_networks import all_options
from supernet.cost.counter import MacCounter, UncountedWarning, counting
from supernet.cost.measure import count_params, measure_costs
from supernet.errors import ConversionError
from supernet.failures import check_memory
from supernet.modules.calls import called
from supernet.modules.hooks import hooked
from supernet.net import SuperNet, derive
from supernet.space import Architecture

__all__ = ["count_for_one", "miscounted"]


def count_for_one(found: OperatorTrace, model: nn.Module, *example: Any) -> None:
    """Make the products of all calls of a trace those of one example, as they are when it runs.

    Where both differ, the model is followed on one example, too, for the sizes that are the batch's.
    What an operator does that is not known is then a number that does not depend on widths. What has
    been taken for a product, and is none, closes what it depends on.

    Args:
        found: the trace, on two examples, of the model that it is of.
        model: the model.
        example: inputs of the model.
    """
    batch = {axis.root for axis in found.batch}
    for call in found.order:
        call.products = [
            tuple(tuple(axis for axis in factors(dim) if axis not in batch) for dim in product)
            for product in call.products
        ]
    try:
        counted = _counted(found, model, *example)
    except Exception as error:  # a user's model may raise anything
        check_memory(error)
        found.doubt = f"it does not run on one example alone: {first(error)}"
        return
    if _missing(found, counted):
        _sized_for_one(found, model, *example)
    for (name, turn), missing in _missing(found, counted).items():
        calls = _calls(found, name, turn)
        number = missing
        if missing < 0:
            number = counted[name, turn]
            for call in calls:
                what = f"{call.where} does not multiply as often as its sizes say"
                fix((dim for product in call.products for dim in product), what)
                call.products = []
        if number and calls:
            calls[0].products.append((fixed_dim(number, "counted"),))


def _calls(found: OperatorTrace, name: str, turn: int) -> list[OperatorCall]:
    """Return the operators of the own code of a module in one of its calls, counted from 0."""
    calls = found.calls.get(name, [])
    turns = list(dict.fromkeys(call.turn for call in calls))
    return [call for call in calls if turns.index(call.turn) == turn]


def _missing(found: OperatorTrace, counted: Counter[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """Return by module and call of it how many more multiply-adds were counted than products say."""
    said: Counter[tuple[str, int]] = Counter()
    for name, calls in found.calls.items():
        turns = {turn: n for n, turn in enumerate(dict.fromkeys(call.turn for call in calls))}
        for call in calls:
            said[name, turns[call.turn]] += sum(map(_amount, call.products))
    return {
        key: counted[key] - said[key] for key in {**said, **counted} if counted[key] != said[key]
    }


def _amount(product: Sequence[Dim]) -> int:
    return math.prod(map(extent, product))


def _counted(found: OperatorTrace, model: nn.Module, *example: Any) -> Counter[tuple[str, int]]:
    """Count the multiply-adds of each module's own code in each of its calls, on one example."""
    copied = copy.deepcopy(model)
    turns: Counter[str] = Counter()
    running: list[tuple[str, int]] = []
    before: list[int] = []
    amounts: Counter[tuple[str, int]] = Counter()

    def note(counter: MacCounter) -> None:
        if running:
            amounts[running[-1]] += counter.total - before.pop()
        before.append(counter.total)

    names = {module: name for name, module in copied.named_modules()}

    def enter(module: nn.Module, _: object) -> None:
        note(counter)
        name = names[module]
        running.append((name, turns[name]))
        turns[name] += 1

    def leave(*_: object) -> None:
        note(counter)
        running.pop()

    with (
        hooked(names, enter, leave),
        all_options(copied),
        counting(copied, None, warn=False) as counter,
    ):
        called(copied, found.inputs.resized(example, 1))
    return +amounts


def _sized_for_one(found: OperatorTrace, model: nn.Module, *example: Any) -> None:
    """Give products the sizes that they have when the model is followed on one example."""
    try:
        one = again(model, found, example, 1)
    except ConversionError:
        return  # its code does not take one example
    if [call.name for call in one.order] != [call.name for call in found.order]:
        return
    for call, alone in zip(found.order, one.order, strict=True):
        if len(call.products) != len(alone.products):
            continue
        for place, (product, other) in enumerate(zip(call.products, alone.products, strict=True)):
            pairs = zip(product, other, strict=True)
            call.products[place] = tuple(_sized(dim, extent(size)) for dim, size in pairs)


def _sized(dim: Dim, size: int) -> Dim:
    if extent(dim) == size or any(not axis.fixed for axis in factors(dim)):
        return dim
    return fixed_dim(size, "counted for one example")


def miscounted(
    supernet: SuperNet, largest: Architecture, others: Iterable[Architecture], *one: Any
) -> tuple[str, str] | None:
    """Compare the cost tables with what derived networks have and do.

    Code may do something else in a narrow network, for instance where it asks how wide a tensor is.

    Args:
        supernet: supernet of the converted model.
        largest: the architecture of the model itself.
        others: architectures that are compared besides.
        one: inputs of a single example.

    Returns:
        The label of a decision whose options are not what the tables say, and what is; no label if it
        is the largest network already; None if nothing differs.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UncountedWarning)  # who asks for costs is warned
        tables = measure_costs(supernet, *one)

    def differs(architecture: Architecture) -> str:
        network = derive(supernet, architecture)
        with counting(network, warn=False) as counter:
            called(network, one)
        for what, number in (("params", count_params(network)), ("macs", counter.total)):
            said = tables[what].cost(architecture)
            if said != number:
                return f"{what} are {number:,} where sizes say {said:,.0f}"
        return ""

    if what := differs(largest):
        return "", what
    for architecture in others:
        if what := differs(architecture):
            return _where(supernet, largest, architecture, differs), what
    return None


def _where(
    supernet: SuperNet,
    largest: Architecture,
    other: Architecture,
    differs: Callable[[Architecture], str],
) -> str:
    """Return the decision with which a network comes to differ on the way from one that does not."""
    labels = [decision.label for decision in supernet.space.decisions]

    def between(count: int) -> Architecture:
        """Return the architecture of which so many decisions are the other's."""
        own = {**largest, **{label: other[label] for label in labels[:count] if label in other}}
        return supernet.space.build(
            lambda decision: own.get(decision.label, decision.value(range(decision.low)))
        )

    same, apart = 0, len(labels)
    while apart - same > 1:
        middle = (same + apart) // 2
        same, apart = (same, middle) if differs(between(middle)) else (middle, apart)
    return labels[apart - 1]
