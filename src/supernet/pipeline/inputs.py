"""What a run computes on: its data as models take it, its task, and the supernet before any training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, cast

import torch
from torch import nn

from supernet.config import RunConfig
from supernet.conversion.trial_networks import largest
from supernet.data import (
    Augment,
    Normalise,
    Raw,
    Several,
    Splits,
    Stored,
    split_data,
    whole_batch,
)
from supernet.data.resolve import hidden_by
from supernet.data.several import parts_of
from supernet.errors import DataError
from supernet.failures import attempted
from supernet.modules.modes import evaluating
from supernet.modules.nested import mapped
from supernet.modules.outputs import output_text
from supernet.net import SuperNet, derive
from supernet.net.memory_format import memory_format
from supernet.pipeline.context import Run
from supernet.pipeline.models import Models, data_arguments
from supernet.random import seeded
from supernet.space import Architecture, SearchSpace
from supernet.task import Task, checked_figures, checked_measures
from supernet.train import digest
from supernet.user_code import calling

__all__ = ["Inputs", "inputs_of", "load_inputs"]

FEW = 8
"""Examples that show which figures a task reports."""


@dataclass(frozen=True)
class Inputs:
    """What every step of a run computes on.

    Attributes:
        splits: data, on the device; the test split stays sealed.
        normalise: normalisation, from stored examples to inputs of models, measured on the training
            split.
        augment: random changes of training images.
        example: inputs of a model for one example, `[1, ...]` each, or one dictionary of them by name:
            zeros, and masks that mask nothing.
        task: losses and measures.
        device: device that everything is computed on.
        models: builder of further models.
        supernet: supernet with its initial weights; it is looked at and measured, and never trained.
        identity: hash of what is trained on what: decisions, parameter shapes, and the data.
    """

    splits: Splits
    normalise: Normalise
    augment: Augment
    example: tuple[Any, ...]
    task: Task
    device: torch.device
    models: Models
    supernet: SuperNet
    identity: str

    @property
    def space(self) -> SearchSpace:
        """All architectures."""
        return self.supernet.space

    @cached_property
    def figures(self) -> Mapping[str, bool]:
        """The figures that the task reports, and of each whether it is a mean over examples.

        Found by measuring a network on a few examples; empty where none of those tried can be run.
        """
        few = self.splits.train.select(torch.arange(min(FEW, len(self.splits.train))))
        batch, space = whole_batch(few, self.normalise), self.space

        def found(architecture: Architecture) -> dict[str, bool]:
            with (
                torch.no_grad(),
                evaluating(self.supernet),
                seeded(0),
                self.supernet.route(architecture),
            ):
                measures = checked_measures(self.task, self.supernet, batch)
            means = {name: values.double().mean(0) for name, values in measures.items()}
            figures = checked_figures(self.task, means)
            return {name: value is means.get(name) for name, value in figures.items()}

        for number in sorted({0, space.size // 2, space.size - 1}):
            figures = attempted(partial(found, space[number]))
            if not isinstance(figures, Exception):
                return figures
        return {}

    def original(self) -> nn.Module:
        """Return the model as it was given: the largest network, with the supernet's initial weights."""
        return derive(self.supernet, largest(self.supernet)).eval().requires_grad_(False)

    @property
    def from_string(self) -> Callable[[str], Architecture] | None:
        """How the model reads an architecture that a table writes as text, if it does."""
        read = getattr(self.supernet.model, "from_string", None)
        return cast(Callable[[str], Architecture], read) if callable(read) else None


def load_inputs(run: Run) -> Inputs:
    """Load the data of a run and build its supernet.

    Raises:
        ConfigError: the model cannot be built with its arguments, or with those that a stage or
            retraining gives it; or the task needs other targets.
        DataError: the data cannot be loaded or divided.
    """
    raw = _loaded(run)
    return inputs_of(run, _divided(run, raw), _outputs(run.config.task, raw))


def inputs_of(run: Run, splits: Splits, outputs: int | None = None) -> Inputs:
    """Build the supernet of a run for data that is loaded.

    Args:
        run: run that is meant.
        splits: data of the run, divided.
        outputs: number of outputs that targets need where they have no names of classes.

    Raises:
        ConfigError: see `load_inputs`.
    """
    run.know_examples(len(splits.train))
    config, classes = run.config, len(splits.train.classes) or outputs
    arguments = data_arguments(splits.train, classes)
    models = Models(run.model, config.strategy, arguments, run.seed, run.device)
    supernet = models.supernet()
    last = _channels_last(config, models, supernet)
    normalise = Normalise.of(splits.train, channels_last=last)
    return Inputs(
        splits,
        normalise,
        config.split.augment or splits.augment,
        mapped(_blank, whole_batch(splits.train.select(torch.arange(1)), normalise)[:-1]),
        config.task.of_targets(splits.train.targets, classes),
        run.device,
        models,
        supernet,
        _identity(splits, supernet),
    )


def _blank(inputs: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(inputs) if inputs.dtype == torch.bool else torch.zeros_like(inputs)


def _loaded(run: Run) -> Raw:
    source = run.config.data
    name = type(source).__name__
    with calling(f"loading the data with {name}", DataError):
        raw: object = source.load()
    if not isinstance(raw, Raw):
        raise DataError(f"{name}.load() must return a supernet.data.Raw, not {output_text(raw)}")
    return raw.read_by(run.config.workers)


def _outputs(task: Task, raw: Raw) -> int | None:
    """Return how many outputs the targets of all examples need, where these say so."""
    parts = [one for one in (raw.train, raw.search, raw.test) if one is not None]
    found = [count for one in parts if (count := task.outputs(one.targets)) is not None]
    return max(found, default=None)


def _divided(run: Run, raw: Raw) -> Splits:
    options = run.config.split
    parts = split_data(raw, run.seed, options.search_fraction, options.test_fraction, options.limit)
    hidden = hidden_by(run.config.data)
    notes = (*parts.notes, *([hidden] if hidden else []))
    return dataclasses.replace(
        parts, notes=notes, train=parts.train.to(run.device), search=parts.search.to(run.device)
    )


def _channels_last(config: RunConfig, models: Models, supernet: SuperNet) -> bool:
    """Return whether all models of the run prefer images whose channels lie last in memory."""
    every: list[nn.Module] = [supernet]
    every += [models.stage(n, supernet.space) for n in range(len(config.strategy.stages))]
    if config.retrain.model:
        every.append(models.built("retrain", "check", **config.retrain.model))
    return {memory_format(model, models.device) for model in every} == {torch.channels_last}


def _identity(splits: Splits, supernet: SuperNet) -> str:
    shapes = {name: tuple(p.shape) for name, p in supernet.named_parameters()}
    parts = (splits.train, splits.search)
    data: list[torch.Tensor | str] = []
    for part in parts:
        if isinstance(part.inputs, Several):
            data.append(repr(part.inputs.names))
        data += [one.identity if isinstance(one, Stored) else one for one in parts_of(part.inputs)]
        data.append(part.targets)
    names = [splits.train.classes, splits.train.words]
    return digest([repr(supernet.space.decisions), shapes, data, names])
