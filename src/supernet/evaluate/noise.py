"""What a perfect score could reach, where the truth that it is compared with is itself noisy.

Shapes: values are `[k, networks]`, of k trainings each; what is computed in resamples is `[resamples]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from supernet.errors import ConfigError
from supernet.evaluate.rank_correlation import ENOUGH, RankCorrelation, unanimous
from supernet.evaluate.resampling import Array, counts, quantiles, taus
from supernet.random import derive_seed

__all__ = ["noise_ceiling", "spread_ceiling", "twin_tau"]


def noise_ceiling(
    values: Sequence[Sequence[float]],
    confidence: float = 0.95,
    seed: int = 0,
    trainings: float | None = None,
) -> RankCorrelation:
    """Return Kendall's τ of a perfect score with the mean of k noisy values per network.

    What a network is worth is never seen, only values of k trainings that scatter around it. How much
    they scatter is what trainings of different seeds say of each other:

    1. the mean τ of every two seeds, as a correlation: r = sin(π τ / 2) (Greiner 1909; Kruskal, "Ordinal
       Measures of Association", JASA 1958), the reliability of one training;
    2. that of the mean of k: r_k = k r / (1 + (k - 1) r) (Spearman 1910, Brown 1910);
    3. the correlation of the mean with what it scatters around: sqrt(r_k) (Lord and Novick, "Statistical
       Theories of Mental Test Scores", 1968, section 3.7);
    4. back to τ: 2/π asin sqrt(r_k).

    It assumes noise that is alike for all networks, and normal up to one monotone change of the scale.
    In simulations of 60 networks it was within 0.01 of what a perfect score reached with normal values,
    and up to 0.03 above with values of a long tail, whose mean follows the tail.
    The interval is the percentile bootstrap over networks. Where all seeds agree, or contradict each
    other, resamples show nothing else, and one end comes from Fieller's interval, as for `kendall`.

    Args:
        values: `[k, networks]`, k of at least 2.
        confidence: confidence of the interval, such as 0.95.
        seed: seed of the resampling.
        trainings: the number of trainings whose mean a score is compared with, which may be others than
            those in `values`; of different numbers their harmonic mean. By default k.

    Raises:
        ConfigError: there is one value per network only, or not the same number for each, or the
            confidence is not a share.
    """
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence is a share in (0, 1), such as 0.95, not {confidence}")
    lengths = {len(one) for one in values}
    if len(values) < 2 or len(lengths) != 1:
        raise ConfigError(
            "how much values scatter needs at least two for each network, but they are "
            f"{' and '.join(str(len(one)) for one in values) or 'none'}; train with more seeds"
        )
    sides = [np.asarray(one, dtype=float) for one in values]
    k, n = len(sides) if trainings is None else trainings, len(sides[0])
    tau = _agreement(sides, np.ones((1, n)))
    if np.isnan(tau).any():
        return RankCorrelation(None, None, None, confidence, n, False)
    once, end = _ceilings(tau, k)[0], np.array([unanimous(n, confidence)])
    low, high = quantiles(_ceilings(_agreement(sides, counts(n, seed)), k), confidence)
    if tau[0] > 1 - 1e-9:
        low = float(_ceilings(end, k)[0])
    elif tau[0] < 1e-9 - 1:
        high = float(_ceilings(-end, k)[0])
    return RankCorrelation(float(once), low, high, confidence, n, n >= ENOUGH)


def spread_ceiling(
    values: Sequence[float],
    noise: float,
    degrees: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> RankCorrelation:
    """Return Kendall's τ of a perfect score with noisy values of which it is known how they scatter.

    What networks are worth is the variance of the values less that of their noise; its share is their
    reliability r, and the τ is 2/π asin sqrt(r), see `noise_ceiling`. It needs no second value of each
    network, but assumes that values are normal.

    Args:
        values: one value per network, `[networks]`.
        noise: variance of a value over trainings with other seeds, mean over networks.
        degrees: degrees of freedom that this variance was estimated with; None if it is known.
        confidence: confidence of the interval, such as 0.95.
        seed: seed of the resampling of networks, and of the variance of the noise.
    """
    side = np.asarray(values, dtype=float)
    n = len(side)
    if n < 3 or np.ptp(side) == 0:
        return RankCorrelation(None, None, None, confidence, n, False)
    drawn = counts(n, seed)
    mean = drawn @ side / n
    variances = (drawn @ side**2 / n - mean**2) * n / (n - 1)
    noises = np.full(len(drawn), noise)
    if degrees is not None:
        random = np.random.default_rng(derive_seed(seed, "noise"))
        noises = noise * degrees / random.chisquare(degrees, len(drawn))
    low, high = quantiles(_of_shares(noises, variances), confidence)
    found = float(_of_shares(np.array([noise]), np.array([np.var(side, ddof=1)]))[0])
    return RankCorrelation(found, low, high, confidence, n, n >= ENOUGH)


def twin_tau(ceiling: float, trainings: float) -> float:
    """Return the τ that one more training of each network would have with the mean of those there are.

    It is lower than that of a perfect score, as that training has noise of its own: 2/π asin
    sqrt(r r_k), with r_k the reliability of the mean and r that of one training, see `noise_ceiling`.

    Args:
        ceiling: τ of a perfect score with the mean.
        trainings: number of trainings that it is the mean of.
    """
    of_mean = np.sin(np.pi * ceiling / 2) ** 2
    once = of_mean / (trainings - (trainings - 1) * of_mean)
    return float(2 / np.pi * np.arcsin(np.sqrt(once * of_mean)))


def _of_shares(noise: Array, variance: Array) -> Array:
    """Return the ceiling where so much of a variance is noise, elementwise."""
    share = np.divide(noise, variance, out=np.ones_like(variance), where=variance > 0)
    ceilings: Array = 2 / np.pi * np.arcsin(np.sqrt(np.clip(1 - share, 0, 1)))
    return ceilings


def _agreement(sides: Sequence[Array], drawn: Array) -> Array:
    """Return the mean τ of every two seeds in each resample, `[resamples]`."""
    found: Array = np.mean([taus(x, y, drawn) for x, y in combinations(sides, 2)], axis=0)
    return found


def _ceilings(tau: Array, k: float) -> Array:
    """Return the ceiling of the mean of k seeds, of which every two agree by τ, elementwise."""
    reliability = np.sin(np.pi * np.maximum(tau, 0) / 2)
    of_mean = k * reliability / (1 + (k - 1) * reliability)
    ceilings: Array = 2 / np.pi * np.arcsin(np.sqrt(of_mean))
    return ceilings
