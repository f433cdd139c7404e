"""How well any score could rank networks whose worth is only known by noisy trainings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from supernet.evaluate.noise import noise_ceiling, spread_ceiling, twin_tau
from supernet.evaluate.rank_correlation import ENOUGH, RankCorrelation
from supernet.fidelity.truth import Worth
from supernet.record_fields import Inline

__all__ = ["Ceiling", "ceiling_of"]


@dataclass(frozen=True)
class Ceiling:
    """What could be reached.

    Attributes:
        correlation: Kendall's τ of a perfect score with what networks are worth, with its interval.
        source: knowledge of the noise: "second" (how trainings with other seeds rank the networks,
            see `supernet.evaluate.noise_ceiling`) or "spread" (how much a value scatters, see
            `supernet.evaluate.noise.spread_ceiling`).
        networks: the number of networks of which the noise is known.
        twin: the τ that one more training of each network would reach.
    """

    correlation: Inline[RankCorrelation]
    source: Literal["second", "spread"]
    networks: int
    twin: float | None

    @property
    def kendall_tau(self) -> float | None:
        """The τ of a perfect score; None if it is not defined."""
        return self.correlation.kendall_tau


def ceiling_of(
    networks: Sequence[Worth], confidence: float = 0.95, seed: int = 0
) -> Ceiling | None:
    """Return how well a perfect score would rank networks; None if nothing is known of the noise.

    Where ten or more have two trainings, their ranks say it; else the spreads that are known, or that
    pairs of trainings show.

    Args:
        networks: networks that scores are compared on.
        confidence: confidence of the interval, such as 0.95.
        seed: seed of the resampling.
    """
    several = [one for one in networks if len(one.values) > 1]
    trainings = len(networks) / math.fsum(1 / len(one.values) for one in networks)
    if len(several) >= ENOUGH:
        pairs = [[one.values[i] for one in several] for i in (0, 1)]
        found = noise_ceiling(pairs, confidence, seed, trainings)
        return _ceiling(found, "second", len(several), trainings)
    values = [one.value for one in networks]
    spreads = [one.spread for one in networks if one.spread is not None]
    if spreads:
        noise = math.fsum(spread**2 for spread in spreads) / len(spreads)
        found = spread_ceiling(values, noise, None, confidence, seed)
        return _ceiling(found, "spread", len(spreads), 1)
    if not several:
        return None
    degrees = sum(len(one.values) - 1 for one in several)
    squares = math.fsum((v - one.value) ** 2 for one in several for v in one.values)
    noise = squares / degrees / trainings
    found = spread_ceiling(values, noise, degrees, confidence, seed)
    return _ceiling(found, "spread", len(several), trainings)


def _ceiling(
    found: RankCorrelation, source: Literal["second", "spread"], networks: int, trainings: float
) -> Ceiling:
    tau = found.kendall_tau
    return Ceiling(found, source, networks, None if tau is None else twin_tau(tau, trainings))
