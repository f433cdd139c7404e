"""Architectures costed from tables (limit: 10,000 in 1 s), and the error of latency tables."""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch
from torch import nn

import supernet as sn
from supernet.cost import build_latency_table, cost_of, count_macs, count_params, measure_costs
from supernet.random import stream
from supernet.zoo import Bender
from supernet.zoo.nasbench_macro import NASBenchMacro

COUNT = 10_000


def main() -> None:
    for name, model in (
        ("Bender, 4 blocks", Bender((1, 8, 8), 10, 8, (1, 1))),
        ("nested", nested()),
    ):
        lookup(name, model, torch.randn(1, 1, 8, 8))
    held_out("Bender C8, 8x8, batch 1", Bender((1, 8, 8), 10, 8, (1, 1)), torch.randn(1, 1, 8, 8))
    macro = NASBenchMacro((3, 16, 16), 10, 8, features=64)
    held_out("NAS-Bench-Macro C8, 16x16, batch 1", macro, torch.randn(1, 3, 16, 16))


def nested(layers: int = 8, channels: int = 8) -> nn.Module:
    """Layers of which one option holds two further decisions."""

    def conv(kernel: int) -> nn.Module:
        return nn.Conv2d(channels, channels, kernel, padding=kernel // 2)

    def kernels() -> nn.Module:
        return sn.Choice({str(k): conv(k) for k in (1, 3, 5)}, pick=(1, 2))

    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1),
        *[
            sn.Choice({"deep": nn.Sequential(kernels(), kernels()), "flat": conv(7)})
            for _ in range(layers)
        ],
    )


def lookup(name: str, model: nn.Module, example: torch.Tensor, repeats: int = 5) -> None:
    """Print the time of params, macs and latency by tables, and over counting derived networks."""
    supernet = sn.SuperNet(model)
    tables = measure_costs(supernet, example)
    tables["latency_ms"] = build_latency_table(supernet, example, warmup=1, repeats=3)
    architectures = [supernet.space.sample(stream(0, "cost", i)) for i in range(COUNT)]
    by_table, by_counting = [], []
    for repeat in range(repeats):
        started = time.perf_counter()
        for architecture in architectures:
            cost_of(tables, architecture)
        by_table.append(time.perf_counter() - started)
        started = time.perf_counter()
        derived = sn.derive(supernet, architectures[repeat])
        count_params(derived), count_macs(derived, example)
        by_counting.append(time.perf_counter() - started)
    seconds, each = statistics.median(by_table), statistics.median(by_counting)
    print(
        f"params, macs and latency of {COUNT:,} architectures, {name}: {seconds:.2f} s (limit 1 s; "
        f"median of {repeats}); deriving and counting one network / one look-up: "
        f"{each / (seconds / COUNT):,.0f}"
    )


def held_out(name: str, model: nn.Module, batch: torch.Tensor, networks: int = 20) -> None:
    """Print how far a table built here is from whole networks that it was not fitted to."""
    table = build_latency_table(sn.SuperNet(model), batch, held_out=networks)
    correction = table.content["correction"] or {"offset": 0.0, "factor": 1.0}
    print(
        f"latency table, {name}: {_errors(table.held_out)}; without the correction "
        f"({correction['offset']:+.3f} ms, x{correction['factor']:.3f}): "
        f"{_errors(table.content['uncorrected'])} (n = {networks}, median of "
        f"{table.provenance['repeats']} rounds)"
    )


def _errors(errors: dict[str, Any] | None) -> str:
    assert errors is not None
    return (
        f"error {errors['mape']:.1%}, bias {errors['bias']:+.1%}, Kendall's tau "
        f"{errors['kendall_tau']:.3f}"
    )
