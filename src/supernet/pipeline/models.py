"""The models of a run, each built with weights that depend on the seed and on what it is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from supernet.data import Examples, Several
from supernet.data.several import like, parts_of
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.net.memory_format import memory_format
from supernet.net.source import ModelSource
from supernet.random import derive_seed, seeded
from supernet.space import SearchSpace
from supernet.strategies import Strategy
from supernet.train.learner import M
from supernet.user_code import calling

__all__ = ["Models", "data_arguments", "placed"]


@dataclass(frozen=True)
class Models:
    """Builds the models of a run.

    Attributes:
        source: source of the model with choices.
        strategy: strategy, which makes the supernet of it.
        arguments: arguments that the data gives to models that take them.
        seed: seed of the run.
        device: device on which models are placed.
    """

    source: ModelSource
    strategy: Strategy
    arguments: Mapping[str, Any]
    seed: int
    device: torch.device

    def supernet(self) -> SuperNet:
        """Return a new supernet with the weights that its training begins with."""
        return self._supernet("supernet")

    def stage(self, number: int, space: SearchSpace) -> SuperNet:
        """Return the supernet that is trained in a stage before, with its initial weights.

        Raises:
            ConfigError: the model does not take the stage's arguments, or its space is another than that
                of the supernet.
        """
        arguments = self.strategy.stages[number].model
        try:
            supernet = self._supernet("stage", str(number), **arguments)
        except Exception as error:  # a user's constructor may raise anything
            raise ConfigError(
                f"the model of strategy.stages[{number}], with {arguments}, cannot be built: {error}"
            ) from error
        _check_decisions(supernet, space, f"strategy.stages[{number}].model")
        return supernet

    def built(self, *purpose: str, **overrides: Any) -> nn.Module:
        """Return the model, whose weights depend on the seed and the purpose.

        Raises:
            ConfigError: it does not take these arguments.
        """
        given = ", ".join(f"{name} {value!r}" for name, value in overrides.items())
        with calling(
            lambda: f"the model cannot be built with {given or 'its arguments'}",
            ConfigError,
            always=bool(overrides),
        ):
            return self.source.build(derive_seed(self.seed, *purpose), self.arguments, **overrides)

    def retraining(self, key: str, overrides: Mapping[str, Any], number: int = 0) -> SuperNet:
        """Return a new supernet whose weights are those of an architecture that is trained alone.

        Args:
            key: key of the architecture.
            overrides: constructor arguments that differ from the supernet's.
            number: number of the training, of which each has weights of its own.

        Raises:
            ConfigError: the model does not take them.
        """
        purpose = ("retrain", key, *([str(number)] if number else []))
        return SuperNet(placed(self.built(*purpose, **overrides), self.device))

    def check_alone(self, option: str, overrides: Mapping[str, Any], space: SearchSpace) -> None:
        """Check that networks of the space can be trained alone by a model of other arguments.

        Args:
            option: name of the option that the arguments are from.
            overrides: constructor arguments that differ from the supernet's.
            space: space of the supernet.

        Raises:
            ConfigError: the model does not take them, or has other decisions.
        """
        _check_decisions(self.retraining("check", overrides), space, option)

    def _supernet(self, *purpose: str, **overrides: Any) -> SuperNet:
        model = self.source.initial(derive_seed(self.seed, *purpose), self.arguments, **overrides)
        with seeded(derive_seed(self.seed, "strategy", *purpose)):
            supernet = self.strategy.build(model)
        return placed(supernet, self.device)


def _check_decisions(supernet: SuperNet, space: SearchSpace, option: str) -> None:
    if supernet.space.decisions != space.decisions:
        raise ConfigError(
            f"{option} makes a model whose decisions differ from those of the configured one; give "
            "arguments that leave them as they are, such as the number of cells that share their "
            "decisions"
        )


def data_arguments(examples: Examples, classes: int | None) -> dict[str, Any]:
    """Return the arguments that the data gives to models that take them.

    They are `classes`, and

    * of one input `image`, the shape of an example, such as (3, 32, 32);
    * of the tokens of a text `vocabulary`, the number of words, and `context`, the length;
    * of several inputs `shapes`, the shape of each in one example: a tuple, or a dictionary by their
      names; and `vocabulary`, the number of categories, where they are numbered as words are.

    Args:
        examples: examples of the training split.
        classes: number of classes, or of other outputs that targets need; None where it is not known.
    """
    given: dict[str, Any] = {} if classes is None else {"classes": classes}
    if examples.words:
        given["vocabulary"] = len(examples.words)
    shapes = [tuple(part.shape[1:]) for part in parts_of(examples.inputs)]
    if isinstance(examples.inputs, Several):
        given["shapes"] = like(examples.inputs.names, shapes)
    elif examples.words:
        (given["context"],) = shapes[0]
    else:
        (given["image"],) = shapes
    return given


def placed(model: M, device: torch.device) -> M:
    """Return the model on the device, in the memory format that convolutions prefer."""
    if any(parameter.ndim == 5 for parameter in model.parameters()):
        return model.to(device)  # the format exists for images only
    layout = memory_format(model, device)
    found: M = model.to(device, memory_format=layout)  # type: ignore[call-overload]
    return found
