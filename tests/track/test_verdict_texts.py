"""The sentences at the top of the report: what was chosen, against what, and whether to believe it."""

from dataclasses import replace

import pytest
from tests.track.test_worth import RANKING, RETRAINED, TAU, results_of, row

from supernet.evaluate.resampling import Interval
from supernet.track.metrics import Metrics
from supernet.track.records import OverRandom
from supernet.track.verdict_texts import believed_text, chosen_text, compared_text, role_text


def test_the_chosen_network_is_named_with_its_test_score():
    assert chosen_text(Metrics(retrain=RETRAINED, test=results_of())) == (
        "c (best of the search) was chosen, the best of 4 by stand-alone score: 90.00 % on 10,000 test "
        "examples."
    )
    assert chosen_text(Metrics()) == ""
    alone = replace(RETRAINED, candidates=(row("c", "random", 0.9),))
    assert chosen_text(Metrics(retrain=alone)) == (
        "c (random baseline) was chosen, the only network that was trained alone; it has not been "
        "tested yet."
    )


def test_roles_are_named_alike():
    assert role_text("top", True) == "best of the search, probe"
    assert role_text("probe", True) == "probe"
    assert role_text("promising", False) == "promising by all evidence"
    assert role_text("another", False) == "another"


def test_the_comparison_says_with_what_and_over_what():
    assert compared_text(results_of()) == (
        "It is 1.33 points better than one random architecture (95 % interval [+0.61, +2.05] over the "
        "10,000 test examples)."
    )
    assert compared_text(results_of(3)) == (
        "It is 1.33 points better than the mean of 3 random architectures, which may be chance (95 % "
        "interval [-1.00, +4.00] over the random architectures)."
    )
    assert compared_text(None) == ""
    assert "what the search added is not known" in compared_text(
        replace(results_of(), over_random=None)
    )


def test_what_is_worse_or_a_loss_is_said_so():
    examples = Interval(-0.02, -0.03, -0.01, 0.95)
    worse = replace(
        results_of(), over_random=OverRandom(measure="accuracy", examples=examples, networks=None)
    )
    assert compared_text(worse).startswith("It is 2.00 points worse than one random architecture (")
    loss = replace(
        results_of(), over_random=OverRandom(measure="loss", examples=examples, networks=None)
    )
    assert compared_text(loss).startswith(
        "It is 0.0200 of loss worse than one random architecture ("
    )
    test = results_of(2)
    searched = replace(test, chosen=test.random[0], searched=test.chosen)
    assert compared_text(searched).startswith("The best of the search, c, is 1.33 points better")


@pytest.mark.parametrize(
    ("changes", "why", "words"),
    [
        ({}, None, "One-shot scores rank networks better than chance: Kendall's τ = 0.50 ("),
        ({"low": -0.1}, None, "should not be relied on, as it may be chance"),
        ({"kendall_tau": -0.5, "low": -0.7, "high": -0.2}, None, "the wrong way round"),
        ({"meaningful": False, "n": 5}, None, "is not known: 5 probes are too few"),
        ({"kendall_tau": None}, None, "is not known: supernet rank, or --retrain.probes 20"),
        ({"kendall_tau": None}, "no probes", "is not known: supernet rank, or --retrain.probes 20"),
        ({"kendall_tau": None}, "same weights", "no network was trained further"),
    ],
)
def test_the_ranking_is_believed_as_far_as_probes_say(changes, why, words):
    ranking = replace(RANKING, correlation=replace(TAU, **changes), why=why)
    assert words in believed_text(None, replace(RETRAINED, ranking=ranking))


def test_without_retraining_nothing_is_said_of_the_ranking():
    assert believed_text(None, None) == ""
