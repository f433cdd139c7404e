"""Which decisions of a converted model its code does not follow, found by running them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from supernet.conversion.corners import trial
from supernet.failures import check_memory
from supernet.net import SuperNet, derive
from supernet.net.modes import evaluating
from supernet.net.nested import tensors
from supernet.space import Architecture

__all__ = ["codes", "culprit", "failing", "raised"]


def raised(supernet: SuperNet, architecture: Architecture, *example: Any) -> str:
    """Return why a sub-network does not compute what is derived from it; nothing if it does."""
    with torch.no_grad(), evaluating(supernet):
        try:
            mine = supernet(*example, architecture)
            derived = derive(supernet, architecture).eval()(*example)
            torch.testing.assert_close(
                list(tensors(mine)), list(tensors(derived)), rtol=1e-3, atol=1e-4
            )
        except Exception as error:  # a user's model may raise anything
            check_memory(error)
            check_memory(error)
            return (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ""


def codes(supernet: SuperNet) -> list[Architecture]:
    """Return architectures that tell any two decisions apart, each the smaller one in some.

    The decisions are counted; in an architecture those are small that have one digit of their number in
    binary, in another those that have the other. So there are few: twice as many as there are digits.
    """
    places = {d.label: place for place, d in enumerate(supernet.space.decisions)}
    digits = range(max(len(places) - 1, 0).bit_length())
    return [
        trial(supernet, {label for label, place in places.items() if place >> digit & 1 == one})
        for digit in digits
        for one in (0, 1)
    ]


def failing(model: nn.Module, labels: Iterable[str], *example: Any) -> dict[str, str]:
    """Return of these decisions those that fail where they alone are the smallest, and why."""
    supernet = SuperNet(model)
    found = {label: raised(supernet, trial(supernet, {label}), *example) for label in labels}
    return {label: why for label, why in found.items() if why}


def culprit(model: nn.Module, architecture: Architecture, *example: Any) -> tuple[str, str] | None:
    """Return a decision without which an architecture would not fail, and why it fails.

    One decision after the other is answered as in the whole model, unless what is left would run then.
    Of those that stay the first is returned; None if the whole model fails, or the smallest options do
    not.
    """
    supernet = SuperNet(model)
    whole = trial(supernet, ())
    small = {
        d.label
        for d in supernet.space.decisions
        if d.label in architecture and architecture[d.label] != whole.get(d.label)
    }
    why = raised(supernet, trial(supernet, small), *example)
    for label in sorted(small) if why else ():
        without = small - {label}
        failed = raised(supernet, trial(supernet, without), *example)
        if failed:
            small, why = without, failed
    return (min(small), why) if why and small else None
