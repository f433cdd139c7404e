import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supernet.errors import ConfigError
from supernet.evaluate import kendall


def few(low=0, high=6):
    return st.integers(low, high).map(float)


def numbers(smallest, largest):
    """Pairs of equally long lists, with many ties."""
    return st.integers(smallest, largest).flatmap(
        lambda n: st.tuples(
            st.lists(few(), min_size=n, max_size=n), st.lists(few(), min_size=n, max_size=n)
        )
    )


@settings(max_examples=10, deadline=None)
@given(numbers(2, 20))
def test_the_interval_lies_in_range_and_is_deterministic(pair):
    found = kendall(*pair)
    assert found == kendall(*pair)
    assert found.n == len(pair[0])
    if found.kendall_tau is not None:
        assert -1 <= found.low <= found.high <= 1
        assert found.meaningful == (found.n >= 10)


@settings(max_examples=8, deadline=None)
@given(st.permutations(range(20)))
def test_the_interval_contains_tau(order):
    found = kendall(list(range(20)), order)
    assert found.low - 1e-9 <= found.kendall_tau <= found.high + 1e-9
    wide = kendall(list(range(20)), order, confidence=0.99)
    assert wide.low <= found.low <= found.high <= wide.high


def test_agreement_and_reversal():
    up = list(range(12))
    same = kendall(up, [x**3 for x in up])
    assert (same.kendall_tau, same.high) == pytest.approx((1, 1))
    reverse = kendall(up, [-x for x in up])
    assert reverse.kendall_tau == pytest.approx(-1)


def test_more_pairs_give_a_narrower_interval():
    def width(n):
        found = kendall(list(range(n)), [(7 * i) % n + i for i in range(n)])
        return found.high - found.low

    assert width(60) < 0.6 * width(12)


@pytest.mark.parametrize(
    ("scores", "truth"),
    [([], []), ([1], [2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [4, 4, 4]), ([1] * 20, [1] * 20)],
)
def test_a_side_without_two_values_has_no_correlation(scores, truth):
    found = kendall(scores, truth)
    assert (found.kendall_tau, found.low, found.high) == (None, None, None)
    assert not found.meaningful
    assert found.n == len(scores)


def test_few_pairs_say_nothing():
    assert not kendall(list(range(9)), list(range(9))).meaningful
    assert kendall(list(range(10)), list(range(10))).meaningful


def test_failed_candidates_rank_last():
    """A score of minus infinity is below every number."""
    scores = [float("-inf"), 0.1, 0.2, 0.3]
    assert kendall(scores, [1, 2, 3, 4]).kendall_tau == 1


def test_the_seed_moves_the_interval_only():
    scores, truth = list(range(15)), [(4 * i) % 15 for i in range(15)]
    first, second = (kendall(scores, truth, seed=seed) for seed in (0, 1))
    assert first.kendall_tau == second.kendall_tau
    assert (first.low, first.high) != (second.low, second.high)


def test_sequences_of_different_lengths_are_refused():
    with pytest.raises(ConfigError, match="3 scores cannot be ranked against 2 values"):
        kendall([1, 2, 3], [1, 2])


@pytest.mark.parametrize("confidence", [0, 1, 95, -0.5])
def test_a_confidence_that_is_no_share_is_refused(confidence):
    with pytest.raises(ConfigError, match="confidence"):
        kendall([1, 2, 3], [1, 3, 2], confidence=confidence)
