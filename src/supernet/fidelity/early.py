"""What scores of a few networks tell while the supernet still trains, and what to be warned of.

Shapes: n networks are measured on the same m examples, results are `[n, m]` and scores their means,
`[n]`, higher being better. Results of a figure that is no mean over examples, as F1, are pseudo-values
(`supernet.evaluate.jackknife`), whose means are the scores but for a bias that networks share.

Networks see the same examples, so what these have in common shifts all scores alike and is no noise.
What is left of a result after the effects of its network and its example, the residual of a two-way
layout without replication (Scheffé, "The Analysis of Variance", 1959, chapter 4), is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy

from supernet.evaluate.resampling import Array
from supernet.fidelity.assess import assess
from supernet.fidelity.truth import Worth
from supernet.fidelity.verdict import VerdictKind
from supernet.space import Architecture, Option

__all__ = [
    "EARLY",
    "HALF",
    "EarlyWarning",
    "OptionSpread",
    "WarningKind",
    "all_alike",
    "far_behind",
    "no_ranking",
    "nothing_decides",
    "option_spreads",
    "score_noise",
]

EARLY = 0.2
"""Share of the steps from which on there are warnings; sooner, little is learned by any network."""

HALF = 0.5
"""Share of the steps from which on shared weights are compared with networks alone: where the learning
rate falls, they catch up late."""

BEHIND = 0.5
"""Share of what networks alone have learned below which shared weights are said to lag far behind."""

LEVEL = 0.05
"""Level of the tests: the probability that noise alone is taken for a difference."""

WarningKind = Literal["noise", "behind", "no decision", "no ranking"]


USELESS: frozenset[VerdictKind] = frozenset(
    ("constant", "reversed", "chance", "worse than a baseline")
)
"""Verdicts by which scores are no better than chance, or worse than what needs no supernet."""


@dataclass(frozen=True)
class EarlyWarning:
    """A warning of a training.

    Attributes:
        kind: "noise" (networks' scores differ no more than by chance), "behind" (shared weights lag far
            behind networks alone), "no decision" (no option makes a difference beyond chance), or "no
            ranking" (scores do not rank networks of which it is known what they are worth, or worse than
            a count does).
        text: the same in sentences, with numbers and what to do.
    """

    kind: WarningKind
    text: str


@dataclass(frozen=True)
class OptionSpread:
    """How networks with an option score beside those without it.

    Attributes:
        label: label of the decision.
        option: the option.
        networks: number of networks with it.
        spread: mean score with it, less that without it.
        noise: standard deviation of the spread, were other examples drawn.
    """

    label: str
    option: Option
    networks: int
    spread: float
    noise: float


def score_noise(results: Array) -> float:
    """Return the standard deviation of a score, beyond what examples have in common for all networks.

    Args:
        results: results of at least two networks on at least two examples, `[n, m]`.
    """
    n, m = results.shape
    rest = results - results.mean(0) - results.mean(1, keepdims=True) + results.mean()
    return float(np.sqrt((rest**2).sum() / ((n - 1) * (m - 1)) / m))


def option_spreads(
    scores: Sequence[float], architectures: Sequence[Architecture], noise: float
) -> list[OptionSpread]:
    """Return the spreads of all options that some of the networks have and some have not.

    Args:
        scores: finite scores, `[n]`.
        architectures: architectures of the networks, `[n]`.
        noise: standard deviation of a score, see `score_noise`.
    """
    values, found = np.asarray(scores, dtype=float), list[OptionSpread]()
    chosen = [_atoms(one) for one in architectures]
    for label, option in dict.fromkeys(atom for one in chosen for atom in one):
        has = np.array([(label, option) in one for one in chosen])
        if has.all():
            continue
        spread = float(values[has].mean() - values[~has].mean())
        each = float(np.sqrt(1 / has.sum() + 1 / (~has).sum()))
        found.append(OptionSpread(label, option, int(has.sum()), spread, noise * each))
    return found


def all_alike(name: str, scores: Sequence[float], noise: float, images: int) -> EarlyWarning | None:
    """Warn where scores differ by no more than their noise, by an F test.

    Args:
        name: name of the score.
        scores: finite scores, `[n]`.
        noise: standard deviation of a score, see `score_noise`.
        images: number of examples that they are means of.
    """
    # The deviation of equal scores from their mean may be no zero, for rounding.
    n, spread = len(scores), float(np.std(scores, ddof=1)) if np.ptp(scores) else 0.0
    limit = float(scipy.stats.f.isf(LEVEL, n - 1, (n - 1) * (images - 1)))
    if spread**2 > limit * noise**2:
        return None
    return EarlyWarning(
        "noise",
        f"the {name} of {n} watched networks differs by {spread:.2g} (standard deviation) on {images:,} "
        f"examples, and {noise:.2g} of that is noise: so far shared weights do not tell networks apart. "
        "Train longer, or with a larger learning rate; or watch on more examples (--watch.images), if "
        "they may differ little.",
    )


def nothing_decides(name: str, spreads: Sequence[OptionSpread]) -> EarlyWarning | None:
    """Warn where no option makes a difference beyond noise, all of them looked at together.

    Args:
        name: name of the score.
        spreads: spreads of all options, see `option_spreads`.
    """
    if not spreads:
        return None
    limit = float(scipy.stats.norm.isf(LEVEL / 2 / len(spreads)))
    if any(abs(one.spread) > limit * one.noise for one in spreads):
        return None
    most = max(spreads, key=lambda one: abs(one.spread))
    return EarlyWarning(
        "no decision",
        f"no decision matters to the {name} of watched networks: of all options, {most.option!r} of "
        f"{most.label!r} makes the largest difference, {most.spread:+.2g} with a noise of "
        f"{most.noise:.2g}. A search would choose by chance: train longer, or see whether the options "
        "differ at all.",
    )


def far_behind(
    start: float, shared: float, alone: float, steps: int, mean: float
) -> EarlyWarning | None:
    """Warn where shared weights have learned less than half of what networks alone have.

    Args:
        start: mean loss of watched networks before the first step.
        shared: mean loss of some of them under the shared weights.
        alone: mean loss of the same networks, trained alone.
        steps: number of steps that these were trained for.
        mean: mean loss of all of them under the shared weights.
    """
    if alone >= start or start - shared >= BEHIND * (start - alone):
        return None
    return EarlyWarning(
        "behind",
        f"shared weights lag far behind: the watched networks that were trained alone have a loss of "
        f"{alone:.2f} after {steps:,} steps, and under the shared weights now {shared:.2f} (all watched "
        f"ones {mean:.2f}; before training {start:.2f}). Paths get too little training: fewer layers or "
        "cells in the supernet's model, more steps, a larger learning rate, paths that are uniform over "
        "different networks (--strategy.sampling networks), or a supernet that is split "
        "(--few_shot.decision) help.",
    )


def no_ranking(
    scores: dict[str, Sequence[float]], networks: Sequence[Worth], images: int, seed: int
) -> EarlyWarning | None:
    """Warn where scores do not rank networks of which it is known what they are worth.

    Args:
        scores: the score by its name, and the counts of the networks after it, `[n]` each.
        networks: worth of the same networks, `[n]`.
        images: number of examples that scores are means of.
        seed: seed of the resampling.
    """
    found = assess(scores, networks, list(scores)[1:], images=images, seed=seed).verdict
    if found.kind not in USELESS:
        return None
    return EarlyWarning("no ranking", f"so far {found.text}")


def _atoms(architecture: Architecture) -> set[tuple[str, Option]]:
    """Return which options an architecture chooses."""
    return {
        (label, option)
        for label, value in architecture.items()
        for option in (value if isinstance(value, tuple) else (value,))
    }
