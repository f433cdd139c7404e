"""Whether batches can be made of the data and learned from, tried before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import torch

from supernet.config import TrainConfig
from supernet.data import Augment, Several, whole_batch
from supernet.data.loader import augmented
from supernet.errors import ConfigError, DataError
from supernet.modules.calls import given_as
from supernet.modules.modes import evaluating
from supernet.modules.nested import leaves, tensors
from supernet.modules.outputs import output_text
from supernet.pipeline.context import Run
from supernet.pipeline.inputs import Inputs
from supernet.random import generator
from supernet.task import batch_figures, checked_measures
from supernet.user_code import calling

__all__ = ["check_augment", "check_batches", "check_run"]


def check_augment(run: Run, inputs: Inputs, augment: Augment) -> None:
    """Change one input at random.

    Raises:
        ConfigError: the augmentation moves images whose targets it would have to move, too.
        DataError: the augmentation cannot do that, or returns something else than inputs.
    """
    name, moves = type(augment).__name__, augment.flip or augment.crop
    if inputs.task.of_places and moves:
        raise ConfigError(
            f"the augmentation {name} flips or shifts images (flip {augment.flip}, crop "
            f"{augment.crop}), but not the targets of {type(inputs.task).__name__}, which say what "
            "is where; give --split.augment.flip false --split.augment.crop 0, and vary the data "
            "where it is read"
        )
    held = inputs.splits.train.inputs
    given = list(tensors(inputs.example))
    values = held.like(given) if isinstance(held, Several) else given[0]
    random = generator(run.seed, "check", device=run.device)
    with calling(f"the augmentation {name}", DataError, always=True):
        changed = augmented(augment, values, lambda images: augment(images, random), held)
    for one, other in zip(given, leaves(changed), strict=True):
        if not isinstance(other, torch.Tensor) or other.shape[:1] != (1,):
            raise DataError(
                f"the augmentation {name} must return as many inputs as it is given, but of "
                f"{output_text(one)} it made {output_text(other)}"
            )


def _shapes(inputs: Sequence[Any]) -> str:
    """Return the shapes of a batch's inputs; where they are given by name, with their names."""
    named = given_as(inputs)[1]
    texts = [f"{name} {list(tensor.shape)}" for name, tensor in named.items()]
    return ", ".join(texts or [str(list(tensor.shape)) for tensor in inputs])


def _two_examples(inputs: Inputs) -> tuple[Any, ...]:
    """Return a batch of two examples, that of the largest class among them."""
    examples = inputs.splits.train
    last = int(examples.targets.argmax()) if examples.targets.ndim == 1 else 0
    return whole_batch(examples.select(torch.tensor([0, last])), inputs.normalise)


def check_batches(inputs: Inputs, name: str, options: TrainConfig) -> None:
    """Check that batches can be made, and learned from, as the options of a training say.

    Raises:
        ConfigError: there are fewer examples than parts of a batch.
        DataError: examples cannot be mixed, or the task does not take what they are mixed to.
    """
    count = len(inputs.splits.train)
    if options.accumulate > count:
        raise ConfigError(
            f"{name}.accumulate is {options.accumulate}, but a batch has only {count} examples, which "
            "are all; give fewer parts"
        )
    if not options.mixing:
        return
    *given, targets = _two_examples(inputs)
    classes, supernet = len(inputs.splits.train.classes), inputs.supernet
    options.mixing.check(given[0] if len(given) == 1 else given, targets, classes, name)
    mixed, shares = options.mixing(given[0], targets, classes, Random(0))
    with (
        calling(
            f"{type(inputs.task).__name__}.loss cannot take mixed examples, whose targets are shares of "
            f"classes {list(shares.shape)} (leave {name}.mixup and {name}.cutmix at 0, or mend it)",
            DataError,
            always=True,
        ),
        torch.no_grad(),
        evaluating(supernet),
        supernet.route(supernet.space[0]),
    ):
        inputs.task.loss(supernet, (mixed, shares))


def check_run(inputs: Inputs) -> None:
    """Run one architecture on two examples, that of the largest class among them."""
    examples = inputs.splits.train
    targets = examples.targets
    batch = _two_examples(inputs)
    supernet = inputs.supernet
    doing = (
        f"the model and the task cannot be run on {inputs.splits.name} (inputs {_shapes(batch[:-1])}, "
        f"targets {list(batch[-1].shape)} {batch[-1].dtype})"
    )
    with (
        calling(doing, DataError, always=True),
        torch.no_grad(),
        evaluating(supernet),
        supernet.route(supernet.space[0]),
    ):
        batch_figures(inputs.task, [checked_measures(inputs.task, supernet, batch)])
        inputs.task.check_targets(targets)
        loss = inputs.task.loss(supernet, batch)
    if not isinstance(loss, torch.Tensor) or loss.shape != ():
        raise DataError(
            f"{type(inputs.task).__name__}.loss(model, batch) must return a tensor of one number, the "
            f"mean over the batch, but on {inputs.splits.name} it returned {output_text(loss)}"
        )
