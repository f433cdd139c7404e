"""What runs compute, to the bit: recorded before a change of the code that is to change no result.

    python -m benchmarks.bits --write before.json
    ... change the code ...
    python -m benchmarks.bits --compare before.json

Both on the same machine with the same version of torch: other kernels round differently.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

SHORT = ("--train.steps=60", "--retrain.train.steps=40", "--retrain.top=2", "--retrain.probes=2")

RUNS: dict[str, tuple[str, ...]] = {
    "spos": ("spos", "--search.searcher=random", "--search.searcher.count=20"),
    "darts": ("darts",),
    "autoformer": (
        "autoformer",
        "--search.searcher.population=8",
        "--search.searcher.generations=2",
        "--search.searcher.parents=4",
        "--search.searcher.mutants=4",
        "--search.searcher.crossovers=4",
    ),
    "converted": ("converted", "--search.searcher.count=20"),
    "smash": ("smash", "--search.searcher=random", "--search.searcher.count=20"),
    "few-shot": (
        "gdas",
        "--strategy=spos",
        "--search.searcher=random",
        "--search.searcher.count=20",
        "--few_shot.decision=2<-1",
        "--few_shot.train.steps=20",
    ),
}
"""By name a shipped configuration of the digits, and options."""


def main() -> None:
    """Run all, and write or compare what came out."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", type=Path, help="write the digests into this file")
    what.add_argument("--compare", type=Path, help="compare with the digests of this file")
    given = parser.parse_args()
    found = dict(_results())
    if given.write is not None:
        given.write.write_text(json.dumps(found, indent=2) + "\n")
        return
    before = json.loads(given.compare.read_text())
    unlike = [
        f"{name}: {what}"
        for name, digests in before.items()
        for what, digest in digests.items()
        if found[name].get(what) != digest
    ]
    same = sum(len(digests) for digests in before.values()) - len(unlike)
    print(f"{same} results of {len(before)} runs are the same to the bit, {len(unlike)} are others")
    if unlike:
        sys.exit("\n".join(unlike))


def _results() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield by run the digests of all that it computed."""
    for name, (config, *options) in RUNS.items():
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            command = [sys.executable, "-m", "supernet", "run", "--out", str(out)]
            command += ["--config", f"digits/{config}", *SHORT, *options]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            ended = subprocess.run(command, capture_output=True, text=True, env=environment)
            if ended.returncode:
                sys.exit(f"{name}: {ended.stderr or ended.stdout}")
            yield name, dict(_of_folder(out))


def _of_folder(out: Path) -> Iterator[tuple[str, str]]:
    """Yield the digests of weights, scores, measures and architectures in a run folder."""
    for file in sorted(out.rglob("*.pt")):
        yield str(file.relative_to(out)), _digest(_plain(torch.load(file, weights_only=True)))
    with closing(sqlite3.connect(out / "candidates.db")) as table:
        scores = table.execute(
            "SELECT key, status, loss, accuracy, params, macs FROM candidates ORDER BY rowid"
        ).fetchall()
    yield "scores", _digest(scores)
    architecture = json.loads((out / "architecture.json").read_text())
    yield "architecture", _digest([architecture["key"], architecture["architecture"]])
    metrics = json.loads((out / "metrics.json").read_text())
    yield "test", _digest(sorted(_numbers(metrics["test"])))


def _plain(value: Any) -> Any:
    """Return the tensors of a checkpoint in the order of their names, without what is only noted."""
    if isinstance(value, torch.Tensor):
        return [str(value.dtype), list(value.shape), value.contiguous().view(-1).tolist()]
    if isinstance(value, dict):
        if "model" in value and "step" in value:
            value = value["model"]
        return [[str(name), _plain(value[name])] for name in sorted(value, key=str)]
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return repr(value)


def _numbers(value: Any) -> Iterator[str]:
    """Yield all numbers that are no times, wherever they stand."""
    if isinstance(value, dict):
        for name, one in value.items():
            if name != "seconds":
                yield from _numbers(one)
    elif isinstance(value, list):
        for one in value:
            yield from _numbers(one)
    elif isinstance(value, float):
        yield repr(value)


def _digest(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=16).hexdigest()


if __name__ == "__main__":
    main()
