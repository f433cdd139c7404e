"""The figures of the report from plain numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate
from typing import Any

from supernet.evaluate import Preference
from supernet.search import pareto
from supernet.track.charts import Axis, Chart, Series
from supernet.track.scales import Unit

__all__ = [
    "ROLE_COLOURS",
    "Metric",
    "candidate_scores",
    "cost_and_score",
    "curves",
    "front_by_cost",
    "ranking_plot",
    "training_curves",
    "truth_plot",
    "unit_of",
]

Metric = str
"""Name of a figure of the task, such as "accuracy" or "loss"."""

_COLOURS = ("blue", "red", "cyan", "yellow", "slate")
_LONGEST_LEGEND = 4
ROLE_COLOURS = {"probe": "violet", "random baseline": "green", "chosen": "orange"}
"""Colours of networks by what they are in the run, others being grey; later ones lie above."""


def front_by_cost(costs: Sequence[float], scores: Sequence[float]) -> list[int]:
    """Return the indices that no other point beats, by rising cost.

    A point is beaten by one that costs no more and scores no less, unless both are equal; equal
    points are all kept. A point with a NaN is never on the front.
    """
    points = [(cost, -score) for cost, score in zip(costs, scores, strict=True)]
    return sorted(pareto.pareto_front(points), key=lambda i: (points[i], i))


def unit_of(metric: Metric) -> Unit:
    """Return how values of a metric are written: accuracies in 0–1 as percent, losses as they are."""
    return "percent" if metric == "accuracy" else "number"


def training_curves(
    records: Sequence[Mapping[str, Any]], roles: Mapping[str, str] | None = None
) -> Chart:
    """Draw loss over step, a line per stage, and the learning rate on a second axis.

    Args:
        records: lines of the log with stage, step and loss; learning_rate is optional. Of two
            records of the same stage and step the later counts: a resumed run repeats steps.
        roles: roles of the trained networks by stage; of many stages the legend tells these.
    """
    stages: dict[str, dict[int, Mapping[str, Any]]] = {}
    for record in records:
        if record.get("loss") is not None:
            stages.setdefault(str(record["stage"]), {})[record["step"]] = record
    series, rates = [], dict[tuple[tuple[int, float], ...], None]()
    for index, (stage, by_step) in enumerate(stages.items()):
        steps = sorted(by_step)
        key = "loss" if len(stages) == 1 else stage.removeprefix("retrain-")
        role = (roles or {}).get(stage, "best of the search")
        name = f"{key} ({role})" if role in ROLE_COLOURS else key
        colour = ROLE_COLOURS.get(role, _COLOURS[index % len(_COLOURS)])
        if len(stages) > _LONGEST_LEGEND:
            name, colour = role, ROLE_COLOURS.get(role, "grey")
        losses = [by_step[step]["loss"] for step in steps]
        series.append(Series(name, steps, losses, "line", colour, [key]))
        known = [(step, by_step[step].get("learning_rate")) for step in steps]
        rates[tuple((step, rate) for step, rate in known if rate is not None)] = None
    # Stages of one kind share their schedule, which is drawn once.
    drawn = [
        Series(
            "learning rate", [s for s, _ in one], [r for _, r in one], "line", "dotted", side=True
        )
        for one in rates
        if one
    ]
    side = Axis("learning rate") if drawn else None
    above = list(ROLE_COLOURS.values())
    series.sort(key=lambda one: above.index(one.colour) if one.colour in above else -1)
    return Chart(Axis("step"), Axis("loss"), (*drawn, *series), side)


def candidate_scores(
    scores: Sequence[float],
    generations: Sequence[int | None],
    labels: Sequence[str],
    *,
    roles: Mapping[str, str] | None = None,
    metric: Metric = "accuracy",
    lower: Collection[str] = (),
) -> Chart:
    """Draw every candidate in the order of its evaluation, and the best so far.

    Args:
        scores: one-shot score of each candidate.
        generations: number of the generation of each, where it has one.
        labels: key of each.
        roles: roles of some by key: "probe", "random baseline" or "chosen".
        metric: measure that the scores are.
        lower: figures of which lower ones are better, besides the loss.
    """
    order = list(range(1, len(scores) + 1))
    titles = [
        label + ("" if generation is None else f", generation {generation}")
        for label, generation in zip(labels, generations, strict=True)
    ]
    best = list(accumulate(scores, min if Preference(lower=lower).falls(metric) else max))
    line = Series("best so far", order, best, "steps", "blue")
    points = _by_role(order, scores, titles, [(roles or {}).get(label, "") for label in labels])
    return Chart(
        Axis("candidate, in order of evaluation"),
        Axis(f"one-shot {metric}", unit_of(metric)),
        (points[0], line, *points[1:]) if points else (line,),
    )


def cost_and_score(
    costs: Sequence[float],
    scores: Sequence[float],
    labels: Sequence[str],
    *,
    quantity: str = "multiply-adds",
    roles: Mapping[str, str] | None = None,
    outside: Collection[str] = (),
    metric: Metric = "accuracy",
    lower: Collection[str] = (),
) -> Chart:
    """Draw one-shot score against a cost, with the Pareto front of the candidates.

    Args:
        costs: cost of each network.
        scores: one-shot score of each.
        labels: key of each.
        quantity: name of the costs' quantity.
        roles: roles of some by key: "probe", "random baseline" or "chosen".
        outside: keys of networks that are no candidates, and so not on the front.
        metric: measure that the scores are; an accuracy is best high, a loss low.
        lower: figures of which lower ones are better, besides the loss.
    """
    found = [(roles or {}).get(label, "") for label in labels]
    own = [i for i, label in enumerate(labels) if label not in outside]
    better = Preference(lower=lower)
    signed = [better.signed(metric, scores[i]) for i in own]
    front = [own[i] for i in front_by_cost([costs[i] for i in own], signed)]
    front = list({(costs[i], scores[i]): i for i in reversed(front)}.values())[::-1]  # no two alike
    x, y = [costs[i] for i in front], [scores[i] for i in front]
    points = _by_role(costs, scores, labels, found)
    return Chart(
        Axis(quantity),
        Axis(f"one-shot {metric}", unit_of(metric)),
        (
            *points[:1],
            Series("Pareto front", x, y, "steps", "blue"),
            Series("Pareto front", x, y, "points", "blue", [labels[i] for i in front]),
            *points[1:],
        ),
    )


def ranking_plot(
    one_shot: Sequence[float],
    stand_alone: Sequence[float],
    labels: Sequence[str],
    roles: Sequence[str],
    *,
    metric: Metric = "accuracy",
) -> Chart:
    """Draw the one-shot score against the stand-alone score.

    Args:
        one_shot: one-shot score of each architecture.
        stand_alone: score of the same architectures on the search split, trained on their own.
        labels: key of each architecture.
        roles: role of each: "best of the search", "probe", "random baseline" or "chosen".
        metric: measure that the scores are.
    """
    unit = unit_of(metric)
    points = _by_role(one_shot, stand_alone, labels, roles, other="best of the search", size=5)
    return Chart(
        Axis(f"one-shot {metric}", unit), Axis(f"stand-alone {metric}", unit), tuple(points)
    )


def truth_plot(
    scores: Sequence[float],
    values: Sequence[float],
    labels: Sequence[str],
    score: str,
) -> Chart:
    """Draw what networks score against what they are worth.

    Args:
        scores: score of each network under the shared weights.
        values: worth of each.
        labels: key of each.
        score: name of the score.
    """
    points = Series("network", scores, values, titles=labels, listed=False)
    return Chart(Axis(f"one-shot {score}"), Axis("what networks are worth"), (points,))


def curves(lines: Mapping[str, Sequence[tuple[int, float]]], value: str) -> Chart:
    """Draw values over steps, a line for each name.

    Args:
        lines: steps with their values by name; those without any are left out.
        value: name of what the values are.
    """
    series = []
    for number, (name, points) in enumerate(lines.items()):
        if points:
            steps, values = zip(*points, strict=True)
            colour = _COLOURS[number % len(_COLOURS)]
            titles = [name] * len(steps)
            series += [
                Series(name, steps, values, "line", colour),
                Series(name, steps, values, "points", colour, titles),
            ]
    return Chart(Axis("step"), Axis(value), tuple(series))


def _by_role(
    x: Sequence[float],
    y: Sequence[float],
    titles: Sequence[str],
    roles: Sequence[str],
    *,
    other: str = "candidate",
    size: float = 3.0,
) -> list[Series]:
    """Return the points by what they are, the many below the few; those of no known role are others."""
    colours = {other: "grey", **ROLE_COLOURS}
    kinds = [role if role in colours else other for role in roles]
    series = []
    for role, colour in colours.items():
        rows = [i for i, kind in enumerate(kinds) if kind == role]
        if rows:
            places = [x[i] for i in rows], [y[i] for i in rows]
            radius = size if role == other else max(size, 5.0)
            named = [titles[i] for i in rows]
            series.append(Series(role, *places, "points", colour, named, radius))
    return series
