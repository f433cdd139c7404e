"""Derivation rules: from the strengths of all options to one architecture.

A decision with one answer takes its strongest option. How many a decision takes that chooses several,
between its bounds, follows from the strengths too:

* where operations lie in its options (edges into a node), the strongest edges, as many as may be; of
  these an edge is left out on which `none` is the strongest operation, and, by methods that weigh edges
  (PC-DARTS), one whose own weight is below the mean;
* elsewhere the strongest options, those that are at least as strong as the mean: with softmax weights,
  those that have not fallen below the uniform share that all begin with.

FairDARTS's rule `threshold` takes what its sigmoids are sure of instead. The authors of the relaxations
kept a fixed number of edges, where `edges` and `strongest` give the same; the rest is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from supernet.space import Architecture, Decision, OneOf, Option, SearchSpace, Value

__all__ = [
    "CONFIDENT",
    "RULES",
    "RuleName",
    "best",
    "edges",
    "edges_of",
    "holds_decisions",
    "strongest",
    "threshold",
    "with_at_most",
]

CONFIDENT = 0.85
"""FairDARTS's threshold for a sigmoid."""

Strengths = Mapping[str, Sequence[float]]
"""By decision, a number for each option, larger for better ones."""

RuleName = Literal["strongest", "edges", "threshold"]


def strongest(space: SearchSpace, strengths: Strengths) -> Architecture:
    """Take the strongest option of every decision, `none` too; see above for those that choose several.

    An edge is as strong as the strongest option in it that is not `none`.
    """
    return space.build(lambda decision: best(space, decision, strengths, forbid_none=False))


def edges(space: SearchSpace, strengths: Strengths, *, weighed: bool = False) -> Architecture:
    """Liu et al., "DARTS" (ICLR 2019): like `strongest`, but `none` is never taken.

    Of the edges into a node (a decision that chooses several, whose options hold a decision each) the
    strongest are kept, two in the paper, each as strong as its strongest option other than `none`. So
    `none` matters only where a node may have fewer edges than that.

    Args:
        space: space of the architecture.
        strengths: strengths of all options, by decision.
        weighed: whether the strengths of edges mean something by themselves, and not only those of
            the operations on them.
    """
    return space.build(
        lambda decision: best(space, decision, strengths, forbid_none=True, weighed=weighed)
    )


def threshold(space: SearchSpace, strengths: Strengths) -> Architecture:
    """Chu et al., "Fair DARTS" (ECCV 2020): of several, only those of 0.85 and more are kept.

    At most as many, and at least as few, as the decision allows, none of them if it allows that; the
    strongest first. The authors call it "threshold_sparse".
    """

    def answer(decision: Decision) -> Value:
        if isinstance(decision, OneOf):
            return best(space, decision, strengths, forbid_none=True)
        order = _order(space, decision, strengths)
        confident = [i for i in order if _strength(space, decision, i, strengths) >= CONFIDENT]
        count = min(max(len(confident), decision.low), decision.high)
        return decision.value(sorted(order[:count]))

    return space.build(answer)


def with_at_most(
    count: int,
    rule: Callable[[SearchSpace, Strengths], Architecture],
    space: SearchSpace,
    strengths: Strengths,
    within: str = "",
) -> Architecture:
    """Derive with a bound on the skips: Chen et al., "P-DARTS" (ICCV 2019).

    While there are more, the weakest is taken out and the rule asked again. One stays where its decision
    has no other option left.

    Args:
        count: largest number of skips.
        rule: function that derives an architecture without a bound.
        space: space of the architecture.
        strengths: strengths of all options, by decision, positive numbers.
        within: beginning of the labels of the decisions whose skips are counted.
    """
    left = {label: list(values) for label, values in strengths.items()}
    while True:
        found = rule(space, left)
        skips = [
            (left[label][index], label, index)
            for label, value in found.items()
            if label.startswith(within) and not isinstance(value, tuple)
            if space.role(label, value) == "skip"
            for index in space.decision(label).indices(value)
        ]
        weaker = [
            skip for skip in skips if _has_others(space, space.decision(skip[1]), skip[2], left)
        ]
        if len(skips) <= count or not weaker:
            return found
        _, label, index = min(weaker)
        left[label][index] = 0.0


