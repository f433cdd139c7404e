"""Kendall's τ-b equals its definition, counted pair by pair."""

import math
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supernet.evaluate import kendall


def tau_b(x, y):
    """(concordant - discordant) / sqrt(pairs without tie in x · pairs without tie in y)."""
    agreement = untied_x = untied_y = 0
    for i, j in combinations(range(len(x)), 2):
        dx, dy = x[i] - x[j], y[i] - y[j]
        agreement += (dx * dy > 0) - (dx * dy < 0)
        untied_x += dx != 0
        untied_y += dy != 0
    return agreement / math.sqrt(untied_x * untied_y) if untied_x and untied_y else None


VALUES = st.integers(-3, 4)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(VALUES, VALUES), max_size=15))
def test_kendall_is_its_definition(pairs):
    x, y = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    expected = tau_b(x, y)
    found = kendall(x, y).kendall_tau
    assert found == (None if expected is None else pytest.approx(expected, abs=1e-12))
