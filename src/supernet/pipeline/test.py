"""The last step: read the test split, once."""

from __future__ import annotations

from supernet.evaluate import measure
from supernet.pipeline.context import Run

__all__ = ["test"]


def test(run: Run) -> None:
    """Measure the chosen network and the random baseline on the test split."""
    log = run.folder.stage_log("test")
    chosen = run.section("retrain")["chosen"]
    selected = run.selected()
    roles = {
        "chosen": next(one for one in selected if one.key == chosen),
        "random": next(one for one in selected if one.role == "random"),
    }
    models = {role: run.retrained(one) for role, one in roles.items()}
    examples = run.splits.test.open(chosen).to(run.device)
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
            **{role: {"key": roles[role].key, **score} for role, score in scores.items()},
        },
    )
