"""Measuring the latency of every option on this device, for constraints and objectives."""

from __future__ import annotations

from pathlib import Path

from supernet.cost import LatencyTable, build_latency_table
from supernet.errors import ConfigError, StorageError
from supernet.pipeline.context import Run

__all__ = ["measure_latency"]


def measure_latency(
    run: Run, path: Path, *, batch_size: int = 1, precision: str = "float32", repeats: int = 50
) -> LatencyTable:
    """Build the table of latencies of the run's model, and write it.

    Args:
        run: its model, data (for the shape of the inputs) and device are used.
        path: the file; one that is there is replaced.
        batch_size: examples per forward pass.
        precision: "float32", "bfloat16", ...
        repeats: measurements of each option, or of each network where numbers are open.

    Raises:
        ConfigError: a number is not positive, or the precision unknown to the device.
        StorageError: the file cannot be written.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size is a number of examples, at least 1, not {batch_size}")
    batch = run.example.expand(batch_size, *run.example.shape[1:]).contiguous()
    table = build_latency_table(
        run.supernet, batch, precision=precision, repeats=repeats, seed=run.seed
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{path.parent} cannot be made: {error.strerror}") from error
    table.save(path)
    run.folder.record("latency", {"table": str(path), **table.provenance, **(table.held_out or {})})
    return table
