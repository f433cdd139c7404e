"""What results are worth, in words: measured against what, on how much, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from supernet.evaluate.rank_correlation import RankCorrelation
from supernet.evaluate.resampling import Interval
from supernet.track.metrics import Metrics
from supernet.track.numbers import score
from supernet.track.records import CostName, OneShotRanking, Outcome, OverRandom, Truth
from supernet.track.sections import RetrainRecord, TestRecord

__all__ = [
    "better_text",
    "chosen_at_random_text",
    "failed_text",
    "gain",
    "gain_text",
    "over_random_text",
    "ranking_text",
]

TRUTHS: dict[Truth, str] = {
    "scratch": "scores after training from scratch",
    "fine_tuned": "scores after fine-tuning the supernet's weights",
}
COSTS: dict[CostName, str] = {"params": "Parameters", "macs": "Multiply-adds"}


def ranking_text(ranking: OneShotRanking | None) -> str:
    """Say how well one-shot scores rank stand-alone ones: which, of how many, and how sure that is."""
    if ranking is None:
        return ""
    if ranking.why == "no probes":
        return (
            "Rank correlation: not known, since no candidates drawn at random were retrained "
            "(--retrain.probes 20 does); the best alone do not show it."
        )
    if ranking.why == "same weights":
        return (
            "Rank correlation: none, since the networks alone were not trained further and are scored "
            "with the supernet's weights, as one-shot scores are (--retrain.weights fresh trains them)."
        )
    found = ranking.correlation
    truth = TRUTHS[ranking.truth or "scratch"]
    sample = f"n = {found.n} drawn at random from {ranking.population:,} candidates"
    if found.kendall_tau is None:
        return f"Rank correlation of one-shot scores with {truth}: Kendall's τ is undefined ({sample})."
    text = (
        f"Rank correlation of one-shot scores with {truth}: Kendall's {tau_text(found)}, {sample}"
    )
    text += "." if found.meaningful else ": too few to mean anything."
    for quantity, cost in ranking.costs.items():
        if cost.correlation.kendall_tau is None:
            continue
        text += f" {COSTS[quantity]} alone: {tau_text(cost.correlation)}"
        if difference := cost.difference:
            text += f", exceeded by {difference.value:+.2f} ({interval_text(difference)})"
        text += "."
    return text


def over_random_text(test: TestRecord | None, retrain: RetrainRecord | None) -> str:
    """Say how much better than random the search's best is, on what, and at which costs."""
    if test is None:
        return ""
    over = test.over_random
    if not over and test.failed:
        return "No comparison with random architectures: networks failed on the test split."
    if not over and retrain and any(one.role == "random" for one in retrain.failed):
        return "No random baseline: all that were drawn failed."
    if not over:
        return "No random baseline: no architecture was found besides those that were retrained."
    count, examples = len(test.random), over.examples
    against = (
        "one random architecture" if count == 1 else f"the mean of {count} random architectures"
    )
    what = "Best of the search" if test.searched else "Chosen"
    text = (
        f"{what} over random: {_difference(over)} than {against}, on {test.images:,} test examples "
        f"({interval_text(examples, over.measure)} over examples"
    )
    if networks := over.networks:
        text += f", {interval_text(networks, over.measure)} over random architectures"
    elif count == 1:
        text += "; others may differ: --retrain.baselines 5"
    else:
        text += "; these scored alike, others may differ"
    return f"{text}). {_costs_text(test, retrain)}"


def gain(over: OverRandom) -> str:
    """Return a difference with its sign, above 0 where the chosen one is better: +1.33 points."""
    value = over.examples.value
    text = f"{100 * value:+.2f}" if over.measure == "accuracy" else f"{value:+.4f}"
    return text.replace("-", "\N{MINUS SIGN}")


def gain_text(over: OverRandom, test: TestRecord) -> str:
    """Return what a difference counts, and its interval."""
    count = len(test.random)
    units = {"loss": "of loss less than", "accuracy": "points over"}
    unit = units.get(over.measure, f"of {over.measure} better than")
    if test.searched is not None:
        unit = f"({test.searched.key}) {unit}"
    random = "a random one" if count == 1 else f"{count} random ones"
    interval = interval_text(over.networks or over.examples, over.measure)
    what = "architectures" if over.networks else f"{test.images:,} examples"
    return f"{unit} {random} ({interval} over {what})"


