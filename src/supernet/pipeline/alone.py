"""Networks that are trained alone: one by each rank, where there are several ranks and enough networks.

What a rank trains, it trains as one process does, to the bit, with its whole batch. Its checkpoint and
the records of its log go to rank 0 with each checkpoint, so that the run folder has what a process alone
would have written; and the whole goes to all ranks once the network is finished, since later steps read
it from the folder that they work in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supernet.files import write_bytes
from supernet.pipeline.context import Run
from supernet.pipeline.failures import attempt_network, failed_file
from supernet.ranks import ranks
from supernet.shared_work import send, shared_out
from supernet.track.records import Failed
from supernet.train import Checkpoint
from supernet.typed import plain

__all__ = ["AloneTraining", "send_checkpoint", "train_alone"]

Found = Mapping[str, Any]
"""What a training led to, as plain data."""


@dataclass(frozen=True)
class AloneTraining:
    """A network that is to be trained alone.

    Attributes:
        said: message that says which; empty for none.
        stage: name of the training in the log.
        checkpoint: checkpoint of the training.
        identity: hash of what it depends on besides the architecture.
        record: function that makes the record of what was raised.
        work: function that trains and returns what that led to.
    """

    said: str
    stage: str
    checkpoint: Checkpoint
    identity: str
    record: Callable[[Exception], Failed]
    work: Callable[[], Found]


def train_alone(run: Run, trainings: Sequence[AloneTraining]) -> list[Found | Failed]:
    """Return what trainings led to, or how they failed, in their order.

    Fewer networks than ranks are trained by all of them together, one after the other.

    Args:
        run: run that they are of.
        trainings: networks, the same on all ranks.

    Raises:
        Exception: what is not a network's own failure, such as too little memory.
        RanksError: another rank ended.
    """

    def trained(one: AloneTraining) -> Found | Failed:
        if one.said:
            run.progress.say(one.said)
        return attempt_network(run.progress, one.checkpoint, one.identity, one.record, one.work)

    if ranks() == 1 or len(trainings) < ranks():
        return [trained(one) for one in trainings]

    def work(number: int) -> bytes:
        one, found = trainings[number], trained(trainings[number])
        kind = "failed" if isinstance(found, Failed) else "found"
        return _packed(run, one.checkpoint, one.stage, {kind: plain(found)})

    def keep(number: int, content: bytes) -> None:
        _unpack(run, trainings[number], content)

    outcomes = list[Found | Failed]()
    for one, done in zip(trainings, shared_out(len(trainings), work, keep), strict=True):
        outcome = _header(done.content)["outcome"]
        failed = Failed.from_json(outcome["failed"]) if "failed" in outcome else None
        if not done.own:
            _unpack(run, one, done.content)
            run.progress.say(f"{one.said or one.stage}: done by process {done.rank}")
            if failed is not None:
                run.progress.say(f"failed: {failed.text()}. The run goes on with the others")
        outcomes.append(failed or outcome["found"])
    return outcomes


def send_checkpoint(run: Run, checkpoint: Checkpoint, stage: str) -> None:
    """Have rank 0 keep the checkpoint of a network that this rank trains alone, and its log so far."""
    send(lambda: _packed(run, checkpoint, stage, None))


def _packed(run: Run, checkpoint: Checkpoint, stage: str, outcome: Found | None) -> bytes:
    """Return the files and log of a training, behind a line that says what they are.

    Args:
        run: run that it is of.
        checkpoint: checkpoint of the training.
        stage: name of the training in the log.
        outcome: result that it led to; None where it goes on.
    """
    files = [path.read_bytes() for path in _files(checkpoint) if path.exists()]
    header = {
        "sizes": [path.stat().st_size if path.exists() else None for path in _files(checkpoint)],
        "records": run.folder.stage_records(stage),
        "outcome": outcome,
    }
    return b"\n".join([json.dumps(header).encode(), b"".join(files)])


def _header(packed: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(packed[: packed.index(b"\n")])
    return found


def _unpack(run: Run, one: AloneTraining, packed: bytes) -> None:
    """Write what another rank packed of a training."""
    header, start = _header(packed), packed.index(b"\n") + 1
    for path, size in zip(_files(one.checkpoint), header["sizes"], strict=True):
        if size is None:
            path.unlink(missing_ok=True)  # it is of another training
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, packed[start : start + size])
            start += size
    if header["outcome"] is not None:
        one.checkpoint.drop_previous()
    run.stage_log(one.stage).replace(header["records"])


def _files(checkpoint: Checkpoint) -> list[Path]:
    return [checkpoint.path, failed_file(checkpoint)]
