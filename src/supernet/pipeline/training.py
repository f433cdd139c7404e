"""How a run trains whatever it trains: the supernet, its parts, and networks alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from supernet.config import TrainConfig
from supernet.data import Augment, Loader
from supernet.pipeline.alone import send_checkpoint
from supernet.pipeline.context import Run
from supernet.pipeline.inputs import Inputs
from supernet.pipeline.scoring import validate
from supernet.random import derive_seed
from supernet.shared_work import breathe
from supernet.task import Taught
from supernet.track.sections import Spent
from supernet.train import Checkpoint, Fit, Learner
from supernet.train.learner import M

__all__ = ["fit"]


def fit(
    run: Run,
    inputs: Inputs,
    options: TrainConfig,
    stage: str,
    model: M,
    learner: Learner[M],
    checkpoint: Checkpoint | None,
    identity: str = "",
    augment: Augment | None = None,
    look: Callable[[int], Mapping[str, float]] | None = None,
    patience: int | None = None,
) -> Spent:
    """Train a model by the one training loop; return seconds, steps and the last loss.

    Args:
        run: run that is trained for.
        inputs: data of the run.
        options: options of the training.
        stage: name of the training, in the log and of its random draws.
        model: model that is trained in place.
        learner: training method.
        checkpoint: checkpoint of the training; one of another identity is not continued.
        identity: text that the training belongs to besides.
        augment: random changes of images; None for what `split.augment` says.
        look: function that looks at the model at each record of the log, see `Fit`.
        patience: records without a lower loss on the search split after which it ends; None for all
            steps.
    """
    log = run.stage_log(stage)
    bar = run.progress.task(stage, options.steps)

    def rewind(step: int) -> None:
        log.rewind(step)
        bar.advance(step)
        mark("start")
        if 0 < step < options.steps:
            run.progress.say(f"{stage} goes on from step {step:,} of {options.steps:,}")

    def write(record: dict[str, float]) -> None:
        log.write(record)
        bar.advance(0, loss=record["loss"])

    def advance() -> None:
        bar.advance()
        breathe()

    seed = derive_seed(run.seed, stage)
    train, size = inputs.splits.train, options.batch_size
    loader = Loader(
        train,
        size,
        seed,
        augment or inputs.augment,
        normalise=inputs.normalise,
        mixing=options.mixing,
    )
    with run.measured_training(stage) as mark:

        def marked(part: str) -> None:
            mark(part)
            if part == "checkpoint" and checkpoint is not None:
                send_checkpoint(run, checkpoint, stage)

        loop = Fit(
            steps=options.steps,
            optimizer=options.optimizer,
            schedule=options.schedule,
            warmup=options.warmup,
            lowest=options.lowest,
            ema=options.ema,
            look=look,
            clip=options.clip,
            precision=options.precision,
            accumulate=options.accumulate,
            batch_norm=options.batch_norm,
            log_every=options.log_every,
            checkpoint_seconds=options.checkpoint_seconds,
            seed=seed,
            log=write,
            rewind=rewind,
            advance=advance,
            identity=identity,
            mark=marked,
            patience=patience,
            judge=lambda: validate(run, inputs, model)["loss"],
        )
        task = inputs.task
        if options.teacher is not None:
            task = Taught(task, inputs.original(), options.teacher)
        loop.run(model, learner, task, loader, checkpoint)
    done = int(log.last.get("step", options.steps))
    if patience is not None and done < options.steps:
        run.progress.say(
            f"{stage} ended after {done:,} of {options.steps:,} steps: no lower loss on the search "
            f"split in {patience} records of the log; its weights are those of the lowest"
        )
    return Spent(
        seconds=log.seconds,
        steps=done,
        loss=log.last.get("loss"),
    )
