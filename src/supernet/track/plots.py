"""Plotly figures from plain numbers; they read well on a light and on a dark page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import accumulate
from typing import Any, Literal

import plotly.graph_objects as go

from supernet.search import pareto

__all__ = [
    "Metric",
    "candidate_scores",
    "cost_and_score",
    "curves",
    "front_by_cost",
    "ranking_plot",
    "training_curves",
    "truth_plot",
]

Metric = Literal["accuracy", "loss"]

_BLUE, _ORANGE, _GREEN, _GREY = "#4c7bd0", "#d9822b", "#3d9970", "#9aa5b4"
_STAGE_COLOURS = (_BLUE, _ORANGE, _GREEN, "#8e6bbf", "#c0504d", "#4aa5b5", "#b59f3b", "#7d8896")
_LONGEST_LEGEND = 4
_INK, _GRID = "#6b7686", "rgba(128,140,155,.22)"


def front_by_cost(costs: Sequence[float], scores: Sequence[float]) -> list[int]:
    """Return the indices that no other point beats, by rising cost.

    A point is beaten by one that costs no more and scores no less, unless both are equal; equal
    points are all kept. A point with a NaN is never on the front.
    """
    points = [(cost, -score) for cost, score in zip(costs, scores, strict=True)]
    return sorted(pareto.pareto_front(points), key=lambda i: (points[i], i))


def training_curves(records: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Draw loss over step, a line per stage, and the learning rate on a second axis.

    Args:
        records: lines of the log with stage, step and loss; learning_rate is optional. Of two
            records of the same stage and step the later counts: a resumed run repeats steps.
    """
    figure = _figure("step", "loss")
    stages: dict[str, dict[int, Mapping[str, Any]]] = {}
    for record in records:
        if record.get("loss") is not None:
            stages.setdefault(str(record["stage"]), {})[record["step"]] = record
    for index, (stage, by_step) in enumerate(stages.items()):
        steps = sorted(by_step)
        figure.add_scatter(
            x=steps,
            y=[by_step[step]["loss"] for step in steps],
            name="loss" if len(stages) == 1 else escape(stage.removeprefix("retrain-")),
            mode="lines",
            line_color=_STAGE_COLOURS[index % len(_STAGE_COLOURS)],
            showlegend=len(stages) <= _LONGEST_LEGEND,
        )
    for index, by_step in enumerate(stages.values()):
        steps = sorted(by_step)
        figure.add_scatter(
            x=steps,
            y=[by_step[step].get("learning_rate") for step in steps],
            name="learning rate",
            mode="lines",
            yaxis="y2",
            # Stages of one kind share their schedule: one entry in the legend stands for all.
            showlegend=index == 0,
            line={"color": _GREY, "dash": "dot", "width": 1.5},
        )
    side = {"title": "learning rate", "overlaying": "y", "side": "right", "showgrid": False}
    ticks = {"tickmode": "auto", "nticks": 6, "rangemode": "tozero", "zeroline": False}
    return figure.update_layout(yaxis2={**side, **ticks}, margin_r=64)


def candidate_scores(
    scores: Sequence[float],
    generations: Sequence[int | None],
    labels: Sequence[str],
    *,
    metric: Metric = "accuracy",
) -> go.Figure:
    """Draw every candidate in the order of its evaluation, and the best so far."""
    figure = _figure("candidate, in order of evaluation", f"one-shot {metric}")
    order = list(range(1, len(scores) + 1))
    hover = [
        escape(label) + ("" if generation is None else f"<br>generation {generation}")
        for label, generation in zip(labels, generations, strict=True)
    ]
    _points(figure, order, scores, hover, "candidate", _GREY)
    best = list(accumulate(scores, max if metric == "accuracy" else min))
    line = {"shape": "hv", "color": _BLUE}
    figure.add_scatter(
        x=order, y=best, name="best so far", mode="lines", line=line, hoverinfo="skip"
    )
    return _percent(figure, metric, "y")


def cost_and_score(
    costs: Sequence[float],
    scores: Sequence[float],
    labels: Sequence[str],
    *,
    quantity: str = "multiply-adds",
    chosen: str | None = None,
    metric: Metric = "accuracy",
) -> go.Figure:
    """Draw one-shot score against a cost, with the Pareto front and the chosen one.

    Args:
        costs: cost of each candidate.
        scores: score of each candidate.
        labels: key of each candidate.
        quantity: name of the costs' quantity.
        chosen: the label to mark.
        metric: measure that the scores are; an accuracy is best high, a loss low.
    """
    figure = _figure(quantity, f"one-shot {metric}")
    _points(figure, costs, scores, [escape(label) for label in labels], "candidate", _GREY)
    front = front_by_cost(costs, scores if metric == "accuracy" else [-score for score in scores])
    figure.add_scatter(
        x=[costs[i] for i in front],
        y=[scores[i] for i in front],
        name="Pareto front",
        mode="lines+markers",
        line={"shape": "hv", "color": _BLUE},
        marker_size=7,
        hoverinfo="skip",
    )
    if chosen is not None and chosen in labels:
        i = list(labels).index(chosen)
        _points(figure, [costs[i]], [scores[i]], [escape(labels[i])], "chosen", _ORANGE, size=13)
    return _percent(figure, metric, "y")


