"""Every figure says against what it was measured, on how much, and how sure it is."""

from dataclasses import replace

import pytest

from supernet.evaluate import Provenance
from supernet.evaluate.rank_correlation import RankCorrelation
from supernet.evaluate.resampling import Interval
from supernet.track.metrics import Metrics
from supernet.track.records import (
    Baselines,
    CostRanking,
    Failed,
    NetworkScore,
    OneShotRanking,
    Outcome,
    OverRandom,
)
from supernet.track.report import _failed
from supernet.track.result_texts import (
    better_text,
    chosen_at_random_text,
    failed_text,
    gain,
    gain_text,
    over_random_text,
    ranking_text,
)
from supernet.track.run_files import RunFiles
from supernet.track.sections import RetrainRecord, SearchRecord, TestRecord

TAU = RankCorrelation(0.5, 0.2, 0.7, 0.95, 16, True)
RANKING = OneShotRanking(truth="scratch", population=200, why=None, correlation=TAU, costs={})


def ranked(**changes):
    """Return the ranking with another correlation."""
    return replace(RANKING, correlation=replace(TAU, **changes))


def test_a_correlation_names_both_sides_the_sample_and_where_it_is_from():
    assert ranking_text(RANKING) == (
        "Rank correlation of one-shot scores with scores after training from scratch: Kendall's τ = "
        "0.50 (95 % interval [0.20, 0.70]), n = 16 drawn at random from 200 candidates."
    )
    assert "after fine-tuning the supernet's weights:" in ranking_text(
        replace(RANKING, truth="fine_tuned")
    )
    assert ranking_text(ranked(meaningful=False)).endswith("too few to mean anything.")
    assert ranking_text(None) == ""


@pytest.mark.parametrize(
    ("why", "words"), [("no probes", "--retrain.probes"), ("same weights", "not trained further")]
)
def test_what_is_no_correlation_is_not_given(why, words):
    text = ranking_text(replace(ranked(kendall_tau=None), truth=None, why=why))
    assert words in text
    assert "τ" not in text


def test_an_undefined_correlation_says_so():
    text = ranking_text(ranked(kendall_tau=None, low=None, high=None))
    assert "τ is undefined (n = 16 drawn" in text


def test_costs_have_intervals_and_a_paired_difference():
    one = RankCorrelation(0.1, -0.3, 0.4, 0.95, 16, True)
    nothing = RankCorrelation(None, None, None, 0.95, 16, False)
    costs = {
        "params": CostRanking(correlation=one, difference=Interval(0.4, 0.05, 0.8, 0.95)),
        "macs": CostRanking(correlation=nothing, difference=None),
    }
    assert ranking_text(replace(RANKING, costs=costs)).endswith(
        " Parameters alone: τ = 0.10 (95 % interval [-0.30, 0.40]), exceeded by +0.40 "
        "(95 % interval [0.05, 0.80])."
    )


def results_of(count=1, measure="accuracy", value=0.0133, **more):
    def tested(key, accuracy):
        return NetworkScore(key=key, weights="fresh", score={"accuracy": accuracy})

    return TestRecord(
        images=10_000,
        chosen=tested("c", 0.9),
        random=tuple(tested(f"r{i}", 0.88) for i in range(count)),
        over_random=OverRandom(
            measure=measure,
            examples=Interval(value, 0.0061, 0.0205, 0.95),
            networks=Interval(value, -0.01, 0.04, 0.95) if count > 1 else None,
        ),
        better=(),
        **more,
    )


def row(key, role, accuracy, **costs):
    return Outcome(
        key=key,
        role=role,
        probe=False,
        supernet={},
        costs=costs,
        validation={"accuracy": accuracy},
        weights="fresh",
    )


RETRAINED = RetrainRecord(
    candidates=(
        row("c", "top", 0.9, params=200, macs=1000),
        row("p", "probe", 0.95),
        row("r0", "random", 0.8, params=20, macs=950),
        row("r1", "random", 0.8, params=50, macs=900),
    ),
    chosen="c",
    chosen_weights="fresh",
    baselines=Baselines(networks=(), match="macs", tolerance=0.1),
    ranking=RANKING,
)


def failed(role="top", **more):
    return Failed(
        key="k1",
        role=role,
        architecture={"a": ["x", "y"]},
        kind="numbers",
        error="it is <nan>",
        **more,
    )


