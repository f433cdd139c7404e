"""A model of one's own, or of another library, as a search space; see `supernet.convert`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from supernet.conversion import ConversionRule, Depths, Kernels, Widths, convert
from supernet.errors import ConfigError, SpaceError
from supernet.imports import resolve
from supernet.reading import check_text
from supernet.space import Architecture, Diagram
from supernet.zoo.chain import chain

__all__ = ["Converted", "built_from", "rules_of"]


class Converted(nn.Module):
    """A converted model.

    Small, for 8×8 grey images: `image=(1, 8, 8), arguments={"widths": (16, 32), "blocks": 2}`.

    Args:
        image: channels, height and width of the images.
        classes: number of classes.
        model: import path of a class or function that returns the model, as `package.module:name`.
        arguments: arguments that the model is called with. If it has arguments named `image`,
            `classes` or `num_classes`, they are given by the data unless they are here.
        widths: fractions of the widths that are offered; 1.0 alone leaves them as they are.
        multiple: widths are rounded to multiples of it.
        inner: whether sizes of heads are open too.
        depth: the smallest depth of rows of residual blocks, as a fraction; 1.0 leaves them as they are.
        kernels: sizes that depthwise convolutions are offered.
        keep: patterns of module names whose width, depth and kernel stay as they are.
        sort: whether channels are put in the order of their importance.

    Raises:
        ConfigError: there is no such model.
        ConversionError: it cannot be converted.
        SpaceError: it cannot be built.
    """

    def __init__(
        self,
        image: tuple[int, int, int] = (3, 32, 32),
        classes: int = 10,
        model: str = "supernet.zoo.resnet:ResNet",
        arguments: dict[str, Any] | None = None,
        widths: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0),
        multiple: int = 8,
        inner: bool = False,
        depth: float = 0.5,
        kernels: tuple[int, ...] = (),
        keep: tuple[str, ...] = (),
        sort: bool = True,
    ) -> None:
        super().__init__()
        offered = {"image": image, "classes": classes, "num_classes": classes}
        built = built_from(model, arguments or {}, **offered)
        rules: list[ConversionRule] = [Widths(name, fractions=(1.0,)) for name in keep]
        rules += [Depths(name, least=1.0) for name in keep]
        rules += [Widths("*", widths, multiple, inner), Depths("*", depth)]
        rules += [Kernels("*", kernels)] if kernels else []
        example = torch.zeros(2, *image)
        self.net = convert(built, example, rules=rules, sort=sort)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images `[batch, channels, height, width]` to what the model returns."""
        y: torch.Tensor = self.net(images)
        return y

    def diagram(self, architecture: Architecture) -> Diagram:
        """Return the drawing of all that was open, by the modules that make it."""
        return chain("What was open", {label: f"{label}: {v}" for label, v in architecture.items()})


def rules_of(
    widths: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0),
    multiple: int = 8,
    inner: bool = False,
    depth: float = 0.5,
    kernels: Sequence[int] = (),
    keep: Sequence[str] = (),
) -> list[ConversionRule]:
    """Return the rules of these options; see `Converted`."""
    rules: list[ConversionRule] = [Widths(name, fractions=(1.0,)) for name in keep]
    rules += [Depths(name, least=1.0) for name in keep]
    rules += [Widths("*", tuple(widths), multiple, inner), Depths("*", depth)]
    return [*rules, Kernels("*", tuple(kernels))] if kernels else rules


def built_from(model: str, arguments: Mapping[str, Any], **offered: object) -> nn.Module:
    """Return the model of an import path.

    Args:
        model: a class or function, as `package.module:name` or `package.module.name`.
        arguments: arguments that it is called with.
        offered: further arguments, which it is given if it knows them.

    Raises:
        ConfigError: there is no such thing.
        SpaceError: it cannot be called so, or what it returns is no module.
    """
    check_text(model, "the name of the model", longest=500)
    try:
        build = resolve(model, nn.Module)
    except ConfigError as error:
        raise ConfigError(f"the model {error}") from error
    try:
        known = inspect.signature(build).parameters
        given = {name: value for name, value in offered.items() if name in known}
        built = build(**{**given, **arguments})
    except Exception as error:  # a user's module or constructor may raise anything
        raise SpaceError(
            f"the model {model!r} cannot be built: {type(error).__name__}: {error}; give a class or a "
            "function that returns a module, as package.module:name, and its arguments"
        ) from error
    if not isinstance(built, nn.Module):
        raise SpaceError(f"{model!r} returns a {type(built).__name__}, but must return a module")
    return built
