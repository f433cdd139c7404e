"""The parts of the report on candidates: their scores, their costs, and what decisions do to scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from supernet.cost.quantities import LATENCY
from supernet.errors import SpaceError
from supernet.evaluate.resampling import Interval
from supernet.evaluate.rows import Row
from supernet.fidelity.decisions import DecisionEffect, decision_effects
from supernet.space import Architecture, Option, Value
from supernet.task.preference import Preference
from supernet.track import page, plots
from supernet.track.forest import Line, forest
from supernet.track.numbers import tuned_text
from supernet.track.records import Score
from supernet.track.run_files import RunFiles
from supernet.track.verdict_texts import baseline_keys, roles_by_key

__all__ = ["CandidateScores", "candidates", "decisions"]

_COSTS = {"macs": "multiply-adds", LATENCY: "latency in ms"}
SHOWN, MOST = 6, 30
"""Decisions whose options are shown at once, and at all."""

LEVEL = 0.05
"""Probability, over all decisions, that one is said to matter though none does."""


@dataclass(frozen=True)
class CandidateScores:
    """The candidates that have a one-shot score, in order of evaluation; no random baselines.

    Attributes:
        metric: measure that the scores are.
        better: preference that says which scores are better.
        rows: the candidates.
        values: score of each.
        effects: how scores depend on each decision, the one that explains most first.
    """

    metric: plots.Metric
    better: Preference
    rows: Sequence[Row]
    values: Sequence[float]
    effects: Mapping[str, DecisionEffect]

    @classmethod
    def of(cls, run: RunFiles) -> CandidateScores:
        """Return those of a run: what it ranks by, or accuracies, or losses where there are none."""
        search = run.metrics.search
        better = Preference() if search is None else search.preference
        ranked = better.figure or "accuracy"
        known_by_it = any(_of(row, ranked) is not None for row in run.candidates)
        metric: plots.Metric = ranked if known_by_it else "loss"
        baselines = baseline_keys(run)
        found = [(row, _of(row, metric)) for row in run.candidates if row.key not in baselines]
        known = [(row, value) for row, value in found if value is not None]
        read = [(value, _architecture(row)) for row, value in known if math.isfinite(value)]
        both = [(value, one) for value, one in read if one is not None]
        effects = decision_effects([value for value, _ in both], [one for _, one in both])
        return cls(
            metric,
            better,
            [row for row, _ in known],
            [value for _, value in known],
            {one.label: one for one in effects},
        )

    def alternative(self, label: str, answer: Value) -> tuple[Option, Interval] | None:
        """Return the best option that an answer does not hold, and the difference of mean scores.

        That is the mean score with this option, less that with the chosen one; where several are
        chosen, with the one of them that has the worst mean score.
        """
        effect = self.effects.get(label)
        chosen = set(answer) if isinstance(answer, tuple) else {answer}
        ordered = [] if effect is None else list(effect.means)
        if self.better.falls(self.metric):
            ordered.reverse()
        own = [option for option in ordered if option in chosen]
        others = [option for option in ordered if option not in chosen]
        if effect is None or not own or not others:
            return None
        return others[0], effect.difference(others[0], own[-1])


def candidates(run: RunFiles, found: CandidateScores) -> str:
    """Return the figures of scores in order, and of scores and costs."""
    if not found.rows:
        return ""
    roles = roles_by_key(run)
    order = plots.candidate_scores(
        found.values,
        [row.generation for row in found.rows],
        [row.key for row in found.rows],
        roles=roles,
        metric=found.metric,
        lower=found.better.lower,
    )
    note = f"One-shot scores: under the shared weights, on the search split. {_tuned(run)}".strip()
    drawn = page.section("Candidates", page.figure("candidates", order), note)
    fronts = [_front(run, found, roles, quantity) for quantity in _COSTS]
    return page.pair(drawn, *[front for front in fronts if front])


def decisions(run: RunFiles, found: CandidateScores) -> str:
    """Return how much each decision matters to scores, and the mean score with each option."""
    effects = list(found.effects.values())
    if not effects:
        return ""
    n = len(effects[0].scores)
    sure = [one for one in effects if one.probability * len(effects) <= LEVEL]
    labels = ", ".join(one.label for one in sure[:5])
    more = f" and {len(sure) - 5} more" if len(sure) > 5 else ""
    said = (
        f"Decisions that matter to the scores: {labels}{more}."
        if sure
        else ("No decision matters to the scores beyond chance.")
    )
    random = run.metrics.search is not None and run.metrics.search.searcher == "RandomSearch"
    whose = (
        ""
        if random
        else (
            " Candidates were proposed by the search, which brings good options together, so that this "
            "describes them and not the whole space."
        )
    )
    note = (
        f"{said} Share of the variance of {n:,} candidates' one-shot {found.metric} that each decision "
        f"explains by itself, less what chance would, with 95 % intervals; and the mean one-shot "
        f"{found.metric} with each option. The dashed line is the mean of all candidates; the chosen "
        f"architecture's options are marked.{whose}"
    )
    shown = effects[:MOST]
    if len(effects) > MOST:
        note += f" Of {len(effects):,} decisions the {MOST} that explain most are shown."
    lines = [
        Line(one.label, one.share, "" if one in sure else "no more than chance", one in sure)
        for one in shown
    ]
    shares = forest(lines, "percent", "share of variance by decision")
    ends = _ends(shown)
    of_each = [_options(run, found, one, ends) for one in shown]
    body = page.drawing("decisions", shares) + page.grid(of_each[:SHOWN])
    if of_each[SHOWN:]:
        rest = page.grid(of_each[SHOWN:])
        body += page.more(f"Options of {len(of_each) - SHOWN} more decisions", rest)
    return page.section("What each decision does to one-shot scores", body, note)


def _options(
    run: RunFiles, found: CandidateScores, one: DecisionEffect, ends: tuple[float, float]
) -> str:
    answer = run.architecture.architecture.get(one.label) if run.architecture else None
    chosen = answer if isinstance(answer, tuple) else (answer,)
    means = list(one.means.items())
    if found.better.falls(found.metric):
        means.reverse()
    lines = [
        Line(
            str(option),
            mean,
            f"{one.networks(option):,} candidates{', chosen' if option in chosen else ''}",
            option in chosen,
        )
        for option, mean in means
    ]
    middle = float(one.scores.mean())
    drawn = forest(lines, plots.unit_of(found.metric), one.label, ends=ends, middle=middle)
    return page.titled(one.label, drawn)


def _ends(effects: Sequence[DecisionEffect]) -> tuple[float, float]:
    """Return the ends of an axis that shows all means, with intervals as far as scores go."""
    scores = effects[0].scores
    means = [mean for one in effects for mean in one.means.values()]
    low = max(min(one.low for one in means), min(float(scores.min()), *(m.value for m in means)))
    high = min(max(one.high for one in means), max(float(scores.max()), *(m.value for m in means)))
    room = 0.04 * (high - low)
    return low - room, high + room


def _front(run: RunFiles, found: CandidateScores, roles: Mapping[str, str], quantity: str) -> str:
    """Draw the scores against one cost, unless no candidate has it."""
    costs = [row.macs if quantity == "macs" else row.latency_ms for row in found.rows]
    both = zip(costs, found.values, found.rows, strict=True)
    points = [(cost, value, row.key) for cost, value, row in both if cost is not None]
    if not points:
        return ""
    known = {key for _, _, key in points}
    for one in run.metrics.retrain.candidates if run.metrics.retrain else ():
        cost, value = one.costs.get(quantity), _score(one.supernet, found.metric)
        if one.key not in known and cost is not None and value is not None:
            points.append((cost, value, one.key))
    figure = plots.cost_and_score(
        [cost for cost, _, _ in points],
        [value for _, value, _ in points],
        [key for _, _, key in points],
        quantity=_COSTS[quantity],
        roles=roles,
        outside=baseline_keys(run),
        metric=found.metric,
        lower=found.better.lower,
    )
    note = "The front: no candidate beats these."
    volume = run.metrics.search and run.metrics.search.hypervolume.get(quantity)
    if volume is not None:
        note += f" Hypervolume {volume:.4f} of 1 (accuracy 1 at no cost, up to the largest)."
    title = f"One-shot score and {_COSTS[quantity]}"
    return page.section(title, page.figure(f"front-{quantity}", figure), note)


def _tuned(run: RunFiles) -> str:
    """Say which candidates were trained before they were scored, and how long that took."""
    search = run.metrics.search
    if search is None:
        return ""
    protocol = search.finalists.protocol if search.finalists else search.protocol
    return tuned_text(protocol.tuning, search.tuned, search.tune_seconds)


def _of(row: Row, metric: plots.Metric) -> float | None:
    """Return a figure of a row; None where it has none."""
    if metric in ("accuracy", "loss"):
        return row.accuracy if metric == "accuracy" else row.loss
    return row.figures.get(metric)


def _score(measured: Score, metric: plots.Metric) -> float | None:
    return measured.get(metric)


def _architecture(row: Row) -> Architecture | None:
    """Return the answers of a row; None where they cannot be read, which its digest has told."""
    try:
        return Architecture.from_json(row.architecture)
    except SpaceError:
        return None
