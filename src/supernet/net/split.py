"""Cutting a supernet along one decision: a supernet of its own for each option.

Zhao et al., "Few-shot Neural Architecture Search" (ICML 2021).
"""

from __future__ import annotations

from supernet.errors import SpaceError
from supernet.modules.copies import copied
from supernet.net.supernet import SuperNet
from supernet.space import OneOf, Option

__all__ = ["check_split", "split_supernet"]


def split_supernet(supernet: SuperNet, label: str, option: Option) -> SuperNet:
    """Return a supernet of the architectures that answer one decision with one option.

    Its weights are copies, and what the other options held is not copied. The decision remains, with
    one option, so an architecture of the part is one of the whole.

    Raises:
        SpaceError: the space has no such decision or option, or the decision chooses several.
    """
    decision = check_split(supernet, label)
    if option not in decision.options:
        raise SpaceError(
            f"decision {label!r} has the options {list(decision.options)}, not {option!r}"
        )
    index = decision.options.index(option)
    memo: dict[int, object] = {}
    for choice, name in supernet.choices.items():
        if name == label:
            memo[id(choice)] = choice.keep(index, copied(choice.options[index], memo))
    return supernet.like(copied(supernet.model, memo))


def check_split(supernet: SuperNet, label: str) -> OneOf:
    """Return the decision, if a supernet can be split along it.

    Raises:
        SpaceError: there is no such decision, it chooses several options, or lies inside an option.
    """
    decision = supernet.space.decision(label)
    if supernet.space.conditions(label) != ((),):
        raise SpaceError(
            f"a supernet is split along a decision that every architecture answers, but {label!r} lies "
            f"inside an option: {supernet.space.conditions(label)}"
        )
    if not isinstance(decision, OneOf):
        raise SpaceError(
            f"a supernet is split along a decision with one answer, but {label!r} is "
            f"{decision.describe()}"
        )
    return decision
