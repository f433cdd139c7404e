"""What becomes of a network that fails: it is recorded and named, and the others go on.

Every step that does something for one network after the other calls `attempt_network`. What is the
network's own failure (see `supernet.failures`) is kept in a file beside its checkpoint, so that a run
that is resumed does not repeat it; all else is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from supernet.config import RunConfig
from supernet.errors import NoNetworkError
from supernet.evaluate import Candidate
from supernet.failures import MORE_MEMORY, Kind, attempted
from supernet.files import read_json, write_json
from supernet.track import Progress, RunFolder
from supernet.track.records import Failed
from supernet.train import Checkpoint
from supernet.typed import JsonRecord

__all__ = [
    "attempt_network",
    "failed_candidates",
    "failed_file",
    "failure_summary",
    "less_memory",
    "none_left_error",
    "read_failure",
]

REMEDIES: dict[Kind, str] = {
    "numbers": "a smaller learning rate, a longer warm-up or stronger gradient clipping usually helps; "
    "an option that gives infinite numbers must be mended or left out",
    "measure": "where a measure of the task is no finite number though the loss is one, the measure may "
    "be wrong",
    "code": "mend the code that raised it, or leave out the option that it lies in",
    "library": "this is a mistake of supernet: please report it with this message",
}
"""What can be done about failures, by their kind."""

T = TypeVar("T")


@dataclass(frozen=True)
class FailureFile(JsonRecord):
    """What the file of a failure holds.

    Attributes:
        identity: a hash of what the work depends on besides the architecture; the failure counts only
            for a network with this one.
        failed: the failure.
    """

    identity: str
    failed: Failed


def attempt_network(
    progress: Progress,
    checkpoint: Checkpoint,
    identity: str,
    record: Callable[[Exception], Failed],
    work: Callable[[], T],
) -> T | Failed:
    """Return what the work for one network returns, or how it failed, now or before.

    Args:
        progress: messages, among which a failure is said.
        checkpoint: checkpoint of the network; the failure is kept beside it.
        identity: a hash of what the work depends on besides the architecture; a failure of another one
            is forgotten.
        record: function that makes the record of what was raised.
        work: function that does the work.

    Raises:
        Exception: what is not the network's own failure, such as too little memory.
    """
    file = failed_file(checkpoint)
    if (before := read_failure(file, identity)) is not None:
        progress.say(
            f"failed before, and is not tried again: {before.text()}. To try it again, delete {file}"
        )
        return before
    file.unlink(missing_ok=True)
    found = attempted(work)
    if not isinstance(found, Exception):
        return found
    failed = record(found)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, FailureFile(identity, failed).to_json())
    progress.say(f"failed: {failed.text()}. The run goes on with the others")
    return failed


def failed_file(checkpoint: Checkpoint) -> Path:
    """Return the file that keeps the failure of the network with this checkpoint."""
    return checkpoint.path.with_suffix(".failed.json")


def read_failure(file: Path, identity: str) -> Failed | None:
    """Return the failure in a file, if it is of this identity.

    Raises:
        DamagedFileError: the file cannot be read.
    """
    if not file.exists():
        return None
    remedy = "Delete it and run the same command again; its network is tried again"
    content = read_json(file, FailureFile, remedy)
    return content.failed if content.identity == identity else None


def failed_candidates(candidates: Iterable[Candidate]) -> list[Failed]:
    """Return the records of the candidates that failed."""
    return [
        Failed(
            key=one.key,
            role="candidate",
            architecture=dict(one.architecture),
            kind=one.kind or "code",
            error=one.error or "",
        )
        for one in candidates
        if one.status == "failed"
    ]


def less_memory(config: RunConfig, folder: RunFolder, step: str) -> str:
    """Return what makes a step need less memory."""
    training = {
        "train": ("train", config.train),
        "few_shot": ("few_shot.train", config.few_shot.train),
        "retrain": ("retrain.train", config.retrain.train),
    }
    smaller, parts = [], ""
    if step in training:
        name, options = training[step]
        smaller.append(f"--{name}.batch_size (now {options.batch_size})")
        if step == "retrain" or config.strategy.adds:
            parts = f"let a batch pass in --{name}.accumulate {2 * options.accumulate} parts"
    if step in ("search", "retrain", "test"):
        smaller.append(f"--evaluate.batch_size (now {config.evaluate.batch_size})")
    if not smaller:
        return MORE_MEMORY
    advice = f"Give a smaller {' or '.join(smaller)}" + (f", or {parts}" if parts else "")
    if step == "train" and folder.has_results():
        advice += ", in another folder, since the supernet that is trained here depends on it"
    if step in ("retrain", "test"):
        advice += "; with another --evaluate.batch_size the search is repeated"
    if step == "search" and config.evaluate.memory:
        advice += f"; --evaluate.memory 0 (now {config.evaluate.memory} MB) keeps nothing beside it"
    return f"{advice}. {MORE_MEMORY.replace('Close', 'Or close')}"


def failure_summary(failed: Sequence[Failed], tried: int, what: str, where: str) -> str:
    """Return one line on all that failed in a step.

    Args:
        failed: networks that failed, at least one.
        tried: number of networks that were tried.
        what: plural noun for the networks, such as "candidates".
        where: name of the place where all failures are listed.
    """
    remedies = dict.fromkeys(filter(None, (REMEDIES.get(one.kind) for one in failed)))
    return (
        f"warning: {len(failed):,} of {tried:,} {what} failed and are left out (all in {where}), the "
        f"first being {failed[0].text()}. {'. '.join(map(_sentence, remedies))}"
    ).strip()


def none_left_error(failed: Sequence[Failed], what: str, next_step: str) -> NoNetworkError:
    """Return the error for a step of which no network is left.

    Args:
        failed: networks that failed, at least one.
        what: plural noun for the networks, such as "networks that were retrained".
        next_step: advice on what can be done besides the remedies.
    """
    lines = "\n  ".join(one.text() for one in failed[:SOME])
    more = f"\n  and {len(failed) - SOME:,} more" if len(failed) > SOME else ""
    remedies = dict.fromkeys(filter(None, (REMEDIES.get(one.kind) for one in failed)))
    advice = " ".join(f"{_sentence(remedy)}." for remedy in remedies)
    return NoNetworkError(
        f"none is left of the {len(failed):,} {what}:\n  {lines}{more}\n{advice} {next_step}".strip()
    )


SOME = 5
"""Failures that are listed where none is left."""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
