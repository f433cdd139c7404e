"""Random spaces, and what they contain by definition: slow, and independent of the library."""

import itertools
import math

from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st

from supernet.space import OneOf, Ordered, SearchSpace, SomeOf

ABSENT = object()

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A slow or busy machine fails no test."""


@st.composite
def decisions_with_conditions(draw, most=5):
    """Draw decisions in any order and conditions: nested, below several parents, contradictory."""
    decisions, conditions, atoms = [], {}, []
    for i in range(draw(st.integers(1, most))):
        label = f"d{i}"
        options = tuple(range(2, 2 + draw(st.integers(1, 3))))
        kind = draw(st.sampled_from(["one", "some", "ordered"]))
        if kind == "some":
            options = tuple(f"o{o}" for o in options)
            high = draw(st.integers(1, len(options)))
            decisions.append(SomeOf(label, options, draw(st.integers(0, high)), high))
        else:
            decisions.append((OneOf if kind == "one" else Ordered)(label, options))
        if atoms and draw(st.booleans()):
            path = st.lists(st.sampled_from(atoms), min_size=1, max_size=2, unique=True)
            paths = draw(st.lists(path.map(tuple), min_size=1, max_size=3, unique=True))
            conditions[label] = paths
        atoms += [(label, option) for option in options]
    assume(math.prod(len(naive_values(d)) + 1 for d in decisions) <= 3000)
    return draw(st.permutations(decisions)), conditions


@st.composite
def spaces(draw, most=5):
    return SearchSpace(*draw(decisions_with_conditions(most)))


def naive_values(decision):
    """Return all answers: every subset of the options whose size lies within the bounds."""
    subsets = [
        tuple(o for o, chosen in zip(decision.options, mask, strict=True) if chosen)
        for mask in itertools.product([False, True], repeat=len(decision.options))
    ]
    subsets = [subset for subset in subsets if decision.low <= len(subset) <= decision.high]
    return subsets if isinstance(decision, SomeOf) else [subset[0] for subset in subsets]


def holds(path, values):
    """Return whether every (label, option) of the path is chosen."""
    for label, option in path:
        value = values.get(label, ABSENT)
        if option not in (value if isinstance(value, tuple) else (value,)):
            return False
    return True


def naive_architectures(decisions, conditions):
    """Return every assignment in which exactly those decisions are answered that exist."""
    found = []
    for values in itertools.product(*[[ABSENT, *naive_values(d)] for d in decisions]):
        given = {d.label: v for d, v in zip(decisions, values, strict=True) if v is not ABSENT}
        exist = {
            d.label
            for d in decisions
            if d.label not in conditions or any(holds(p, given) for p in conditions[d.label])
        }
        if given.keys() == exist:
            found.append(given)
    return found
