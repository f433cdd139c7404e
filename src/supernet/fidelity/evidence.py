"""All cheap evidence on networks, combined by what a few of them are worth alone.

Shapes: n networks have d features, `[n, d]`, such as losses under shared weights, scores without
training, costs and indicators of options; p of them, the probes, were trained alone, `[p]`.

The model is a Gaussian process (Rasmussen and Williams, "Gaussian Processes for Machine Learning",
2006, section 2.2) on ranks: each feature is replaced by the normal quantile of its rank among all
networks, and what probes are worth by that among probes, so that units, outliers and any increasing
transformation do not matter. Its mean is the best score that is known beforehand, the start, times
`SLOPE`; what is learned is how the truth deviates from it: linearly in the features, smoothly in them,
and by noise. How much of each there is maximises the marginal likelihood.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import linalg, stats

from supernet.errors import ConfigError
from supernet.evaluate.rank_correlation import (
    RankCorrelation,
    kendall,
    kendall_difference,
)
from supernet.evaluate.resampling import Array, Interval
from supernet.random import derive_seed

__all__ = ["FEWEST_PROBES", "Evidence", "combine"]

FEWEST_PROBES = 8
"""Fewest probes that anything is learned from."""

SLOPE = 0.8
"""How much of a standard deviation of worth one of the start is taken to tell, before any probe."""

BOUNDS = (1e-3, 10.0)
"""Bounds of the variances of what is learned."""

CONSIDERED = 500
"""Networks, the likeliest to be the best, among which the next probes are drawn."""


@dataclass(frozen=True)
class Evidence:
    """What networks are worth, as far as all evidence tells.

    Attributes:
        mean: expected worth of each network, as a normal quantile of its rank, `[n]`; higher is better.
        std: standard deviation of this worth, `[n]`.
        left_out: Kendall's τ of what each probe is worth with what the others predict of it.
        start: Kendall's τ of what probes are worth with the start alone; None without one.
        over: difference of the first τ less the second, with its interval; None without a start, or
            where a τ is not defined.
    """

    mean: Array
    std: Array
    left_out: RankCorrelation
    start: RankCorrelation | None
    over: Interval | None
    _covariance: _Posterior = field(repr=False)

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
        covariance = self._covariance.of(likely.tolist())
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
    start: str | None = None,
    seed: int = 0,
) -> Evidence:
    """Return what networks are worth, from all features and what the probes are worth.

    Args:
        features: values of all networks, `[n]` each, by name. Where one is no finite number, as the
            score of a network that failed, it counts as the least.
        worth: value of each probe, such as its accuracy, by the index of the network; higher is better.
        start: name of the feature that is believed before any probe, higher being better: the best score
            that needs no training. None for none.
        seed: seed of the resampling of intervals.

    Raises:
        ConfigError: there are no features, they differ in length, there are fewer than `FEWEST_PROBES`
            probes, an index is none of a network, worth is not finite, or the start is no feature.
    """
    n = _checked(features, worth, start)
    columns = [_quantiles(np.asarray(one, dtype=float)) for one in features.values()]
    known = [column for column in columns if np.ptp(column) > 0] or [np.zeros(n)]
    first = np.zeros(n) if start is None else _quantiles(np.asarray(features[start], dtype=float))
    x = np.column_stack([first, *(column / np.sqrt(len(known)) for column in known)])
    probes = np.array(sorted(worth))
    values = np.array([worth[index] for index in sorted(worth)], dtype=float)
    y = _quantiles(values)
    posterior = _Posterior(x, first, probes, y)
    mean, std = posterior.predicted()
    left_out = posterior.left_out()
    truth = values.tolist()
    alone = None if start is None else first[probes].tolist()
    return Evidence(
        mean=mean,
        std=std,
        left_out=kendall(left_out.tolist(), truth, seed=seed),
        start=None if alone is None else kendall(alone, truth, seed=seed),
        over=None
        if alone is None
        else kendall_difference(left_out.tolist(), alone, truth, seed=seed),
        _covariance=posterior,
    )


class _Posterior:
    """The Gaussian process, given the probes.

    Args:
        x: the start and the features of all networks, `[n, 1 + d]`.
        start: the start's values, `[n]`.
        probes: indices of the probes, `[p]`.
        y: value of each probe, `[p]`.
    """

    def __init__(self, x: Array, start: Array, probes: Array, y: Array) -> None:
        self._x, self._expected = x, SLOPE * start
        self._known, self._rest = x[probes], y - self._expected[probes]
        self._expected_of_probes = self._expected[probes]
        whole = _fitted(self._known, self._rest)
        self._kernel = whole.k1
        self._inverse = linalg.inv(whole(self._known))

    def predicted(self) -> tuple[Array, Array]:
        """Return mean and standard deviation of all networks, `[n]` each."""
        between = self._kernel(self._x, self._known)
        mean: Array = self._expected + between @ self._inverse @ self._rest
        explained = np.einsum("np,pq,nq->n", between, self._inverse, between)
        return mean, np.sqrt(np.maximum(self._kernel.diag(self._x) - explained, 0.0))

    def left_out(self) -> Array:
        """Return what the other probes predict of each, `[p]` (Rasmussen and Williams, (5.12))."""
        error = self._inverse @ self._rest / np.diag(self._inverse)
        found: Array = self._expected_of_probes + self._rest - error
        return found

    def of(self, networks: Sequence[int]) -> Array:
        """Return the covariance of networks, `[m, m]`."""
        x = self._x[list(networks)]
        between = self._kernel(x, self._known)
        found: Array = self._kernel(x) - between @ self._inverse @ between.T
        return found


def _fitted(x: Array, y: Array) -> Any:
    """Return the kernel, with the noise as its second part, that maximises the marginal likelihood.

    Args:
        x: the start and the features of the probes, `[p, 1 + d]`.
        y: value of each probe less what the start tells, `[p]`.
    """
    from sklearn.exceptions import ConvergenceWarning  # a second to load: only where it is needed
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

    linear = ConstantKernel(0.3, BOUNDS) * DotProduct(0.0, "fixed")
    smooth = ConstantKernel(0.1, BOUNDS) * RBF(1.0, (0.3, 10.0))
    kernel = ConstantKernel(0.1, BOUNDS) + linear + smooth + WhiteKernel(0.2, (0.02, 2.0))
    process = GaussianProcessRegressor(kernel, n_restarts_optimizer=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # a bound is reached: as good as it gets
        process.fit(x, y)
    return process.kernel_


def _quantiles(values: Array) -> Array:
    """Return the normal quantiles of ranks, ties averaged; what is not finite is the least."""
    finite = np.isfinite(values)
    least = values[finite].min() if finite.any() else 0.0
    ranks = stats.rankdata(np.where(finite, values, least - 1.0))
    found: Array = stats.norm.ppf((ranks - 0.5) / len(values))
    return found


def _checked(
    features: Mapping[str, Sequence[float]], worth: Mapping[int, float], start: str | None
) -> int:
    """Return the number of networks."""
    lengths = {name: len(values) for name, values in features.items()}
    if len(set(lengths.values())) != 1:
        raise ConfigError(f"features have one value for each network; their lengths are {lengths}")
    n = next(iter(lengths.values()))
    if start is not None and start not in features:
        raise ConfigError(f"the start {start!r} is none of the features {list(features)}")
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
