"""What the figures of the report show; how it is drawn is tested in test_charts.py."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supernet.track import plots

NUMBERS = st.sampled_from([0.0, 1.0, 2.0, 3.0, math.inf, math.nan]) | st.floats(0, 3)


def points(chart):
    """Return the values of each series by name; of a line and its points those of the points."""
    return {one.name: (list(one.x), list(one.y)) for one in chart.series}


def series(chart, name):
    return next(one for one in chart.series if one.name == name)


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
    chart = plots.training_curves(log)
    assert points(chart)["a"] == ([1, 2], [3.0, 2.0])
    assert points(chart)["b"] == ([1], [4.0])
    assert series(chart, "a").kind == series(chart, "b").kind == "line"


def test_of_a_step_that_was_repeated_the_last_counts():
    log = [
        record("train", step, loss) for step, loss in ((10, 9.0), (30, 8.0), (20, 3.0), (10, 1.0))
    ]
    assert points(plots.training_curves(log))["loss"] == ([10, 20, 30], [1.0, 3.0, 8.0])


def test_the_learning_rate_has_its_own_axis():
    chart = plots.training_curves([record("train", 1, 3.0, rate=0.05)])
    assert points(chart)["learning rate"] == ([1], [0.05])
    assert [one.side for one in chart.series] == [True, False]
    assert chart.side.label == "learning rate"
    assert plots.training_curves([{"stage": "t", "step": 1, "loss": 1.0}]).side is None


def test_a_schedule_that_stages_share_is_drawn_once():
    log = [
        record(f"retrain-{i}", step, 3.0, rate=r) for i in "ab" for step, r in ((1, 1), (2, 0.5))
    ]
    other = record("retrain-c", 1, 3.0, rate=2)
    names = [one.name for one in plots.training_curves([*log, other]).series]
    assert names == ["learning rate", "learning rate", "a", "b", "c"]


def test_few_stages_have_lines_of_their_own_and_what_they_are():
    log = [record(f"retrain-{i}", 1, 3.0) for i in "abc"]
    roles = {"retrain-a": "chosen", "retrain-b": "random baseline"}
    _, *lines = plots.training_curves(log, roles).series
    assert [one.name for one in lines] == ["c", "b (random baseline)", "a (chosen)"]
    assert [one.colour for one in lines][1:] == ["green", "orange"]


def test_a_record_without_a_loss_is_no_point():
    assert plots.training_curves([{"stage": "search", "step": 1}]).series == ()


def test_many_stages_are_told_by_what_they_are():
    log = [record(f"retrain-{i}", 1, float(i)) for i in range(6)]
    roles = {"retrain-1": "chosen", "retrain-2": "probe", "retrain-5": "random baseline"}
    _, *lines = plots.training_curves(log, roles).series
    assert [(one.name, one.y) for one in lines] == [
        *(("best of the search", [float(i)]) for i in (0, 3, 4)),
        ("probe", [2.0]),
        ("random baseline", [5.0]),
        ("chosen", [1.0]),
    ]
    assert [one.titles for one in lines] == [["0"], ["3"], ["4"], ["2"], ["5"], ["1"]]
    assert len({one.colour for one in lines}) == 4


@pytest.mark.parametrize(
    ("metric", "best"), [("accuracy", [0.5, 0.5, 0.7, 0.7]), ("loss", [0.5, 0.4, 0.4, 0.1])]
)
def test_the_best_so_far_follows_the_metric(metric, best):
    chart = plots.candidate_scores(
        [0.5, 0.4, 0.7, 0.1],
        [0, 0, 1, None],
        list("abcd"),
        roles={"b": "chosen", "z": "probe"},
        metric=metric,
    )
    assert points(chart) == {
        "candidate": ([1, 3, 4], [0.5, 0.7, 0.1]),
        "best so far": ([1, 2, 3, 4], best),
        "chosen": ([2], [0.4]),
    }
    assert series(chart, "candidate").titles == ["a, generation 0", "c, generation 1", "d"]
    assert chart.y.label == f"one-shot {metric}"
    assert (chart.y.unit == "percent") == (metric == "accuracy")


@pytest.mark.parametrize(("metric", "front"), [("accuracy", [10, 20]), ("loss", [10, 30])])
def test_the_front_follows_the_metric(metric, front):
    chart = plots.cost_and_score([30, 20, 10], [0.1, 0.9, 0.5], list("abc"), metric=metric)
    both = [one for one in chart.series if one.name == "Pareto front"]
    assert [one.kind for one in both] == ["steps", "points"]
    assert all(one.x == front for one in both)


def test_what_networks_are_is_marked_and_baselines_are_on_no_front():
    roles = {"b": "chosen", "c": "random baseline"}
    chart = plots.cost_and_score(
        [30, 20, 10], [0.1, 0.9, 1.0], list("abc"), roles=roles, outside=["c"]
    )
    assert points(chart) == {
        "candidate": ([30], [0.1]),
        "Pareto front": ([20], [0.9]),
        "random baseline": ([10], [1.0]),
        "chosen": ([20], [0.9]),
    }
    assert len({one.colour for one in chart.series}) == 4


def test_the_ranking_tells_networks_by_what_they_are():
    roles = ["chosen", "probe", "random baseline", "top", "probe"]
    chart = plots.ranking_plot(
        [0.1, 0.2, 0.5, 0.6, 0.7], [0.3, 0.4, 0.6, 0.7, 0.8], list("abcde"), roles, metric="loss"
    )
    assert points(chart) == {
        "best of the search": ([0.6], [0.7]),
        "probe": ([0.2, 0.7], [0.4, 0.8]),
        "random baseline": ([0.5], [0.6]),
        "chosen": ([0.1], [0.3]),
    }
    assert (chart.x.label, chart.y.label) == ("one-shot loss", "stand-alone loss")
    assert series(chart, "probe").titles == ["b", "e"]


def test_curves_leave_out_what_has_no_points():
    chart = plots.curves({"a": [(0, 1.0), (5, 2.0)], "b": [], "c": [(0, 3.0)]}, "loss")
    assert points(chart) == {"a": ([0, 5], [1.0, 2.0]), "c": ([0], [3.0])}
    assert len({one.colour for one in chart.series}) == 2
