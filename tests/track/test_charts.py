"""Figures of lines, points and intervals, read back from the drawing."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.track.figures import axis, figure, tree, value

from supernet.evaluate.resampling import Interval
from supernet.track import charts
from supernet.track.charts import Axis, Chart, Series
from supernet.track.forest import Line, forest
from supernet.track.scales import Scale, tick_texts, ticks, written

RANGES = st.tuples(
    st.floats(-1e9, 1e9, allow_nan=False), st.floats(-12, 12).map(lambda power: 10.0**power)
).filter(lambda one: one[1] > 1e-7 * abs(one[0]))


def drawn(*series, unit="number", **more):
    chart = Chart(Axis("x"), Axis("y", unit), series, **more)
    return tree(charts.svg(chart, "a figure")).all("svg")[0]


def near(found, wanted, x=1.0, y=1.0):
    """Whether points are those wanted, to a five-hundredth of the ranges."""
    assert len(found) == len(wanted)
    for (a, b), (c, d) in zip(found, wanted, strict=True):
        assert abs(a - c) <= x / 500
        assert abs(b - d) <= y / 500
    return True


@given(RANGES, st.integers(2, 8))
def test_ticks_are_round_evenly_spaced_and_inside(one, most):
    low, high = one[0], one[0] + one[1]
    found = ticks(low, high, most)
    assert 1 <= len(found) <= most
    room = 1e-6 * (high - low)
    assert all(low - room <= tick <= high + room for tick in found)
    steps = [b - a for a, b in pairwise(found)]
    assert all(math.isclose(step, steps[0], rel_tol=1e-6) for step in steps)
    if steps and abs(low) < 1e3 * one[1]:
        leading = steps[0] / 10 ** math.floor(math.log10(steps[0]) + 1e-6)
        assert min(abs(leading - factor) for factor in (1, 2, 5)) < 1e-3


@pytest.mark.parametrize(
    ("low", "high", "unit", "texts"),
    [
        (0.6, 0.95, "percent", ["60 %", "70 %", "80 %", "90 %"]),
        (0.994, 0.9985, "percent", ["99.4 %", "99.5 %", "99.6 %", "99.7 %", "99.8 %"]),
        (2e5, 8e5, "number", ["200 k", "400 k", "600 k", "800 k"]),
        (1e6, 3e6, "number", ["1.0 M", "1.5 M", "2.0 M", "2.5 M", "3.0 M"]),
        (0, 0.05, "number", ["0.00", "0.01", "0.02", "0.03", "0.04", "0.05"]),
        (0, 1e-4, "number", ["0", "2e-05", "4e-05", "6e-05", "8e-05", "0.0001"]),
        (-2.2, -1.6, "number", ["-2.2", "-2.0", "-1.8", "-1.6"]),
    ],
)
def test_ticks_are_written_with_the_digits_that_they_need(low, high, unit, texts):
    assert tick_texts(ticks(low, high), unit) == texts


def test_values_are_written_as_a_person_reads_them():
    assert written(0.88456, "percent") == "88.46 %"
    assert written(1234.5, "number") == "1,234"
    assert written(0.0001234, "number") == "0.0001234"


@pytest.mark.parametrize("values", [[], [3.0, 3.0], [0.0], [math.nan, math.inf]])
def test_a_scale_of_little_has_a_range_all_the_same(values):
    scale = Scale.of(values, 0, 100)
    assert scale.low < scale.high
    assert scale(scale.low) == 0
    assert scale(scale.high) == 100
    assert all(scale.low <= v <= scale.high for v in values if math.isfinite(v))


@pytest.mark.parametrize("titles", [(), tuple("abcd")])
def test_points_are_where_their_values_are(titles):
    x, y = [1e5, 3e5, 2e5, 8e5], [0.5, 0.625, 0.75, 0.91]
    svg = drawn(Series("p", x, y, titles=titles), unit="percent")
    found = figure(svg)
    near(found.points["p"], list(zip(x, y, strict=True)), 7e5, 0.41)
    assert found.titles["p"] == (
        ["a: 1e+05, 50.00 %", "b: 3e+05, 62.50 %", "c: 2e+05, 75.00 %", "d: 8e+05, 91.00 %"]
        if titles
        else []
    )
    assert {"x", "y"} <= {*found.texts}


@pytest.mark.parametrize("kind", ["line", "steps"])
def test_lines_pass_their_points(kind):
    x, y = [0, 10, 20], [3.0, 2.0, 2.5]
    found = figure(drawn(Series("l", x, y, kind, titles=["title"])))
    near(found.points["l"], list(zip(x, y, strict=True)), 20, 1)
    assert found.titles["l"] == ["title"]


def test_the_axis_at_the_right_is_of_its_own_series_and_begins_at_zero():
    series = Series("rate", [0, 10], [0.05, 0.025], "line", "dotted", side=True)
    svg = drawn(Series("loss", [0, 10], [3.0, 2.0], "line"), series, side=Axis("rate"))
    found = figure(svg)
    near(found.points["rate"], [(0, 0.05), (10, 0.025)], 10, 0.05)
    near(found.points["loss"], [(0, 3.0), (10, 2.0)], 10, 1)
    assert value(svg.all("text", "side")[0].text) == 0


def test_what_is_no_number_is_left_out():
    series = Series("p", [1, 2, math.nan, 4], [1.0, math.inf, 3.0, 2.0], titles=list("abcd"))
    found = figure(drawn(series))
    near(found.points["p"], [(1, 1.0), (4, 2.0)], 3, 1)
    assert [title[0] for title in found.titles["p"]] == ["a", "d"]
    assert "nan" not in charts.svg(Chart(Axis("x"), Axis("y"), (series,)), "n")
    assert drawn(Series("p", [math.nan], [1.0], "line")).all("path", "line") == []


def test_many_points_are_thinned_and_the_figure_says_so():
    n = 3 * charts.MOST_POINTS
    chart = Chart(Axis("x"), Axis("y"), (Series("candidate", range(n), range(n), titles="t" * n),))
    found = figure(tree(charts.svg(chart, "n")).all("svg")[0]).points["candidate"]
    assert len(found) == charts.MOST_POINTS
    near(found, [(3 * i, 3 * i) for i in range(charts.MOST_POINTS)], n, n)
    assert chart.notes == "2,000 of 6,000 candidates are drawn."
    few = Chart(Axis("x"), Axis("y"), (Series("candidate", [1], [1]),), note="Said.")
    assert few.notes == "Said."


def test_a_long_line_keeps_its_peaks():
    y = [0.0] * 100_000
    y[54_321] = 7.0
    y[54_400] = -7.0
    text = charts.svg(Chart(Axis("x"), Axis("y"), (Series("l", range(100_000), y, "line"),)), "n")
    assert len(text) < 80_000
    found = figure(tree(text).all("svg")[0]).points["l"]
    assert max(found, key=lambda p: p[1]) == pytest.approx((54_321, 7.0), abs=250)
    assert min(found, key=lambda p: p[1]) == pytest.approx((54_400, -7.0), abs=250)
    assert [p[0] for p in found] == sorted(p[0] for p in found)


def test_a_thousand_points_take_little_room():
    series = Series("p", range(1000), [i % 7 for i in range(1000)], titles=["title"] * 1000)
    assert len(charts.svg(Chart(Axis("x"), Axis("y"), (series,)), "n")) < 18_000


def test_no_text_can_become_markup():
    evil = '"><script>alert(1)</script>'
    series = [Series(evil, [1], [1], titles=[evil]), Series(evil, [1], [1], "line", titles=[evil])]
    chart = Chart(Axis(evil), Axis(evil), tuple(series), Axis(evil))
    text = charts.svg(chart, evil)
    text += forest([Line(evil, Interval(1, 0, 2, 0.95), evil)], "number", evil)
    assert tree(text).all("script") == []
    assert "<script" not in text


def intervals(svg):
    x = axis(svg, "x")
    found = []
    for row in svg.all("g", "interval"):
        low, high = map(
            float, row.all("path")[0].attributes["d"][1:].replace("H", " ").split()[::2]
        )
        middle = float(row.all("circle")[0].attributes["cx"])
        found.append((x(low), x(middle), x(high)))
    return found


def test_intervals_are_where_their_ends_are():
    lines = [
        Line("first", Interval(0.5, 0.25, 0.625, 0.95), "chosen", True),
        Line("second", Interval(0.75, 0.7, 1.0, 0.95)),
    ]
    svg = tree(forest(lines, "percent", "n", middle=0.6)).all("svg")[0]
    for found, wanted in zip(intervals(svg), [(0.25, 0.5, 0.625), (0.7, 0.75, 1.0)], strict=True):
        assert found == pytest.approx(wanted, abs=2e-3)
    rows = svg.all("g", "interval")
    assert [one.title for one in rows] == [
        "first: 50.00 % (25.00 % to 62.50 %), chosen",
        "second: 75.00 % (70.00 % to 100.00 %)",
    ]
    assert ["marked" in one.kinds for one in rows] == [True, False]
    [line] = svg.all("path", "middle")
    at = float(line.attributes["d"][1:].split()[0])
    assert axis(svg, "x")(at) == pytest.approx(0.6, abs=2e-3)


def test_intervals_end_where_the_drawing_does():
    lines = [
        Line("wide", Interval(0.5, -9.0, 9.0, 0.95)),
        Line("n" * 50 + "end", Interval(0, 0, 1, 0.95)),
    ]
    svg = tree(forest(lines, "number", "n", ends=(-1.0, 1.0))).all("svg")[0]
    assert intervals(svg)[0] == pytest.approx((-1, 0.5, 1), abs=1e-2)
    texts = [one.text for one in svg.all("text", "name")]
    assert texts[0] == "wide"
    assert texts[1] == "nnnnnnnnnnn…nnnnnnnnnend"
    assert "n" * 50 in svg.all("g", "interval")[1].title
