"""A task: what a batch costs in training, and how its examples are measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from supernet.errors import ConfigError
from supernet.modules.calls import called

__all__ = ["Batch", "Task", "outputs_of"]

Batch = Sequence[Any]
"""The tensors of one batch, each `[batch, ...]`, inputs first and targets last: `(inputs, targets)`, or
of several inputs `(first, second, ..., targets)`, or by name `({"name": first, ...}, targets)`."""


def outputs_of(model: nn.Module, batch: Batch) -> Any:
    """Return what a model computes of the inputs of a batch, whatever these are.

    It is `model(*inputs)`, or of inputs by name `model(**inputs)`. Of an object with `logits`, as models
    of Hugging Face's transformers return it, it is these; tuples are left as they are.

    Raises:
        DataError: the model does not take so many inputs, or inputs of these names.
    """
    outputs = called(model, batch[:-1])
    logits = None if isinstance(outputs, tuple) else getattr(outputs, "logits", None)
    return logits if isinstance(logits, torch.Tensor) else outputs


class Task(ABC):
    """Loss and measures for a batch. Strategies see nothing of the task but this.

    Attributes:
        lower_is_better: names of the figures that are better when they are lower, as errors are; the
            loss is, whatever they say.
        of_places: whether targets say something of places in an image, so that it cannot be flipped or
            shifted without them.
        mixes: whether the loss takes shares of classes, floats `[batch, classes]`, for class numbers
            `[batch]`, as examples that are mixed with each other have them.
    """

    lower_is_better: Collection[str] = ("loss",)
    of_places: bool = False
    mixes: bool = True

    @property
    def optional_figures(self) -> Mapping[str, str]:
        """Figures that would be reported with another option, each with that option; here none."""
        return {}

    def outputs(self, targets: torch.Tensor) -> int | None:
        """Return the number of outputs, `classes` of models, that targets `[examples, ...]` need.

        Here None: they are the classes that the data names, if it does.
        """
        return None

    def of_targets(self, targets: torch.Tensor, classes: int | None) -> Task:
        """Return the task for what it is trained on; here, where nothing depends on that, itself.

        Args:
            targets: targets of the training split, `[examples, ...]`.
            classes: number of classes, where there are any.

        Raises:
            ConfigError: an option needs other targets.
        """
        return self

    def check_targets(self, targets: torch.Tensor) -> None:  # noqa: B027 - most take any
        """Refuse targets `[examples, ...]` whose values are none of this task; here none are.

        It is called once, before training, with those of all training examples.

        Raises:
            DataError: they are none.
        """

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Return the scalar that training minimises, a mean over the batch."""

    def distance(self, outputs: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Return how far outputs are from those of a teacher, a scalar; here the mean square.

        Used by strategies that let one architecture learn from another.
        """
        return torch.nn.functional.mse_loss(outputs, teacher)

    def log_probabilities(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return the logarithms of the probabilities that outputs stand for, `[n, classes]`; here none.

        Used by strategies that compare distributions; each of the n counts alike.

        Raises:
            ConfigError: outputs stand for no probabilities of classes.
        """
        raise ConfigError(
            f"the strategy compares probabilities of classes, but {type(self).__name__} does not say "
            "which they are; give it a method log_probabilities(outputs), or use a strategy that does "
            "without, such as sandwich"
        )

    @abstractmethod
    def measure(self, model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        """Return measures per example, each a floating tensor `[batch, ...]`.

        "loss" `[batch]` must be among them. A number of a whole batch is no measure: what is not a mean
        over examples is made of counts, see `figures`.
        """

    def figures(self, means: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        """Return the figures that are reported, each a scalar, "loss" among them.

        Here they are the means themselves, so that every measure is `[batch]`. A task of which a figure
        is no mean over examples, as F1, measures what can be added, as hits by class `[batch, classes]`,
        and computes the figure from its mean. Where there is an "accuracy" in 0–1, networks that were
        trained alone are compared by it, unless the run ranks by another figure.

        Args:
            means: means of the measures over all examples, `[...]` of a measure `[batch, ...]`.
        """
        return means
