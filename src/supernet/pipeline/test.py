"""The last step: read the test split, once."""

from __future__ import annotations

from supernet.config import WeightsName
from supernet.evaluate import measure
from supernet.pipeline.context import Run
from supernet.pipeline.networks import chosen, retrained
from supernet.pipeline.records import Selected

__all__ = ["test"]


def test(run: Run) -> None:
    """Measure the chosen network and the random baseline on the test split.

    Where all were trained from both kinds of weights, also the chosen architecture with the other kind;
    the baseline then is the better of its two.
    """
    log = run.folder.stage_log("test")
    one, weights = chosen(run)
    random = next(one for one in run.selected() if one.role == "random")
    rows = {row["key"]: row for row in run.section("retrain")["candidates"]}
    roles: dict[str, tuple[Selected, WeightsName]] = {
        "chosen": (one, weights),
        "random": (random, rows[random.key].get("weights", "fresh")),
    }
    for other in run.config.retrain.kinds:
        if other != weights:
            roles["other"] = (one, other)
    models = {role: retrained(run, *network) for role, network in roles.items()}
    examples = run.splits.test.open(one.key).to(run.device)
    size = run.protocol.batch_size
    scores = {
        role: measure(model, run.task, examples, run.normalise, size)
        for role, model in models.items()
    }
    run.folder.record(
        "test",
        {
            "seconds": log.seconds,
            "images": len(examples),
            **{
                role: {"key": roles[role][0].key, "weights": roles[role][1], **score}
                for role, score in scores.items()
            },
        },
    )
