"""All that is said of scores beside what networks are worth: figures, a ceiling, a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from supernet.errors import ConfigError
from supernet.fidelity import cautions
from supernet.fidelity.ceiling import Ceiling, ceiling_of
from supernet.fidelity.figures import Fidelity, fidelity
from supernet.fidelity.truth import Worth
from supernet.fidelity.verdict import Verdict, verdict
from supernet.space import Architecture

__all__ = ["Assessment", "assess"]

LEAST = 3
"""Fewest networks that figures are computed of."""


@dataclass(frozen=True)
class Assessment:
    """How far scores can be believed.

    Attributes:
        figures: figures of each score, with intervals.
        ceiling: τ that a perfect score would reach; None if nothing is known of the noise.
        verdict: the same in words.
        compared: numbers of the networks, as they were given, that all scores of have finite values.
    """

    figures: Fidelity
    ceiling: Ceiling | None
    verdict: Verdict
    compared: tuple[int, ...]


def assess(
    scores: Mapping[str, Sequence[float | None]],
    networks: Sequence[Worth],
    counts: Sequence[str] = (),
    *,
    baselines: Sequence[str] = (),
    images: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    strata: Sequence[int] | None = None,
) -> Assessment:
    """Return how far scores can be believed.

    Networks without a finite number in any score are left out, and said.

    Args:
        scores: scores of each kind, `[n]` each, by name, the one that is judged first; higher is better.
        networks: worth of the same networks, `[n]`.
        counts: names of the scores that are counts or other costs of networks.
        baselines: names of further scores that the judged one should beat, as those without training.
        images: number of examples that an accuracy, where the judged score is called so, was measured
            on.
        confidence: confidence of the intervals, such as 0.95.
        seed: seed of the resampling.
        strata: number of the stratum that each network was drawn from, `[n]`, see `fidelity`.

    Raises:
        ConfigError: there is no score, or lengths differ.
    """
    if not scores or any(len(one) != len(networks) for one in scores.values()):
        raise ConfigError(
            f"there are {len(networks)} networks, and scores of "
            f"{', '.join(f'{len(one)} ({name})' for name, one in scores.items()) or 'nothing'}; each "
            "needs one number for each network"
        )
    values = {name: np.array(one, dtype=float) for name, one in scores.items()}  # None becomes NaN
    name, judged = next(iter(values.items()))
    finite = np.all([np.isfinite(one) for one in values.values()], axis=0)
    compared = tuple(int(i) for i in np.flatnonzero(finite))
    known = [networks[i] for i in compared]
    values = {name: one[finite] for name, one in values.items()}
    if len(known) < LEAST:
        return _no_numbers(name, len(known), len(networks), confidence)
    controls = [one for one in counts if one in values]
    kept = None if strata is None else [strata[i] for i in compared]
    found = fidelity(values, [one.value for one in known], controls, confidence, seed, kept)
    ceiling = ceiling_of(known, confidence, seed)
    judged = values[name]
    said = [
        cautions.left_out(name, len(networks) - len(known), len(known)),
        cautions.few(found.scores[name].get("kendall_tau"), found.n),
        cautions.ties(name, judged),
        cautions.small_split(name, judged, images) if name == "accuracy" and images else None,
        cautions.noisy_truth(ceiling),
    ]
    decision = cautions.deciding(judged, _architectures(known))
    beside = [*controls, *(one for one in baselines if one in values)]
    spoken = verdict(found, beside, ceiling, decision, [one for one in said if one is not None])
    return Assessment(found, ceiling, spoken, compared)


def _architectures(networks: Sequence[Worth]) -> list[Architecture]:
    return [one.architecture for one in networks]


def _no_numbers(name: str, left: int, n: int, confidence: float) -> Assessment:
    """Say that too few networks have a score to compute anything."""
    spoken = Verdict(
        "no numbers",
        f"{name} is a finite number for {left:,} of {n:,} networks only, so nothing can be said of its "
        "ranking: see why scoring fails (the task's measures, or weights that diverged).",
    )
    return Assessment(Fidelity(left, confidence, {name: {}}, {}), None, spoken, ())
