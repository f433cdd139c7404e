"""A table of the time that each option takes, measured on the user's own device.

Every option runs alone on the inputs that it has in the supernet; what lies outside of all choices
(and what lies in an option, but outside of the choices in it) runs with those choices replaced by
their outputs. A network's time is predicted from the sum over its parts, `offset + factor · sum`,
which is fitted to whole networks drawn uniformly from the space: a part that runs alone pays for its
start, and not for what its neighbours leave in the caches. How far the prediction is from the truth is
measured on further networks, which nothing was fitted to.

Where numbers are open, there are no such parts: see `supernet.cost.fitted_latency`.
"""

from __future__ import annotations

import copy
import itertools
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from supernet.choice import ChoiceModule
from supernet.cost.entry import paths_to_json
from supernet.cost.examples import example_inputs
from supernet.cost.fitted_latency import TimingPlan, measure_networks, runnable
from supernet.cost.latency_error import compare, fitted
from supernet.cost.quantities import LATENCY, unit_of
from supernet.cost.table_files import SCHEMA, LatencyTable, space_hash, space_to_json
from supernet.cost.timing import Call, Timer, device_name, timer_of, times, usable
from supernet.cost.trace import OptionCall, run_all, tracing
from supernet.errors import ConfigError
from supernet.modules.batches import Inputs
from supernet.modules.calls import bound
from supernet.modules.nested import leaves, mapped, tensors
from supernet.net import SuperNet, derive
from supernet.net.flow import Flow
from supernet.random import stream
from supernet.space import Architecture, Path, Sampling, SearchSpace
from supernet.suggestions import did_you_mean

__all__ = ["PRECISIONS", "build_latency_table"]

PRECISIONS = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

Samples = NDArray[np.float64]


def build_latency_table(
    supernet: SuperNet,
    *example_batch: Any,
    device: str | torch.device | None = None,
    precision: str = "float32",
    warmup: int = 5,
    repeats: int = 50,
    seed: int = 0,
    fit: int | None = None,
    held_out: int = 10,
    timer: Timer | None = None,
    limit: float = 600.0,
) -> LatencyTable:
    """Measure the table "latency_ms": the milliseconds that a network takes for one batch.

    Networks run in evaluation mode without gradients. The supernet is copied, not changed.

    Args:
        supernet: weights do not matter, sizes and the memory format do.
        example_batch: inputs of the model, `[batch, ...]`, or one dictionary of inputs by name; the
            table is for this batch size.
        device: device to measure on; by default the supernet's.
        precision: type of the weights and inputs, one of `PRECISIONS`.
        warmup: rounds that are run first and not counted.
        repeats: rounds that are counted; the amounts are medians over them. In a round every part
            and every whole network runs once, in random order.
        seed: decides the networks and the orders.
        fit: number of whole networks that `offset` and `factor` are fitted to, 10 if not given; fewer
            than 3 give no correction. Where numbers are open, those that all amounts are fitted to, if
            not given 20 to 200, two for each number that is fitted.
        held_out: number of further networks that the error is measured on.
        timer: measures the seconds of one call; by default see `timing.timer_of`.
        limit: seconds by the timer, where numbers are open; for that there are fewer rounds, 3 at least.

    Raises:
        ConfigError: a number is out of range, the precision is unknown, there is no such device, or
            the batch has no batch dimension.
        NoNetworkError: hardly any whole network can be run; others that cannot be are left out, and
            listed under "failed" in the table's content.
        SpaceError: the outputs of a choice's options differ in shape, or, where numbers are open, the
            multiply-adds are unknown (see `measure_costs`).
    """
    _check(example_batch, precision, warmup, repeats, fit, held_out)
    place = usable(device if device is not None else _device_of(supernet))
    copied, batch = _prepared(supernet, example_batch, place, PRECISIONS[precision])
    inputs = example_inputs(copied, *batch)
    name, timer = ("given", timer) if timer else timer_of(place)
    clock = TimingPlan(timer, warmup, repeats, seed, limit)
    found, rounds = _measured(copied, batch, clock, fit, held_out)
    by = _machine(place, name) | _networks(precision, inputs, _memory_format(copied, batch))
    content = {
        "schema": SCHEMA,
        "quantity": LATENCY,
        "unit": unit_of(LATENCY),
        **found,
        "space": {"hash": space_hash(copied.space), "decisions": space_to_json(copied.space)},
        "provenance": by | _rounds(clock, rounds),
    }
    return LatencyTable(content)


