"""A table of latencies fitted to whole networks, for spaces in which numbers are open.

A width or a resolution is no part that could run alone: it changes the time of all layers that read it.
So whole networks are measured, the smallest, the largest and others of all sizes, and their times are
explained by

    latency = offset + a · multiply-adds + b · parameters + Σ amounts of the chosen options,

where the parameters stand for reading weights, which in small batches takes longer than multiplying. No
number is negative, and the sum of the squares of relative errors plus λ times that of the amounts is
least (ridge regression); λ is what predicts networks best that were left out (cross-validation).
Multiply-adds and parameters are sums of amounts themselves, so the result is a table like all others.

Networks are derived and measured in groups, so that few are held at once. In each group the largest
network runs too. Times are compared within a round first, then with the largest network's in the same
group, so neither a machine that is slower for a while nor one that becomes slower changes the table.

Shapes: what is measured is `[networks]`; what explains it `[networks, columns]`, a column for the
constant, for each table and for each option.
"""

from __future__ import annotations

import itertools
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from supernet.cost.entry import paths_to_json
from supernet.cost.examples import example_inputs
from supernet.cost.latency_error import compare
from supernet.cost.measure import UncountedWarning, measure_costs
from supernet.cost.quantities import LATENCY
from supernet.cost.table import CostTable, Entry
from supernet.cost.timing import Timer, times
from supernet.errors import ConfigError, NoNetworkError
from supernet.failures import attempted, first_line
from supernet.modules.calls import bound, called
from supernet.net import SuperNet, derive
from supernet.random import stream
from supernet.space import Architecture, Atom, Path, Sampling, SearchSpace

__all__ = ["TimingPlan", "measure_networks", "runnable"]

Vector = NDArray[np.float64]

FEWEST, MOST = 20, 200
"""Networks that a table is fitted to: two for each number that is fitted, but within these."""

GROUP, BYTES = 16, 2**30
"""Networks that are held at once: so many, or as many of the largest size as fit in so much memory."""

ROUNDS = 3
"""Rounds that are counted in any case, however long they take."""

PENALTIES = tuple(10.0**exponent for exponent in range(1, -7, -1))
"""What λ may be, for relative errors and amounts as shares of the mean latency."""

FOLDS = 5
"""Parts of the networks of which each is left out once to choose λ."""


@dataclass(frozen=True)
class TimingPlan:
    """The timer and the rounds by which networks are timed.

    Attributes:
        timer: measures the seconds of one call.
        warmup: rounds that are run first and not counted.
        repeats: rounds that are counted.
        seed: decides the networks and the orders.
        limit: seconds, as the timer says, that all may take about; fewer rounds are counted for that,
            but at least `ROUNDS`.
    """

    timer: Timer
    warmup: int
    repeats: int
    seed: int
    limit: float


