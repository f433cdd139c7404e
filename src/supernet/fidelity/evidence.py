"""All cheap evidence on networks, combined by what a few of them are worth alone.

Shapes: n networks have d features, `[n, d]`, such as losses under shared weights, scores without
training and costs, and answers to q decisions, `[n, q]`; p of them, the probes, were trained alone,
`[p]`.

The model is a Gaussian process (Rasmussen and Williams, "Gaussian Processes for Machine Learning",
2006, section 2.2) on ranks: each feature is replaced by the normal quantile of its rank among all
networks, and what probes are worth by that among probes, so that units, outliers and any increasing
transformation do not matter. Its mean is the best score that is known beforehand, the start s, times
`SLOPE`; what is learned is how the truth deviates from it, with the covariance

    k(i, j) = `LEVEL` + a s_i s_j + b exp(-|x_i - x_j|² / 2d) + h exp(-`DISTANCE` h_ij)
              (+ c where i = j is a probe)

with h_ij the share of the decisions that two networks answer differently, in which a, b, h and the noise
c maximise the posterior (section 5.2), the logarithm of each being normal beforehand, with a standard
deviation of `DOUBT`.

Short trainings, or those of a smaller model, err in a way that networks which are alike share, so that
more of them do not help. Of the deviations that probes show a share, the trust t, is taken to be that of
the truth: t k is its covariance, and (1 - t) k that of the error, of which nothing but the sum is seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import scipy
from numpy.typing import NDArray

from supernet.errors import ConfigError
from supernet.evaluate.rank_correlation import (
    RankCorrelation,
    kendall,
    kendall_difference,
)
from supernet.evaluate.resampling import Array, Interval
from supernet.random import derive_seed
from supernet.space import Architecture

__all__ = ["FEWEST_PROBES", "Evidence", "combine", "together"]

FEWEST_PROBES = 8
"""Fewest probes that anything is learned from."""

SLOPE = 0.8
"""How much of a standard deviation of worth one of the start is taken to tell, before any probe."""

LEVEL = 0.1
"""Variance of the level of all networks."""

EXPECTED = (0.1, 0.1, 0.1, 0.2)
"""Variances a, b, h and c, before any probe."""

DISTANCE = 3.0
"""How fast networks are taken to differ with the share of their answers that do."""

DOUBT = 2.0
"""Standard deviation of their logarithms, before any probe."""

BOUNDS = (-9.0, 2.0)
"""Bounds of these logarithms."""

Indices = NDArray[np.intp]

CONSIDERED = 500
"""Networks, the likeliest to be the best, among which the next probes are drawn."""


@dataclass(frozen=True)
class Evidence:
    """What networks are worth, as far as all evidence tells.

    Attributes:
        mean: expected worth of each network, as a normal quantile of its rank, `[n]`; higher is better.
        std: standard deviation of this worth, `[n]`.
    """

    mean: Array
    std: Array
    _posterior: _Posterior = field(repr=False)
    _worth: Sequence[float] = field(repr=False)
    _start: Sequence[float] | None = field(repr=False)
    _seed: int = field(repr=False)

    @cached_property
    def left_out(self) -> RankCorrelation:
        """Kendall's τ of what each probe is worth with what the others predict of it."""
        return kendall(self._predicted, self._worth, seed=self._seed)

    @cached_property
    def start(self) -> RankCorrelation | None:
        """Kendall's τ of what probes are worth with the start alone; None without one."""
        return None if self._start is None else kendall(self._start, self._worth, seed=self._seed)

    @cached_property
    def over(self) -> Interval | None:
        """Difference of the two, with its interval; None without a start, or where one is undefined."""
        if self._start is None:
            return None
        return kendall_difference(self._predicted, self._start, self._worth, seed=self._seed)

    @cached_property
    def _predicted(self) -> list[float]:
        return list(map(float, self._posterior.left_out()))

    @property
    def knows(self) -> bool:
        """Whether predictions of left-out probes agree with their worth, beyond chance."""
        return self.left_out.low is not None and self.left_out.low > 0

    def next_probes(self, count: int, seed: int = 0, known: Sequence[int] = ()) -> list[int]:
        """Return the networks that should be trained next: those that may well be the best.

        Each is the best of all in a draw from what is believed of them (Thompson sampling: Thompson,
        "On the Likelihood that One Unknown Probability Exceeds Another", 1933).

        Args:
            count: number of probes.
            seed: seed of the draws.
            known: indices of networks that are not wanted, as those that were trained.

        Returns:
            Up to so many indices, all different.
        """
        hope = self.mean + 2 * self.std  # a copy
        hope[list(known)] = -np.inf
        likely = np.argsort(-hope, kind="stable")[: max(CONSIDERED, count)]
        likely = likely[np.isfinite(hope[likely])]
        covariance = self._posterior.of(likely.tolist())
        random = np.random.default_rng(derive_seed(seed, "next probes"))
        root = np.linalg.cholesky(covariance + 1e-8 * np.eye(len(likely)))
        found: dict[int, None] = {}
        left = np.ones(len(likely), dtype=bool)
        while len(found) < min(count, len(likely)):
            drawn = self.mean[likely] + root @ random.standard_normal(len(likely))
            best = int(np.argmax(np.where(left, drawn, -np.inf)))
            left[best] = False
            found[int(likely[best])] = None
        return list(found)


