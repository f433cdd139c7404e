"""Which option of which choice is running, while all options of a supernet run once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import nn

from supernet.choice import ChoiceModule, Routing
from supernet.modules.calls import called
from supernet.modules.hooks import hooked
from supernet.modules.outputs import output_text, unlike
from supernet.net import SuperNet
from supernet.space import Path

__all__ = ["ChoiceCall", "OptionCall", "OptionTrace", "run_all", "tracing"]


@dataclass(eq=False)
class OptionCall:
    """One call of an option, or of the whole model, whose path is empty.

    Attributes:
        path: the (label, option) pairs that it lies in, outermost first, its own included.
        module: the option, or the model.
        inputs: copies of the inputs that it was called with; empty unless the trace keeps tensors.
        choices: the calls of the choices that lie in it, but in no other choice within it.
        wholes: calls of modules that are not always read, see `supernet.net.flow`, that lie in it
            likewise.
    """

    path: Path
    module: nn.Module
    inputs: tuple[Any, ...] = ()
    choices: list[ChoiceCall] = field(default_factory=list)
    wholes: list[WholeCall] = field(default_factory=list)


@dataclass(eq=False)
class WholeCall:
    """One call of a module in which nothing is chosen; copies of what it takes and returns."""

    module: nn.Module
    inputs: tuple[Any, ...]
    output: Any = None


@dataclass(eq=False)
class ChoiceCall:
    """One call of a choice.

    Attributes:
        path: the path of the option that it lies in.
        output: a copy of the sum of its options' outputs; None unless the trace keeps tensors.
        options: calls of the options, one for each, in their order.
    """

    path: Path
    choice: ChoiceModule
    label: str
    output: Any = None
    options: list[OptionCall] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)


class OptionTrace:
    """The calls so far, and those that are running now, outermost first."""

    def __init__(self, supernet: SuperNet, keep: bool) -> None:
        self._labels = supernet.choices
        self._keep = keep
        self.root = OptionCall((), supernet.model)
        self.running: list[OptionCall | ChoiceCall] = [self.root]

    @property
    def path(self) -> Path:
        """The path of the option that is being computed."""
        return self.running[-1].path

    def enter_whole(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Note that a module starts that is not always read."""
        caller = cast(OptionCall, self.running[-1])
        caller.wholes.append(WholeCall(module, tuple(map(_copied, inputs))))

    def leave_whole(self, module: nn.Module, _: Any, output: Any) -> None:
        """Note what such a module returned."""
        cast(OptionCall, self.running[-1]).wholes[-1].output = _copied(output)

    def enter_choice(self, module: nn.Module, _: Any) -> None:
        """Note that a choice starts."""
        choice, caller = cast(ChoiceModule, module), cast(OptionCall, self.running[-1])
        call = ChoiceCall(caller.path, choice, self._labels[choice])
        caller.choices.append(call)
        self.running.append(call)

    def leave_choice(self, _: nn.Module, __: Any, output: Any) -> None:
        """Note that a choice ends."""
        call = cast(ChoiceCall, self.running.pop())
        if self._keep:
            call.output = _copied(output)

    def enter_option(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Note that a module starts that is an option somewhere.

        It is an option only where a choice calls it; all options run, in their order.
        """
        caller = self.running[-1]
        if isinstance(caller, ChoiceCall):
            atom = (caller.label, caller.choice.names[len(caller.options)])
            call = OptionCall((*caller.path, atom), module)
            caller.options.append(call)
            self.running.append(call)
            if self._keep:
                call.inputs = tuple(map(_copied, inputs))
        else:
            self.running.append(caller)

    def leave_option(self, _: nn.Module, __: Any, output: Any) -> None:
        """Note that such a module ends, and compare its output with the other options'."""
        call = cast(OptionCall, self.running.pop())
        caller = self.running[-1]
        if isinstance(caller, ChoiceCall):
            caller.outputs[str(call.path[-1][1])] = output_text(caller.choice.added(output))
            error = unlike(caller.label, caller.outputs)
            if error and len(caller.outputs) > 1:
                raise error


@contextmanager
def tracing(supernet: SuperNet, keep: bool = False) -> Iterator[OptionTrace]:
    """Trace what runs within the block; `run_all` is what should run there.

    Args:
        supernet: the supernet; hooks are set on its choices and options, and taken away again.
        keep: whether copies of the inputs of options and of the outputs of choices are kept.

    Raises:
        SpaceError: the outputs of a choice's options cannot be added up.
    """
    trace = OptionTrace(supernet, keep)
    options = {option for choice in supernet.choices for option in choice.options}
    wholes = [m for m in supernet.flow.kept if keep and not isinstance(m, ChoiceModule)]
    with (
        hooked(supernet.choices, trace.enter_choice, trace.leave_choice),
        hooked(options, trace.enter_option, trace.leave_option, first=True),
        hooked(wholes, trace.enter_whole, trace.leave_whole),
    ):
        yield trace


def run_all(supernet: SuperNet, *example: Any, chosen: Path = ()) -> None:
    """Run all options of all choices once, with the model's own weights.

    Args:
        supernet: supernet whose model runs.
        example: inputs of the model.
        chosen: options by decision, of which only the one named runs.
    """
    space = supernet.space
    kept = {label: space.decision(label).indices(option) for label, option in chosen}
    with supernet.route(Routing.masked(space, kept)):
        called(supernet.model, example)


def _copied(value: Any) -> Any:
    """Return a copy of a tensor, since modules that work in place would change it."""
    return value.clone() if isinstance(value, torch.Tensor) else value
