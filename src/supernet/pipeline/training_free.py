"""Scores without training of a run's networks: each computed once, and kept in `training-free.json`."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import torch

from supernet.data import whole_batch
from supernet.failures import first_line
from supernet.files import read_json, write_json
from supernet.pipeline.context import Run
from supernet.pipeline.inputs import Inputs
from supernet.random import derive_seed, generator
from supernet.shared_work import shared_out
from supernet.space import Architecture
from supernet.task import Batch
from supernet.train import digest
from supernet.training_free import network_scores, parts_of, scores_of_parts

__all__ = ["SCORES", "training_free"]

SCORES = ("az_nas", "naswot")
"""Scores without training that the scores of a run are compared with unless others are named."""

EXAMPLES = 32
"""Training examples that they are computed on, or all where there are fewer."""

SECONDS = 10.0
"""Least time between two writings of the file."""

REMEDY = "Delete it and run the same command again: the scores are computed anew"


class _Kept(TypedDict):
    """What the file holds: a hash of what the scores depend on, and by key and name the scores.

    A score that is null is not defined for the network, or failed.
    """

    identity: str
    scores: dict[str, dict[str, float | None]]


def training_free(
    run: Run, inputs: Inputs, architectures: Sequence[Architecture], names: Sequence[str]
) -> dict[str, list[float]]:
    """Return scores without training of networks, `[n]` each, by name; higher is better.

    They are of the networks as they are trained alone, with `retrain.model`.

    A network that a score is not defined for, or fails for, counts as its worst. A score that has no
    number for any of them is left out, and said.

    Args:
        run: run whose seed the fresh weights depend on.
        inputs: inputs of the run, of whose training examples a few are looked at.
        architectures: canonical architectures.
        names: names of the scores.

    Raises:
        ConfigError: there is no score of a name.
    """
    rows = _rows(run, inputs, architectures, parts_of(names))
    found = {name: scores_of_parts(name, rows) for name in names}
    return {name: _finite(values) for name, values in found.items() if not _nothing(values)}


def _rows(
    run: Run, inputs: Inputs, architectures: Sequence[Architecture], parts: Sequence[str]
) -> list[dict[str, float]]:
    """Return the scores of each network by name, NaN where there is none; those in the file are kept."""
    path = run.folder.training_free
    overrides = run.config.retrain.model
    identity = digest(["training free", run.seed, inputs.identity, overrides])
    known = _read(path, identity)
    missing = [
        one for one in architectures if any(part not in known.get(one.key, {}) for part in parts)
    ]
    bar, written = run.progress.task("training-free", len(missing)), time.monotonic()
    batch, failed = _batch(run, inputs) if missing else [], dict[str, str]()
    supernet = inputs.models.retraining("training free", overrides) if missing else inputs.supernet
    seed = derive_seed(run.seed, "training free")

    def work(number: int) -> bytes:
        one = missing[number]
        wanted = [part for part in parts if part not in known.get(one.key, {})]
        found = network_scores(supernet, one, wanted, batch, inputs.task, seed)
        return json.dumps({part: _plain(value) for part, value in found.items()}).encode()

    for number, done in enumerate(shared_out(len(missing), work), 1):
        row = known.setdefault(missing[number - 1].key, {})
        for part, value in json.loads(done.content).items():
            if isinstance(value, str):
                failed.setdefault(value, part)
            row[part] = None if isinstance(value, str) else value
        bar.advance()
        if number == len(missing) or time.monotonic() - written > SECONDS:
            write_json(path, {"identity": identity, "scores": known})
            written = time.monotonic()
    for reason, part in failed.items():
        lost = sum(known[one.key][part] is None for one in architectures)
        run.progress.say(f"{lost:,} of {len(architectures):,} networks have no {part}: {reason}")
    rows = [known.get(one.key, {}) for one in architectures]
    return [{part: _number(row[part]) for part in parts} for row in rows]


def _read(path: Path, identity: str) -> dict[str, dict[str, float | None]]:
    """Return what the file holds, nothing where it is of another seed, model or data."""
    if not path.exists():
        return {}
    kept = read_json(path, _Kept, REMEDY)
    return kept["scores"] if kept["identity"] == identity else {}


def _batch(run: Run, inputs: Inputs) -> Batch:
    """Return a few random training examples, as the model takes them."""
    train = inputs.splits.train
    order = torch.randperm(len(train), generator=generator(run.seed, "training free"))
    few = train.select(order[:EXAMPLES].to(train.targets.device))
    return whole_batch(few, inputs.normalise)


def _plain(value: float | Exception) -> float | str | None:
    """Return a score, None where it is no finite number, or why it failed."""
    if isinstance(value, Exception):
        return first_line(value)
    return value if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _nothing(values: Sequence[float]) -> bool:
    return all(math.isnan(value) for value in values)


def _finite(values: Sequence[float]) -> list[float]:
    """Return values with those that are no numbers below all others."""
    worst = min(value for value in values if not math.isnan(value)) - 1.0
    return [worst if math.isnan(value) else value for value in values]