def combine(
    features: Mapping[str, Sequence[float]],
    worth: Mapping[int, float],
    start: str | Sequence[str] | None = None,
    seed: int = 0,
    architectures: Sequence[Architecture] | None = None,
    trust: float = 1.0,
) -> Evidence:
    """Return what networks are worth, from all features and what the probes are worth.

    Args:
        features: values of all networks, `[n]` each, by name. Where one is no finite number, as the
            score of a network that failed, it counts as the least.
        worth: value of each probe, such as its accuracy, by the index of the network; higher is better.
        start: name of the feature that is believed before any probe, higher being better, or names of
            several whose normal quantiles are added, as a score under shared weights and the best one
            without training. None for none.
        seed: seed of the resampling of intervals.
        architectures: the networks' architectures, `[n]`, whose answers are evidence, too; None for not.
        trust: share, in (0, 1], of what probes consistently say besides the start that holds of what
            networks are worth, too: 1 where probes were trained as the networks shall be, some 0.3
            where they were trained shortly.

    Raises:
        ConfigError: the trust is no such share, there are no features, they or the architectures differ
            in length, there are fewer than `FEWEST_PROBES` probes, an index is none of a network, worth
            is not finite, or the start is no feature.
    """
    if not 0 < trust <= 1:
        raise ConfigError(f"trust is a share above 0, at most 1, not {trust}")
    begin = [start] if isinstance(start, str) else list(start or ())
    n = _checked(features, worth, begin, architectures)
    columns = [_quantiles(np.asarray(one, dtype=float)) for one in features.values()]
    known = [column for column in columns if np.ptp(column) > 0] or [np.zeros(n)]
    first = together([features[name] for name in begin]) if begin else np.zeros(n)
    probes = np.array(sorted(worth))
    values = np.array([worth[index] for index in sorted(worth)], dtype=float)
    y = _quantiles(values)
    answers = _answers(architectures or [], n)
    posterior = _Posterior(np.column_stack(known), first, answers, probes, y, trust)
    mean, std = posterior.predicted()
    return Evidence(
        mean=mean,
        std=std,
        _posterior=posterior,
        _worth=values.tolist(),
        _start=first[probes].tolist() if begin else None,
        _seed=seed,
    )


def together(scores: Sequence[Sequence[float]]) -> Array:
    """Return what several scores say where nothing is known of any network, `[n]`, higher is better.

    It is the normal quantile of the rank of the sum of the scores' own quantiles, so that each counts
    alike. Where one is no finite number it counts as the least.

    Args:
        scores: scores of the same networks, `[n]` each; at least one.
    """
    return _quantiles(np.sum([_quantiles(np.asarray(one, dtype=float)) for one in scores], axis=0))


