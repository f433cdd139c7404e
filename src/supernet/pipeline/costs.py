"""The cost tables of a run: counted on its model, and read from the configured files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from supernet.cost import Constraints, CostTable, load_table, measure_costs
from supernet.cost.constraint import read_constraint
from supernet.errors import ConfigError, ConstraintError
from supernet.evaluate import FigureBounds
from supernet.modules.nested import tensors
from supernet.net import SuperNet
from supernet.pipeline.context import Run
from supernet.pipeline.inputs import Inputs
from supernet.search import Problem
from supernet.suggestions import wanted_figure

__all__ = ["cost_tables", "divided", "load_costs", "problem_of"]

RESERVED = frozenset(
    {
        "key",
        "role",
        "architecture",
        "supernet",
        "validation",
        "values",
        "weights",
        "stand_alone",
        "accuracy",
        "loss",
        "status",
        "step",
        "stage",
        "error",
        "searcher",
        "generation",
    }
)
"""What stands beside the costs of a candidate."""


def load_costs(run: Run, inputs: Inputs) -> dict[str, CostTable]:
    """Return the cost tables of the space: counted, and read from the configured files.

    Raises:
        ConfigError: a file is missing or made for another input size or device.
        SpaceError: a file is made for another space.
    """
    options = run.config.search
    files = [options.costs] if isinstance(options.costs, str) else options.costs
    tables = cost_tables(inputs.supernet, inputs.example, files, run.device, options.other_device)
    if both := sorted(tables.keys() & inputs.figures.keys()):
        raise ConfigError(
            f"{both[0]!r} is a cost and a figure of {type(inputs.task).__name__}; give one of them "
            "another name"
        )
    return tables


def problem_of(run: Run, inputs: Inputs, costs: Mapping[str, CostTable]) -> Problem:
    """Return the space with the configured constraints.

    Raises:
        ConstraintError: a constraint cannot be read, or no architecture satisfies it.
    """
    options, space = run.config.search, inputs.space
    of_costs, bounds = divided(options.constraint_list, inputs, costs)
    return Problem(
        space,
        Constraints(of_costs, costs, space),
        run.seed,
        sampling=options.sampling,
        figures=tuple(inputs.figures),
        optional_figures=inputs.task.optional_figures,
        lower=run.config.preference.lower,
        bounds=bounds,
    )


def divided(
    texts: Iterable[str], inputs: Inputs, costs: Mapping[str, CostTable]
) -> tuple[list[str], FigureBounds]:
    """Return those of some constraints that bound costs, and those that bound figures of the task.

    Raises:
        ConstraintError: one cannot be read, or bounds neither.
    """
    figures = inputs.figures or {"loss": True, "accuracy": True}
    of_costs, of_figures = list[str](), list[str]()
    for text in texts:
        name = read_constraint(text)[0]
        if name not in costs and name not in figures:
            raise ConstraintError(
                f"the constraint {text!r} bounds {name!r}, but costs are known for "
                f"{', '.join(sorted(costs))}, and {type(inputs.task).__name__} has the figures "
                f"{', '.join(figures)}"
                f"{wanted_figure(name, [*costs, *figures], inputs.task.optional_figures)}"
            )
        (of_costs if name in costs else of_figures).append(text)
    return of_costs, FigureBounds.of(of_figures)


def cost_tables(
    supernet: SuperNet,
    example: Sequence[Any],
    files: Sequence[str],
    device: torch.device,
    other_device: bool,
) -> dict[str, CostTable]:
    """Return the cost tables of a supernet by quantity.

    Args:
        supernet: supernet of the space.
        example: inputs of the model for one example, see `Inputs.example`.
        files: tables of other quantities than "params" and "macs".
        device: device of the run.
        other_device: accept latencies of another device.

    Raises:
        ConfigError: a file is missing or made for another input size or device, or its quantity is
            known already.
        SpaceError: a file is made for another space.
    """
    tables = measure_costs(supernet, *example)
    shapes = [list(tensor.shape[1:]) for tensor in tensors(example)]
    for file in files:
        table = load_table(
            Path(file),
            supernet.space,
            input_shape=shapes if len(shapes) > 1 else shapes[0],
            device=device,
            other_device=other_device,
        )
        if table.quantity in RESERVED:
            raise ConfigError(
                f"{file} holds {table.quantity!r}, but a cost cannot be named "
                f"{', '.join(sorted(RESERVED))}"
            )
        if table.quantity in tables:
            raise ConfigError(
                f"{file} holds {table.quantity!r}, for which there is a table already; of the same "
                "quantity only one can be used"
            )
        tables[table.quantity] = table
    return tables