def _has_others(space: SearchSpace, decision: Decision, index: int, strengths: Strengths) -> bool:
    """Return whether a decision has another option that may be derived."""
    values = strengths[decision.label]
    return any(values[i] > 0 and i != index for i in space.connecting(decision))


RULES: dict[RuleName, Callable[[SearchSpace, Strengths], Architecture]] = {
    "strongest": strongest,
    "edges": edges,
    "threshold": threshold,
}
"""The rules by name."""


def best(
    space: SearchSpace,
    decision: Decision,
    strengths: Strengths,
    *,
    forbid_none: bool,
    weighed: bool = False,
) -> Value:
    """Return the strongest answer to a decision; `none`, if forbidden, only for want of another."""
    if isinstance(decision, OneOf):
        named = space.connecting(decision) if forbid_none else []
        possible = named or range(len(decision.options))
        values = strengths[decision.label]
        return decision.value([max(possible, key=lambda i: values[i])])
    strongest_first = _order(space, decision, strengths)
    chosen = strongest_first[: decision.high]
    holds = holds_decisions(space, decision)
    if holds:
        chosen = [i for i in chosen if not _is_off(space, decision, i, strengths)]
    if weighed or not holds:
        values = strengths[decision.label]
        # a little less than the mean, since the mean of equals is rounded
        mean = (1 - 1e-6) * sum(values) / max(sum(value > 0 for value in values), 1)
        chosen = [i for i in chosen if values[i] >= mean]
    others = [i for i in strongest_first if i not in chosen]
    missing = max(decision.low - len(chosen), 0)
    return decision.value(sorted(chosen + others[:missing]))


def _is_off(space: SearchSpace, decision: Decision, index: int, strengths: Strengths) -> bool:
    """Return whether `none` is the strongest option of every decision that lies in an edge."""
    inner = _inner(space, decision, decision.options[index])
    best = [max(range(len(d.options)), key=strengths[d.label].__getitem__) for d in inner]
    return bool(inner) and all(
        space.role(d.label, d.options[i]) == "none" for d, i in zip(inner, best, strict=True)
    )


def _order(space: SearchSpace, decision: Decision, strengths: Strengths) -> list[int]:
    """Return the indices of the options, the strongest first."""
    indices = range(len(decision.options))
    return sorted(indices, key=lambda i: -_strength(space, decision, i, strengths))


def _strength(space: SearchSpace, decision: Decision, index: int, strengths: Strengths) -> float:
    """Return an option's strength: of an edge, that of the best option of the decisions in it."""
    values = [
        strength
        for other in _inner(space, decision, decision.options[index])
        for name, strength in zip(other.options, strengths[other.label], strict=True)
        if space.role(other.label, name) != "none"
    ]
    return max(values) if values else strengths[decision.label][index]


def edges_of(space: SearchSpace) -> set[str]:
    """Return the labels of decisions that choose several options in which decisions lie: edges."""
    return {
        decision.label
        for decision in space.decisions
        if not isinstance(decision, OneOf) and holds_decisions(space, decision)
    }


def holds_decisions(space: SearchSpace, decision: Decision) -> bool:
    """Return whether decisions lie in options of this one, as operations on edges do."""
    return any(_inner(space, decision, option) for option in decision.options)


def _inner(space: SearchSpace, decision: Decision, option: Option) -> list[Decision]:
    """Return the decisions that lie in an option and not deeper."""
    return [
        other
        for other in space.decisions
        if any(
            path and path[-1] == (decision.label, option) for path in space.conditions(other.label)
        )
    ]
