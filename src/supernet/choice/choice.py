"""Modules that hold a decision: a choice of operations and a choice of inputs."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self, cast

import torch
from torch import nn

from supernet.choice.mixture import Memo, weighted_sum
from supernet.choice.plain import SelectInputs, Sum, first_tensor, with_first
from supernet.choice.recall import NO_RECALL, going_backward
from supernet.choice.routing import Gate
from supernet.errors import RoutingError, SpaceError, SupernetError
from supernet.modules.modes import evaluating
from supernet.modules.outputs import explained_sum, output_text, unlike
from supernet.reading import shown
from supernet.space import Decision, OneOf, Option, SomeOf

__all__ = ["Choice", "ChoiceModule", "InputChoice"]

Options = Mapping[Any, nn.Module] | Sequence[nn.Module] | nn.ModuleDict | nn.ModuleList
Pick = int | tuple[int, int]

_SEVERAL = (tuple, list)


class ChoiceModule(nn.Module, ABC):
    """A module with an open question; `SuperNet` finds it and sets its gate during a forward pass.

    Args:
        options: modules by name; a sequence is named "0", "1", ...
        pick: number of options that are chosen: 1, another number, or (least, most).
        label: choices with equal labels share one decision; without a label the decision is named
            after the module's place in the model.
        empty: module for the case that no option is picked, without parameters, that returns the
            output then, for instance `supernet.ops.Zero()`; it is given what the options are (of
            several inputs the first).

    Raises:
        SpaceError: there are no options, `pick` does not fit their number, or none may be picked and
            nothing says what the output is then.
    """

    silent = False
    """Whether the decision is read by other modules instead of being called."""

    def __init__(
        self,
        options: Options,
        pick: Pick = 1,
        label: str | None = None,
        empty: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if isinstance(options, Mapping | nn.ModuleDict):
            named: dict[Option, nn.Module] = dict(options.items())
        elif isinstance(options, Sequence | nn.ModuleList):
            named = {str(i): module for i, module in enumerate(options)}
        else:
            raise SpaceError(
                f"the options of a choice are a list or a dictionary of modules, not {shown(options)}"
            )
        if label is not None and not isinstance(label, str):
            raise SpaceError(f"the label of a choice is a text, not {shown(label)}")
        for name, module in named.items():
            if not isinstance(module, nn.Module):
                raise SpaceError(
                    f"option {name!r} is a {type(module).__name__}, but options are modules; "
                    "wrap a function in one, for instance nn.ReLU() instead of torch.relu"
                )
        self.names: tuple[Option, ...] = tuple(named)
        self.options = nn.ModuleList(named.values())
        self.pick = _pick(pick)
        self.label = label
        self.empty = empty
        self._gate: Gate | None = None
        self._recalled: Gate | None = None
        self.memo: Memo | None = None
        """What is computed once for several choices, see `supernet.choice.mixture.shared`."""
        if self.decision(label or "unnamed").low < 1 and empty is None:
            raise SpaceError(
                f"the choice {label or list(self.names)} may pick no option; give it as `empty` a "
                "module that returns the output then, for instance supernet.ops.Zero() for zeros of "
                "the input's shape, or let it pick at least one"
            )

    def decision(self, label: str) -> Decision:
        """Return the decision of this choice under the given label."""
        if self.pick == 1:
            return OneOf(label, self.names)
        low, high = (self.pick, self.pick) if isinstance(self.pick, int) else self.pick
        return SomeOf(label, self.names, low, high)

    def set_gate(self, gate: Gate | None) -> None:
        """Set which options run until the gate is set again (past `nn.Module`'s slow setter)."""
        backward = self._recalled is not None and going_backward()
        self.__dict__["_recalled" if backward else "_gate"] = gate

    def recall(self, gate: Gate | None) -> None:
        """Set which gate holds while a gradient is computed, see `supernet.choice.recall`."""
        self.__dict__["_recalled"] = gate

    @property
    def gate(self) -> Gate | None:
        """Which options run, if that is set; in a backward pass, which ran.

        Raises:
            RoutingError: in a backward pass, if the forward pass cannot be had again.
        """
        recalled = self._recalled
        if recalled is None or not going_backward():
            return self._gate
        if recalled is NO_RECALL:
            raise RoutingError(
                "the model computes a part of itself again in the backward pass (activation "
                "checkpointing, torch.utils.checkpoint), but the strategy adds to its forward pass what "
                "is gone by then, such as generated weights; switch checkpointing off in the model, or "
                "use another strategy"
            )
        return recalled

    @property
    def stand_in(self) -> nn.Module | None:
        """What is computed in place of the options, where the gate lists none; None if they are."""
        return None if self.gate is None or self.gate.options else self.empty

    def mix(self, run: Callable[[int], torch.Tensor], inputs: Sequence[Any] = ()) -> torch.Tensor:
        """Return `Σ_i g_i · run(i)` over the options that the gate lists.

        Args:
            run: returns the output of an option.
            inputs: inputs that the options run on, to see whether one changes them under the
                others.

        Raises:
            RoutingError: no routing is set.
            SpaceError: several options run, and one changes its input in place, or they return what
                cannot be added up.
        """
        gate = self.gate
        if gate is None:
            raise RoutingError(
                f"the choice {self.label or list(self.names)} was reached without a gate: call the "
                "model as SuperNet(model)(x, routing), with a gate for every decision it reaches"
            )
        if not gate.options:
            # only the shape of an option's output is wanted
            with torch.no_grad(), evaluating(self.options[0]):
                return torch.zeros_like(run(0))
        if len(gate.options) == 1 and gate.weights is None:
            return run(gate.options[0])
        try:
            return self._sum(gate, run, inputs)
        except SupernetError:
            raise
        except (TypeError, RuntimeError, AttributeError) as error:
            ran = [(i, self.names[i]) for i in gate.options]
            label = self.label or list(self.names)
            if (found := explained_sum(error, label, ran, run)) is error:
                raise
            raise found from error

    def _sum(
        self, gate: Gate, run: Callable[[int], torch.Tensor], inputs: Sequence[Any]
    ) -> torch.Tensor:
        if len(gate.options) > 1:
            run = self._watched(run, inputs)
            if (
                gate.weights is not None
                and len(inputs) == 1
                and isinstance(inputs[0], torch.Tensor)
            ):
                # the same sum in fewer passes over memory
                modules = [self.options[i] for i in gate.options]
                return weighted_sum(run, gate.options, modules, gate.weights, inputs[0], self.memo)
        outputs: Iterator[torch.Tensor] = (run(i) for i in gate.options)
        if gate.weights is not None:
            outputs = (w * y for w, y in zip(gate.weights, outputs, strict=True))
        total = next(outputs)
        for output in outputs:
            total = total + output
        return total

    def _watched(
        self, run: Callable[[int], torch.Tensor], inputs: Sequence[Any]
    ) -> Callable[[int], torch.Tensor]:
        """Return `run`, which sees after each option that the inputs are what they were."""
        # Tensors that were made in inference mode do not count their changes.
        watched = [x for x in inputs if isinstance(x, torch.Tensor) and not x.is_inference()]
        if not watched:
            return run
        versions = [x._version for x in watched]

        def checked(i: int) -> torch.Tensor:
            output = run(i)
            if [x._version for x in watched] != versions:
                raise SpaceError(
                    f"the choice {self.label or list(self.names)} runs several options on one input, "
                    f"and its option {self.names[i]!r} changes it in place, so that the others see "
                    "something else; build the option without operations in place, for instance "
                    "nn.ReLU(inplace=False)"
                )
            return output

        return checked

    def added(self, output: Any) -> Any:
        """Return what of an option's output is added up: it, or of several values the first tensor."""
        return first_tensor(output)

    def keep(self, index: int, module: nn.Module) -> Self:
        """Return a choice with one option left, of which `module` is a copy; this one stays as it is."""
        kept = copy.copy(self)
        kept._modules = dict(self._modules)
        kept.names = (self.names[index],)
        kept.options = nn.ModuleList([module])
        return kept

    @abstractmethod
    def derive(self, chosen: Sequence[int], modules: Sequence[nn.Module]) -> nn.Module:
        """Return an ordinary module that computes what this choice does with `chosen` options.

        Args:
            chosen: indices of the options.
            modules: the same options, ready to be used.
        """

    def extra_repr(self) -> str:
        """Return what `repr` shows: label, names and how many are picked."""
        return f"label={self.label!r}, names={list(self.names)}, pick={self.pick}"


class Choice(ChoiceModule):
    """A choice of operations: the outputs of the chosen options on the same input are summed.

    All options must return tensors of equal shape, or tuples or lists whose first tensor is added; what
    else these hold is that of the last option that ran.
    """

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Return the gated sum of the options' outputs."""
        if self.stand_in is not None:
            return self.stand_in(*inputs, **named)
        ran: list[tuple[int, Any]] = []  # the first and the last

        def run(index: int) -> torch.Tensor:
            output = self.options[index](*inputs, **named)
            ran[1:] = [(index, output)]
            if len(ran) > 1 and isinstance(ran[0][1], _SEVERAL) != isinstance(output, _SEVERAL):
                texts = {self.names[i]: output_text(one) for i, one in ran}
                raise cast(SpaceError, unlike(self.label or list(self.names), texts))
            return cast(torch.Tensor, self.added(output))

        total = self.mix(run, inputs)
        several = bool(ran) and isinstance(ran[-1][1], _SEVERAL)
        return self.with_sum(ran[-1][1], total) if several else total

    def with_sum(self, values: Any, total: torch.Tensor) -> Any:
        """Return several values that an option returned, with the sum in place of what was added."""
        return with_first(values, total)

    def derive(self, chosen: Sequence[int], modules: Sequence[nn.Module]) -> nn.Module:
        """Return the chosen option itself, the sum of several, or what stands for none."""
        if not modules:
            return copy.deepcopy(cast(nn.Module, self.empty))
        return modules[0] if len(modules) == 1 else Sum(modules)


class InputChoice(ChoiceModule):
    """A choice of inputs: each input has a module of its own, and the chosen outputs are summed.

    A projection of the concatenation of the chosen inputs is the sum of one projection each, so an
    `InputChoice` over 1×1 convolutions is exactly 'concatenate, then project'.

    Args:
        options: one module per input (by input name), or the input names alone for `nn.Identity`.
        pick: number of inputs that are chosen: 1, another number, or (least, most).
        label: label of the decision, see `ChoiceModule`.
        empty: module for the case that no input is picked, see `ChoiceModule`.
    """

    def __init__(
        self,
        options: Options | Sequence[str],
        pick: Pick = 1,
        label: str | None = None,
        empty: nn.Module | None = None,
    ) -> None:
        named = isinstance(options, Mapping | nn.ModuleDict)
        if not named and all(isinstance(name, str) for name in options):
            options = {str(name): nn.Identity() for name in options}
        super().__init__(options, pick, label, empty)  # type: ignore[arg-type]  # names were mapped
        self.inputs = len(self.options)
        self.positions = tuple(range(self.inputs))
        """Which input each option reads."""

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the gated sum over the inputs, one tensor per option in the options' order.

        Raises:
            RoutingError: there are not as many inputs as options.
        """
        if len(inputs) != self.inputs:
            raise RoutingError(
                f"the input choice {self.label or list(self.names)} is between {self.inputs} inputs "
                f"but was given {len(inputs)}"
            )
        if self.stand_in is not None:
            return cast(torch.Tensor, self.stand_in(inputs[0]))
        # Options that read one tensor must not change it under each other.
        several = self.gate is not None and len(self.gate.options) > 1
        twice = several and len(set(map(id, inputs))) < len(inputs)
        return self.mix(
            lambda i: self.options[i](inputs[self.positions[i]]), inputs if twice else ()
        )

    def keep(self, index: int, module: nn.Module) -> Self:
        """Return a choice with one option left, which still takes all inputs."""
        kept = super().keep(index, module)
        kept.positions = (self.positions[index],)
        return kept

    def derive(self, chosen: Sequence[int], modules: Sequence[nn.Module]) -> nn.Module:
        """Return a module that takes all inputs and uses the chosen ones."""
        if not chosen:
            return SelectInputs([0], [copy.deepcopy(cast(nn.Module, self.empty))])
        return SelectInputs([self.positions[i] for i in chosen], modules)


def _pick(pick: object) -> Pick:
    """Return how many options are chosen.

    Raises:
        SpaceError: it is neither a number nor a pair of numbers.
    """
    numbers = pick if isinstance(pick, tuple | list) else (pick, pick)
    whole = all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)
    if not whole or len(numbers) != 2:
        raise SpaceError(f"pick is a number, or a pair (least, most) of numbers, not {pick!r}")
    return (numbers[0], numbers[1]) if isinstance(pick, tuple | list) else numbers[0]