def chosen_at_random_text(retrain: RetrainRecord | None) -> str:
    """Say so where the chosen network is a random baseline, better than all that the search found."""
    if retrain is None or retrain.searched is None:
        return ""
    rows = {row.key: row for row in reversed(retrain.candidates)}
    chosen, searched = (
        score(rows[key].validation, retrain.figure) for key in (retrain.chosen, retrain.searched)
    )
    return (
        f"The chosen network, {retrain.chosen} ({chosen} on the search split), is a random baseline: "
        f"the best that the search found, {retrain.searched}, reached {searched}."
    )


def better_text(test: TestRecord | None) -> str:
    """Say which random baselines beat the chosen network on the test split, if any do."""
    if test is None or not test.better:
        return ""
    random = {row.key: row for row in test.random}
    found = (f"random {key} ({score(random[key].score, test.figure)})" for key in test.better)
    chosen = score(test.chosen.score, test.figure)
    return f"{_joined(found)} scored better than the chosen network ({chosen}) on the test split."


def failed_text(metrics: Metrics) -> str:
    """Say how many networks failed, by step, if any did."""
    parts = [
        (len(metrics.few_shot.failed) if metrics.few_shot else 0, "in the training of parts"),
        (metrics.search.failed if metrics.search else 0, "in the search"),
        (len(metrics.retrain.failed) if metrics.retrain else 0, "in retraining"),
        (len(metrics.test.failed) if metrics.test else 0, "on the test split"),
    ]
    texts = [f"{failed:,} {where}" for failed, where in parts if failed]
    return f"Failed and left out: {', '.join(texts)} (report.html says why)." if texts else ""


def _costs_text(test: TestRecord, retrain: RetrainRecord | None) -> str:
    """Say what random architectures cost, in shares of the costs of what they are compared with."""
    rows = {row.key: row for row in retrain.candidates} if retrain else {}
    parts = []
    for quantity, name in COSTS.items():
        chosen = _cost(rows, (test.searched or test.chosen).key, quantity)
        costs = [_cost(rows, one.key, quantity) for one in test.random]
        known = [cost for cost in costs if cost is not None]
        if costs and chosen and len(known) == len(costs):
            ratios = sorted({f"{cost / chosen:.2f}" for cost in known})
            parts.append(
                f"{' to '.join(dict.fromkeys((ratios[0], ratios[-1])))} times its {name.lower()}"
            )
    how = "drawn without regard to its costs"
    baselines = retrain.baselines if retrain else None
    if baselines and baselines.match is not None and baselines.tolerance is not None:
        match = next((text for cost, text in COSTS.items() if cost == baselines.match), None)
        match = (match or baselines.match).lower()
        how = f"drawn to match its {match} within {100 * baselines.tolerance:.0f} %"
    return f"Random: {', '.join([*parts, how])}."


def _cost(rows: Mapping[str, Outcome], key: str, quantity: str) -> float | None:
    return rows[key].costs.get(quantity) if key in rows else None


def _difference(over: OverRandom) -> str:
    value = over.examples.value
    if over.measure == "loss":
        return f"{'less' if value >= 0 else 'more'} loss by {abs(value):.4f}"
    if over.measure != "accuracy":
        return f"{abs(value):.4f} of {over.measure} {'better' if value >= 0 else 'worse'}"
    return f"{abs(100 * value):.2f} points {'better' if value >= 0 else 'worse'}"


def tau_text(found: RankCorrelation) -> str:
    text = f"τ = {found.kendall_tau:.2f}"
    return text if found.low is None else f"{text} ({interval_text(found)})"


def interval_text(found: Interval | RankCorrelation, measure: str = "") -> str:
    ends = [end for end in (found.low, found.high) if end is not None]
    shown = [f"{end:+.4f}" if measure else f"{end:.2f}" for end in ends]
    if measure == "accuracy":
        shown = [f"{100 * end:+.2f}" for end in ends]
    return f"{100 * found.confidence:.0f} % interval [{', '.join(shown)}]"


def _joined(texts: Iterable[str]) -> str:
    *first, last = texts
    return f"{', '.join(first)} and {last}" if first else last
