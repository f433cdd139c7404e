"""Networks that differ from one in a single answer, and what answers are worth by them.

With the loss L(r) of the network r that others are replacements in, and L of one that has the answer a
instead of r's, the answer is worth L - L(r); of a network the sum over its answers is expected:

    L(architecture) ≈ L(r) + Σ_a (L(r with a) - L(r)).

So Molchanov et al., "LANA" (ECCV 2022), and Bercovich et al., "Puzzle" (ICML 2025), score alternatives
of the blocks of a trained network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from supernet.evaluate import Candidate
from supernet.space import Architecture, Decision, SearchSpace, Value

__all__ = ["badness", "replacements", "worths"]


def replacements(space: SearchSpace, reference: Architecture) -> list[Architecture]:
    """Return the canonical forms of a network and of all that differ from it in one answer, each once.

    Decisions that lie in an option which the network has not chosen are reached by choosing it; those
    below a replaced answer have the last options. Of several options that are chosen, one is left out,
    added or exchanged.
    """
    found = {one.key: one for one in map(space.canonical, _replaced(space, reference))}
    return list(found.values())


def _replaced(space: SearchSpace, reference: Architecture) -> Iterator[Architecture]:
    yield reference
    for decision in space.decisions:
        base = _reaching(space, reference, decision.label)
        for value in _others(decision, base[decision.label]):
            yield _with(space, {**base, decision.label: value})


def _reaching(space: SearchSpace, architecture: Architecture, label: str) -> Architecture:
    """Return the architecture, or one with what it takes for a decision to exist."""
    while label not in architecture:
        path = space.conditions(label)[0]
        parent, option = next(
            (one, option)
            for one, option in path
            if one not in architecture or not _chosen(architecture[one], option)
        )
        base = _reaching(space, architecture, parent)
        decision = space.decision(parent)
        place = decision.options.index(option)
        kept = [i for i in decision.indices(base[parent]) if i != place][: decision.high - 1]
        architecture = _with(space, {**base, parent: decision.value(sorted([*kept, place]))})
    return architecture


def _chosen(value: Value, option: object) -> bool:
    return option in value if isinstance(value, tuple) else option == value


def _others(decision: Decision, value: Value) -> list[Value]:
    if decision.high == 1 and decision.low == 1:
        return [one for one in decision.values() if one != value]
    return decision.neighbours(value)


def _with(space: SearchSpace, answers: dict[str, Value]) -> Architecture:
    """Return the architecture of these answers, with the last options where one is missing."""

    def answer(decision: Decision) -> Value:
        count = len(decision.options)
        last = decision.value(range(count - decision.high, count))
        return answers.get(decision.label, last)

    return space.build(answer)


def badness(candidate: Candidate) -> float:
    """Return what is taken for a sum: the loss, or minus the figure that candidates are ranked by.

    The loss stands in for the accuracy, which counts examples and so tells less apart.
    """
    if candidate.by in ("loss", "accuracy") and candidate.loss is not None:
        return candidate.loss
    return -(candidate.score or 0.0)


def worths(
    chosen: NDArray[np.float64], design: Sequence[Candidate]
) -> tuple[NDArray[np.float64], float]:
    """Return how bad each option makes a network, by single replacements, and what that adds to.

    Where the networks of the design do not say what an option is worth, options share it evenly (the
    least squares of the smallest weights). One that failed is taken for as bad as all others together.

    Args:
        chosen: options that each network of the design chooses, `[networks, options]`, 1 or 0.
        design: the networks as they were scored.

    Returns:
        Weights `[options]` and a constant, with which the sums are the scores of the design.
    """
    passed = [badness(one) for one in design if one.status == "ok"]
    if not passed:
        return np.zeros(chosen.shape[1]), 0.0
    worst = min(passed) + sum(one - min(passed) for one in passed)
    scores = np.array([badness(one) if one.status == "ok" else worst for one in design])
    found = np.linalg.lstsq(np.column_stack([chosen, np.ones(len(chosen))]), scores, rcond=None)[0]
    return found[:-1], float(found[-1])
