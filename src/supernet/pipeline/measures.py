"""Whether the measures of a task are numbers, looked into before anything is trained."""

from __future__ import annotations

import torch

from supernet.cost.quantities import LATENCY
from supernet.data import whole_batch
from supernet.errors import ConfigError, DataError
from supernet.failures import attempted
from supernet.modules.modes import evaluating
from supernet.pipeline.context import Run
from supernet.pipeline.costs import RESERVED
from supernet.pipeline.inputs import Inputs
from supernet.random import derive_seed, seeded
from supernet.suggestions import wanted_figure
from supernet.task import checked_measures

__all__ = ["check_measures"]

PROBES, EXAMPLES = 4, 32
"""Untrained architectures, spread over the space, and training examples that are measured."""


def check_measures(run: Run, inputs: Inputs) -> None:
    """Check that no measure is wrong for whatever network, and say so if one often is.

    A measure that is not finite while the loss is finite, for every example and every architecture, is a
    mistake in the measure. One that is not finite for some may become finite with training.

    Raises:
        ConfigError: candidates cannot be ranked, or raced, by the configured figure.
        DataError: there is such a measure; "the loss" itself is judged by the training.
    """
    finite: dict[str, list[torch.Tensor]] = {}
    for each in _measured(run, inputs):
        if bool(each["loss"].isfinite().all()):
            for name, values in each.items():
                whole = values.isfinite().reshape(len(values), -1).all(1)
                finite.setdefault(name, []).append(whole)
    for name, found in finite.items():
        every = torch.cat(found)
        which = f"the measure {name!r} of {type(inputs.task).__name__} is not a finite number for"
        if not every.any():
            raise DataError(
                f"{which} any of {len(every):,} examples measured with untrained networks, though their "
                "losses are finite: no candidate could be scored. Mend `measure` of the task (perhaps "
                "it divides by zero, or takes the logarithm of zero), or return no such measure"
            )
        if not every.all():
            run.progress.say(
                f"warning: {which} {int((~every).sum()):,} of {len(every):,} examples measured with "
                "untrained networks; a network of which that is so after training counts as failed"
            )
    if inputs.figures:
        _check_figures(run, inputs)


def _check_figures(run: Run, inputs: Inputs) -> None:
    """Check that the figures can be told from costs, and that candidates can be ranked as configured.

    Raises:
        ConfigError: they cannot be.
    """
    figures, options, task = inputs.figures, run.config.evaluate, type(inputs.task).__name__
    reserved = {*RESERVED, "params", "macs", LATENCY} - {"accuracy", "loss"}
    taken = [name for name in figures if name in reserved]
    if taken:
        raise ConfigError(
            f"{task} calls a figure {taken[0]!r}, which stands for something else in the files of a "
            f"run; give it a name that is none of {', '.join(sorted(reserved))}"
        )
    by = options.rank_by
    if figures and by not in figures:
        raise ConfigError(
            f"evaluate.rank_by is {by!r}, but {task} has the figures {', '.join(figures)}"
            f"{wanted_figure(by, figures, inputs.task.optional_figures)}; rank by one of them"
        )
    if options.race is not None and not figures.get(by, True):
        means = ", ".join(name for name, is_mean in figures.items() if is_mean)
        raise ConfigError(
            f"evaluate.race compares candidates example by example, but {by!r} of {task} is no mean "
            f"over examples; give --evaluate.race null, or rank by one that is: {means}"
        )


def _measured(run: Run, inputs: Inputs) -> list[dict[str, torch.Tensor]]:
    """Return the measures of untrained architectures, without those that cannot be run."""
    supernet, examples = inputs.supernet, inputs.splits.train
    few = examples.select(torch.arange(min(EXAMPLES, len(examples))))
    batch = whole_batch(few, inputs.normalise)
    size, results = supernet.space.size, list[dict[str, torch.Tensor]]()
    for number in sorted({index * (size - 1) // (PROBES - 1) for index in range(PROBES)}):
        with (
            torch.no_grad(),
            evaluating(supernet),
            seeded(derive_seed(run.seed, "measures")),
            supernet.route(supernet.space[number]),
        ):
            found = attempted(lambda: checked_measures(inputs.task, supernet, batch))
        if not isinstance(found, Exception):
            results.append(found)
    return results
