"""Blocks that may be left out, however they are called and whatever they return beside their output.

A block may take several tensors, by place or by name (positions, masks), and return several values. One
that is left out returns the tensor that it would add to, and hands on what else it was given.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from supernet.choice.plain import Skip
from supernet.conversion.trial_networks import all_options
from supernet.elastic.depth import Depth
from supernet.failures import check_memory
from supernet.modules.calls import called

__all__ = ["LeftOut", "OpenDepth", "ReturnedArguments", "returned_arguments"]

ArgumentPlace = int | str
"""Of an argument: its place, or its name."""


@dataclass(frozen=True)
class ReturnedArguments:
    """The arguments that a block returns where it is left out.

    Attributes:
        kept: name or place of the argument that is returned as its output.
        others: places of the arguments that are handed on, for each of several values, None for a
            value that the block has not computed then; None where it returns its output alone.
        place: place of the output among the values.
        kind: a list or a tuple, of several values.
    """

    kept: ArgumentPlace
    others: tuple[ArgumentPlace | None, ...] | None = None
    place: int = 0
    kind: type[Any] = tuple


def returned_arguments(model: nn.Module, *example: Any) -> dict[str, ReturnedArguments]:
    """Return by name, for the members of sequences, what they return where they are left out.

    Those are missing that return no tensor of the shape of one of their arguments; all, if the model
    does not run.
    """
    copied = copy.deepcopy(model).eval()
    found: dict[str, ReturnedArguments] = {}

    def note(name: str) -> Any:
        def hook(_: nn.Module, args: Any, named: Mapping[str, Any], output: Any) -> None:
            known = _returned([*enumerate(args), *named.items()], output)
            if known is not None:
                found.setdefault(name, known)

        return hook

    for name, module in copied.named_modules():
        if isinstance(module, nn.Sequential | nn.ModuleList):
            for own, block in module.named_children():
                block.register_forward_hook(
                    note(f"{name}.{own}" if name else own), with_kwargs=True
                )
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with all_options(copied):
                called(copied, example)
        except Exception as error:  # it will be raised again where the model is run
            check_memory(error)
            return {}
    return found


def _returned(given: Sequence[tuple[ArgumentPlace, Any]], output: Any) -> ReturnedArguments | None:
    """Return what stands for a block, from its arguments and what it returns."""
    several = type(output) in (tuple, list)
    values = list(output) if several else [output]
    tensors = [place for place, value in enumerate(values) if isinstance(value, torch.Tensor)]
    # What is an argument itself was handed on, unless there is nothing else.
    for place in sorted(tensors, key=lambda place: _same(given, values[place]) is not None):
        value = values[place]
        for key, argument in given:
            if isinstance(argument, torch.Tensor) and (argument.shape, argument.dtype) == (
                value.shape,
                value.dtype,
            ):
                others = tuple(_same(given, other) for other in values) if several else None
                return ReturnedArguments(key, others, place, type(output))
    return None


def _same(given: Sequence[tuple[ArgumentPlace, Any]], value: Any) -> ArgumentPlace | None:
    """Return which argument a value is."""
    return next((key for key, argument in given if argument is value and value is not None), None)


class LeftOut(Skip):
    """Stands for a block that is left out, and has its plain attributes, which code around may read.

    Args:
        block: block that is left out.
        returned: description of what is returned then.
    """

    def __init__(self, block: nn.Module, returned: ReturnedArguments) -> None:
        super().__init__()
        for name, value in block.__dict__.items():
            if name not in self.__dict__ and isinstance(value, _PLAIN):
                self.__dict__[name] = value
        self.returned = returned

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Return the input, and what else is handed on."""
        given: dict[ArgumentPlace, Any] = dict([*enumerate(inputs), *named.items()])
        returned = self.returned
        if returned.others is None:
            return given[returned.kept]
        values = [None if place is None else given[place] for place in returned.others]
        values[returned.place] = given[returned.kept]
        return returned.kind(values)


_PLAIN = (bool, int, float, str, tuple, type(None))


class OpenDepth(Depth):
    """A block of a converted model that is there from some depth on.

    Args:
        block: block that is there or not.
        returned: description of what is returned where the block is left out.
        place: position of the block in its row, from 0.
        values: depths that may be chosen.
        label: label of the decision.
    """

    def __init__(
        self,
        block: nn.Module,
        returned: ReturnedArguments,
        place: int,
        values: Sequence[int],
        label: str,
    ) -> None:
        super().__init__(block, place, values, label, LeftOut(block, returned))
        self._returned = returned

    def __getattr__(self, name: str) -> Any:
        """Return a plain attribute of the block, if it has none of its own; code around may read it."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            options = self.__dict__.get("_modules", {}).get("options", ())
            for option in options:
                if isinstance(option, LeftOut) and name in option.__dict__:
                    return option.__dict__[name]
            raise

    def added(self, output: Any) -> Any:
        """Return the block's output, of what it returns."""
        return output if isinstance(output, torch.Tensor) else output[self._returned.place]

    def with_sum(self, values: Any, total: torch.Tensor) -> Any:
        """Return what the block returns, with the sum in place of its output."""
        found = list(values)
        found[self._returned.place] = total
        return self._returned.kind(found)
