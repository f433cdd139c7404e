"""Which decisions of a converted model its code does not follow, found by running them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from supernet.conversion.trace import first
from supernet.conversion.trial_networks import trial
from supernet.failures import check_memory
from supernet.modules.calls import called
from supernet.modules.hooks import noting
from supernet.modules.modes import evaluating
from supernet.modules.nested import tensors
from supernet.net import SuperNet, derive
from supernet.random import seeded
from supernet.space import Architecture

__all__ = [
    "culprit",
    "derivation_fault",
    "failing_decisions",
    "separating_architectures",
    "training_error",
    "training_fault",
]


def derivation_fault(supernet: SuperNet, architecture: Architecture, *example: Any) -> str:
    """Return why a sub-network does not compute what is derived from it; nothing if it does."""
    with torch.no_grad(), evaluating(supernet):
        try:
            mine = called(supernet, example, routing=architecture)
            derived = called(derive(supernet, architecture).eval(), example)
            torch.testing.assert_close(
                list(tensors(mine)), list(tensors(derived)), rtol=1e-3, atol=1e-4
            )
        except Exception as error:  # a user's model may raise anything
            check_memory(error)
            return first(error)
    return ""


def training_error(
    supernet: SuperNet, architecture: Architecture, *example: Any
) -> tuple[list[str], Exception] | None:
    """Return where a sub-network raises what in training mode; None if it runs.

    It runs on a copy, since code may record in training mode what it is given.
    """
    copied = copy.deepcopy(supernet).train()
    inside: list[str] = []
    with noting(copied.model, inside), torch.no_grad(), seeded(0):
        try:
            called(copied, example, routing=architecture)
        except Exception as error:  # a user's model may raise anything
            check_memory(error)
            return list(inside), error
    return None


def training_fault(supernet: SuperNet, architecture: Architecture, *example: Any) -> str:
    """Return why a sub-network does not run in training mode; nothing if it does."""
    found = training_error(supernet, architecture, *example)
    return f"{first(found[1])} (in training mode)" if found else ""


def separating_architectures(supernet: SuperNet) -> list[Architecture]:
    """Return architectures that tell any two decisions apart, each the smaller one in some.

    The decisions are counted; in an architecture those are small that have one digit of their number in
    binary, in another those that have the other. So there are few: twice as many as there are digits.
    """
    # Of four decisions, 0 to 3 or 00, 01, 10 and 11 in binary, those are small in turn that have the
    # last digit 0, the last digit 1, the first digit 0, the first digit 1: {0, 2}, {1, 3}, {0, 1}, {2,
    # 3}.
    places = {d.label: place for place, d in enumerate(supernet.space.decisions)}
    digits = range(max(len(places) - 1, 0).bit_length())
    return [
        trial(supernet, {label for label, place in places.items() if place >> digit & 1 == one})
        for digit in digits
        for one in (0, 1)
    ]


def failing_decisions(model: nn.Module, labels: Iterable[str], *example: Any) -> dict[str, str]:
    """Return of these decisions those that fail where they alone are the smallest, and why."""
    supernet = SuperNet(model)
    found = {
        label: derivation_fault(supernet, trial(supernet, {label}), *example) for label in labels
    }
    return {label: why for label, why in found.items() if why}


def culprit(
    supernet: SuperNet,
    architecture: Architecture,
    fails: Callable[..., str],
    *example: Any,
) -> tuple[str, str] | None:
    """Return a decision without which an architecture would not fail, and why it fails.

    One decision after the other is answered as in the whole model, unless what is left would run then.
    Of those that stay the first is returned; None if the whole model fails, or the smallest options do
    not.

    Args:
        supernet: supernet of the converted model.
        architecture: architecture that fails.
        fails: function that says why an architecture fails, `derivation_fault` or `training_fault`.
        example: inputs of the model.
    """
    whole = trial(supernet, ())
    small = {
        d.label
        for d in supernet.space.decisions
        if d.label in architecture and architecture[d.label] != whole.get(d.label)
    }
    why = fails(supernet, trial(supernet, small), *example)
    for label in sorted(small) if why else ():
        without = small - {label}
        failed = fails(supernet, trial(supernet, without), *example)
        if failed:
            small, why = without, failed
    return (min(small), why) if why and small else None
