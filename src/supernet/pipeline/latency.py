"""Measuring the latency of every option on this device, for constraints and objectives."""

from __future__ import annotations

from pathlib import Path

from supernet.cost import LatencyTable, build_latency_table
from supernet.errors import ConfigError, DamagedFileError
from supernet.failures import MORE_MEMORY, machine_errors
from supernet.files import read_json, storage_errors
from supernet.modules.nested import mapped
from supernet.pipeline.context import Run
from supernet.pipeline.inputs import Inputs
from supernet.track.sections import LatencyRecord

__all__ = ["measure_latency"]

_KEYS = ("schema", "quantity", "provenance", "entries", "held_out")
"""What every measured table has, and one that is written by hand has not."""


def measure_latency(
    run: Run,
    inputs: Inputs,
    path: Path,
    *,
    batch_size: int = 1,
    precision: str = "float32",
    repeats: int = 50,
) -> LatencyTable:
    """Build the table of latencies of the run's model, and write it.

    Args:
        run: run in whose folder the table is noted.
        inputs: inputs, with the supernet that is measured.
        path: path of the file; a measured table that is there is replaced.
        batch_size: examples per forward pass.
        precision: name of the type of weights and inputs, "float32", "bfloat16", ...
        repeats: measurements of each option, or of each network where numbers are open.

    Raises:
        ConfigError: a number is not positive, or the precision unknown to the device; or the file that
            is there is no measured table.
        StorageError: the file cannot be written.
    """
    _check_replaceable(path)
    if batch_size < 1:
        raise ConfigError(f"batch_size is a number of examples, at least 1, not {batch_size}")
    with storage_errors(path):  # before anything is measured
        path.parent.mkdir(parents=True, exist_ok=True)
    batch = mapped(lambda x: x.expand(batch_size, *x.shape[1:]).contiguous(), inputs.example)
    less = f"Give a smaller --batch_size (now {batch_size}). {MORE_MEMORY}"
    with machine_errors("the measurement of latencies", less):
        table = build_latency_table(
            inputs.supernet, *batch, precision=precision, repeats=repeats, seed=run.seed
        )
    if failed := table.content.get("failed"):
        run.progress.say(
            f"warning: {len(failed)} of the whole networks that were drawn cannot be run and are left "
            f"out, the first being {failed[0]}"
        )
    table.save(path)
    if not run.folder.config.exists():  # a run may go on with these options
        run.folder.write_config(dict(run.options))
    how = {**table.provenance, **(table.held_out or {})}
    run.folder.record(LatencyRecord(table=str(path), how=how))
    return table


def _check_replaceable(path: Path) -> None:
    """Check that there is no file, a measured table, or what is no file, such as a pipe.

    Raises:
        ConfigError: what is there is something else.
    """
    if not path.is_dir() and not path.is_file():
        return
    try:
        content: object = {} if path.is_dir() else read_json(path)
    except DamagedFileError:
        content = {}
    if not isinstance(content, dict) or not {*_KEYS} <= content.keys():
        raise ConfigError(
            f"{path} is there, but no table that supernet measured, so it is not replaced; move it "
            "away, or name another file with --table"
        )