def _machine(device: torch.device, clock: str) -> dict[str, Any]:
    """Return what was measured on, and with which clock."""
    return {
        "device": device_name(device),
        "torch": torch.__version__,
        "clock": clock,
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def _networks(precision: str, inputs: Inputs, memory_format: str) -> dict[str, Any]:
    """Return in what form the networks compute, and what they take."""
    return {
        "precision": precision,
        "batch_size": inputs.examples,
        "input_shapes": [list(shape) for shape in inputs.of_one],
        "memory_format": memory_format,
    }


def _rounds(clock: TimingPlan, counted: int) -> dict[str, Any]:
    """Return how often was measured, and when."""
    return {
        "warmup": clock.warmup,
        "repeats": counted,
        "seed": clock.seed,
        "date": datetime.now(UTC).date().isoformat(),
    }


def _measured(
    supernet: SuperNet,
    batch: tuple[Any, ...],
    clock: TimingPlan,
    fit: int | None,
    held_out: int,
) -> tuple[dict[str, Any], int]:
    """Measure whole networks where numbers are open, and parts elsewhere; see `measure_networks`."""
    if any(choice.silent for choice in supernet.choices):
        return measure_networks(supernet, batch, clock, fit, held_out)
    return _measure_parts(supernet, batch, clock, 10 if fit is None else fit, held_out)


def _measure_parts(
    supernet: SuperNet,
    batch: tuple[Any, ...],
    clock: TimingPlan,
    fit: int,
    held_out: int,
) -> tuple[dict[str, Any], int]:
    """Measure all options, the correction and the error; see `measure_networks`."""
    with tracing(supernet, keep=True) as trace, torch.inference_mode():
        run_all(supernet, *batch)
    trace.root.inputs = batch
    calls, parts = _parts(trace.root, supernet.flow)
    drawn = _draw(supernet.space, held_out + fit, clock.seed)
    networks, failed = runnable(supernet, drawn, batch, 1)
    whole = [bound(derive(supernet, network), batch) for network in networks]
    samples = times([*calls, *whole], clock.timer, clock.warmup, clock.repeats, clock.seed)
    amounts = _amounts(samples[:, : len(calls)], parts)
    measured = [float(median) for median in np.median(samples[:, len(calls) :], axis=0)]
    found = _judged(amounts, supernet.space, networks, measured, held_out)
    return {**found, "failed": failed}, clock.repeats


def _judged(
    amounts: dict[str, Any],
    space: SearchSpace,
    networks: Sequence[Architecture],
    measured: Sequence[float],
    held_out: int,
) -> dict[str, Any]:
    """Fit the correction and measure the error, on different networks; return both and the amounts."""
    content = {"quantity": LATENCY, **amounts}
    plain = LatencyTable(content)
    sums = [plain.cost(network) for network in networks]
    correction = fitted(sums[held_out:], measured[held_out:], plain.range(space)[0])
    table = LatencyTable({**content, "correction": correction})
    predicted = [table.cost(network) for network in networks[:held_out]]
    return {
        **amounts,
        "correction": correction,
        "held_out": compare(predicted, measured[:held_out]),
        "uncorrected": compare(sums[:held_out], measured[:held_out]),
    }


def _check(
    batch: Sequence[Any], precision: str, warmup: int, repeats: int, fit: int | None, held_out: int
) -> None:
    if precision not in PRECISIONS:
        raise ConfigError(
            f"no precision {precision!r}; possible: {', '.join(PRECISIONS)}"
            f"{did_you_mean(precision, PRECISIONS)}"
        )
    if repeats < 1 or min(warmup, fit or 0, held_out) < 0:
        raise ConfigError(
            f"repeats ({repeats}) must be at least 1, and warmup ({warmup}), fit ({fit}) and held_out "
            f"({held_out}) at least 0"
        )
    found = list(leaves(list(batch)))
    if not found or not all(isinstance(x, torch.Tensor) and x.ndim for x in found):
        raise ConfigError(
            "a latency table needs a batch of examples: one or more tensors of shape [batch, ...], or a "
            "dictionary of them by name"
        )


def _device_of(supernet: SuperNet) -> torch.device:
    tensors = itertools.chain(supernet.parameters(), supernet.buffers())
    return next((tensor.device for tensor in tensors), torch.device("cpu"))


def _prepared(
    supernet: SuperNet,
    batch: Sequence[Any],
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[SuperNet, tuple[Any, ...]]:
    """Return a copy of the supernet and the batch, as they are to be measured."""
    model = copy.deepcopy(supernet.model).to(device, dtype).eval()

    def moved(x: torch.Tensor) -> torch.Tensor:
        return x.to(device, dtype if x.is_floating_point() else x.dtype)

    return SuperNet(model), mapped(moved, tuple(batch))


def _draw(space: SearchSpace, count: int, seed: int) -> list[Architecture]:
    """Return different architectures, fewer where the space has fewer.

    Every second one is drawn by its decisions and the others from all architectures, of which most are
    of the largest depths.
    """
    random = stream(seed, "latency networks")
    found: dict[Architecture, None] = {}
    samplings: tuple[Sampling, ...] = ("architectures", "decisions")
    for sampling in itertools.cycle(samplings):
        if len(found) >= min(count, space.size):
            break
        found[space.sample(random, sampling)] = None
    return list(found)


def _memory_format(supernet: SuperNet, batch: Sequence[Any]) -> str:
    last = any(
        tensor.ndim == 4
        and tensor.is_contiguous(memory_format=torch.channels_last)
        and not tensor.is_contiguous()
        for tensor in itertools.chain(tensors(batch), supernet.parameters())
    )
    return "channels_last" if last else "contiguous"


Parts = dict[frozenset[Path], list[tuple[int, int]]]
"""By paths of which one must hold, the numbers of the calls whose times add up to an amount, and +1 or
-1 for each."""


def _parts(root: OptionCall, flow: Flow) -> tuple[list[Call], Parts]:
    """Return what is to be measured, and how the amounts follow from it.

    Where several options can be chosen, n outputs take n - 1 additions: each option carries one, and
    what surrounds the choice carries one less.
    """
    calls: list[Call] = []
    parts: Parts = defaultdict(list)

    def measure(call: Call, sign_by_paths: Iterable[tuple[frozenset[Path], int]]) -> None:
        for paths, sign in sign_by_paths:
            parts[paths].append((len(calls), sign))
        calls.append(call)

    def visit(part: OptionCall, within: tuple[nn.Module, ...]) -> None:
        here = flow.paths(part.path, within)
        if isinstance(part.module, ChoiceModule):
            parts[here] += []  # nothing of its own, but known to cost nothing
        else:
            module = _emptied(part)  # options may take a dictionary as it is
            call = bound(module, part.inputs) if part is root else partial(module, *part.inputs)
            measure(call, [(here, 1)])
        for whole in part.wholes:
            there = flow.paths(part.path, (*within, whole.module))
            measure(partial(whole.module, *whole.inputs), [(there, 1)])
        for choice in part.choices:
            inner = (*within, choice.choice)
            if choice.choice.decision(choice.label).high > 1:
                carried = [(flow.paths(option.path, inner), 1) for option in choice.options]
                around = flow.paths(choice.path, inner)
                measure(_adding(choice.output), [(around, -1), *carried])
            for option in choice.options:
                visit(option, inner)

    visit(root, ())
    return calls, parts


def _adding(output: Any) -> Call:
    return lambda: output + output


def _emptied(part: OptionCall) -> nn.Module:
    """Return a copy of an option, or of the model, in which what is measured apart only returns."""
    if not part.choices and not part.wholes:
        return part.module
    outputs: dict[nn.Module, list[Any]] = defaultdict(list)
    for choice in part.choices:
        outputs[choice.choice].append(choice.output)
    for whole in part.wholes:
        outputs[whole.module].append(whole.output)
    memo: dict[int, Any] = {id(module): _Replay(each) for module, each in outputs.items()}
    return copy.deepcopy(part.module, memo)


class _Replay(nn.Module):
    """Stands for a choice: returns the outputs of its calls, in turn."""

    def __init__(self, outputs: Iterable[Any]) -> None:
        super().__init__()
        self._outputs = itertools.cycle(outputs)

    def forward(self, *_: Any) -> Any:
        return next(self._outputs)


def _amounts(samples: Samples, parts: Parts) -> dict[str, Any]:
    """Return the amounts of all parts: medians over the rounds, and interquartile ranges.

    A difference of two noisy times may be negative; it counts as 0 and is listed under "clamped".
    """
    timed: dict[frozenset[Path], dict[str, float]] = {}
    clamped = []
    for paths, terms in parts.items():
        rounds = sum((sign * samples[:, i] for i, sign in terms), np.zeros(len(samples)))
        low, median, high = (float(q) for q in np.quantile(rounds, [0.25, 0.5, 0.75]))
        if median < 0:
            clamped.append({"paths": paths_to_json(paths), "amount": median})
        timed[paths] = {"amount": max(median, 0.0), "spread": high - low}
    fixed = timed.pop(frozenset([()]), {"amount": 0.0, "spread": 0.0})
    return {
        "fixed": fixed,
        "entries": [{"paths": paths_to_json(paths), **each} for paths, each in timed.items()],
        "clamped": clamped,
    }
