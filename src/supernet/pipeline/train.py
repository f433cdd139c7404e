"""The first step: train the shared weights."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import platform
from collections.abc import Mapping
from functools import partial
from importlib.metadata import version

import torch
from torch import nn

from supernet.cost import CostTable
from supernet.data import Several, Vocabulary
from supernet.errors import ConfigError
from supernet.net import check_split
from supernet.net.source import FromInstance
from supernet.pipeline.batch_checks import check_augment, check_batches, check_run
from supernet.pipeline.context import Run
from supernet.pipeline.costs import problem_of
from supernet.pipeline.identity import record_identity
from supernet.pipeline.inputs import Inputs
from supernet.pipeline.measures import check_measures
from supernet.pipeline.scoring import protocol_of, validate
from supernet.pipeline.trained import (
    Trained,
    check_trained,
    read_trained,
    training_context,
    training_identity,
)
from supernet.pipeline.training import fit
from supernet.pipeline.watch import watch_of
from supernet.reading import shown
from supernet.search import Learned, Search
from supernet.space.numbers import size_text
from supernet.strategies import Alike, Strategy, TrainingContext, UpdateCounts, check_alike
from supernet.suggestions import did_you_mean
from supernet.track.sections import DataRecord, EnvironmentRecord, StageRecord, TrainRecord
from supernet.train import OptimizerFactory, digest
from supernet.train.learner import check_adds
from supernet.training_free import parts_of

__all__ = ["check_inputs", "check_options", "train"]


def train(run: Run, inputs: Inputs, costs: Mapping[str, CostTable]) -> Trained:
    """Train the supernet; writes `supernet.pt`, and perhaps `watch.json`.

    Of texts it also writes `vocabulary.json`, of tables `encoding.json`.

    Raises:
        ConstraintError: no architecture satisfies the constraints, found before any training.
    """
    identity = check_options(run, inputs, costs)
    _record_setting(run, inputs)
    _say_data(run, inputs)
    checkpoint = run.folder.checkpoint
    state = checkpoint.trained()
    check_trained(checkpoint, state, identity)
    watch = watch_of(run, inputs, costs)
    counted = _learner(run)
    setting, before = stages(run, inputs, costs, identity)
    supernet = inputs.models.supernet()
    counted.prepare(supernet, setting)
    look = None
    if watch is not None:
        watch.begin(0 if state is None else state["step"])
        look = partial(watch.look, watch.evaluator(supernet))
    options = run.config.train
    if options.teacher is not None:
        _say_teacher(run, inputs)
    spent = fit(run, inputs, options, "train", supernet, counted, checkpoint, identity, look=look)
    trained = read_trained(run, supernet, identity)
    warnings = [warning for stage in before for warning in stage.warnings] + counted.warnings()
    for warning in warnings:
        run.progress.say(f"warning: {warning}")
    warnings += watch.warnings if watch else []
    seconds = sum(stage.seconds for stage in before)
    run.folder.record(
        TrainRecord(
            seconds=round(spent.seconds + seconds, 3) if before else spent.seconds,
            steps=spent.steps,
            loss=spent.loss,
            passes=counted.passes(supernet),
            weights=trained.hash,
            warnings=tuple(warnings),
            stages=tuple(before),
        )
    )
    return trained


def _learner(run: Run) -> UpdateCounts:
    """Return the strategy, ready to train one supernet."""
    strategy, sharing = copy.deepcopy(run.config.strategy), run.config.sharing
    return UpdateCounts(
        Alike(strategy, sharing.until, sharing.among) if sharing.until else strategy
    )


def _record_setting(run: Run, inputs: Inputs) -> None:
    """Write down where the supernet is trained, and on what."""
    run.folder.record(
        EnvironmentRecord(
            supernet=version("supernet"),
            torch=torch.__version__,
            python=platform.python_version(),
            device=str(run.device),
            threads=torch.get_num_threads(),
        )
    )
    splits, encoding = inputs.splits, inputs.splits.encoding
    # Categories of a table, one of several inputs, are no text.
    words = () if isinstance(splits.train.inputs, Several) else splits.train.words
    run.folder.record(
        DataRecord(
            name=splits.name,
            train=len(splits.train),
            search=len(splits.search),
            test=len(splits.test),
            classes=len(splits.train.classes),
            vocabulary=len(words) or None,
            columns=None if encoding is None else len(encoding.numbers) + len(encoding.categories),
            mean=tuple(inputs.normalise.mean),
            std=tuple(inputs.normalise.std),
            identity=inputs.identity,
            notes=tuple(splits.notes),
        )
    )
    record_identity(run, inputs)
    if encoding is not None:
        encoding.write(run.folder.encoding)
    if words:
        Vocabulary(words, inputs.example[0].shape[1], splits.train.classes).write(
            run.folder.vocabulary
        )


def _say_data(run: Run, inputs: Inputs) -> None:
    """Say how many examples and architectures there are, and what was noticed in the data."""
    splits = inputs.splits
    run.progress.say(
        f"{splits.name}: {len(splits.train):,} examples to train, {len(splits.search):,} to search, "
        f"{len(splits.test):,} to test; {size_text(inputs.space.size)} architectures"
    )
    for note in splits.notes:
        run.progress.say(f"{splits.name}: {note}")


def stages(
    run: Run, inputs: Inputs, costs: Mapping[str, CostTable], training: str
) -> tuple[TrainingContext, list[StageRecord]]:
    """Train the supernets of the strategy's stages.

    Args:
        run: run that is trained for.
        inputs: data and models of the run.
        costs: cost tables of the space, by quantity.
        training: hash of what all training of the supernet depends on.

    Returns:
        The setting that they lead to; and of each seconds, steps, the last loss and warnings.
    """
    setting, spent = training_context(run, inputs, costs), list[StageRecord]()
    count = len(run.config.strategy.stages)
    for number in range(count):
        run.progress.say(f"training stage {number + 1} of {count + 1}, before the supernet")
        supernet = inputs.models.stage(number, inputs.space)
        learner = _learner(run)
        learner.prepare(supernet, setting)
        identity, checkpoint = digest(["stage", number, training]), run.folder.stage(number)
        check_trained(checkpoint, checkpoint.trained(), identity)
        stage = f"stage-{number}"
        found = fit(run, inputs, run.config.train, stage, supernet, learner, checkpoint, identity)
        warnings = tuple(f"in stage {number + 1}, {warning}" for warning in learner.warnings())
        spent.append(StageRecord(**found.to_json(), warnings=warnings))
        state = learner.state_dict()["strategy"]
        setting = dataclasses.replace(setting, stage=number + 1, before=state)
    return setting, spent


def check_inputs(run: Run, inputs: Inputs) -> None:
    """Raise now what would otherwise be raised when models are built and run, also by `load_costs`.

    Raises:
        ConfigError: an optimizer or the retrained model cannot be built with these options.
        DataError: the model, the task or an augmentation cannot be run on the data.
    """
    protocol_of(run.config)
    few_shot = run.config.few_shot
    _check_optimizer("train", run.config.train.optimizer)
    _check_optimizer("few_shot.train", few_shot.train.optimizer)
    _check_optimizer("retrain.train", run.config.retrain.train.optimizer)
    if few_shot.decision is not None:
        check_split(inputs.supernet, few_shot.decision)
    if "fresh" in run.config.retrain.kinds:
        inputs.models.check_alone("retrain.model", run.config.retrain.model, inputs.space)
    if run.config.retrain.short.networks:
        model = run.config.retrain.short.model
        inputs.models.check_alone("retrain.short.model", model, inputs.space)
    for augment in (inputs.augment, run.config.retrain.augment):
        if augment is not None:
            check_augment(run, inputs, augment)
    check_run(inputs)
    for name, training in run.config.trainings.items():
        check_batches(inputs, name, training)
    check_measures(run, inputs)


def check_options(run: Run, inputs: Inputs, costs: Mapping[str, CostTable]) -> str:
    """Raise now what would otherwise be raised by a later step, after hours of training.

    Returns:
        A hash of what is trained on what, for which the strategy is prepared; see `training_identity`.

    Raises:
        ConfigError: the options do not fit each other, the space or the costs.
        ConstraintError: no architecture satisfies the constraints.
    """
    few_shot = run.config.few_shot
    match = run.config.retrain.match
    if match is not None and match not in costs:
        raise ConfigError(
            f"retrain.match is {match!r}, but costs are known for "
            f"{', '.join(sorted(costs))}{did_you_mean(match, costs)}; name "
            "one of them, or give null for random architectures of any cost"
        )
    parts_of(run.config.retrain.evidence)
    identity = training_identity(run, inputs, costs)
    _check_sharing(run, inputs)
    for name, training in run.config.trainings.items():
        if name == "train" or (name == "few_shot.train" and few_shot.decision is not None):
            check_adds(run.config.strategy, training.precision, training.accumulate, name)
    for number in range(len(run.config.strategy.stages)):
        inputs.models.stage(number, inputs.space)
    if run.config.strategy.stages and few_shot.decision is not None:
        raise ConfigError(
            "few_shot.decision splits a supernet whose options are all in the race, but strategy.stages "
            "leaves some out; use one of them"
        )
    problem = problem_of(run, inputs, costs)
    if not isinstance(run.config.search.searcher, Learned):
        Search(run.config.search.searcher, problem).ask()
    elif type(run.config.strategy).learned is Strategy.learned:
        raise ConfigError(
            f"the searcher 'learned' needs a strategy that learns the architecture, such as darts, not "
            f"{type(run.config.strategy).__name__}; choose another searcher"
        )
    return identity


def _check_sharing(run: Run, inputs: Inputs) -> None:
    """Check that there is something to share, and nothing to lose by it."""
    sharing, source = run.config.sharing, run.model
    if not sharing.until:
        return
    check_alike(inputs.supernet, sharing.among)
    if run.config.train.accumulate > 1 or run.config.train.precision == "float16":
        raise ConfigError(
            "sharing.until adds up the gradients of a whole batch as they are, so it needs "
            "train.accumulate 1, and train.precision bfloat16 or float32; or give --sharing.until 0"
        )
    if isinstance(source, FromInstance) and not source.fresh:
        raise ConfigError(
            "sharing.until lets options that are built alike begin with the same weights, so those of "
            "the model that was given would be lost; give its class or a function instead of the "
            "instance, or --sharing.until 0"
        )


def _say_teacher(run: Run, inputs: Inputs) -> None:
    """Say how good the model is that the networks learn from: one that is not trained teaches noise."""
    score = validate(run, inputs, inputs.original())
    said = ", ".join(f"{name} {value:.4g}" for name, value in score.items())
    run.progress.say(
        f"the teacher is the model as it was given, its largest network: on the search split {said}"
    )


def _check_optimizer(name: str, make: OptimizerFactory) -> None:
    try:
        optimizer = make([nn.Parameter(torch.zeros(1))])
    except Exception as error:  # optimizers check their arguments in ways of their own
        raise ConfigError(f"{name}.optimizer cannot be made: {error}") from error
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise ConfigError(
            f"{name}.optimizer must return a torch.optim.Optimizer, but returned {shown(optimizer)}"
        )
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise ConfigError(
            f"{name}.optimizer is {type(optimizer).__name__}, which runs the model several times a "
            "step; use one that does not, such as torch.optim.SGD or AdamW"
        )
