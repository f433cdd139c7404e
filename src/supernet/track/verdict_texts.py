"""What a run came to: the network, how it compares, and whether scores can be believed."""

from __future__ import annotations

from supernet.track.metrics import Metrics
from supernet.track.numbers import score
from supernet.track.ranking import Ranking
from supernet.track.records import OneShotRanking, OverRandom
from supernet.track.result_texts import interval_text, tau_text
from supernet.track.run_files import RunFiles
from supernet.track.sections import RetrainRecord, TestRecord

__all__ = [
    "ROLES",
    "baseline_keys",
    "believed_text",
    "chosen_text",
    "compared_text",
    "role_text",
    "roles_by_key",
]

ROLES = {
    "top": "best of the search",
    "probe": "probe",
    "promising": "promising by all evidence",
    "random": "random baseline",
}
"""What retrained networks are, by the role that they were selected in."""


def role_text(role: str, probe: bool) -> str:
    """Return what a retrained network is; one of the best may be a probe, too."""
    text = ROLES.get(role, role)
    return f"{text}, {ROLES['probe']}" if probe and role != "probe" else text


def roles_by_key(run: RunFiles) -> dict[str, str]:
    """Return which networks are probes, random baselines and the chosen one, by key."""
    rows = run.metrics.retrain.candidates if run.metrics.retrain else ()
    roles = {row.key: ROLES["probe"] for row in rows if row.probe}
    roles |= dict.fromkeys(baseline_keys(run), ROLES["random"])
    return roles | ({run.chosen: "chosen"} if run.chosen else {})


def baseline_keys(run: RunFiles) -> set[str]:
    """Return the keys of the random baselines, which are no candidates of the search."""
    rows = run.metrics.retrain.candidates if run.metrics.retrain else ()
    return {row.key for row in rows if row.role == "random"}


def chosen_text(metrics: Metrics) -> str:
    """Say which network was chosen, from how many, and what it reaches on the test split."""
    retrain, test = metrics.retrain, metrics.test
    if retrain is None:
        return ""
    roles = {row.key: role_text(row.role, row.probe) for row in reversed(retrain.candidates)}
    role = f" ({roles[retrain.chosen]})" if retrain.chosen in roles else ""
    count = len(retrain.candidates)
    said = f"{retrain.chosen}{role} was chosen, the best of {count} by stand-alone score"
    if count == 1:
        said = f"{retrain.chosen}{role} was chosen, the only network that was trained alone"
    if test is None:
        return f"{said}; it has not been tested yet."
    return f"{said}: {score(test.chosen.score, test.figure)} on {test.images:,} test examples."


def compared_text(test: TestRecord | None) -> str:
    """Say whether the search was better than chance, by how much, and how sure that is."""
    if test is None:
        return ""
    over = test.over_random
    if over is None:
        return "It was compared with no random architecture, so what the search added is not known."
    found = over.networks or over.examples
    what = "the random architectures" if over.networks else f"the {test.images:,} test examples"
    subject = "It" if test.searched is None else f"The best of the search, {test.searched.key},"
    interval = f"{interval_text(found, over.measure)} over {what}"
    chance = ", which may be chance" if found.low <= 0 <= found.high else ""
    return f"{subject} is {_difference(over)} than {_against(test)}{chance} ({interval})."


def believed_text(ranking: Ranking | None, retrain: RetrainRecord | None) -> str:
    """Say whether the ranking by one-shot scores can be believed."""
    if ranking is not None:
        yes = "can be believed" if ranking.verdict.believable else "should not be relied on"
        return f"The one-shot ranking {yes}: {ranking.verdict.text}"
    return _probed(retrain.ranking) if retrain is not None else ""


def _probed(ranking: OneShotRanking) -> str:
    found, unknown = (
        ranking.correlation,
        "Whether the one-shot ranking can be believed is not known",
    )
    if ranking.why == "same weights":
        return f"{unknown}: no network was trained further than the supernet (--retrain.weights fresh)."
    if ranking.why is not None or found.kendall_tau is None:
        return f"{unknown}: supernet rank, or --retrain.probes 20, tells."
    said = f"Kendall's {tau_text(found)} with stand-alone scores, {found.n} probes"
    if not found.meaningful or found.low is None or found.high is None:
        return f"{unknown}: {found.n} probes are too few ({said})."
    if found.low > 0:
        return f"One-shot scores rank networks better than chance: {said}."
    if found.high < 0:
        return f"One-shot scores rank networks the wrong way round: {said}."
    return f"The one-shot ranking should not be relied on, as it may be chance: {said}."


def _against(test: TestRecord) -> str:
    count = len(test.random)
    return "one random architecture" if count == 1 else f"the mean of {count} random architectures"


def _difference(over: OverRandom) -> str:
    value = over.examples.value
    points = over.measure == "accuracy"
    size = f"{abs(100 * value):.2f} points" if points else f"{abs(value):.4f} of {over.measure}"
    return f"{size} {'better' if value >= 0 else 'worse'}"
