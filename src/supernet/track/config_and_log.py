"""`config.yaml` and `log.jsonl` of a run folder: how they are written and read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import yaml

from supernet.errors import ConfigError, DamagedFileError
from supernet.files import read_bytes
from supernet.origin import without_origin
from supernet.reading import yaml_value
from supernet.strict_json import parse_json
from supernet.typed import Count, MisfitError, typed

__all__ = ["Record", "config_text", "log_records", "read_config"]

MARK = "# digest: "
"""Before the digest in the first line of a configuration, a comment of YAML; at the end, it would be
missing from a file that was cut off."""


class Record(TypedDict):
    """A line of the log."""

    stage: str
    step: Count
    seconds: NotRequired[float]
    loss: NotRequired[float | None]
    learning_rate: NotRequired[float | None]
    images_per_second: NotRequired[float | None]
    least_trained: NotRequired[float | None]
    most_trained: NotRequired[float | None]
    watched_loss: NotRequired[float | None]
    watched_accuracy: NotRequired[float | None]
    watched_figure: NotRequired[float | None]
    watched_tau: NotRequired[float | None]


class Training(TypedDict):
    """Options of which those of a training are a part."""

    train: NotRequired[dict[str, Any]]


class Options(TypedDict):
    """Options in groups; what is in a group, the parser of options checks."""

    split: NotRequired[dict[str, Any]]
    train: NotRequired[dict[str, Any]]
    watch: NotRequired[dict[str, Any]]
    few_shot: NotRequired[Training]
    evaluate: NotRequired[dict[str, Any]]
    search: NotRequired[dict[str, Any]]
    retrain: NotRequired[Training]


def config_text(config: Mapping[str, Any]) -> str:
    """Return a configuration as YAML, with its digest in a comment at the beginning."""
    text = yaml.safe_dump(dict(config), sort_keys=False)
    return f"{MARK}{_digest(text)}\n{text}"


def read_config(path: Path, *, verify: bool = True) -> dict[str, Any]:
    """Return the options in a configuration that `config_text` made; without a digest, as they are.

    Args:
        path: path of the file.
        verify: whether to refuse what was changed since it was written.

    Raises:
        DamagedFileError: the file cannot be read, holds no options, or was changed.
    """
    remedy = "Put a copy of it back, or start anew in another folder"
    try:
        text = read_bytes(path).decode("utf-8")
        config = dict(typed(yaml_value(text, "it"), Options))
    except (MisfitError, ConfigError, UnicodeDecodeError) as error:
        reason = "" if isinstance(error, UnicodeDecodeError) else f": {error}"
        raise DamagedFileError(f"{path} is damaged{reason}. {remedy}") from error
    first, _, body = without_origin(text).partition("\n")
    if verify and first.startswith(MARK) and first.removeprefix(MARK) != _digest(body):
        raise DamagedFileError(
            f"{path} was changed since the run wrote it, so the results in the folder may be of other "
            "options. Put a copy of it back, and give other options on the command line, which repeats "
            f"what depends on them. If the change is meant, delete the first line, {first[:20]!r}..."
        )
    return config


def log_records(path: Path) -> Iterator[tuple[str, Record]]:
    """Yield the whole lines of a log and what they hold.

    What is no record is left out: a torn line, of a process that was killed, and what others wrote. The
    log is shown and decides nothing.

    Raises:
        DamagedFileError: the file cannot be read.
    """
    if not path.exists():
        return
    *lines, _torn = read_bytes(path).split(b"\n")
    for line in lines:
        try:
            record = parse_json(line, Record)
        except ValueError:
            continue
        yield f"{line.decode()}\n", record


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
