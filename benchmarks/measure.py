"""Interleaved timing: A B A B ..., and the ratio pair by pair."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def interleaved(
    first: Callable[[int], None], second: Callable[[int], None], repeats: int, warmup: int = 5
) -> tuple[float, float, list[float]]:
    """Return the median seconds of both functions and the ratios first / second of all pairs.

    Each function is called with the number of the repeat; which goes first alternates.
    """
    pairs = []
    for repeat in range(-warmup, repeats):
        order = (first, second) if repeat % 2 else (second, first)
        spent = {}
        for function in order:
            started = time.perf_counter()
            function(repeat + warmup)
            spent[function] = time.perf_counter() - started
        if repeat >= 0:
            pairs.append((spent[first], spent[second]))
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        [a / b for a, b in pairs],
    )


def spread(values: list[float]) -> str:
    """Return the median and the quartiles of a list."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.3f} (quartiles {low:.3f} to {high:.3f}, n = {len(values)})"
