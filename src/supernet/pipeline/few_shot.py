"""An optional step: split the trained supernet along a decision and train each part on.

Zhao et al., "Few-shot Neural Architecture Search" (ICML 2021).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial

from supernet.cost import CostTable
from supernet.net import check_split, split_supernet
from supernet.pipeline.context import Run
from supernet.pipeline.failures import (
    attempt_network,
    failed_file,
    failure_summary,
    none_left_error,
)
from supernet.pipeline.inputs import Inputs
from supernet.pipeline.shared_weights import (
    SharedWeights,
    load_shared_weights,
    split_identity,
)
from supernet.pipeline.trained import Trained, training_context
from supernet.pipeline.training import fit
from supernet.space import Architecture, Decision
from supernet.strategies import UpdateCounts
from supernet.track.records import Failed
from supernet.track.sections import FewShotRecord

__all__ = ["few_shot"]


def few_shot(
    run: Run, inputs: Inputs, costs: Mapping[str, CostTable], trained: Trained
) -> SharedWeights:
    """Train a supernet for each option of the configured decision, from the weights of the whole.

    A part whose training fails is recorded, and its architectures fail in the search.

    Raises:
        NoNetworkError: the training of every part failed.
        SpaceError: the supernet cannot be split along this decision.
    """
    label = run.config.few_shot.decision
    assert label is not None  # the step is of runs that name one
    decision = check_split(inputs.supernet, label)
    count, seconds, failed = len(decision.options), 0.0, list[Failed]()
    for number, option in enumerate(decision.options):
        run.progress.say(f"training the part with {label} = {option} ({number + 1} of {count})")
        spent = _attempt_part(run, inputs, costs, trained, decision, number)
        if isinstance(spent, Failed):
            failed.append(spent)
        else:
            seconds += spent
    _check_failed(run, failed, count)
    shared = load_shared_weights(run, trained)
    run.folder.record(
        FewShotRecord(
            seconds=round(seconds, 3),
            steps=run.config.few_shot.train.steps,
            decision=label,
            parts=count,
            failed=tuple(failed),
            weights=shared.hash,
        )
    )
    return shared


def _attempt_part(
    run: Run,
    inputs: Inputs,
    costs: Mapping[str, CostTable],
    trained: Trained,
    decision: Decision,
    number: int,
) -> float | Failed:
    """Train the part with one option of the decision; return the seconds it took, or its failure."""
    label, option = decision.label, decision.options[number]
    checkpoint, identity = run.folder.part(number), split_identity(run, trained)
    record = partial(
        Failed.of,
        f"{label} = {option}",
        "part",
        Architecture({label: option}),
        file=f"few_shot/{failed_file(checkpoint).name}",
    )

    def work() -> float:
        part = split_supernet(trained.supernet, label, option)
        learner = UpdateCounts(copy.deepcopy(run.config.strategy))
        learner.prepare(part, training_context(run, inputs, costs, part=True))
        training, stage = run.config.few_shot.train, f"few_shot-{number}"
        spent = fit(run, inputs, training, stage, part, learner, checkpoint, identity)
        return spent.seconds

    return attempt_network(run.progress, checkpoint, identity, record, work)


def _check_failed(run: Run, failed: list[Failed], count: int) -> None:
    """Say which of the parts failed.

    Raises:
        NoNetworkError: all did.
    """
    if len(failed) == count:
        raise none_left_error(
            failed,
            "parts of the supernet",
            "With other options of --few_shot.train they are trained anew; --few_shot.decision null "
            "searches with the whole supernet",
        )
    if failed:
        run.progress.say(failure_summary(failed, count, "parts of the supernet", "metrics.json"))
