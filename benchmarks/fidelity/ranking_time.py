"""What figures of a whole benchmark's ranking cost: `python -m benchmarks.fidelity.ranking_time`.

15,625 networks, as NAS-Bench-201 has, with four scores, two of which are counts, and 1,000 resamples.
Printed are processor seconds and the memory that the process needs beyond what it needed before, and for
comparison the seconds that SciPy's Kendall's τ alone would take in the same resamples, one after the
other, from some of them.
"""

from __future__ import annotations

import resource
import time

import numpy as np
from scipy import stats

from supernet.evaluate.resampling import RESAMPLES, count_blocks
from supernet.fidelity import fidelity

NETWORKS = 15_625
SAMPLED = 20


def main() -> None:
    scores, truth = drawn(NETWORKS)
    before, started = memory(), time.process_time()
    found = fidelity(scores, truth, ["params", "macs"])
    seconds, needed = time.process_time() - started, memory() - before
    plain = one_by_one(scores, truth) / SAMPLED * RESAMPLES
    tau = found.scores["accuracy"]["kendall_tau"]
    print(
        f"ranking: {NETWORKS:,} networks, {len(scores)} scores, {RESAMPLES:,} resamples: all figures "
        f"in {seconds:.1f} s of one core and {needed:.0f} MB (SciPy's τ alone: {plain:.0f} s, from "
        f"{SAMPLED} resamples; ratio {seconds / plain:.2f}); τ = {tau.value:.3f} "
        f"({tau.low:.3f} to {tau.high:.3f})"
    )


def drawn(n: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return scores by name and what networks are worth, `[n]` each, with the ties of accuracies."""
    random = np.random.default_rng(0)
    worth = random.normal(size=n)
    noisy = {
        name: worth + scale * random.normal(size=n)
        for name, scale in (("accuracy", 1.0), ("-loss", 1.0), ("params", 2.0), ("macs", 2.0))
    }
    return {**noisy, "accuracy": noisy["accuracy"].round(2)}, worth.round(3)


def one_by_one(scores: dict[str, np.ndarray], truth: np.ndarray) -> float:
    """Return the processor seconds of τ of all scores in some resamples."""
    drawings = next(count_blocks(len(truth), 0, SAMPLED)).astype(int)
    started = time.process_time()
    for many in drawings:
        for score in scores.values():
            stats.kendalltau(np.repeat(score, many), np.repeat(truth, many))
    return time.process_time() - started


def memory() -> float:
    """Return the most memory that this process has needed so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


if __name__ == "__main__":
    main()
