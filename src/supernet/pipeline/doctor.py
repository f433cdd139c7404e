"""What of a model is open, why something is not, and what its networks cost."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from supernet.choice.choice import ChoiceModule
from supernet.conversion import Conversion, Row, conversion_of, convert
from supernet.cost import Constraints, CostTable, kept_for_backward, measure_costs
from supernet.cost.constraint import number_text
from supernet.cost.examples import example_inputs
from supernet.errors import ConfigError, ConstraintError, SpaceError, SupernetError
from supernet.modules.calls import called
from supernet.modules.modes import evaluating
from supernet.net import SuperNet, derive
from supernet.reading import shown
from supernet.space import Architecture
from supernet.space.numbers import digits, size_text
from supernet.suggestions import did_you_mean
from supernet.zoo import SPACES
from supernet.zoo.converted import built_from, rules_of

__all__ = ["Diagnosis", "diagnose", "diagnose_named", "doctor_text"]

KINDS = {"float32": torch.float32, "int64": torch.int64, "bool": torch.bool}
"""Types that an input of a model has, by their names."""


@dataclass(frozen=True)
class Diagnosis:
    """The search space that a model is: what is open of it, its size, and its costs.

    Attributes:
        rows: one row for each module that was converted; of a model with choices of its own, for
            each decision.
        decisions: options of each decision, by its label.
        size: the number of architectures.
        ranges: smallest and largest cost by quantity: "params", "macs" (for one example), and
            "train_bytes", what training keeps for each example besides the weights.
        constraints: for each constraint, why it cannot be met, or nothing.
    """

    rows: tuple[Row, ...]
    decisions: Mapping[str, tuple[Any, ...]]
    size: int
    ranges: Mapping[str, tuple[float, float]]
    constraints: Mapping[str, str]

    def rows_as_text(self) -> list[tuple[str, str, list[str], tuple[str, ...]]]:
        """Return the rows for a table: name, class, what is open, and why not all is.

        The module that a decision is named after shows its options.
        """
        found = []
        for row in self.rows:
            opened = []
            for label in row.open:
                owner = label.removesuffix(".depth").removesuffix(".kernel")
                options = ", ".join(map(str, self.decisions.get(label, ())))
                opened.append(f"{label}: {options}" if options and owner == row.name else label)
            found.append((row.name, row.kind, opened, row.closed))
        return found

    def to_json(self) -> dict[str, Any]:
        """Return plain data; a size that no float reaches, which many readers of JSON take, as text."""
        size = self.size if self.size < 10**300 else digits(self.size)
        ranges = {name: list(ends) for name, ends in self.ranges.items()}
        return {**asdict(self), "size": size, "ranges": ranges}


def diagnose(model: nn.Module, *example: Any, constraints: Sequence[str] = ()) -> Diagnosis:
    """Say what of a model with choices, or of a converted one, is open, and what its networks cost.

    Args:
        model: holds choices, or was made by `supernet.convert`.
        example: inputs of the model, `[batch, ...]`, or one dictionary of them by name; costs are for
            one example.
        constraints: bounds such as "macs <= 5e6", on params and macs.

    Raises:
        SpaceError: the model has no choices.
    """
    supernet = SuperNet(model)
    one = example_inputs(supernet, *example).resized(example, 1)
    costs = measure_costs(supernet, *one)
    smallest, largest = costs["macs"].extremes(supernet.space)
    ranges = {name: table.range(supernet.space) for name, table in costs.items()}
    ranges["train_bytes"] = (
        _training_bytes(supernet, smallest, *one),
        _training_bytes(supernet, largest, *one),
    )
    met = {text: _unmet(text, costs, supernet) for text in constraints}
    rows = tuple(_rows(supernet))
    space = supernet.space
    options = {decision.label: decision.options for decision in space.decisions}
    return Diagnosis(rows, options, space.size, ranges, met)


def diagnose_named(
    model: str,
    arguments: Mapping[str, Any],
    shape: Sequence[int],
    *,
    words: int | None = None,
    classes: int = 10,
    constraints: Sequence[str] = (),
    inputs: Mapping[str, object] | None = None,
    **options: Any,
) -> Diagnosis:
    """Diagnose a model that is named; one without choices is converted.

    Args:
        model: short name of a space, or import path of a class or function that returns a module.
        arguments: arguments that it is called with.
        shape: shape of one example.
        words: number of different tokens, for examples that are tokens; None for numbers.
        classes: number of classes, given to the model if it takes them.
        constraints: bounds such as "macs <= 5e6", see `diagnose`.
        inputs: instead of a shape, of several inputs by name the type and the shape of one example, such
            as `{"tokens": ["int64", 16], "mask": ["bool", 16]}`.
        options: arguments of the conversion, see `supernet.zoo.Converted`.

    Raises:
        ConfigError: there is no such model, or an input is not described so.
        SpaceError: it cannot be built.
        ConversionError: it cannot be converted.
    """
    example: torch.Tensor | dict[str, torch.Tensor]
    example = torch.zeros(2, *shape, dtype=torch.float32 if words is None else torch.int64)
    if model not in SPACES and not {".", ":"} & set(model):
        raise ConfigError(
            f"there is no space {shown(model)}{did_you_mean(model, SPACES)}; possible: "
            f"{', '.join(SPACES)}, or a class or function of your own as package.module:name"
        )
    if inputs:
        example = {name: _input(name, described) for name, described in inputs.items()}
    built = built_from(
        SPACES.get(model, model),
        arguments,
        image=tuple(shape),
        classes=classes,
        num_classes=classes,
        vocabulary=words,
        context=shape[-1],
        shapes={name: tuple(one.shape[1:]) for name, one in _named(example).items()},
    )
    _check_example(built, example)
    if not any(isinstance(module, ChoiceModule) for module in built.modules()):
        built = convert(built, example, rules=rules_of(**options))
    return diagnose(built, example, constraints=constraints)


def _named(example: torch.Tensor | dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return example if isinstance(example, dict) else {}


def _input(name: str, described: object) -> torch.Tensor:
    """Return two examples of an input: zeros, or of a mask, one that masks nothing.

    Raises:
        ConfigError: it is not described by its type and shape.
    """
    kind, *shape = described if isinstance(described, list | tuple) else (described,)
    if kind not in KINDS or not all(type(size) is int and size > 0 for size in shape):
        raise ConfigError(
            f"the input {name!r} is described by its type ({', '.join(KINDS)}) and the shape of one "
            f"example, such as [int64, 16], not {shown(described)}"
        )
    return torch.full((2, *shape), kind == "bool", dtype=KINDS[kind])


def _check_example(model: nn.Module, example: torch.Tensor | dict[str, torch.Tensor]) -> None:
    """Run the model once, under its first architecture if it has choices.

    Raises:
        SpaceError: it cannot be run on examples of this shape.
    """
    chooses = any(isinstance(module, ChoiceModule) for module in model.modules())
    supernet = SuperNet(model) if chooses else None
    whole = supernet or model
    route = supernet.route(supernet.space[0]) if supernet else contextlib.nullcontext()
    try:
        with torch.no_grad(), evaluating(whole), route:
            called(whole, [example])
    except SupernetError:
        raise
    except Exception as error:  # a user's model may raise anything
        raise SpaceError(
            f"{type(model).__name__} cannot be run on examples of {_described(example)}: "
            f"{type(error).__name__}: {error}. Say which it takes with "
            "--shape, such as --shape 1,28,28, for tokens with --words and --shape, or for several "
            "inputs with --inputs"
        ) from error


def _described(example: torch.Tensor | dict[str, torch.Tensor]) -> str:
    if isinstance(example, torch.Tensor):
        return f"shape {list(example.shape[1:])} ({example.dtype})"
    return ", ".join(f"{name} {one.dtype} {list(one.shape[1:])}" for name, one in example.items())


def doctor_text(found: Diagnosis) -> str:
    """Return what is said below the table."""
    lines = [f"{len(found.decisions)} decisions, {size_text(found.size)} architectures"]
    names = {
        "params": "parameters",
        "macs": "multiply-adds of one example",
        "train_bytes": "bytes that training keeps for one example, from the fewest macs to the most",
    }
    for quantity, (least, most) in found.ranges.items():
        lines.append(
            f"{names.get(quantity, quantity)}: {number_text(least)} to {number_text(most)}"
        )
    for text, reason in found.constraints.items():
        lines.append(f"{text!r} cannot be met: {reason}" if reason else f"{text!r} can be met")
    return "\n".join(lines)


def _training_bytes(supernet: SuperNet, architecture: Architecture, *one: Any) -> float:
    return float(kept_for_backward(derive(supernet, architecture), *one))


def _unmet(text: str, costs: Mapping[str, CostTable], supernet: SuperNet) -> str:
    try:
        Constraints([text], costs, supernet.space)
    except ConstraintError as error:
        return str(error)
    return ""


def _rows(supernet: SuperNet) -> list[Row]:
    """Return the rows of converted models within, and the decisions that are of none of them."""
    found: list[Row] = []
    named: set[str] = set()
    for name, module in supernet.model.named_modules():
        conversion: Conversion | None = conversion_of(module)
        if conversion is not None:
            prefix = f"{name}." if name else ""
            found += [
                Row(f"{prefix}{row.name}", row.kind, row.open, row.closed)
                for row in conversion.rows
            ]
            named |= {label for row in conversion.rows for label in row.open}
    kinds: dict[str, ChoiceModule] = {}
    for choice, label in supernet.choices.items():
        kinds.setdefault(label, choice)
    for decision in supernet.space.decisions:
        if decision.label not in named:
            options = tuple(map(str, decision.options))
            found.append(Row(decision.label, type(kinds[decision.label]).__name__, options, ()))
    return found
