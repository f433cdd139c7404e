"""What to be careful about in a ranking, whatever its figures are: each is looked for by itself.

Shapes: scores are of n networks, `[n]`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from supernet.evaluate.resampling import Array, Interval
from supernet.fidelity.ceiling import Ceiling
from supernet.space import Architecture, Value

__all__ = [
    "Caution",
    "CautionKind",
    "deciding",
    "few",
    "left_out",
    "noisy_truth",
    "small_split",
    "ties",
]

CautionKind = Literal["few networks", "ties", "small split", "noise", "noisy truth", "left out"]

WIDE = 0.5
"""Width of an interval of τ above which there are too few networks."""

SHARED = 0.05
"""Share of the networks that may have the best score together."""

DECIDES = 0.95
"""Share of the variance of scores above which one decision is said to decide everything."""


@dataclass(frozen=True)
class Caution:
    """Something to be careful about.

    Attributes:
        kind: "few networks" (the interval is wide), "ties" (many share the best score), "small split"
            (more of the scores' spread may be noise than not), "noise" (all of it may), "noisy truth"
            (networks differ less than their trainings do), or "left out" (networks without a score).
        text: the same in a sentence, with numbers and what to do.
    """

    kind: CautionKind
    text: str


def few(tau: Interval | None, n: int) -> Caution | None:
    """Say where the interval of τ is too wide to tell a good ranking from a poor one."""
    if tau is None or tau.high - tau.low <= WIDE:
        return None
    return Caution(
        "few networks",
        f"τ of {n} networks is known to within {tau.high - tau.low:.2f} only: compare more.",
    )


def ties(name: str, score: Array) -> Caution | None:
    """Say where so many networks share the best score that chance picks among them."""
    values, number = np.unique(score, return_counts=True)
    if len(values) < 2 or number[-1] <= max(2, SHARED * len(score)):
        return None
    return Caution(
        "ties",
        f"{number[-1]:,} of {len(score):,} networks share the best {name}, which has {len(values):,} "
        "different values: which of them is chosen is chance; score on more examples, or by the loss.",
    )


def small_split(name: str, accuracies: Array, images: int) -> Caution | None:
    """Say where accuracies on so many examples are too coarse for how much they differ.

    The standard deviation of an accuracy p on m examples is sqrt(p (1 - p) / m).
    """
    p, spread = float(accuracies.mean()), float(accuracies.std(ddof=1))
    noise = float(np.sqrt(p * (1 - p) / images))
    if spread == 0 or 2 * noise**2 <= spread**2:
        return None
    whole = noise >= spread
    return Caution(
        "noise" if whole else "small split",
        f"On {images:,} examples the {name} of a network is known to {100 * noise:.2f} points, and "
        f"networks differ by {100 * spread:.2f} (standard deviations), so that "
        f"{'all' if whole else 'more than half'} of it may be noise: hold out more examples.",
    )


def noisy_truth(ceiling: Ceiling | None) -> Caution | None:
    """Say where the truth is so noisy that no score could rank well."""
    if ceiling is None or ceiling.kendall_tau is None or ceiling.kendall_tau >= 0.5:
        return None
    return Caution(
        "noisy truth",
        f"Trainings with other seeds differ more than networks do: a perfect score would reach "
        f"τ = {ceiling.kendall_tau:.2f}; train longer, or with more seeds.",
    )


def left_out(name: str, missing: int, n: int) -> Caution | None:
    """Say how many networks have no score."""
    if not missing:
        return None
    return Caution(
        "left out",
        f"{missing:,} of {missing + n:,} networks have no {name} that is a finite number, and are left "
        "out.",
    )


def deciding(
    score: Array, architectures: Sequence[Architecture]
) -> tuple[str, float, Value | None] | None:
    """Return the decision that alone decides nearly all of a score, if there is one.

    Its answers explain the share R² = 1 - (variance within answers) / (variance), both with their
    degrees of freedom, of the score.

    Returns:
        Its label, this share, and the answer with the highest scores (None where it does not exist).
    """
    labels = dict.fromkeys(label for one in architectures for label in one)
    best: tuple[str, float, Value | None] | None = None
    whole = float(np.var(score, ddof=1)) if len(score) > 1 else 0.0
    for label in labels if whole > 0 else ():
        groups: dict[Value | None, list[int]] = defaultdict(list)
        for index, one in enumerate(architectures):
            groups[one.get(label)].append(index)
        if not 1 < len(groups) <= len(score) / 2:
            continue
        of_each = [score[group] for group in groups.values()]
        squares = sum(float(((one - one.mean()) ** 2).sum()) for one in of_each)
        share = 1 - squares / (len(score) - len(groups)) / whole
        if share > (DECIDES if best is None else best[1]):
            top = max(groups, key=lambda answer: float(score[groups[answer]].mean()))
            best = (label, share, top)
    return best
