"""What is reported of α while it is learned, and when a search has collapsed."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import torch

from supernet.errors import DivergedError
from supernet.net import SuperNet

__all__ = ["collapse_warnings", "dominance", "entropy", "finite_values", "parameterless"]

DOMINATED = 0.8
"""From this share of decisions on whose strongest option has no parameters, a search has collapsed."""


def parameterless(supernet: SuperNet) -> dict[str, list[bool]]:
    """Return by decision, for each option, whether it has no parameters, such as a skip or a pooling.

    Options that are numbers have all of them.
    """
    return {
        label: [
            not choice.silent and not any(True for _ in option.parameters())
            for option in choice.options
        ]
        for choice, label in supernet.choices.items()
    }


def finite_values(
    method: str, probabilities: Mapping[str, torch.Tensor], alphas: Mapping[str, torch.Tensor]
) -> dict[str, list[float]]:
    """Return the probabilities of all options as numbers, by decision.

    Args:
        method: name of the method, for the message.
        probabilities: probabilities of all options, `[options]` for each decision.
        alphas: numbers α that the probabilities are made of, by decision.

    Raises:
        DivergedError: one of the numbers is not finite.
    """
    found = {label: p.tolist() for label, p in probabilities.items()}
    for label, values in found.items():
        if not all(map(math.isfinite, values + alphas[label].tolist())):
            raise DivergedError(
                f"{method}: the architecture parameters of {label!r} are not finite; lower "
                "strategy.alpha.learning_rate, or mend what makes the loss so large"
            )
    return found


def entropy(
    probabilities: Mapping[str, Sequence[float]], kept: Mapping[str, Sequence[int]]
) -> float:
    """Return the mean over decisions of the entropy over its largest value, in 0–1.

    Args:
        probabilities: probabilities of all options, by decision; their sum need not be 1.
        kept: the options that are in the race.
    """
    found = []
    for label, values in probabilities.items():
        total = sum(values)
        shares = [value / total for value in values if value > 0]
        if len(values) > 1:
            own = -sum(share * math.log(share) for share in shares)
            found.append(own / math.log(max(len(kept[label]), 2)))
    return round(sum(found) / max(len(found), 1), 5)


def dominance(
    probabilities: Mapping[str, Sequence[float]],
    free: Mapping[str, Sequence[bool]],
    labels: Collection[str],
) -> float | None:
    """Return the share of decisions whose strongest option has no parameters, in 0–1.

    Of those that have options with and without; None where there are none.

    Args:
        probabilities: probabilities of all options, by decision.
        free: for each option whether it has no parameters.
        labels: the decisions with one answer.
    """
    found = [
        free[label][values.index(max(values))]
        for label, values in probabilities.items()
        if label in labels and any(free.get(label, ())) and not all(free[label])
    ]
    return round(sum(found) / len(found), 4) if found else None


def collapse_warnings(method: str, share: float) -> list[str]:
    """Say that a search has collapsed, where this share of decisions is dominated (see `dominance`)."""
    if share < DOMINATED:
        return []
    return [
        f"{method} has collapsed: in {100 * share:.0f} % of the decisions the strongest option has no "
        "parameters (a skip, a pooling or none). Train less or regularise the weights more, keep α "
        "still for longer (strategy.alpha.warmup), or try another strategy"
    ]
