"""The figures, read back from their traces."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supernet.track import plots

NUMBERS = st.sampled_from([0.0, 1.0, 2.0, 3.0, math.inf, math.nan]) | st.floats(0, 3)


def traces(figure):
    return {trace.name: trace for trace in figure.data}


def record(stage, step, loss, rate=0.1):
    return {"stage": stage, "step": step, "loss": loss, "learning_rate": rate}


@pytest.mark.slow
@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=12))
def test_the_front_is_what_nothing_beats(points):
    known = [i for i, point in enumerate(points) if not any(map(math.isnan, point))]

    def beats(i, j):
        (cost, score), (other_cost, other_score) = points[i], points[j]
        no_worse = cost <= other_cost and score >= other_score
        return no_worse and (cost, score) != (other_cost, other_score)

    expected = [j for j in known if not any(beats(i, j) for i in known)]
    front = plots.front_by_cost([cost for cost, _ in points], [score for _, score in points])
    assert sorted(front) == expected
    assert [points[i][0] for i in front] == sorted(points[i][0] for i in front)


def test_the_front_wants_a_score_for_every_cost():
    with pytest.raises(ValueError, match="shorter"):
        plots.front_by_cost([1, 2], [1])


def test_each_stage_is_a_line_over_its_steps():
    log = [record("retrain-a", 1, 3.0), record("retrain-b", 1, 4.0), record("retrain-a", 2, 2.0)]
    lines = traces(plots.training_curves(log))
    assert (lines["a"].x, lines["a"].y) == ((1, 2), (3.0, 2.0))
    assert (lines["b"].x, lines["b"].y) == ((1,), (4.0,))


def test_of_a_step_that_was_repeated_the_last_counts():
    log = [
        record("train", step, loss) for step, loss in ((10, 9.0), (30, 8.0), (20, 3.0), (10, 1.0))
    ]
    line = traces(plots.training_curves(log))["loss"]
    assert (line.x, line.y) == ((10, 20, 30), (1.0, 3.0, 8.0))


def test_the_learning_rate_has_its_own_axis():
    figure = plots.training_curves([record("train", 1, 3.0, rate=0.05)])
    lines = traces(figure)
    assert lines["learning rate"].yaxis == "y2"
    assert lines["learning rate"].y == (0.05,)
    assert lines["loss"].yaxis is None
    assert figure.layout.yaxis2.side == "right"


def test_a_record_without_a_loss_is_no_point():
    assert plots.training_curves([{"stage": "search", "step": 1}]).data == ()


def test_many_stages_leave_the_legend_readable():
    log = [record(f"retrain-{i}", 1, 3.0) for i in range(12)]
    assert sum(trace.showlegend for trace in plots.training_curves(log).data) == 1


@pytest.mark.parametrize(
    ("metric", "best"), [("accuracy", (0.5, 0.5, 0.7, 0.7)), ("loss", (0.5, 0.4, 0.4, 0.1))]
)
def test_the_best_so_far_follows_the_metric(metric, best):
    figure = plots.candidate_scores(
        [0.5, 0.4, 0.7, 0.1], [0, 0, 1, None], list("abcd"), metric=metric
    )
    lines = traces(figure)
    assert lines["best so far"].y == best
    assert lines["candidate"].y == (0.5, 0.4, 0.7, 0.1)
    assert lines["candidate"].text[1:] == ("b<br>generation 0", "c<br>generation 1", "d")
    assert figure.layout.yaxis.title.text == f"one-shot {metric}"
    assert (figure.layout.yaxis.tickformat is not None) == (metric == "accuracy")


@pytest.mark.parametrize(("metric", "front"), [("accuracy", (10, 20)), ("loss", (10, 30))])
def test_the_front_follows_the_metric(metric, front):
    figure = plots.cost_and_score([30, 20, 10], [0.1, 0.9, 0.5], list("abc"), metric=metric)
    assert traces(figure)["Pareto front"].x == front


def test_the_chosen_candidate_is_marked():
    figure = plots.cost_and_score([30, 20], [0.1, 0.9], ["a", "b"], chosen="b")
    assert (traces(figure)["chosen"].x, traces(figure)["chosen"].y) == ((20,), (0.9,))
    assert "chosen" not in traces(plots.cost_and_score([30], [0.1], ["a"], chosen="z"))


@pytest.mark.parametrize(
    ("tau", "title"),
    [
        (0.333, "Kendall's τ of the probes = 0.33"),
        (None, "Kendall's τ is not known"),
        (math.nan, "Kendall's τ is not known"),
    ],
)
def test_the_ranking_says_its_correlation(tau, title):
    probes = [True, True, False]
    figure = plots.ranking_plot(
        [0.1, 0.2, 0.5], [0.3, 0.4, 0.6], ["a", "b", "c"], probes, tau=tau, chosen="a"
    )
    assert figure.layout.title.text == title
    points = traces(figure)
    assert (points["chosen"].x, points["chosen"].y) == ((0.1,), (0.3,))
    assert (points["probe"].x, points["probe"].y) == ((0.2,), (0.4,))
    assert (points["other"].x, points["other"].y) == ((0.5,), (0.6,))


def test_labels_cannot_hold_markup():
    label = "<a href='x'>"
    figures = [
        plots.training_curves([record("train", 1, 1.0), record(label, 1, 1.0)]),
        plots.candidate_scores([1.0], [None], [label]),
        plots.cost_and_score([1.0], [1.0], [label], chosen=label),
        plots.ranking_plot([1.0], [1.0], [label], [True], chosen=label),
    ]
    for figure in figures:
        shown = [str(trace.name) + str(trace.text) for trace in figure.data]
        assert any("&lt;a" in text for text in shown)
        assert not any("<a" in text for text in shown)
