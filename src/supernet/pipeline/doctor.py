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
from supernet.errors import ConstraintError, SpaceError, SupernetError
from supernet.modules.modes import evaluating
from supernet.net import SuperNet, derive
from supernet.space import Architecture
from supernet.space.numbers import digits, size_text
from supernet.zoo import SPACES
from supernet.zoo.converted import built_from, rules_of

__all__ = ["Diagnosis", "diagnose", "diagnose_named", "doctor_text"]


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


def diagnose(
    model: nn.Module, *example: torch.Tensor, constraints: Sequence[str] = ()
) -> Diagnosis:
    """Say what of a model with choices, or of a converted one, is open, and what its networks cost.

    Args:
        model: holds choices, or was made by `supernet.convert`.
        example: inputs of the model, `[batch, ...]`; costs are for one example.
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
        options: arguments of the conversion, see `supernet.zoo.Converted`.

    Raises:
        ConfigError: there is no such model.
        SpaceError: it cannot be built.
        ConversionError: it cannot be converted.
    """
    example = torch.zeros(2, *shape, dtype=torch.float32 if words is None else torch.int64)
    built = built_from(
        SPACES.get(model, model),
        arguments,
        image=tuple(shape),
        classes=classes,
        num_classes=classes,
        vocabulary=words,
        context=shape[-1],
    )
    _check_example(built, example)
    if not any(isinstance(module, ChoiceModule) for module in built.modules()):
        built = convert(built, example, rules=rules_of(**options))
    return diagnose(built, example, constraints=constraints)


def _check_example(model: nn.Module, example: torch.Tensor) -> None:
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
            whole(example)
    except SupernetError:
        raise
    except Exception as error:  # a user's model may raise anything
        raise SpaceError(
            f"{type(model).__name__} cannot be run on examples of shape {list(example.shape[1:])} "
            f"({example.dtype}): {type(error).__name__}: {error}. Say which it takes with "
            "--shape, such as --shape 1,28,28, or for tokens with --words and --shape"
        ) from error


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


def _training_bytes(supernet: SuperNet, architecture: Architecture, *one: torch.Tensor) -> float:
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
