"""The part of the report on what was watched while the supernet trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby

from supernet.evaluate import Preference, RankCorrelation, kendall
from supernet.fidelity.early import OptionSpread, option_spreads
from supernet.track import page, plots
from supernet.track.numbers import MISSING
from supernet.track.run_files import RunFiles
from supernet.track.watch import MomentRecord, WatchRecord

__all__ = ["known_worth", "watch_taus", "watched"]

FEWEST = 3
"""Fewest networks that a τ is computed of."""


def watched(run: RunFiles) -> str:
    """Return the section; nothing where nothing was watched."""
    record = run.watch
    if record is None or not record.moments:
        return ""
    truth, worth = known_worth(run, record)
    taus = watch_taus(record, worth)
    name, _ = record.moments[-1].scores(record.preference)
    note = (
        f"{len(record.networks)} networks, scored on {record.images:,} examples of the search split. τ "
        f"is that of their {name} with what they are worth ({truth or 'not known'}), with the last "
        "moment, and with counts."
    )
    figures = page.pair(
        page.figure("watched-loss", plots.curves(_losses(record), "loss")),
        page.figure("watched-tau", plots.curves(_lines(record, taus), "Kendall's τ")),
    )
    return page.section("While the supernet trained", figures + _moments(record, taus), note) + (
        _decisions(record)
    )


def known_worth(run: RunFiles, record: WatchRecord) -> tuple[str, Mapping[str, float]]:
    """Return what watched networks are worth as far as it is known: from where, and values by key.

    That is the table that was given, else what `supernet rank` knew, else the results of retraining,
    of which the first is taken that knows three of the networks or more.
    """
    keys = {one.key for one in record.networks}
    ranking, retrain = run.ranking, run.metrics.retrain
    given = {
        one.key: math.fsum(one.values) / len(one.values) for one in record.networks if one.values
    }
    sources: dict[str, Mapping[str, float]] = {record.truth.name if record.truth else "": given}
    if ranking is not None:
        ranked = dict(zip(ranking.keys, ranking.values, strict=False))
        sources[f"ranking.json: {ranking.truth.name}"] = ranked
    if retrain is not None:
        found = {row.key: row.validation for row in retrain.candidates}
        better = run.metrics.search.preference if run.metrics.search else Preference()
        named = {better.final(one) for one in found.values()}
        by = named.pop() if len(named) == 1 else "loss"
        values = {key: one.get(by) for key, one in found.items()}
        sources["retrained networks"] = {
            key: better.signed(by, value) for key, value in values.items() if value is not None
        }
    for name, values_of in sources.items():
        known = {key: value for key, value in values_of.items() if key in keys}
        if len(known) >= FEWEST:
            return name, known
    return "", {}


def watch_taus(
    record: WatchRecord, worth: Mapping[str, float]
) -> dict[str, list[RankCorrelation | None]]:
    """Return τ of the scores at each moment with what networks are worth, the last scores and counts.

    Args:
        record: record of what was watched.
        worth: worth of networks by key, of some.
    """
    last = record.moments[-1].scores(record.preference)[1]
    references: dict[str, list[float]] = {}
    if worth:
        references["truth"] = [worth.get(one.key, math.nan) for one in record.networks]
    references["last"] = list(last)
    for quantity in record.networks[0].costs:
        references[quantity] = [one.costs.get(quantity, math.nan) for one in record.networks]
    return {
        name: [_tau(moment.scores(record.preference)[1], values) for moment in record.moments]
        for name, values in references.items()
    }


def _tau(scores: Sequence[float], values: Sequence[float]) -> RankCorrelation | None:
    """Return τ of the networks that have both numbers; None of too few."""
    both = [pair for pair in zip(scores, values, strict=True) if all(map(math.isfinite, pair))]
    if len(both) < FEWEST:
        return None
    return kendall([score for score, _ in both], [value for _, value in both])


def _losses(record: WatchRecord) -> dict[str, list[tuple[int, float]]]:
    """Return the curves of mean losses: under the shared weights, and alone."""
    shared = [(one.step, one.mean_loss) for one in record.moments]
    alone = [
        (step, _alone(record, step)) for step in sorted({s for o in record.alone for s in o.steps})
    ]
    curves = {"shared weights": shared, "alone": alone}
    return {
        name: [(step, loss) for step, loss in points if loss is not None]
        for name, points in curves.items()
    }


def _lines(
    record: WatchRecord, taus: Mapping[str, Sequence[RankCorrelation | None]]
) -> dict[str, list[tuple[int, float]]]:
    """Return the curves of τ that are known."""
    names = {"truth": "with what they are worth", "last": "with the last moment"}
    return {
        names.get(name, f"with {name}"): [
            (moment.step, one.kendall_tau)
            for moment, one in zip(record.moments, of_name, strict=True)
            if one is not None and one.kendall_tau is not None
        ]
        for name, of_name in taus.items()
    }


def _moments(record: WatchRecord, taus: Mapping[str, Sequence[RankCorrelation | None]]) -> str:
    """Return the table of the moments."""
    figure = record.preference.figure
    means = ["mean accuracy", *([f"mean {figure}"] if figure else [])]
    heads = ["step", "mean loss", "alone", *means, *(f"τ, {name}" for name in taus)]
    rows = [
        [
            f"{moment.step:,}",
            _number(moment.mean_loss),
            _number(_alone(record, moment.step)),
            _number(moment.mean_accuracy),
            *([_number(moment.mean_figure)] if figure else []),
            *(_written(of_name[number], name == "truth") for name, of_name in taus.items()),
        ]
        for number, moment in enumerate(record.moments)
    ]
    return page.table(heads, rows)


def _decisions(record: WatchRecord) -> str:
    """Return the table of what decisions matter at the last moment, those that do most first."""
    moment = record.moments[-1]
    spreads = _spreads(record, moment)
    if not spreads:
        return ""
    name, _ = moment.scores(record.preference)
    rows = []
    for label, group in groupby(sorted(spreads, key=lambda one: one.label), lambda one: one.label):
        options = sorted(group, key=lambda one: one.spread)
        low, high = options[0], options[-1]
        rows.append((max(abs(low.spread), abs(high.spread)), [label, _option(high), _option(low)]))
    rows.sort(key=lambda row: -row[0])
    note = (
        f"At step {moment.step:,}: the mean {name} of watched networks with an option, less that of the "
        "others, and its standard deviation, were other examples drawn. Few networks have an option, so "
        "that what else they have counts, too."
    )
    table = page.table(
        ["decision", "best option", "worst option"], [row for _, row in rows], text=3
    )
    return page.section("What decisions matter to watched networks", table, note)


def _spreads(record: WatchRecord, moment: MomentRecord) -> list[OptionSpread]:
    _, values = moment.scores(record.preference)
    known = [i for i, value in enumerate(values) if math.isfinite(value)]
    if len(known) < FEWEST or moment.noise is None:
        return []
    architectures = [record.networks[i].architecture for i in known]
    return option_spreads([values[i] for i in known], architectures, moment.noise)


def _option(one: OptionSpread) -> str:
    return f"{one.option}: {one.spread:+.3g} ± {one.noise:.2g} ({one.networks} networks)"


def _alone(record: WatchRecord, step: int) -> float | None:
    """Return the mean loss of networks alone at a step, where all have one."""
    losses = record.alone_at(step)
    return math.fsum(losses.values()) / len(losses) if losses else None


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3f}"


def _written(found: RankCorrelation | None, interval: bool) -> str:
    if found is None or found.kendall_tau is None:
        return MISSING
    if not interval or found.low is None:
        return f"{found.kendall_tau:.2f}"
    return f"{found.kendall_tau:.2f} ({found.low:.2f} to {found.high:.2f})"