def test_a_difference_from_one_network_says_that_it_is_one():
    assert over_random_text(results_of(), RETRAINED) == (
        "Chosen over random: 1.33 points better than one random architecture, on 10,000 test examples "
        "(95 % interval [+0.61, +2.05] over examples; others may differ: --retrain.baselines 5). "
        "Random: 0.10 times its parameters, 0.95 times its multiply-adds, drawn to match its "
        "multiply-adds within 10 %."
    )
    assert gain(results_of().over_random) == "+1.33"
    assert gain_text(results_of().over_random, results_of()) == (
        "points over a random one (95 % interval [+0.61, +2.05] over 10,000 examples)"
    )


def test_a_difference_from_several_has_both_intervals():
    anything = Baselines(networks=(), match=None, tolerance=None)
    text = over_random_text(results_of(2), replace(RETRAINED, baselines=anything))
    assert "better than the mean of 2 random architectures" in text
    assert (
        "[+0.61, +2.05] over examples, 95 % interval [-1.00, +4.00] over random architectures)"
        in text
    )
    assert "0.10 to 0.25 times its parameters" in text
    assert text.endswith("drawn without regard to its costs.")
    assert "over architectures)" in gain_text(results_of(2).over_random, results_of(2))


def test_random_ones_that_score_alike_have_no_interval_of_nothing():
    test = results_of(2)
    test = replace(test, over_random=replace(test.over_random, networks=None))
    assert "over examples; these scored alike, others may differ)" in over_random_text(
        test, RETRAINED
    )


def test_losses_and_what_is_worse():
    worse = results_of(value=-0.02)
    assert "2.00 points worse than" in over_random_text(worse, RETRAINED)
    assert gain(worse.over_random) == "\N{MINUS SIGN}2.00"
    loss = results_of(measure="loss")
    assert "less loss by 0.0133 than" in over_random_text(loss, RETRAINED)
    assert "[+0.0061, +0.0205]" in gain_text(loss.over_random, loss)


def test_without_a_baseline_it_says_why():
    text = over_random_text(replace(results_of(0), over_random=None), RETRAINED)
    assert text.startswith("No random baseline")
    assert over_random_text(None, RETRAINED) == ""


def test_what_is_better_than_the_chosen_one_is_named():
    assert better_text(None) == better_text(results_of()) == ""
    assert better_text(replace(results_of(2), better=("r0", "r1"))) == (
        "random r0 (88.00 %) and random r1 (88.00 %) scored better than the chosen network (90.00 %) on "
        "the test split."
    )


def test_a_random_baseline_that_is_chosen_is_called_one():
    assert chosen_at_random_text(None) == chosen_at_random_text(RETRAINED) == ""
    retrained = replace(RETRAINED, chosen="p", searched="c")
    assert chosen_at_random_text(retrained) == (
        "The chosen network, p (95.00 % on the search split), is a random baseline: the best that the "
        "search found, c, reached 90.00 %."
    )
    test = results_of(2)
    searched = replace(test, chosen=test.random[0], searched=test.chosen)
    text = over_random_text(searched, RETRAINED)
    assert text.startswith("Best of the search over random: 1.33 points better than")
    assert text.endswith(over_random_text(test, RETRAINED).partition("Random: ")[2])
    assert gain_text(test.over_random, searched).startswith("(c) points over")


def test_what_failed_is_counted_by_step_and_listed_with_reasons():
    search = SearchRecord(
        candidates=2000,
        failed=1200,
        failures=(failed("candidate"),),
        protocol=Provenance("search", 1, "batch", 1, 0, "w"),
        selected=(),
    )
    retrain = replace(RETRAINED, failed=(failed(weights="fresh"),))
    metrics = Metrics(search=search, retrain=retrain, test=results_of())
    assert failed_text(metrics) == (
        "Failed and left out: 1,200 in the search, 1 in retraining (report.html says why)."
    )
    none = Metrics(search=replace(search, failed=0), retrain=RETRAINED)
    assert failed_text(none) == failed_text(Metrics()) == ""
    page = _failed(RunFiles("", {}, [], [], None, metrics))
    assert page.count("it is &lt;nan&gt;") == 2
    assert "top, from fresh weights" in page
    assert "a: x, y" in page
    assert "Of the 1,200 candidates that failed" in page
    assert _failed(RunFiles("", {}, [], [], None, Metrics())) == ""


def test_why_there_is_no_baseline():
    test = replace(results_of(0), over_random=None)
    retrain = replace(RETRAINED, failed=(failed("random"),))
    assert "all that were drawn failed" in over_random_text(test, retrain)
    assert "no architecture was found" in over_random_text(test, RETRAINED)
    failing = replace(test, failed=(failed("chosen"),))
    assert "failed on the test split" in over_random_text(failing, retrain)
