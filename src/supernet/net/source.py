"""Where a model with choices comes from: built anew whenever fresh weights are needed."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from supernet.errors import ConfigError
from supernet.imports import resolve
from supernet.modules.copies import copied
from supernet.net.derive import reinitialise
from supernet.random import derive_seed, seeded
from supernet.reading import shown
from supernet.user_code import calling

__all__ = ["DATA_ARGUMENTS", "FromCallable", "FromInstance", "ModelSource", "as_model_source"]

DATA_ARGUMENTS = ("image", "classes", "vocabulary", "context", "shapes")
"""Constructor arguments that the data set gives: (channels, height, width), number of classes, and
instead of the image, for text numbers of words and of an example's tokens, and of several inputs the
shape of each in one example, by position or by name."""


class ModelSource(ABC):
    """Builds the same model with weights that depend on a seed."""

    @abstractmethod
    def build(
        self, seed: int, data: Mapping[str, Any] | None = None, **overrides: Any
    ) -> nn.Module:
        """Return a new model whose initial weights depend on the seed alone.

        Args:
            seed: seed of the weights; torch's own random state is left as it was.
            data: arguments that the data set gives, see `DATA_ARGUMENTS`; used where the model
                takes them.
            overrides: other constructor arguments, for instance a wider network for retraining.

        Raises:
            ConfigError: an argument is unknown to the model or one that it needs is missing, or what
                was built is no module.
        """

    def initial(
        self, seed: int, data: Mapping[str, Any] | None = None, **overrides: Any
    ) -> nn.Module:
        """Return the model that a supernet's training begins with; here one that is newly built.

        Raises:
            ConfigError: see `build`.
        """
        return self.build(seed, data, **overrides)


@dataclass(frozen=True)
class FromCallable(ModelSource):
    """A class or function and the arguments it is called with.

    Attributes:
        make: returns an `nn.Module`.
        arguments: keyword arguments, which win over what the data set gives.
    """

    make: Callable[..., nn.Module]
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def named(cls, path: str, arguments: Mapping[str, Any]) -> FromCallable:
        """Return the source for an import path like `package.module.Class` or `package.module:Class`.

        Raises:
            ConfigError: there is no such module or name.
        """
        return cls(resolve(path, nn.Module), arguments)

    def build(
        self, seed: int, data: Mapping[str, Any] | None = None, **overrides: Any
    ) -> nn.Module:
        """Call the class or function under the seed."""
        name = getattr(self.make, "__name__", self.make)
        try:
            signature = inspect.signature(self.make)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"the model {name} is built into Python, and what it takes is unknown; give a class or "
                "function that returns an nn.Module"
            ) from error
        takes = signature.parameters
        given = {name: value for name, value in (data or {}).items() if name in takes}
        arguments = {**given, **self.arguments, **overrides}
        try:
            signature.bind(**arguments)
        except TypeError as error:
            raise ConfigError(
                f"the model {name} takes {list(takes)} and cannot be built: {error} (the data gives "
                f"{list(data or ())})"
            ) from error
        home = getattr(self.make, "__module__", None) or ""
        others = home.partition(".")[0] != "supernet"  # torch's own refuse arguments, too
        building = calling(f"building the model {name}", always=others)
        with (
            seeded(derive_seed(seed, "build")),
            building,
            _for_images(str(name), arguments, others),
        ):
            model = self.make(**arguments)
        if not isinstance(model, nn.Module):
            raise ConfigError(f"{name} returned {shown(model)}, which is not an nn.Module")
        return model


@contextmanager
def _for_images(name: str, arguments: Mapping[str, Any], others: bool) -> Iterator[None]:
    """Say that a ready space is for images where it is given something else and fails.

    Raises:
        ConfigError: it is one of ours, and was given an example's shape that is no image's.
    """
    try:
        yield
    except (IndexError, TypeError, ValueError) as error:
        shape = arguments.get("image")
        if others or not isinstance(shape, tuple) or len(shape) == 3:
            raise
        raise ConfigError(
            f"the model {name} is for images [channels, height, width], but an example of the data is "
            f"{list(shape)}; for rows of numbers there is the space mlp (--model mlp), or use a model "
            "of your own"
        ) from error


@dataclass(frozen=True)
class FromInstance(ModelSource):
    """A model that exists already; each build is a copy with weights drawn anew.

    Attributes:
        model: model that is copied; its weights are those that a supernet's training begins with,
        fresh: unless they are to be drawn anew for that too.
    """

    model: nn.Module
    fresh: bool = False

    def initial(
        self, seed: int, data: Mapping[str, Any] | None = None, **overrides: Any
    ) -> nn.Module:
        """Return a copy, with the weights as they are unless fresh ones are wanted."""
        if self.fresh or overrides:
            return self.build(seed, data, **overrides)
        return copied(self.model)

    def build(
        self, seed: int, data: Mapping[str, Any] | None = None, **overrides: Any
    ) -> nn.Module:
        """Return a copy with fresh weights.

        Raises:
            ConfigError: overrides are given; an instance cannot be built differently.
            SpaceError: see `reinitialise`.
        """
        if overrides:
            raise ConfigError(
                f"an instance cannot be built with {sorted(overrides)}; give the class instead"
            )
        return reinitialise(copied(self.model), seed)


def as_model_source(model: object) -> ModelSource:
    """Return the source for an instance, a class or a function without arguments of its own.

    Raises:
        ConfigError: it is none of these.
    """
    if isinstance(model, ModelSource):
        return model
    if isinstance(model, nn.Module):
        return FromInstance(model)
    if callable(model):
        return FromCallable(model)
    raise ConfigError(
        f"a model is an nn.Module, or a class or function that returns one, not {shown(model)}"
    )
