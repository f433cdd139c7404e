"""Opening a model, and closing again what its code does not follow, until networks of all sizes run."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import nn

from supernet.conversion.attributes import TOLD, size_attributes
from supernet.conversion.axes import Dim
from supernet.conversion.closures import Closures, alike
from supernet.conversion.faults import (
    derivation_fault,
    separating_architectures,
    training_error,
    training_fault,
)
from supernet.conversion.mac_counts import miscounted
from supernet.conversion.messages import closed
from supernet.conversion.open_choices import kernels, mixed, open_depths, open_kernel
from supernet.conversion.open_widths import Sizes, choose_dimensions, spec_of
from supernet.conversion.report import Conversion, conversion_of, conversion_report
from supernet.conversion.rules import ConversionRule, Kernels, matching
from supernet.conversion.sources import Source, attributes_read
from supernet.conversion.trace import OperatorTrace, astray, first, line, named
from supernet.conversion.trial_networks import all_options, drawn, largest, smallest, trial
from supernet.elastic.module import Elastic, ElasticLayer, Recording, RecordingLayer, elastic_class
from supernet.elastic.spec import ElasticSpec, elastic_spec, make_elastic
from supernet.errors import ConversionError, SpaceError
from supernet.failures import check_memory
from supernet.modules.calls import called
from supernet.modules.hooks import noting
from supernet.modules.modes import evaluating
from supernet.net import SuperNet, derive

__all__ = ["Attempts"]

_TRIES = 200
_COUNTED = 4


@dataclass
class Attempts:
    """Opens a model, and closes again what its code does not follow, until all sizes run.

    Attributes:
        start: the model with all operations and the largest kernels.
        trace: trace of the model.
        rules: rules of what to open.
        closures: decisions that are closed since they did not run, with the reasons.
        read: attributes that the model's code reads.
        other: axes that had other sizes than they must when a network was last traced, and those that
            these come from.
    """

    start: nn.Module
    trace: OperatorTrace
    rules: Sequence[ConversionRule]
    closures: Closures = field(init=False)
    read: set[Source] = field(default_factory=set)
    other: list[list[Dim]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.closures = Closures(self.start, self.trace, self.rules)

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
                self.closures.refuse_depths(attempt, *example)
                or self.closures.close(attempt, inside, error)
                or self.closures.close_one(attempt, *example)
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
        sizes = Sizes(choose_dimensions(self.trace, attempt, self.rules))
        for name, module in list(attempt.named_modules()):
            self._open_module(name, module, sizes)
        return attempt, sizes

    def _open(self) -> nn.Module:
        attempt, sizes = self._widths()
        modules = dict(attempt.named_modules())
        depths = open_depths(attempt, self.trace, self.rules, self.closures.refused)
        attempt.__dict__["_conversion"] = conversion_report(
            self.start, modules, self.trace, sizes, depths, self.closures.refused, self.read
        )
        return attempt

    def _open_module(self, name: str, module: nn.Module, sizes: Sizes) -> None:
        if isinstance(module, Elastic):
            return
        rule = matching(self.rules, Kernels, name, module)
        if rule is not None and len(kernels(module, rule)) < 2:
            self.closures.refused[name] = "its padding leaves no room for a smaller kernel"
        if name in self.closures.refused:
            rule = None
        way = self.closures.taken.get(alike(module), {})
        read = {source for source in self.read if way.get(source[1]) != TOLD}
        also = size_attributes(name, module, self.trace, sizes, read)
        always = not name or rule is not None
        found = spec_of(name, module, self.trace, sizes, way, always, also)
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
                called(supernet, example, routing=largest(supernet))
                for architecture in (
                    smallest(supernet),
                    *separating_architectures(supernet),
                    *drawn(supernet),
                ):
                    called(supernet, example, routing=architecture)
                with all_options(attempt):
                    called(attempt, example)
            except Exception as error:  # a user's model may raise anything
                check_memory(error)
                return list(inside), error
        for architecture in (smallest(supernet), *separating_architectures(supernet)):
            if why := derivation_fault(supernet, architecture, *example):
                return [], ConversionError(f"what is derived computes something else: {why}")
        # What fails as the whole model does, as with one example, is no matter of sizes.
        failure = training_error(supernet, smallest(supernet), *example)
        return (
            failure
            if failure and not training_fault(supernet, largest(supernet), *example)
            else None
        )

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

    def _close_astray(self, error: Exception) -> bool:
        """Close axes that had other sizes than they must; whether there were any."""
        groups, self.other = self.other, []
        return self.closures.close_astray(groups, error)

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
        if self.closures.close_width(label, reason):
            return True
        if label.endswith(".depth"):
            self.closures.refused[label.removesuffix(".depth")] = reason
            return True
        known.doubt = what
        return False


def _extent_now(sizes: Sizes, dim: Dim) -> int:
    """Return the size of an axis under the gates that are set."""
    size = sizes.number(dim)
    return size if isinstance(size, int) else size.now
