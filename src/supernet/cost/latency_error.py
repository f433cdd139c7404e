"""Predicted against measured latencies of whole networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["compare", "fitted"]


def fitted(
    sums: Sequence[float], measured: Sequence[float], smallest: float
) -> dict[str, float] | None:
    """Return the `offset` and `factor` that bring `offset + factor · sum` closest to the measured.

    Args:
        sums: the sum over the parts of each network, in ms.
        measured: measured latencies of the whole networks, in ms.
        smallest: the smallest sum in the space.

    Returns:
        Least squares; None where there are fewer than 3 networks, all sums are equal, or some network
        of the space would be predicted to take no time or less, or larger sums to take less time.
    """
    if len(sums) < 3 or len(set(sums)) < 2:
        return None
    factor, offset = (float(value) for value in np.polyfit(sums, measured, 1))
    if factor <= 0 or offset + factor * smallest <= 0:
        return None
    return {"offset": offset, "factor": factor}


def compare(predicted: Sequence[float], measured: Sequence[float]) -> dict[str, Any] | None:
    """Return how predictions differ from measurements, or None if there are none.

    Returns:
        "networks": their number; "mape": the mean of |predicted - measured| / measured; "bias": the
        mean of (predicted - measured) / measured, positive where the table is too slow;
        "kendall_tau": Kendall's tau-b of both; "predicted" and "measured": all values, in ms.
        What is not defined (a network measured as 0, or a constant) is None.
    """
    if not measured:
        return None
    relative = None
    if min(measured) > 0:
        relative = (np.asarray(predicted) - np.asarray(measured)) / np.asarray(measured)
    return {
        "networks": len(measured),
        "mape": None if relative is None else float(np.abs(relative).mean()),
        "bias": None if relative is None else float(relative.mean()),
        "kendall_tau": _kendall_tau(predicted, measured),
        "predicted": list(predicted),
        "measured": list(measured),
    }


def _kendall_tau(first: Sequence[float], second: Sequence[float]) -> float | None:
    from scipy.stats import kendalltau

    if len(set(first)) < 2 or len(set(second)) < 2:
        return None
    return float(kendalltau(first, second).statistic)
