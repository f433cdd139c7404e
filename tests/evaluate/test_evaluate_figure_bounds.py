"""Constraints on figures: which scores keep to them, and what is said where none does."""

import dataclasses

import pytest

from supernet.errors import ConstraintError
from supernet.evaluate import FigureBounds


def test_a_percentage_is_a_share_of_one():
    bounds = FigureBounds.of(["accuracy >= 90%", "rmse <= 2.5"])
    assert [bound.limit for bound in bounds.bounds] == [0.9, 2.5]
    assert bounds.hold({"accuracy": 0.9, "rmse": 2.5})
    assert not bounds.hold({"accuracy": 0.89, "rmse": 2.5})
    assert not bounds.hold({"accuracy": 0.95, "rmse": 2.6})
    assert not bounds.hold({"accuracy": 0.95})
    assert not bounds.hold({"accuracy": None, "rmse": 1.0})
    assert FigureBounds().hold({})


def test_what_keeps_to_them_stays_in_its_order(make_candidate):
    candidates = [make_candidate(str(i), accuracy=i / 10) for i in (9, 3, 8, 5)]
    bounds = FigureBounds.of(["accuracy >= 0.5"])
    assert bounds.kept(candidates) == [candidates[0], *candidates[2:]]
    assert bounds.kept([]) == []


def test_where_none_does_the_best_is_said(make_candidate):
    candidates = [
        dataclasses.replace(make_candidate(str(i), accuracy=i / 10), measures={"rmse": float(i)})
        for i in (3, 8, 5)
    ]
    with pytest.raises(ConstraintError, match=r"none of the 3 .*highest accuracy reached is 0\.8"):
        FigureBounds.of(["accuracy >= 0.9"]).kept(candidates)
    with pytest.raises(ConstraintError, match=r"lowest rmse reached is 3"):
        FigureBounds.of(["rmse <= 2"]).kept(candidates)
    with pytest.raises(ConstraintError, match="none to all of them"):
        FigureBounds.of(["accuracy >= 0.8", "rmse <= 3"]).kept(candidates)
    with pytest.raises(ConstraintError, match="none of them has the figure f1"):
        FigureBounds.of(["f1 >= 0.8"]).kept(candidates)
    with pytest.raises(ConstraintError, match="cannot be read"):
        FigureBounds.of(["accuracy > 0.8"])