def ranking_plot(
    supernet: Sequence[float],
    standalone: Sequence[float],
    labels: Sequence[str],
    probes: Sequence[bool],
    *,
    tau: float | None = None,
    chosen: str | None = None,
    metric: Metric = "accuracy",
) -> go.Figure:
    """Draw the score with shared weights against the score after retraining.

    Args:
        supernet: one-shot score of each architecture.
        standalone: validation score of the same architectures, trained on their own.
        labels: key of each architecture.
        probes: for each architecture, whether it is among those that the correlation is of.
        tau: Kendall's rank correlation of the two, for the title; None if undefined.
        chosen: the label to mark.
        metric: measure that the scores are.
    """
    figure = _figure(f"one-shot {metric}", f"stand-alone {metric}")
    unknown = tau is None or math.isnan(tau)
    known = "τ is not known" if unknown else f"τ of the probes = {tau:.2f}"
    title = {"text": f"Kendall's {known}", "font_size": 14, "x": 0.01, "xanchor": "left"}
    hover = [escape(label) for label in labels]
    kinds = [
        "chosen" if label == chosen else "probe" if probe else "other"
        for label, probe in zip(labels, probes, strict=True)
    ]
    for name, colour in (("probe", _BLUE), ("other", _GREY), ("chosen", _ORANGE)):
        rows = [i for i, kind in enumerate(kinds) if kind == name]
        x, y = [supernet[i] for i in rows], [standalone[i] for i in rows]
        if rows:
            _points(figure, x, y, [hover[i] for i in rows], name, colour, size=11)
    return _percent(figure.update_layout(title=title, margin_t=56), metric, "xy")


def truth_plot(
    scores: Sequence[float],
    values: Sequence[float],
    labels: Sequence[str],
    score: str,
) -> go.Figure:
    """Draw what networks score against what they are worth.

    Args:
        scores: score of each network under the shared weights.
        values: worth of each.
        labels: key of each.
        score: name of the score.
    """
    figure = _figure(escape(f"one-shot {score}"), "what networks are worth")
    _points(figure, scores, values, [escape(label) for label in labels], "network", _BLUE)
    return figure.update_layout(showlegend=False)


def curves(lines: Mapping[str, Sequence[tuple[int, float]]], value: str) -> go.Figure:
    """Draw values over steps, a line for each name.

    Args:
        lines: steps with their values by name; those without any are left out.
        value: name of what the values are.
    """
    figure = _figure("step", escape(value))
    for number, (name, points) in enumerate(lines.items()):
        if points:
            steps, values = zip(*points, strict=True)
            colour = _STAGE_COLOURS[number % len(_STAGE_COLOURS)]
            figure.add_scatter(
                x=steps, y=values, name=escape(name), mode="lines+markers", line_color=colour
            )
    return figure.update_layout(showlegend=True)


def _percent(figure: go.Figure, metric: Metric, axes: str) -> go.Figure:
    """Show accuracies in 0–1 as percent; a loss stays as it is."""
    for axis in axes if metric == "accuracy" else "":
        figure.layout[f"{axis}axis"].update(tickformat=".3~p", hoverformat=".2%")
    return figure


def _points(
    figure: go.Figure,
    x: Sequence[float],
    y: Sequence[float],
    hover: list[str],
    name: str,
    colour: str,
    *,
    size: int = 7,
) -> None:
    marker = {"color": colour, "size": size, "opacity": 0.85}
    template = f"%{{text}}<br>%{{x}}, %{{y}}<extra>{name}</extra>"
    figure.add_scatter(
        x=x, y=y, text=hover, name=name, mode="markers", marker=marker, hovertemplate=template
    )


def _figure(x: str, y: str) -> go.Figure:
    axis = {"gridcolor": _GRID, "zeroline": False, "linecolor": _GRID, "ticks": ""}
    return go.Figure(
        layout={
            "template": "none",
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"color": _INK, "family": "system-ui, sans-serif", "size": 12},
            "margin": {"l": 64, "r": 16, "t": 16, "b": 48},
            "height": 340,
            "legend": {
                "orientation": "h",
                "y": 1.02,
                "yanchor": "bottom",
                "x": 1,
                "xanchor": "right",
            },
            "xaxis": {"title": x, **axis},
            "yaxis": {"title": y, **axis},
        }
    )
