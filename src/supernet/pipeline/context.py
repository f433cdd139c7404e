"""A run: a configuration, a folder, and what its steps share."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import torch
from torch import nn

from supernet.config import RunConfig, TrainConfig
from supernet.cost import Constraints, CostTable
from supernet.data import Augment, Loader, Normalise, Raw, Splits
from supernet.data import split_data as split_data
from supernet.errors import ConfigError, DataError, NoNetworkError, RunFolderError
from supernet.evaluate import Evaluator, PartsEvaluator, Protocol, Score, measure
from supernet.foreign import calling
from supernet.modules.outputs import described
from supernet.net import SuperNet, split_supernet
from supernet.net.memory_format import memory_format
from supernet.net.source import ModelSource
from supernet.pipeline.changes import without_neutral
from supernet.pipeline.costs import cost_tables
from supernet.pipeline.failed import failed_file, kept
from supernet.pipeline.records import Selected, Trained, UsedTables
from supernet.random import derive_seed, seeded
from supernet.search import Problem
from supernet.space import Architecture, Option
from supernet.strategies import TrainingContext
from supernet.track import Progress, RunFolder
from supernet.train import Checkpoint, Fit, Learner, digest
from supernet.train.checkpoint import State
from supernet.train.learner import M

__all__ = ["Run"]

MOST_THREADS = 4096


class Run:
    """What the steps of a run share, each made when first needed.

    Args:
        config: configuration as `supernet.parser.parse` returns it.
        options: the same as plain data.
        model: builds the model with choices.
        folder: run folder that the files are in.
        progress: bars and messages by which the steps say what they do.
    """

    def __init__(
        self,
        config: RunConfig,
        options: Mapping[str, Any],
        model: ModelSource,
        folder: RunFolder,
        progress: Progress,
    ) -> None:
        self.config = config
        self.options = options
        self.model = model
        self.folder = folder
        self.progress = progress
        self.seed = config.seed
        self.task = config.task
        self.device = _device(config.device)
        if not 0 <= config.seed < 2**63:
            raise ConfigError(f"seed is a number from 0 to 2^63 - 1, not {config.seed}")
        if not 0 <= config.threads <= MOST_THREADS:
            raise ConfigError(
                f"threads is a number of CPU threads up to {MOST_THREADS:,}, or 0 for all, not "
                f"{config.threads}"
            )

    @property
    def made_in_python(self) -> bool:
        """Whether options are Python objects, which a command line cannot give again."""
        search = self.options.get("search", {})
        given = [*self.options.values(), *search.values()]
        return any(isinstance(value, Mapping) and set(value) == {"python"} for value in given)

    @cached_property
    def splits(self) -> Splits:
        """The data, on the device; the test split stays sealed."""
        options = self.config.split
        source = self.config.data
        name = type(source).__name__
        with calling(f"loading the data with {name}", DataError):
            raw: object = source.load()
        if not isinstance(raw, Raw):
            raise DataError(f"{name}.load() must return a supernet.data.Raw, not {described(raw)}")
        parts = split_data(
            raw, self.seed, options.search_fraction, options.test_fraction, options.limit
        )
        return dataclasses.replace(
            parts, train=parts.train.to(self.device), search=parts.search.to(self.device)
        )

    @cached_property
    def normalise(self) -> Normalise:
        """From stored examples to inputs, measured on the training split."""
        models: list[nn.Module] = [self.supernet]
        models += [self.stage(number) for number in range(len(self.config.strategy.stages))]
        if self.config.retrain.model:
            models.append(self.built("retrain", "check", **self.config.retrain.model))
        formats = {memory_format(model, self.device) for model in models}
        return Normalise.of(self.splits.train, channels_last=formats == {torch.channels_last})

    @property
    def augment(self) -> Augment:
        """The configured augmentation, or what suits the data set."""
        return self.config.split.augment or self.splits.augment

    @cached_property
    def example(self) -> torch.Tensor:
        """Zeros of the shape of one input, `[1, ...]`."""
        return torch.zeros_like(self.normalise(self.splits.train.inputs[:1]))

    @cached_property
    def supernet(self) -> SuperNet:
        """The supernet; its weights are the initial ones until a step loads or trains others."""
        return self.initial_supernet()

    def stage(self, number: int) -> SuperNet:
        """Return the supernet that is trained in a stage before, with its initial weights.

        Raises:
            ConfigError: the model does not take the stage's arguments, or has other decisions.
        """
        arguments = self.config.strategy.stages[number].model
        try:
            supernet = self._supernet("stage", str(number), **arguments)
        except Exception as error:  # a user's constructor may raise anything
            raise ConfigError(
                f"the model of strategy.stages[{number}], with {arguments}, cannot be built: {error}"
            ) from error
        if supernet.space.decisions != self.supernet.space.decisions:
            raise ConfigError(
                f"strategy.stages[{number}].model makes a model whose decisions differ from those of "
                "the configured one; give arguments that leave them as they are, such as the number of "
                "cells that share their decisions"
            )
        return supernet

    def trained_supernet(self) -> tuple[SuperNet, str]:
        """Return the supernet with its trained weights, and their hash.

        Raises:
            RunFolderError: training has not ended.
        """
        trained = self._trained
        with self.folder.checkpoint.restoring():
            self.supernet.load_state_dict(trained.weights)
        return self.supernet, trained.hash

    @cached_property
    def _trained(self) -> Trained:
        """What the checkpoint of the trained supernet holds; it is read and verified once."""
        state = self.folder.checkpoint.trained()
        if state is None or state["step"] < self.config.train.steps:
            raise RunFolderError(
                f"{self.folder.path} holds no trained supernet; run the step 'train' first"
            )
        self.check_trained(self.folder.checkpoint, state, self.training)
        with self.folder.checkpoint.restoring():
            weights, learned = state["model"], state["learner"]["strategy"]
        return Trained(weights, learned, digest([weights, learned] if learned else weights))

    @cached_property
    def training(self) -> str:
        """A hash of what was trained on what: model and data, and the cost tables a strategy used."""
        noted = UsedTables(self.costs)
        copy.deepcopy(self.config.strategy).prepare(self.supernet, self.setting(noted))
        return digest([self.identity, noted.used])

    def setting(
        self, costs: Mapping[str, CostTable] | None = None, part: bool = False
    ) -> TrainingContext:
        """Return what a strategy may know before training."""
        options, seed = self.config.train, derive_seed(self.seed, "train")
        search, size = self.splits.search, options.batch_size
        loader = Loader(search, size, seed, self.augment, "search", normalise=self.normalise)
        return TrainingContext(self.seed, self.costs if costs is None else costs, part, loader)

    def check_trained(self, checkpoint: Checkpoint, state: State | None, identity: str) -> None:
        """Check that a checkpoint, if there is one, is of this model, this data and these cost tables.

        Raises:
            RunFolderError: it is of others.
        """
        if state is not None and state["identity"] != identity:
            raise RunFolderError(
                f"{checkpoint.path} was trained with another model, other data or other cost tables, "
                "though they are named alike (or by an older version); choose another folder"
            )

    @property
    def _split_label(self) -> str:
        label = self.config.few_shot.decision
        assert label is not None  # who asks for parts has looked
        return label

    def part(self, option: Option) -> SuperNet:
        """Return the part of the trained supernet with this option, with the weights of the whole.

        Raises:
            RunFolderError: the supernet is not trained.
        """
        supernet, _ = self.trained_supernet()
        return split_supernet(supernet, self._split_label, option)

    @property
    def splitting(self) -> str:
        """A hash of what the parts of the supernet depend on."""
        return digest([without_neutral(self.options["few_shot"]), self._trained.hash])

    def trained_parts(self) -> tuple[dict[Option, SuperNet], str]:
        """Return the parts of the supernet with their trained weights, by option, and a hash of all.

        Parts whose training failed are left out.

        Raises:
            RunFolderError: their training has not ended.
        """
        parts, hashes = dict[Option, SuperNet](), []
        failed = self.failed_parts()
        for option in self.supernet.space.decision(self._split_label).options:
            if option in failed:
                hashes.append("failed")
            else:
                parts[option], weights = self.trained_part(option)
                hashes.append(weights)
        return parts, digest(hashes)

    def failed_parts(self) -> dict[Option, NoNetworkError]:
        """Return the parts of the supernet whose training failed, by option, with the error to raise.

        Raises:
            RunFolderError: the supernet is not trained.
        """
        label, found = self._split_label, dict[Option, NoNetworkError]()
        for number, option in enumerate(self.supernet.space.decision(label).options):
            failed = kept(failed_file(self.folder.part(number)), self.splitting)
            if failed is not None:
                found[option] = NoNetworkError(
                    f"the part of the supernet with {label} = {option} failed in training: "
                    f"{failed.error}"
                )
        return found

    def trained_part(self, option: Option) -> tuple[SuperNet, str]:
        """Return the part of the supernet with this option, with its trained weights, and their hash.

        Raises:
            RunFolderError: its training has not ended.
            NoNetworkError: its training failed.
        """
        if (error := self.failed_parts().get(option)) is not None:
            raise error
        label, steps = self._split_label, self.config.few_shot.train.steps
        number = self.supernet.space.decision(label).options.index(option)
        checkpoint = self.folder.part(number)
        state = checkpoint.trained()
        if state is None or state["step"] < steps or state["identity"] != self.splitting:
            raise RunFolderError(
                f"{self.folder.path} lacks the part of the supernet with {label} = {option}; delete "
                f"{self.folder.part(number).path}, if it is there, and run the step 'train'"
            )
        part = self.part(option)
        with checkpoint.restoring():
            part.load_state_dict(state["model"])
        return part, digest(state["model"])

    def evaluator(self, protocol: Protocol) -> tuple[Evaluator | PartsEvaluator, str]:
        """Return what scores candidates, and the hash of the weights it uses.

        Raises:
            RunFolderError: training has not ended.
        """
        label = self.config.few_shot.decision
        if label is None:
            supernet, weights = self.trained_supernet()
            return self._evaluator(supernet, protocol), weights
        parts, weights = self.trained_parts()
        each = {option: self._evaluator(part, protocol) for option, part in parts.items()}
        return PartsEvaluator(label, each, self.failed_parts()), weights

    def _evaluator(self, supernet: SuperNet, protocol: Protocol) -> Evaluator:
        splits, memory = self.splits, self.config.evaluate.memory * 2**20
        return Evaluator(
            supernet,
            self.task,
            splits.search,
            splits.train,
            self.normalise,
            protocol,
            memory=memory,
        )

    @cached_property
    def identity(self) -> str:
        """A hash of what was trained on what: decisions, parameter shapes, and the data."""
        shapes = {name: tuple(p.shape) for name, p in self.supernet.named_parameters()}
        parts = (self.splits.train, self.splits.search)
        data = [tensor for part in parts for tensor in (part.inputs, part.targets)]
        names = [self.splits.train.classes, self.splits.train.words]
        return digest([repr(self.supernet.space.decisions), shapes, data, names])

    @cached_property
    def costs(self) -> dict[str, CostTable]:
        """The cost tables of the space: counted, and read from the configured files.

        Raises:
            ConfigError: a file is missing or made for another input size or device.
            SpaceError: a file is made for another space.
        """
        options = self.config.search
        files = [options.costs] if isinstance(options.costs, str) else options.costs
        return cost_tables(self.supernet, self.example, files, self.device, options.other_device)

    @cached_property
    def problem(self) -> Problem:
        """The space with its constraints."""
        space = self.supernet.space
        constraints = Constraints(self.config.search.constraint_list, self.costs, space)
        return Problem(space, constraints, self.seed, sampling=self.config.search.sampling)

    def learned(self) -> list[Architecture]:
        """Return the architectures that the training led to; none from most strategies.

        Raises:
            RunFolderError: training has not ended.
        """
        supernet, _ = self.trained_supernet()
        strategy = copy.deepcopy(self.config.strategy)
        strategy.prepare(supernet, self.setting())
        with self.folder.checkpoint.restoring():
            strategy.load_state_dict(self._trained.learned)
        return strategy.learned(supernet)

    @cached_property
    def protocol(self) -> Protocol:
        """How candidates are scored."""
        options = self.config.evaluate
        automatic = self.config.strategy.batch_norm
        batch_norm = automatic if options.batch_norm == "auto" else options.batch_norm
        batches = options.calibration_batches
        # Where the number is yet to be found, see `supernet.pipeline.batch_norm`.
        return Protocol(batch_norm, options.batch_size, 1 if batches == "converge" else batches)

    def validate(self, model: nn.Module) -> Score:
        """Return the measures of an ordinary model on the search split."""
        size = self.protocol.batch_size
        return measure(model, self.task, self.splits.search, self.normalise, size)

    def fit(
        self,
        options: TrainConfig,
        stage: str,
        model: M,
        learner: Learner[M],
        checkpoint: Checkpoint,
        identity: str = "",
        augment: Augment | None = None,
    ) -> dict[str, Any]:
        """Train a model by the one training loop; return seconds, steps and the last loss.

        A checkpoint of another identity is not continued. Images are changed as `split.augment` says
        unless an augmentation is given.
        """
        log = self.folder.stage_log(stage)
        bar = self.progress.task(stage, options.steps)

        def rewind(step: int) -> None:
            log.rewind(step)
            bar.advance(step)

        def write(record: dict[str, float]) -> None:
            log.write(record)
            bar.advance(0, loss=record["loss"])

        seed = derive_seed(self.seed, stage)
        fit = Fit(
            steps=options.steps,
            optimizer=options.optimizer,
            schedule=options.schedule,
            warmup=options.warmup,
            lowest=options.lowest,
            clip=options.clip,
            log_every=options.log_every,
            checkpoint_seconds=options.checkpoint_seconds,
            seed=seed,
            log=write,
            rewind=rewind,
            advance=bar.advance,
            identity=identity,
        )
        train, size = self.splits.train, options.batch_size
        loader = Loader(train, size, seed, augment or self.augment, normalise=self.normalise)
        fit.run(model, learner, self.task, loader, checkpoint)
        return {"seconds": log.seconds, "steps": options.steps, "loss": log.last.get("loss")}

    def section(self, step: str) -> dict[str, Any]:
        """Return the metrics of an earlier step.

        Raises:
            RunFolderError: that step has not ended.
        """
        section: dict[str, Any] | None = self.folder.metrics.get(step)
        if section is None:
            raise RunFolderError(
                f"{self.folder.path} lacks the results of the step {step!r}; run that step first"
            )
        return section

    def selected(self) -> list[Selected]:
        """Return what the search selected for retraining."""
        return [Selected.from_json(row) for row in self.section("search")["selected"]]

    def initial_supernet(self) -> SuperNet:
        """Return a new supernet with the weights that its training begins with."""
        return self._supernet("supernet")

    def _supernet(self, *purpose: str, **overrides: Any) -> SuperNet:
        seed = derive_seed(self.seed, *purpose)
        model = self.model.initial(seed, self._given(), **overrides)
        with seeded(derive_seed(self.seed, "strategy", *purpose)):
            supernet = self.config.strategy.build(model)
        return self.placed(supernet)

    def built(self, *purpose: str, **overrides: Any) -> nn.Module:
        """Return the model, whose weights depend on the seed and the purpose.

        Raises:
            ConfigError: it does not take these arguments.
        """
        return self.model.build(derive_seed(self.seed, *purpose), self._given(), **overrides)

    def _given(self) -> dict[str, Any]:
        """Return the arguments that the data gives to models that take them."""
        examples = self.splits.train
        data: dict[str, Any] = {}
        if examples.classes:
            data["classes"] = len(examples.classes)
        if examples.words:
            data["vocabulary"] = len(examples.words)
            data["context"] = examples.inputs.shape[1]
        else:
            data["image"] = tuple(examples.inputs.shape[1:])
        return data

    def placed(self, model: M) -> M:
        """Return the model on the device, in the memory format that convolutions prefer."""
        if any(parameter.ndim == 5 for parameter in model.parameters()):
            return model.to(self.device)  # the format exists for images only
        layout = memory_format(model, self.device)
        placed: M = model.to(self.device, memory_format=layout)  # type: ignore[call-overload]
        return placed


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros((), device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"the device {name!r} cannot be used: {str(error).splitlines()[0]}"
        ) from error
    return device
