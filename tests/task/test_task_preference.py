"""Which of two scores is the better one."""

import pytest

from supernet.evaluate import Preference

SCORE = {"loss": 0.5, "accuracy": 0.75, "rmse": 2.0, "f1": 0.25}


@pytest.mark.parametrize(
    ("by", "score", "name"),
    [
        ("loss", SCORE, "accuracy"),
        ("accuracy", SCORE, "accuracy"),
        ("f1", SCORE, "f1"),
        ("rmse", SCORE, "rmse"),
        ("loss", {"loss": 0.5, "f1": 0.25}, "loss"),
        ("accuracy", {"loss": 0.5, "accuracy": None}, "loss"),
        ("f1", {"loss": 0.5, "accuracy": 0.75}, "loss"),
    ],
)
def test_networks_alone_are_compared_by_the_ranked_figure_or_the_accuracy(by, score, name):
    assert Preference(by).final(score) == name


def test_keys_are_larger_for_better_scores():
    better = Preference("rmse", ("rmse",))
    assert better.key(SCORE) == (-2.0, -0.5)
    assert better.key({**SCORE, "rmse": 1.0}) > better.key(SCORE)
    assert better.key({**SCORE, "loss": 0.4}) > better.key(SCORE)
    assert Preference("f1").key({**SCORE, "f1": 0.3}) > Preference("f1").key(SCORE)
    assert Preference("f1").key({}) == (float("-inf"), float("-inf"))


def test_the_loss_is_better_when_lower_whatever_a_task_says():
    assert Preference("f1", ()).signed("loss", 2.0) == -2.0
    assert [Preference("rmse", ("rmse",)).named(one) for one in ("rmse", "f1")] == ["-rmse", "f1"]


@pytest.mark.parametrize(("by", "figure"), [("loss", ""), ("accuracy", ""), ("f1", "f1")])
def test_a_figure_of_its_own_is_neither_loss_nor_accuracy(by, figure):
    assert Preference(by).figure == figure
