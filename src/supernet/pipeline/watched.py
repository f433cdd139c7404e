"""Which networks are watched while the supernet trains, on which examples, and when."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import torch

from supernet.cost import CostTable, cost_of
from supernet.data import Examples
from supernet.errors import ConfigError
from supernet.fidelity import Truth, Worth, load_truth
from supernet.fidelity.early import EARLY
from supernet.pipeline.context import Run
from supernet.pipeline.costs import problem_of
from supernet.pipeline.inputs import Inputs
from supernet.pipeline.scoring import protocol_of
from supernet.random import generator, stream
from supernet.search import Learned
from supernet.track.ranking import RankingTruth
from supernet.track.watch import WatchedNetwork, WatchRecord

__all__ = ["check_watch", "compared_alone", "moments_of", "unwatched", "watched_examples"]

IMAGES = 500
"""Examples that networks are scored on unless options say otherwise."""


def check_watch(run: Run, inputs: Inputs) -> None:
    """Check that the training can be watched as the options say.

    Raises:
        ConfigError: it cannot.
    """
    watch, config, split = run.config.watch, run.config, len(inputs.splits.search)
    if config.strategy.stages:
        raise ConfigError(
            "watch.networks scores networks of the whole space, but strategy.stages leaves options out; "
            "give --watch.networks 0, or a strategy without stages"
        )
    if isinstance(config.search.searcher, Learned):
        raise ConfigError(
            f"watch.networks looks at how well paths rank, but {type(config.strategy).__name__} learns "
            "the architecture itself, and the searcher 'learned' ranks no paths; give --watch.networks "
            "0, or a searcher that ranks, such as --search.searcher random"
        )
    if watch.times > config.train.steps:
        raise ConfigError(
            f"watch.times is {watch.times:,}, but the training has {config.train.steps:,} steps "
            "(train.steps); give at most so many"
        )
    if watch.images is not None and watch.images > split:
        raise ConfigError(
            f"watch.images is {watch.images:,}, but the search split has {split:,} examples; give at "
            "most so many, or null"
        )


def unwatched(run: Run, inputs: Inputs, costs: Mapping[str, CostTable]) -> WatchRecord:
    """Return the record of a training before its first moment: which networks are scored, and how.

    Raises:
        ConfigError: there are fewer networks than are to be watched, or the table cannot be read.
        SpaceError: the table is of another space.
    """
    options, better = protocol_of(run.config), run.config.preference
    images = len(watched_examples(run, inputs))
    size = min(options.batch_size, images)
    batches = min(options.calibration_batches, math.ceil(images / size))
    truth = _truth(run, inputs)
    networks = _drawn(run, inputs, costs) if truth is None else _listed(run, truth)
    return WatchRecord(
        by=better.by,
        lower_is_better=tuple(better.lower) if better.figure else (),
        images=images,
        batch_norm=options.batch_norm,
        batch_size=size,
        calibration_batches=batches,
        networks=tuple(
            WatchedNetwork(
                key=one.architecture.key,
                architecture=one.architecture,
                values=one.values,
                costs=cost_of(costs, one.architecture),
            )
            for one in networks
        ),
        truth=None if truth is None else RankingTruth.of(truth),
    )


def watched_examples(run: Run, inputs: Inputs) -> Examples:
    """Return the examples that networks are scored on, drawn from the search split."""
    search, images = inputs.splits.search, run.config.watch.images
    count = min(len(search), IMAGES) if images is None else images
    order = torch.randperm(len(search), generator=generator(run.seed, "watch"))
    return search.select(order[:count].sort().values.to(search.targets.device))


def moments_of(steps: int, times: int, log_every: int) -> list[int]:
    """Return the numbers of steps after which networks are scored: 0, and evenly at log records."""
    due = (number * steps / times for number in range(1, times + 1))
    return sorted({0, *(min(steps, log_every * math.ceil(step / log_every)) for step in due)})


def compared_alone(run: Run, record: WatchRecord) -> tuple[list[WatchedNetwork], int]:
    """Return the networks that are also trained alone, and for how many steps.

    They lie evenly among the watched ones in their multiply-adds: one is the median.
    """
    watch, train = run.config.watch, run.config.train
    order = sorted(record.networks, key=lambda one: (one.costs["macs"], one.key))
    chosen = [order[(2 * i + 1) * len(order) // (2 * watch.alone)] for i in range(watch.alone)]
    moments = moments_of(train.steps, watch.times, train.log_every)
    return chosen, next(step for step in moments if step >= EARLY * train.steps)


def _truth(run: Run, inputs: Inputs) -> Truth | None:
    """Return the table that says what networks are worth, if one is given."""
    table = run.config.watch.truth
    if table is None:
        return None
    return load_truth(table, inputs.space, inputs.from_string)


def _listed(run: Run, truth: Truth) -> list[Worth]:
    """Return networks of a table, each as likely as all others.

    Raises:
        ConfigError: it has fewer.
    """
    count, keys = run.config.watch.networks, sorted(truth.networks)
    if count > len(keys):
        raise ConfigError(
            f"watch.networks is {count:,}, but {truth.name} has {len(keys):,} networks of this space; "
            "give at most so many"
        )
    return [truth.networks[key] for key in stream(run.seed, "watch").sample(keys, count)]


def _drawn(run: Run, inputs: Inputs, costs: Mapping[str, CostTable]) -> Sequence[Worth]:
    """Return networks within the constraints of the search, each as likely as all others.

    Raises:
        ConfigError: there are fewer.
    """
    count = run.config.watch.networks
    problem = dataclasses.replace(problem_of(run, inputs, costs), sampling="networks")
    found = problem.sample(count, stream(run.seed, "watch"))
    if len(found) < count:
        raise ConfigError(
            f"watch.networks is {count:,}, but {len(found):,} different networks were found in the "
            "space, within the constraints; give at most so many"
        )
    return [Worth(one, ()) for one in found]
