"""What of a model is closed again, since its code does not follow it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from supernet.choice import ChoiceModule
from supernet.conversion.attributes import TOLD, size_attributes
from supernet.conversion.axes import Dim, fix
from supernet.conversion.faults import (
    culprit,
    derivation_fault,
    failing_decisions,
    separating_architectures,
    training_fault,
)
from supernet.conversion.open_widths import (
    Sizes,
    Way,
    choose_dimensions,
    leaves,
    passed_attributes,
    ways,
)
from supernet.conversion.rules import ConversionRule
from supernet.conversion.trace import OperatorTrace, first, line
from supernet.conversion.trial_networks import smallest
from supernet.elastic.depth import Depth
from supernet.net import SuperNet

__all__ = ["Closures", "alike"]

_WAYS = 30


@dataclass
class Closures:
    """What is not open, and how attributes of modules are taken instead.

    Attributes:
        start: model with all operations and the largest kernels.
        trace: trace of the model.
        rules: rules that say what to open.
        taken: way in which the attributes of a kind of module (see `alike`) are taken.
        ways: further ways in which they could be taken, by kind of module.
        refused: names of sequences and why their depth is not open; of convolutions and why their
            kernel is not.
        depths_run: whether all depths that are open are known to run.
    """

    start: nn.Module
    trace: OperatorTrace
    rules: Sequence[ConversionRule]
    taken: dict[tuple[object, ...], Way] = field(default_factory=dict)
    ways: dict[tuple[object, ...], Iterator[Way]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    depths_run: bool = False

    def refuse_depths(self, attempt: nn.Module, *example: Any) -> bool:
        """Close depths that do not run even where everything else is whole; whether any did not."""
        if self.depths_run:
            return False
        depths = [m for m in attempt.modules() if isinstance(m, Depth)]
        found = failing_decisions(
            attempt, dict.fromkeys(str(depth.label) for depth in depths), *example
        )
        for label, why in found.items():
            self.refused[label.removesuffix(".depth")] = f"its blocks cannot be left out: {why}"
        self.depths_run = not found
        return bool(found)

    def close_one(self, attempt: nn.Module, *example: Any) -> bool:
        """Close a decision that is one of those why some architecture does not run, if there is one."""
        supernet = SuperNet(attempt)
        trials = [
            (architecture, derivation_fault)
            for architecture in (smallest(supernet), *separating_architectures(supernet))
        ]
        for architecture, fails in (*trials, (smallest(supernet), training_fault)):
            found = culprit(supernet, architecture, fails, *example)
            if found is None:
                continue
            label, why = found
            if self.close_width(label, f"the model does not follow it: {why}"):
                return True
            name, _, kind = label.rpartition(".")
            if kind in ("depth", "kernel") and name not in self.refused:
                self.refused[name] = f"the model does not follow it: {why}"
                return True
        return False

    def close(self, attempt: nn.Module, inside: list[str], error: Exception) -> bool:
        """Take the attributes of the module that failed in another way, or close what it depends on."""
        modules = dict(attempt.named_modules())
        for name in reversed(inside):
            module, own = modules.get(name), _plain_name(name, self.start)
            if isinstance(module, Depth):
                self.refused[name.rpartition(".")[0]] = (
                    f"its blocks cannot be left out: {first(error)}"
                )
                return True
            if own is None:
                continue
            before = self.start.get_submodule(own)
            kind = alike(before)
            if kind not in self.ways:
                sizes = Sizes(choose_dimensions(self.trace, self.start, self.rules))
                could_be = passed_attributes(own, before, self.trace, sizes)
                checked = size_attributes(
                    own, before, self.trace, sizes, {(own, name) for name in could_be}
                )
                others = [dict.fromkeys(checked, TOLD)] if checked else []
                self.ways[kind] = itertools.islice((*others, *ways(could_be)), _WAYS)
            way = next(self.ways[kind], None)
            if way is not None:
                self.taken[kind] = way
                return True
            self.taken.pop(kind, None)
            reason = f"{line(error)}in {own or 'the model itself'} does not follow: {first(error)}"
            if self._fix(own, reason):
                return True
        return False

    def close_width(self, label: str, reason: str) -> bool:
        """Close the widths of a decision; whether it is one on widths."""
        follow = [
            (axis,)
            for axis, size in choose_dimensions(self.trace, self.start, self.rules).items()
            if any(dimension.label == label for dimension in size.dimensions)
        ]
        fix(follow, reason)
        return bool(follow)

    def close_astray(self, groups: Sequence[Sequence[Dim]], error: Exception) -> bool:
        """Close the first group of axes of which any is open; whether there was one.

        Args:
            groups: axes that had other sizes than they must, and those that these come from.
            error: why they are closed.
        """
        for dims in groups:
            if any(_is_open(dim) for dim in dims):
                fix(dims, f"the model does not follow it: {error}")
                return True
        return False

    def _fix(self, name: str, reason: str) -> bool:
        """Close what a module's numbers and tensors depend on; whether anything was open."""
        prefix = f"{name}." if name else ""
        numbers = [number.dim for number in self.trace.numbers.get(name, ())]
        own = [
            dim
            for tensor, shape in self.trace.tensors.items()
            if tensor.startswith(prefix) and "." not in tensor[len(prefix) :]
            for dim in shape
        ]
        passage = self.trace.passages.get(name)
        passing = [dim for shape in passage.entering for dim in shape] if passage else []
        for dims in (numbers, own, passing):
            if any(_is_open(dim) for dim in dims):
                fix(dims, reason)
                return True
        return False


def _is_open(dim: Dim) -> bool:
    return any(not axis.fixed for axis, _, _ in leaves(dim))


def alike(module: nn.Module) -> tuple[object, ...]:
    """Return what modules have in common whose numbers are equal in the same places."""
    numbers = [(own, value) for own, value in module.__dict__.items() if type(value) is int]
    first = {value: own for own, value in reversed(numbers)}
    return (type(module), *((own, first[value]) for own, value in numbers))


def _plain_name(name: str, model: nn.Module) -> str | None:
    """Return the name that a module has in the model without open depths, if it is there.

    Of a choice between operations it is that of the model's own one.
    """
    first, *others = re.split(r"(?<=\.options)(?=\.\d+)", name)
    found = [first]
    for part in others:  # an option of a depth, which the model lacks, or of operations
        without = re.sub(r"^\.\d+", "", part)
        found = [f"{one}{part}" for one in found] + [
            f"{one.removesuffix('.options')}{without}" for one in found
        ]
    for plain in found:
        try:
            module = model.get_submodule(plain)
        except AttributeError:
            continue
        return f"{plain}.options.0" if isinstance(module, ChoiceModule) else plain
    return None
