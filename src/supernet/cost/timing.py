"""The time of many small computations, measured in turns so that all see the same machine."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from supernet.errors import ConfigError
from supernet.random import stream

__all__ = ["Call", "Timer", "device_name", "timer_of", "times", "usable"]

Call = Callable[[], Any]
"""A computation; what it returns is not used."""

Timer = Callable[[Call], float]
"""Runs a computation once and returns its seconds."""


def times(
    calls: Sequence[Call], timer: Timer, warmup: int, repeats: int, seed: int
) -> NDArray[np.float64]:
    """Return the milliseconds of every call, `[repeats, calls]`.

    Each round runs every call once, in an order of its own: what makes the machine slower for a while
    hits all of them, and none always follows the same one.

    Args:
        calls: computations to time, functions without arguments.
        timer: function that times one call, in seconds.
        warmup: rounds before those that count.
        repeats: number of rounds that count.
        seed: seed of the orders of the calls within a round.
    """
    measured = np.empty((warmup + repeats, len(calls)))
    with torch.inference_mode():
        for number, row in enumerate(measured):
            order = list(range(len(calls)))
            stream(seed, "latency order", number).shuffle(order)
            for index in order:
                row[index] = 1e3 * timer(calls[index])
    return measured[warmup:]


def usable(device: str | torch.device) -> torch.device:
    """Return the device, with its number where it has one.

    Raises:
        ConfigError: there is no such device here.
    """
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(
            f"the device {str(device)!r} cannot be used here: {str(error).splitlines()[0]}"
        ) from error


def timer_of(device: torch.device) -> tuple[str, Timer]:
    """Return the name of the clock that fits the device, and its timer.

    Returns:
        "thread": on a CPU with one thread, the processor's time for it. Other programs' turns do not
        count, which come between the parts of a long computation and next to never into a short one.
        "wall": on a CPU with several threads, the time that passes. "events": on a CUDA device, between
        two events in its stream. "idle": on other devices, the time that passes from idle to idle.
    """
    if device.type == "cpu":
        alone = torch.get_num_threads() == 1
        return ("thread", _by(time.thread_time)) if alone else ("wall", _by(time.perf_counter))
    return (
        ("events", _by_events(device)) if device.type == "cuda" else ("idle", _until_idle(device))
    )


def device_name(device: torch.device) -> str:
    """Return what the device calls itself, for instance "NVIDIA H100 80GB HBM3"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return f"{device.type} of {platform.machine()}"
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (names or [platform.processor()])[0] or platform.machine()


def _by(clock: Callable[[], float]) -> Timer:
    def timer(call: Call) -> float:
        started = clock()
        call()
        return clock() - started

    return timer


def _by_events(device: torch.device) -> Timer:
    def timer(call: Call) -> float:
        with torch.cuda.device(device):
            start = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            start.record()
            call()
            end.record()
            end.synchronize()
            return float(1e-3 * start.elapsed_time(end))

    return timer


def _until_idle(device: torch.device) -> Timer:
    def timer(call: Call) -> float:
        torch.accelerator.synchronize(device)
        started = time.perf_counter()
        call()
        torch.accelerator.synchronize(device)
        return time.perf_counter() - started

    return timer
