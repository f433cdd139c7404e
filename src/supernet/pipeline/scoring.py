"""How networks of a run are scored: candidates under the shared weights, and ordinary ones."""

from __future__ import annotations

from typing import cast

from torch import nn

from supernet.config import RunConfig
from supernet.evaluate import (
    Evaluator,
    PartsEvaluator,
    Protocol,
    Provenance,
    Score,
    Tuning,
    measure,
)
from supernet.net import SuperNet
from supernet.pipeline.context import Run
from supernet.pipeline.inputs import Inputs
from supernet.pipeline.shared_weights import SharedWeights
from supernet.precision import Precision
from supernet.strategies import BatchNorm

__all__ = ["evaluator", "protocol_as", "protocol_of", "tuning_of", "validate"]


def protocol_of(config: RunConfig) -> Protocol:
    """Return how candidates are scored, but for their tuning, which takes the data (see `tuning_of`)."""
    options = config.evaluate
    automatic = config.strategy.batch_norm
    batch_norm = automatic if options.batch_norm == "auto" else options.batch_norm
    batches = options.calibration_batches
    # Where the number is yet to be found, see `supernet.pipeline.batch_norm`.
    count = 1 if batches == "converge" else batches
    return Protocol(batch_norm, options.batch_size, count, precision=options.precision)


def tuning_of(run: Run, inputs: Inputs) -> Tuning | None:
    """Return how candidates are trained before they are scored, all of them or only finalists, if so."""
    tune, train = run.config.evaluate.tune, run.config.train
    if not tune.steps:
        return None
    return Tuning(
        steps=tune.steps,
        optimizer=train.optimizer,
        rate=tune.rate,
        batch_size=train.batch_size,
        clip=train.clip,
        precision=train.precision,
        accumulate=train.accumulate,
        augment=inputs.augment,
        seed=run.seed,
    )


def protocol_as(run: Run, inputs: Inputs, used: Provenance) -> Protocol:
    """Return how candidates are scored as the search scored them."""
    batches = used.calibration_batches or protocol_of(run.config).calibration_batches
    tuning = tuning_of(run, inputs) if used.tuning else None
    precision = cast(Precision, used.precision or "float32")
    return Protocol(cast(BatchNorm, used.batch_norm), used.batch_size, batches, tuning, precision)


def evaluator(
    run: Run, inputs: Inputs, shared: SharedWeights, protocol: Protocol
) -> Evaluator | PartsEvaluator:
    """Return what scores candidates with the shared weights."""
    splits, memory = inputs.splits, run.config.evaluate.memory * 2**20

    def of(supernet: SuperNet) -> Evaluator:
        return Evaluator(
            supernet,
            inputs.task,
            splits.search,
            splits.train,
            inputs.normalise,
            protocol,
            memory=memory,
        )

    if shared.label is None:
        return of(shared.trained.supernet)
    parts = {option: of(part) for option, part in shared.parts.items()}
    return PartsEvaluator(shared.label, parts, shared.failed)


def validate(run: Run, inputs: Inputs, model: nn.Module) -> Score:
    """Return the measures of an ordinary model on the search split."""
    size = protocol_of(run.config).batch_size
    return measure(model, inputs.task, inputs.splits.search, inputs.normalise, size)
