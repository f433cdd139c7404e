"""What of a model is opened: rules, of which the first that matches holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import ceil, gcd
from typing import TypeVar

from torch import nn

from supernet.errors import ConversionError

__all__ = [
    "DEFAULT",
    "ConversionRule",
    "Depths",
    "Kernels",
    "Match",
    "Operations",
    "Widths",
    "matching",
]

Match = str | type[nn.Module] | Callable[[str, nn.Module], bool]
"""A pattern of module names, as `blocks.*.conv1`; a class; or a function of name and module."""


@dataclass(frozen=True)
class ConversionRule:
    """A rule that opens something of the modules it matches; base of all rules.

    Attributes:
        match: the modules that it is for.
    """

    match: Match = "*"

    def matches(self, name: str, module: nn.Module) -> bool:
        """Return whether it is for a module."""
        if isinstance(self.match, str):
            return fnmatchcase(name, self.match)
        if isinstance(self.match, type):
            return isinstance(module, self.match)
        return self.match(name, module)


@dataclass(frozen=True)
class Widths(ConversionRule):
    """A rule that opens widths: channels, features, heads, groups of channels.

    A width is shared by all layers that must agree on it. The rule is for the widths that a matching
    module gives its output.

    Attributes:
        fractions: fractions of the whole width that are offered; one alone, 1.0, leaves it as it
            is.
        multiple: widths are rounded to multiples of it.
        inner: whether the sizes of heads and the like are open too, not only their number.
        uniform: whether the widths of repeated blocks are one decision: of modules whose names differ
            in their numbers only, as those of all layers of a language model.
        square: whether matrices that are square stay so, so that what a layer takes and what it gives
            are one decision, as in attention whose heads amount to the width of the tokens.
        label: label of one decision for all widths that it is for and that offer the same; None for
            one each, which is named after the module.
    """

    fractions: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    multiple: int = 8
    inner: bool = False
    uniform: bool = False
    square: bool = False
    label: str | None = None

    def __post_init__(self) -> None:
        if not self.fractions or not all(0 < fraction <= 1 for fraction in self.fractions):
            raise ConversionError(
                f"widths are fractions above 0, at most 1, of the whole one, not {list(self.fractions)}"
            )
        if self.multiple < 1:
            raise ConversionError(
                f"a width is a multiple of a number from 1, not of {self.multiple}"
            )

    def decision(self, name: str) -> str:
        """Return the label of the decision on the width that a module of this name makes."""
        if self.label is not None:
            return self.label
        return re.sub(r"(?<=\.)\d+(?=\.|$)", "*", name) if self.uniform else name

    def values(self, width: int, inside: int = 1) -> list[int]:
        """Return the widths that are offered, the whole one last.

        Args:
            width: the whole one, for instance a number of heads.
            inside: number of positions that each is made of, for instance the size of a head.
        """
        step = self.multiple // gcd(self.multiple, inside)
        rounded = {max(1, round(width * fraction / step)) * step for fraction in self.fractions}
        return [*sorted(number for number in rounded if number < width), width]


@dataclass(frozen=True)
class Depths(ConversionRule):
    """A rule that opens the depth of sequences of residual blocks: the last blocks may be left out.

    It is for the sequences (`nn.Sequential` or `nn.ModuleList`) whose name matches.

    Attributes:
        least: the smallest depth, as a fraction of the residual blocks in a row.
    """

    least: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.least <= 1:
            raise ConversionError(f"the smallest depth is a fraction from 0 to 1, not {self.least}")

    def values(self, blocks: int) -> list[int]:
        """Return the numbers of blocks that are offered, the whole last."""
        return list(range(ceil(self.least * blocks), blocks + 1))


@dataclass(frozen=True)
class Kernels(ConversionRule):
    """A rule that opens the kernels of convolutions.

    A smaller kernel is the centre of the largest. One that is larger than the model's has zeros around
    it at first, so that it computes the same.

    Attributes:
        sizes: odd sizes that are offered; the model's own is added.
        depthwise: whether the rule is for depthwise convolutions only.
        transforms: whether smaller kernels pass through OFA's learned matrices.
    """

    sizes: tuple[int, ...] = (3, 5, 7)
    depthwise: bool = True
    transforms: bool = False

    def __post_init__(self) -> None:
        if not self.sizes or any(size < 1 or size % 2 == 0 for size in self.sizes):
            raise ConversionError(f"sizes of kernels are odd numbers, not {list(self.sizes)}")

    def matches(self, name: str, module: nn.Module) -> bool:
        """Return whether it is for a module: a convolution of an odd kernel, as wide as high."""
        if not isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            return False
        own = set(module.kernel_size)
        fits = len(own) == 1 and own.pop() % 2 == 1
        deep = module.groups == module.in_channels > 1
        return fits and (deep or not self.depthwise) and super().matches(name, module)


@dataclass(frozen=True)
class Operations(ConversionRule):
    """A rule that makes a module a choice between itself and others.

    Attributes:
        offer: returns the other modules by name; what they return must be of the same shape.
    """

    offer: Callable[[nn.Module], Mapping[str, nn.Module]] = lambda module: {}


DEFAULT: tuple[ConversionRule, ...] = (Widths(), Depths())
"""What is opened if nothing is said: widths and depths."""

R = TypeVar("R", bound=ConversionRule)


def matching(
    rules: Sequence[ConversionRule], kind: type[R], name: str, module: nn.Module
) -> R | None:
    """Return the first rule of a kind that is for a module."""
    for rule in rules:
        if isinstance(rule, kind) and rule.matches(name, module):
            return rule
    return None