def measure_networks(
    supernet: SuperNet,
    batch: Sequence[Any],
    clock: TimingPlan,
    fit: int | None,
    held_out: int,
) -> tuple[dict[str, Any], int]:
    """Measure networks and fit the amounts of a table.

    Args:
        supernet: supernet in evaluation mode, of the precision and on the device that is measured.
        batch: inputs of the model.
        clock: way of measuring: timer, warm-up, repeats and order.
        fit: number of networks that the table is fitted to; None: it follows from the options.
        held_out: number of further ones that its error is measured on.

    Returns:
        What of the table's content depends on the measurement, and the rounds that were counted.

    Raises:
        ConfigError: fewer than two networks are to be fitted to.
    """
    space = supernet.space
    if fit is None:
        fit = min(max(FEWEST, 2 * (2 + sum(len(d.options) - 1 for d in space.decisions))), MOST)
    if fit < 2:
        raise ConfigError(f"where numbers are open, fit ({fit}) must be at least 2 networks")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UncountedWarning)
        one = example_inputs(supernet, *batch).resized(batch, 1)
        costs = measure_costs(supernet, *one)
    macs, params = costs["macs"], costs["params"]
    drawn = _draw(space, macs, fit + held_out, clock.seed)
    networks, failed = runnable(supernet, drawn, batch, 2)
    if len(networks) < fit + held_out:
        held_out = min(held_out, len(networks) // 3)
    measured, rounds = _measured(supernet, networks, batch, clock)
    fitted, others = networks[: len(networks) - held_out], networks[len(networks) - held_out :]
    seen, unseen = measured[: len(fitted)], measured[len(fitted) :]
    atoms = [(d.label, option) for d in space.decisions for option in d.options]
    values, penalty = _fit(_features([macs, params], atoms, fitted), seen, 3)
    entries = _entries([macs, params], atoms, values)
    table = CostTable(LATENCY, entries)
    by_macs, _ = _fit(_features([macs], [], fitted), seen, 2)
    plain = _features([macs], [], others) @ by_macs
    return {
        **_content(entries),
        "failed": failed,
        "clamped": [],
        "correction": None,
        "held_out": compare([table.cost(one) for one in others], unseen.tolist()),
        "uncorrected": compare(plain.tolist(), unseen.tolist()),
        "fit": {
            "networks": len(fitted),
            "offset": float(values[0]),
            "macs": float(values[1]),
            "params": float(values[2]),
            "penalty": penalty,
        },
    }, rounds


def runnable(
    supernet: SuperNet, networks: Sequence[Architecture], batch: Sequence[Any], least: int
) -> tuple[list[Architecture], list[str]]:
    """Run whole networks once; return those that can be run, and the others by name with the reason.

    Raises:
        NoNetworkError: fewer than the least can be run.
    """
    passed, failed = list[Architecture](), list[str]()
    for network in networks:
        with torch.inference_mode():
            found = attempted(lambda: called(derive(supernet, network), batch))  # noqa: B023  # called now
        if isinstance(found, Exception):
            failed.append(f"{network.key} {dict(network)}: {first_line(found)}")
        else:
            passed.append(network)
    if len(passed) < min(least, len(networks)):
        raise NoNetworkError(
            f"latencies are measured on whole networks, but of {len(networks)} only {len(passed)} can "
            f"be run: {'; '.join(failed[:3])}. Mend what raises this, or leave out the option with it"
        )
    return passed, failed


def _draw(space: SearchSpace, macs: CostTable, count: int, seed: int) -> list[Architecture]:
    """Return different architectures, fewer where the space has fewer.

    The smallest and the largest come first. Of the others every second is drawn uniformly, and every
    second answer by answer, since most architectures of a space are of its larger depths.
    """
    random = stream(seed, "latency networks")
    found = dict.fromkeys(macs.extremes(space))
    samplings: tuple[Sampling, ...] = ("architectures", "decisions")
    for sampling in itertools.cycle(samplings):
        if len(found) >= min(count, space.size):
            break
        found[space.sample(random, sampling)] = None
    return list(found)[:count]


def _measured(
    supernet: SuperNet,
    networks: Sequence[Architecture],
    batch: Sequence[Any],
    clock: TimingPlan,
) -> tuple[Vector, int]:
    """Return the milliseconds of each network, `[networks]`, and the rounds that were counted."""
    tensors = itertools.chain(supernet.parameters(), supernet.buffers())
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    group = max(2, min(GROUP, BYTES // max(size, 1)))
    largest = networks[min(1, len(networks) - 1)]
    reference = bound(derive(supernet, largest), batch)
    once = times([reference], clock.timer, 1, 1, clock.seed)[0, 0] / 1e3
    calls = len(networks) + -(-len(networks) // group)
    allowed = int(clock.limit / (calls * once)) - clock.warmup if once else clock.repeats
    rounds = min(clock.repeats, max(allowed, ROUNDS))
    shares, all_rounds = [], []
    for start in range(0, len(networks), group):
        some = [bound(derive(supernet, n), batch) for n in networks[start : start + group]]
        samples = times([reference, *some], clock.timer, clock.warmup, rounds, clock.seed)
        pace = np.median(samples, axis=1, keepdims=True)
        first, *others = np.median(samples / np.where(pace > 0, pace, 1.0), axis=0)
        shares.append(np.array(others) / (first or 1.0))
        all_rounds.append(samples[:, 0])
    return np.concatenate(shares) * np.median(np.concatenate(all_rounds)), rounds


def _features(
    tables: Sequence[CostTable], atoms: Sequence[Atom], networks: Sequence[Architecture]
) -> NDArray[np.float64]:
    """Return what explains latencies, 1, costs and chosen options: `[networks, 1 + tables + atoms]`."""
    rows = []
    for network in networks:
        chosen = {
            (label, option)
            for label, value in network.items()
            for option in (value if isinstance(value, tuple) else (value,))
        }
        costs = [table.cost(network) for table in tables]
        rows.append([1.0, *costs, *(float(atom in chosen) for atom in atoms)])
    return np.array(rows).reshape(len(rows), 1 + len(tables) + len(atoms))


def _fit(features: NDArray[np.float64], measured: Vector, free: int) -> tuple[Vector, float]:
    """Return the values of all columns, in ms for each unit, and the λ that was chosen; see the module.

    Args:
        features: amounts of every network, as `_features` returns them, `[networks, columns]`.
        measured: measured latencies in ms, `[networks]`.
        free: the first columns, whose values λ does not concern.
    """
    mean = float(measured.mean()) or 1.0
    scales = np.ones(features.shape[1])
    scales[:free] = [scale or 1.0 for scale in features[:, :free].mean(axis=0)]
    weights = 1 / np.maximum(measured / mean, 1e-3)
    rows, goals = weights[:, None] * (features / scales), weights * measured / mean
    parts = np.arange(len(rows)) % FOLDS

    def missed(penalty: float) -> float:
        """Return the sum of the squares of the errors on networks that are left out."""
        folds = [parts == part for part in np.unique(parts)]
        errors = [
            rows[out] @ _solved(rows[~out], goals[~out], free, penalty) - goals[out]
            for out in folds
            if not out.all()
        ]
        return sum(float(np.square(error).sum()) for error in errors)

    penalty = min(PENALTIES, key=missed)
    return _solved(rows, goals, free, penalty) * mean / scales, penalty


def _solved(rows: NDArray[np.float64], goals: Vector, free: int, penalty: float) -> Vector:
    """Minimise |rows · x - goals|² + λ · networks · Σ x², over x >= 0; the first are not in Σ."""
    from scipy.optimize import nnls

    columns = rows.shape[1]
    shrunk = np.sqrt(penalty * len(rows)) * np.eye(columns)[free:]
    matrix = np.concatenate([rows, shrunk])
    found: Vector = nnls(
        matrix, np.concatenate([goals, np.zeros(columns - free)]), maxiter=100 * columns
    )[0]
    return found


def _entries(tables: Sequence[CostTable], atoms: Sequence[Atom], values: Vector) -> list[Entry]:
    """Return the amounts: those of the tables times their factors, and those of single options."""
    always = frozenset[Path]([()])
    total = Counter({always: float(values[0])})
    for table, factor in zip(tables, values[1:].tolist(), strict=False):
        for entry in table.entries:
            total[always if () in entry.paths else entry.paths] += factor * entry.amount
    amounts = values[1 + len(tables) :].tolist()
    options = {frozenset([(atom,)]): amount for atom, amount in zip(atoms, amounts, strict=True)}
    total.update(options)
    return [Entry(paths, amount) for paths, amount in total.items() if amount or paths in options]


def _content(entries: Sequence[Entry]) -> dict[str, Any]:
    fixed = sum(entry.amount for entry in entries if () in entry.paths)
    return {
        "fixed": {"amount": fixed},
        "entries": [
            {
                "paths": paths_to_json(e.paths),
                "amount": e.amount,
            }
            for e in entries
            if () not in e.paths
        ],
    }