class _Posterior:
    """The Gaussian process, given the probes.

    Args:
        x: features of all networks, `[n, d]`.
        start: value of the start for each network, `[n]`.
        answers: number of the answer to each decision, `[n, q]`; q = 0 where they are no evidence.
        probes: indices of the probes, `[p]`.
        y: value of each probe, `[p]`.
        trust: share of the covariance that is that of the truth.
    """

    def __init__(
        self,
        x: Array,
        start: Array,
        answers: Indices,
        probes: Indices,
        y: Array,
        trust: float = 1.0,
    ) -> None:
        self._x, self._start, self._answers, self._probes = x, start, answers, probes
        self._trust = trust
        self._rest = y - SLOPE * start[probes]
        parts = self._parts(probes, probes)
        *self._variances, noise = _most_likely([*parts, np.eye(len(probes))], self._rest)
        self._inverse = scipy.linalg.inv(self._summed(parts) + noise * np.eye(len(probes)))

    def predicted(self) -> tuple[Array, Array]:
        """Return mean and standard deviation of all networks, `[n]` each."""
        everything = np.arange(len(self._x))
        between = self._prior(everything, self._probes)
        mean: Array = SLOPE * self._start + self._trust * (between @ self._inverse @ self._rest)
        before = LEVEL + self._variances[0] * self._start**2 + sum(self._variances[1:])
        explained = np.einsum("np,pq,nq->n", between, self._inverse, between)
        return mean, np.sqrt(np.maximum(self._trust * (before - self._trust * explained), 0.0))

    def left_out(self) -> Array:
        """Return what the other probes predict of each, `[p]` (Rasmussen and Williams, (5.12))."""
        error = self._inverse @ self._rest / np.diag(self._inverse)
        found: Array = SLOPE * self._start[self._probes] + self._rest - error
        return found

    def of(self, networks: Sequence[int]) -> Array:
        """Return the covariance of networks, `[m, m]`."""
        some = np.array(networks, dtype=np.intp)
        between = self._prior(some, self._probes)
        explained = between @ self._inverse @ between.T
        found: Array = self._trust * (self._prior(some, some) - self._trust * explained)
        return found

    def _prior(self, one: Indices, other: Indices) -> Array:
        return self._summed(self._parts(one, other))

    def _parts(self, one: Indices, other: Indices) -> list[Array]:
        """Return what the variances a, b and h are multiplied by in the covariance."""
        apart = (
            scipy.spatial.distance.cdist(self._x[one], self._x[other], "sqeuclidean")
            / self._x.shape[1]
        )
        parts = [np.outer(self._start[one], self._start[other]), np.exp(-apart / 2)]
        if self._answers.shape[1]:
            differ = scipy.spatial.distance.cdist(
                self._answers[one], self._answers[other], "hamming"
            )
            parts.append(np.exp(-DISTANCE * differ))
        return parts

    def _summed(self, parts: Sequence[Array]) -> Array:
        found = np.full_like(parts[0], LEVEL)
        for variance, one in zip(self._variances, parts, strict=True):
            found += variance * one
        return found


def _most_likely(parts: Sequence[Array], y: Array) -> list[float]:
    """Return the variances of the parts of a covariance that are likeliest, given what was seen.

    Args:
        parts: matrix of each part, `[p, p]`.
        y: value of each probe less what the start tells, `[p]`.
    """
    begin = np.log([*EXPECTED[: len(parts) - 1], EXPECTED[-1]])

    def cost(logs: Array) -> float:
        gram = LEVEL + sum(np.exp(log) * one for log, one in zip(logs, parts, strict=True))
        root = np.linalg.cholesky(gram + 1e-9 * np.eye(len(y)))
        white = scipy.linalg.solve_triangular(root, y, lower=True)
        likelihood = -white @ white / 2 - np.log(np.diag(root)).sum()
        return float(((logs - begin) ** 2).sum() / (2 * DOUBT**2) - likelihood)

    found = scipy.optimize.minimize(cost, begin, method="L-BFGS-B", bounds=[BOUNDS] * len(begin))
    return [float(one) for one in np.exp(found.x)]


def _answers(architectures: Sequence[Architecture], n: int) -> Indices:
    """Return numbers of answers, `[n, q]`; a decision that an architecture lacks is one, too."""
    labels = dict.fromkeys(label for one in architectures for label in one)
    columns = [[repr(one.get(label)) for one in architectures] for label in labels]
    numbers = [np.unique(column, return_inverse=True)[1] for column in columns]
    return np.column_stack(numbers) if numbers else np.zeros((n, 0), dtype=np.intp)


def _quantiles(values: Array) -> Array:
    """Return the normal quantiles of ranks, ties averaged; what is not finite is the least."""
    finite = np.isfinite(values)
    least = values[finite].min() if finite.any() else 0.0
    ranks = scipy.stats.rankdata(np.where(finite, values, least - 1.0))
    found: Array = scipy.stats.norm.ppf((ranks - 0.5) / len(values))
    return found


def _checked(
    features: Mapping[str, Sequence[float]],
    worth: Mapping[int, float],
    start: Sequence[str],
    architectures: Sequence[Architecture] | None,
) -> int:
    """Return the number of networks."""
    lengths = {name: len(values) for name, values in features.items()}
    if len(set(lengths.values())) != 1:
        raise ConfigError(f"features have one value for each network; their lengths are {lengths}")
    n = next(iter(lengths.values()))
    if architectures is not None and len(architectures) != n:
        raise ConfigError(
            f"{n} networks have features, but {len(architectures)} architectures are given"
        )
    if unknown := [name for name in start if name not in features]:
        raise ConfigError(f"the start {unknown[0]!r} is none of the features {list(features)}")
    if len(worth) < FEWEST_PROBES:
        raise ConfigError(
            f"{len(worth)} networks trained alone are too few to learn from: give {FEWEST_PROBES} or "
            "more"
        )
    if wrong := [index for index in worth if not 0 <= index < n]:
        raise ConfigError(f"networks are numbered from 0 to {n - 1}, but worth is given of {wrong}")
    if not all(np.isfinite(list(worth.values()))):
        raise ConfigError("what networks are worth holds a number that is not finite: leave it out")
    return n
