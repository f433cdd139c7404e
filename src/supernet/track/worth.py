"""What results are worth, in words: measured against what, on how much, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from supernet.track.numbers import score

__all__ = ["better_text", "failed_text", "gain", "gain_text", "over_random_text", "ranking_text"]

TRUTHS = {
    "scratch": "scores after training from scratch",
    "fine_tuned": "scores after fine-tuning the supernet's weights",
}
COSTS = {"params": "Parameters", "macs": "Multiply-adds"}


def ranking_text(ranking: Mapping[str, Any] | None) -> str:
    """Say how well one-shot scores rank stand-alone ones: which, of how many, and how sure that is."""
    if not ranking:
        return ""
    if ranking.get("why") == "no probes":
        return (
            "Rank correlation: not known, since no candidates drawn at random were retrained "
            "(--retrain.probes 20 does); the best alone do not show it."
        )
    if ranking.get("why") == "same weights":
        return (
            "Rank correlation: none, since the networks alone were not trained further and are scored "
            "with the supernet's weights, as one-shot scores are (--retrain.weights fresh trains them)."
        )
    truth = TRUTHS[ranking["truth"]]
    sample = f"n = {ranking['n']} drawn at random from {ranking['population']:,} candidates"
    if ranking.get("kendall_tau") is None:
        return f"Rank correlation of one-shot scores with {truth}: Kendall's τ is undefined ({sample})."
    text = f"Rank correlation of one-shot scores with {truth}: Kendall's {_tau(ranking)}, {sample}"
    text += "." if ranking.get("meaningful") else ": too few to mean anything."
    for quantity, cost in (ranking.get("costs") or {}).items():
        if cost["kendall_tau"] is None:
            continue
        text += f" {COSTS[quantity]} alone: {_tau(cost)}"
        if difference := cost["difference"]:
            text += f", exceeded by {difference['value']:+.2f} ({_interval(difference)})"
        text += "."
    return text


def over_random_text(test: Mapping[str, Any] | None, retrain: Mapping[str, Any]) -> str:
    """Say how much better than random the chosen network is, on what, and at which costs."""
    if not test:
        return ""
    over = test.get("over_random")
    if not over and test.get("failed"):
        return "No comparison with random architectures: networks failed on the test split."
    if not over and any(one["role"] == "random" for one in retrain.get("failed", [])):
        return "No random baseline: all that were drawn failed."
    if not over:
        return "No random baseline: no architecture was found besides those that were best."
    count, examples = len(test["random"]), over["examples"]
    against = (
        "one random architecture" if count == 1 else f"the mean of {count} random architectures"
    )
    text = (
        f"Chosen over random: {_difference(over)} than {against}, on {test['images']:,} test examples "
        f"({_interval(examples, over['measure'])} over examples"
    )
    if networks := over["networks"]:
        text += f", {_interval(networks, over['measure'])} over random architectures"
    elif count == 1:
        text += "; others may differ: --retrain.baselines 5"
    else:
        text += "; these scored alike, others may differ"
    return f"{text}). {_costs_text(test, retrain)}"


def gain(over: Mapping[str, Any]) -> str:
    """Return a difference with its sign, above 0 where the chosen one is better: +1.33 points."""
    value = over["examples"]["value"]
    text = f"{value:+.4f}" if over["measure"] == "loss" else f"{100 * value:+.2f}"
    return text.replace("-", "\N{MINUS SIGN}")


def gain_text(test: Mapping[str, Any]) -> str:
    """Return what a difference counts, and its interval."""
    over, count = test["over_random"], len(test["random"])
    unit = "of loss less than" if over["measure"] == "loss" else "points over"
    random = "a random one" if count == 1 else f"{count} random ones"
    interval = _interval(over["networks"] or over["examples"], over["measure"])
    what = "architectures" if over["networks"] else f"{test['images']:,} examples"
    return f"{unit} {random} ({interval} over {what})"


def better_text(metrics: Mapping[str, Any]) -> str:
    """Say which retrained networks beat the chosen one, if any do."""
    texts = []
    retrain, test = metrics.get("retrain", {}), metrics.get("test", {})
    rows = {row["key"]: row for row in reversed(retrain.get("candidates", []))}
    if better := retrain.get("better"):
        chosen = score(rows[retrain["chosen"]]["validation"])
        found = (f"{rows[key]['role']} {key} ({score(rows[key]['validation'])})" for key in better)
        texts.append(
            f"{_joined(found)} scored better than the chosen network ({chosen}) on the search split, "
            f"among {len(rows)} retrained; only the best by one-shot score are chosen from"
        )
    if better := test.get("better"):
        random = {row["key"]: row for row in test["random"]}
        found = (f"random {key} ({score(random[key])})" for key in better)
        texts.append(
            f"{_joined(found)} scored better than the chosen network ({score(test['chosen'])}) on the "
            "test split"
        )
    return ". ".join(texts) + "." if texts else ""


def failed_text(metrics: Mapping[str, Any]) -> str:
    """Say how many networks failed, by step, if any did."""
    parts = [
        (metrics.get("few_shot", {}).get("failed", []), "in the training of parts"),
        (["one"] * metrics.get("search", {}).get("failed", 0), "in the search"),
        (metrics.get("retrain", {}).get("failed", []), "in retraining"),
        (metrics.get("test", {}).get("failed", []), "on the test split"),
    ]
    texts = [f"{len(failed):,} {where}" for failed, where in parts if failed]
    return f"Failed and left out: {', '.join(texts)} (report.html says why)." if texts else ""


def _costs_text(test: Mapping[str, Any], retrain: Mapping[str, Any]) -> str:
    """Say what random architectures cost, in shares of the chosen one's costs."""
    rows = {row["key"]: row for row in retrain.get("candidates", [])}
    chosen = rows.get(test["chosen"]["key"], {})
    parts = []
    for quantity, name in COSTS.items():
        costs = [rows.get(one["key"], {}).get(quantity) for one in test["random"]]
        if costs and chosen.get(quantity) and None not in costs:
            ratios = sorted({f"{cost / chosen[quantity]:.2f}" for cost in costs})
            parts.append(
                f"{' to '.join(dict.fromkeys((ratios[0], ratios[-1])))} times its {name.lower()}"
            )
    baselines = retrain.get("baselines") or {}
    how = (
        f"drawn to match its {COSTS.get(baselines['match'], baselines['match']).lower()} within "
        f"{100 * baselines['tolerance']:.0f} %"
        if baselines.get("match")
        else "drawn without regard to its costs"
    )
    return f"Random: {', '.join([*parts, how])}."


def _difference(over: Mapping[str, Any]) -> str:
    value = over["examples"]["value"]
    if over["measure"] == "loss":
        return f"{'less' if value >= 0 else 'more'} loss by {abs(value):.4f}"
    return f"{abs(100 * value):.2f} points {'better' if value >= 0 else 'worse'}"


def _tau(found: Mapping[str, Any]) -> str:
    text = f"τ = {found['kendall_tau']:.2f}"
    return text if found.get("low") is None else f"{text} ({_interval(found)})"


def _interval(found: Mapping[str, Any], measure: str = "") -> str:
    ends = [found["low"], found["high"]]
    shown = [f"{end:+.4f}" if measure == "loss" else f"{end:.2f}" for end in ends]
    if measure == "accuracy":
        shown = [f"{100 * end:+.2f}" for end in ends]
    return f"{100 * found['confidence']:.0f} % interval [{', '.join(shown)}]"


def _joined(texts: Iterable[str]) -> str:
    *first, last = texts
    return f"{', '.join(first)} and {last}" if first else last
