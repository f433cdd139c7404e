"""Opening a model, and closing again what its code does not follow, until networks of all sizes run."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import nn

from supernet.conversion.attributes import TOLD, told
from supernet.conversion.axes import Dim, fix
from supernet.conversion.corners import drawn, largest, smallest, trial
from supernet.conversion.counts import miscounted
from supernet.conversion.opening import Sizes, Way, choose, leaves, opening, passed, ways
from supernet.conversion.refusals import closed
from supernet.conversion.report import Conversion, conversion_of, report
from supernet.conversion.rules import ConversionRule, Kernels, matching
from supernet.conversion.sources import Source, attributes_read
from supernet.conversion.structure import kernels, mixed, open_depths, open_kernel
from supernet.conversion.trace import OperatorTrace, all_options, astray, first, line, named
from supernet.conversion.trials import codes, culprit, failing, raised, stumbling, untrained
from supernet.elastic.depth import Depth
from supernet.elastic.module import Elastic, ElasticLayer, Recording, RecordingLayer, elastic_class
from supernet.elastic.spec import ElasticSpec, elastic_spec, make_elastic
from supernet.errors import ConversionError, SpaceError
from supernet.failures import check_memory
from supernet.modules.hooks import noting
from supernet.modules.modes import evaluating
from supernet.net import SuperNet, derive

__all__ = ["Attempts"]

_TRIES = 200
_WAYS = 30
_COUNTED = 4


@dataclass
class Attempts:
    """Opens a model, and closes again what its code does not follow, until all sizes run.

    Attributes:
        start: the model with all operations and the largest kernels.
        trace: trace of the model.
        rules: rules of what to open.
        taken: way in which the attributes of a kind of module (see `_alike`) are taken.
        ways: further ways in which they could be taken, by kind of module.
        refused: names of sequences and why their depth is not open; of convolutions and why their
            kernel is not.
        depths_run: whether all depths that are open are known to run.
        read: attributes that the model's code reads.
        other: axes that had other sizes than they must when a network was last traced, and those that
            these come from.
    """

    start: nn.Module
    trace: OperatorTrace
    rules: Sequence[ConversionRule]
    taken: dict[tuple[object, ...], Way] = field(default_factory=dict)
    ways: dict[tuple[object, ...], Iterator[Way]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    depths_run: bool = False
    read: set[Source] = field(default_factory=set)
    other: list[list[Dim]] = field(default_factory=list)

    def made(self, *example: Any) -> nn.Module:
        """Return the model with everything open that runs in all sizes.

        Raises:
            ConversionError: nothing can be open, or what fails cannot be closed.
        """
        self.read = attributes_read(self.start, *example)
        for _ in range(_TRIES):
            attempt = self._open()
            failure = self._run(attempt, *example) or self._astray(*example)
            if failure is None and self._miscounted(attempt, *example):
                continue
            if failure is None:
                return attempt
            inside, error = failure
            if not (
                self._refuse_depths(attempt, *example)
                or self._close(attempt, inside, error)
                or self._close_one(attempt, *example)
                or self._close_astray(error)
            ):
                break
        raise ConversionError(
            f"the model's sub-networks do not run: {line(error)}in {named(inside)} raises "
            f"{type(error).__name__}: {first(error)}; leave that module out by a rule, such as "
            f"Widths({(inside and inside[-1]) or '*'!r}, fractions=(1.0,)) before the others"
        ) from error

    def _widths(self) -> tuple[nn.Module, Sizes]:
        """Return the model with open widths and kernels."""
        attempt = copy.deepcopy(self.start)
        sizes = Sizes(choose(self.trace, attempt, self.rules))
        for name, module in list(attempt.named_modules()):
            self._open_module(name, module, sizes)
        return attempt, sizes

    def _open(self) -> nn.Module:
        attempt, sizes = self._widths()
        modules = dict(attempt.named_modules())
        depths = open_depths(attempt, self.trace, self.rules, self.refused)
        attempt.__dict__["_conversion"] = report(
            self.start, modules, self.trace, sizes, depths, self.refused, self.read
        )
        return attempt

    def _open_module(self, name: str, module: nn.Module, sizes: Sizes) -> None:
        if isinstance(module, Elastic):
            return
        rule = matching(self.rules, Kernels, name, module)
        if rule is not None and len(kernels(module, rule)) < 2:
            self.refused[name] = "its padding leaves no room for a smaller kernel"
        if name in self.refused:
            rule = None
        way = self.taken.get(_alike(module), {})
        read = {source for source in self.read if way.get(source[1]) != TOLD}
        also = told(name, module, self.trace, sizes, read)
        always = not name or rule is not None
        found = opening(name, module, self.trace, sizes, way, always, also)
        if found is None:
            return
        if rule is not None:
            module.__class__ = mixed(module)
            found = open_kernel(name, module, rule, found)
        else:
            leaf = name and not any(True for _ in module.children())
            if any(own in found.shapes for own in module._buffers):
                base: type[Elastic] = RecordingLayer if leaf else Recording
            else:
                base = ElasticLayer if leaf else Elastic
            module.__class__ = elastic_class(type(module), base)
        make_elastic(cast(Elastic, module), found)

    def _run(self, attempt: nn.Module, *example: Any) -> tuple[list[str], Exception] | None:
        """Run the smallest network and some others; return where one raises what."""
        try:
            supernet = SuperNet(attempt)
        except SpaceError as error:
            raise closed(
                {row.name: row.closed for row in cast(Conversion, conversion_of(attempt)).rows}
            ) from error
        inside: list[str] = []
        with noting(attempt, inside), evaluating(supernet), torch.no_grad():
            try:
                # The whole model first: what a module keeps of it does not fit smaller networks.
                supernet(*example, largest(supernet))
                for architecture in (smallest(supernet), *codes(supernet), *drawn(supernet)):
                    supernet(*example, architecture)
                with all_options(attempt):
                    attempt(*example)
            except Exception as error:  # a user's model may raise anything
                check_memory(error)
                return list(inside), error
        for architecture in (smallest(supernet), *codes(supernet)):
            if why := raised(supernet, architecture, *example):
                return [], ConversionError(f"what is derived computes something else: {why}")
        # What fails as the whole model does, as with one example, is no matter of sizes.
        failure = untrained(supernet, smallest(supernet), *example)
        return failure if failure and not stumbling(supernet, largest(supernet), *example) else None

    def _astray(self, *example: Any) -> tuple[list[str], Exception] | None:
        """Return where the smallest network of full depth has other sizes than it must, if anywhere.

        Code that does not follow a number can run all the same, with other heads for instance.
        """
        attempt, sizes = self._widths()
        try:
            supernet = SuperNet(attempt)
        except SpaceError:
            return None  # no width is open
        labels = [str(d.label) for d in supernet.space.decisions]
        # Kernels stay, whose axes are not followed.
        narrow = trial(supernet, [name for name in labels if not name.endswith(".kernel")])
        with supernet.route(narrow):
            must = [
                [_extent_now(sizes, dim) for dim in shape] if isinstance(shape, tuple) else None
                for shape in (call.shapes[call.node] for call in self.trace.order)
            ]
        found = astray(derive(supernet, narrow), self.trace, must, *example)
        if found is None:
            return None
        name, what, self.other = found
        inside = [""] + [".".join(name.split(".")[: n + 1]) for n in range(name.count(".") + 1)]
        return list(dict.fromkeys(inside)), ConversionError(what)

    def _miscounted(self, attempt: nn.Module, *example: Any) -> bool:
        """Close a decision whose networks do not cost what their sizes say; whether there is one.

        What cannot be closed is a doubt, of which the cost tables warn.
        """
        supernet, one = SuperNet(attempt), self.trace.inputs.resized(example, 1)
        known = cast(ElasticSpec, elastic_spec(attempt))
        known.doubt = self.trace.doubt
        others = itertools.islice((smallest(supernet), *drawn(supernet)), _COUNTED)
        try:
            found = miscounted(supernet, largest(supernet), others, *one)
        except Exception as error:  # a user's model may raise anything
            check_memory(error)
            found = "", f"networks do not run on one example alone: {first(error)}"
        if found is None:
            return False
        label, what = found
        reason = f"the model's code computes something else in narrow networks, {what}"
        for axis, dimension in choose(self.trace, self.start, self.rules).items():
            if dimension.label == label:
                fix([(axis,)], reason)
                return True
        if label.endswith(".depth"):
            self.refused[label.removesuffix(".depth")] = reason
            return True
        known.doubt = what
        return False

    def _refuse_depths(self, attempt: nn.Module, *example: Any) -> bool:
        """Close depths that do not run even where everything else is whole; whether any did not."""
        if self.depths_run:
            return False
        depths = [m for m in attempt.modules() if isinstance(m, Depth)]
        found = failing(attempt, dict.fromkeys(str(depth.label) for depth in depths), *example)
        for label, why in found.items():
            self.refused[label.removesuffix(".depth")] = f"its blocks cannot be left out: {why}"
        self.depths_run = not found
        return bool(found)

    def _close_one(self, attempt: nn.Module, *example: Any) -> bool:
        """Close a decision that is one of those why some architecture does not run, if there is one."""
        supernet = SuperNet(attempt)
        trials = [(architecture, raised) for architecture in (smallest(supernet), *codes(supernet))]
        for architecture, fails in (*trials, (smallest(supernet), stumbling)):
            found = culprit(supernet, architecture, fails, *example)
            if found is None:
                continue
            label, why = found
            for axis, dimension in choose(self.trace, self.start, self.rules).items():
                if dimension.label == label:
                    fix([(axis,)], f"the model does not follow it: {why}")
                    return True
            name, _, kind = label.rpartition(".")
            if kind in ("depth", "kernel") and name not in self.refused:
                self.refused[name] = f"the model does not follow it: {why}"
                return True
        return False

    def _close(self, attempt: nn.Module, inside: list[str], error: Exception) -> bool:
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
            kind = _alike(before)
            if kind not in self.ways:
                sizes = Sizes(choose(self.trace, self.start, self.rules))
                could_be = passed(own, before, self.trace, sizes)
                checked = told(own, before, self.trace, sizes, {(own, name) for name in could_be})
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

    def _close_astray(self, error: Exception) -> bool:
        """Close the axes that had other sizes than they must; whether there were any."""
        groups, self.other = self.other, []
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


def _extent_now(sizes: Sizes, dim: Dim) -> int:
    """Return the size of an axis under the gates that are set."""
    size = sizes.number(dim)
    return size if isinstance(size, int) else size.now


def _is_open(dim: Dim) -> bool:
    return any(not axis.fixed for axis, _, _ in leaves(dim))


def _alike(module: nn.Module) -> tuple[object, ...]:
    """Return what modules have in common whose numbers are equal in the same places."""
    numbers = [(own, value) for own, value in module.__dict__.items() if type(value) is int]
    first = {value: own for own, value in reversed(numbers)}
    return (type(module), *((own, first[value]) for own, value in numbers))


def _plain_name(name: str, model: nn.Module) -> str | None:
    """Return the name that a module has in the model without open depths, if it is there."""
    for plain in (name, re.sub(r"\.options\.\d+", "", name)):
        try:
            model.get_submodule(plain)
        except AttributeError:
            continue
        return plain
    return None
