"""How much the treatment of batch norm changes what an evaluation says.

The same architectures are scored under batch statistics and under recalibration with more and more
batches. Where two policies rank them alike, the cheaper one will do. (The policies are those of
`supernet.net.batchnorm`; Bender et al. use batch statistics, Guo et al., "Single Path One-Shot
Neural Architecture Search with Uniform Sampling", ECCV 2020, recalibrate.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import scipy

from supernet.errors import ConfigError, NoNetworkError
from supernet.evaluate.evaluator import Evaluator, Score
from supernet.evaluate.parts import PartsEvaluator
from supernet.evaluate.protocol import Protocol
from supernet.failures import first_line
from supernet.space import Architecture

__all__ = ["Agreement", "PolicyReport", "compare_policies", "converged_calibration"]

BATCHES = (1, 2, 4, 8, 16)
"""Numbers of calibration batches that are tried."""


@dataclass(frozen=True)
class Agreement:
    """The agreement of two treatments of batch norm on the same architectures.

    Attributes:
        first: name of one policy, such as "recalibrate on 512 images".
        second: name of the other.
        kendall_tau: τ-b of the two rankings, in -1..1; null where one ranks all alike.
        difference: mean absolute difference of the scores.
    """

    first: str
    second: str
    kendall_tau: float | None
    difference: float


@dataclass(frozen=True)
class PolicyReport:
    """The scores that several treatments of batch norm give the same architectures.

    Attributes:
        measure: name of what was compared: "accuracy" (0–1), or "loss" where the task has no
            accuracy.
        scores: scores by policy: the measure of each architecture that passed under all policies,
            in their order.
        agreements: rank agreements of every two policies.
        failed: architectures that are left out, with what was raised under some policy.
    """

    measure: str
    scores: dict[str, list[float]]
    agreements: list[Agreement]
    failed: Mapping[Architecture, Exception] = field(default_factory=dict)

    def __str__(self) -> str:
        if not self.agreements:
            return f"batch norm: {next(iter(self.scores))}"
        count = len(next(iter(self.scores.values())))
        lines = [f"{count} architectures, mean absolute difference of the {self.measure}"]
        for one in self.agreements:
            tau = "-" if one.kendall_tau is None else f"{one.kendall_tau:.3f}"
            lines.append(f"{one.first} / {one.second}: tau {tau}, difference {one.difference:.4f}")
        return "\n".join(lines)


Make = Callable[[Protocol], Evaluator | PartsEvaluator]
"""Returns an evaluator of one supernet under a protocol."""


def compare_policies(
    make: Make,
    architectures: Sequence[Architecture],
    batch_size: int = 256,
    calibration_batches: Sequence[int] = BATCHES,
) -> PolicyReport:
    """Score architectures under batch statistics and under recalibration, and compare.

    A model without norms that have running statistics needs no policy: it is scored once, under the
    name "none needed".

    Args:
        make: function from a protocol to an evaluator, for instance `lambda protocol:
            Evaluator(supernet, task, search, train, normalise, protocol)`.
        architectures: a probe set; at least two.
        batch_size: images per evaluation and calibration batch.
        calibration_batches: numbers of calibration batches to try, growing.

    Raises:
        ConfigError: there are not two architectures, or the numbers do not grow.
        NoNetworkError: fewer than two architectures can be scored under all policies.
    """
    _check(architectures, calibration_batches)
    probes = _Probes(architectures)
    first = make(Protocol("batch", batch_size))
    needed = first.batch_norm != "none needed"
    probes.score(f"batch statistics of {batch_size} images" if needed else "none needed", first)
    for number in calibration_batches if needed else ():
        evaluator = make(Protocol("recalibrate", batch_size, number))
        name = f"recalibrate on {evaluator.calibration_images} images"
        if name not in probes.found:  # the training split may hold no more
            probes.score(name, evaluator)
    measure, found = probes.compared()
    pairs = combinations(found.items(), 2)
    agreements = [_agreement(a, b, x, y) for (a, x), (b, y) in pairs]
    return PolicyReport(measure, found, agreements, probes.failed)


def converged_calibration(
    make: Make,
    architectures: Sequence[Architecture],
    tolerance: float = 0.005,
    least_tau: float = 0.9,
    batch_size: int = 256,
    calibration_batches: Sequence[int] = BATCHES,
    failed: Callable[[Architecture, Exception], None] = lambda *_: None,
) -> int | None:
    """Return the smallest number of calibration batches after which more change next to nothing.

    That is: between it and every larger number tried, scores differ by at most `tolerance` on
    average, and τ-b of the rankings is at least `least_tau`.

    Args:
        make: function from a protocol to an evaluator, see `compare_policies`.
        architectures: a probe set; at least two.
        tolerance: mean absolute difference, in units of the accuracy (0–1), or of the loss where
            there is no accuracy.
        least_tau: Kendall's τ-b, in -1..1; a ranking that has none (all alike) passes.
        batch_size: images per evaluation and calibration batch.
        calibration_batches: numbers to try, growing.
        failed: function that is told of architectures that cannot be scored, and are left out, with
            what was raised.

    Returns:
        The number; 0 if the model has no norm with running statistics; None if even the two
        largest numbers differ by more.

    Raises:
        ConfigError: there are not two architectures, or fewer than two growing numbers.
        NoNetworkError: fewer than two architectures can be scored with all numbers.
    """
    _check(architectures, calibration_batches)
    if len(calibration_batches) < 2:
        raise ConfigError("convergence needs at least two numbers of calibration batches")
    probes = _Probes(architectures)
    for number in calibration_batches:
        evaluator = make(Protocol("recalibrate", batch_size, number))
        if evaluator.batch_norm == "none needed":
            return 0
        probes.score(str(number), evaluator)
    for architecture, error in probes.failed.items():
        failed(architecture, error)
    scores = {int(number): each for number, each in probes.compared()[1].items()}
    *tried, last = calibration_batches
    converged = None
    for number in reversed(tried):
        larger = [scores[other] for other in [*tried, last] if other > number]
        agreements = [_agreement("", "", scores[number], one) for one in larger]
        if not all(_close(one, tolerance, least_tau) for one in agreements):
            break
        converged = number
    return converged


def _close(agreement: Agreement, tolerance: float, least_tau: float) -> bool:
    tau = agreement.kendall_tau
    return agreement.difference <= tolerance and (tau is None or tau >= least_tau)


class _Probes:
    """Architectures and their scores under several policies; one that fails under any is left out."""

    def __init__(self, architectures: Sequence[Architecture]) -> None:
        self._architectures = list(architectures)
        self.found: dict[str, dict[Architecture, Score]] = {}
        self.failed: dict[Architecture, Exception] = {}

    def score(self, name: str, evaluator: Evaluator | PartsEvaluator) -> None:
        """Score under a policy what did not fail before.

        Raises:
            NoNetworkError: fewer than two are left.
        """
        scores = self.found[name] = {}
        for architecture, score in evaluator.scores(self._left):
            if isinstance(score, Exception):
                self.failed[architecture] = score
            else:
                scores[architecture] = score
        if len(self._left) < 2:
            named = list(self.failed.items())[:3]
            reasons = "; ".join(
                f"{one.key} {dict(one)}: {first_line(error)}" for one, error in named
            )
            raise NoNetworkError(
                "treatments of batch norm are compared on random architectures, but of "
                f"{len(self._architectures)} only {len(self._left)} can be scored ({reasons}). Mend "
                "what makes them fail; or try more of them (--evaluate.probes); or compare none, with "
                "--evaluate.probes 0 and a number of --evaluate.calibration_batches"
            )

    def compared(self) -> tuple[str, dict[str, list[float]]]:
        """Return the measure, and by policy its value for each architecture that is left."""
        any_one = next(iter(self.found.values()))[self._left[0]]
        measure = "accuracy" if "accuracy" in any_one else "loss"
        return measure, {
            name: [scores[architecture][measure] for architecture in self._left]
            for name, scores in self.found.items()
        }

    @property
    def _left(self) -> list[Architecture]:
        return [one for one in self._architectures if one not in self.failed]


def _agreement(first: str, second: str, x: list[float], y: list[float]) -> Agreement:
    varies = len(set(x)) > 1 and len(set(y)) > 1
    tau = float(scipy.stats.kendalltau(x, y, variant="b").statistic) if varies else None
    return Agreement(first, second, tau, float(np.mean(np.abs(np.subtract(x, y)))))


def _check(architectures: Sequence[Architecture], numbers: Sequence[int]) -> None:
    if len(set(architectures)) < 2:
        raise ConfigError(
            f"{len(set(architectures))} architecture(s) have no ranking; give two or more"
        )
    if not numbers or list(numbers) != sorted(set(numbers)):
        raise ConfigError(f"calibration_batches must be growing numbers, not {list(numbers)}")
