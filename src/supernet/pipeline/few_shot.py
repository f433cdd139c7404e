"""An optional step: split the trained supernet along a decision and train each part on.

Zhao et al., "Few-shot Neural Architecture Search" (ICML 2021).
"""

from __future__ import annotations

import copy

from supernet.net import check_split
from supernet.pipeline.context import Run
from supernet.strategies import Counted

__all__ = ["few_shot"]


def few_shot(run: Run) -> None:
    """Train a supernet for each option of the configured decision, from the weights of the whole.

    Raises:
        RunFolderError: the supernet is not trained.
        SpaceError: the supernet cannot be split along this decision.
    """
    label = run.config.few_shot.decision
    options, seconds = check_split(run.supernet, label).options, 0.0
    for number, option in enumerate(options):
        run.progress.say(
            f"training the part with {label} = {option} ({number + 1} of {len(options)})"
        )
        part = run.part(option)
        learner = Counted(copy.deepcopy(run.config.strategy))
        learner.prepare(part, run.setting(part=True))
        checkpoint = run.folder.part(number)
        stage = f"few_shot-{number}"
        spent = run.fit(run.config.few_shot.train, stage, part, learner, checkpoint, run.splitting)
        seconds += spent["seconds"]
    run.folder.record(
        "few_shot",
        {
            "seconds": round(seconds, 3),
            "steps": run.config.few_shot.train.steps,
            "decision": label,
            "parts": len(options),
            "weights": run.trained_parts()[1],
        },
    )
