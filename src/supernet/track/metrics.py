"""`metrics.json`: its sections as one record, and how it is read and written.

It decides which networks are retrained, chosen and tested, so it carries a digest, and what does not
match it is refused; what only shows results goes on, and says that they were changed.

The file has a version. Version 1, which has no number, has the same keys but for those of the records
that have a default.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

from supernet.errors import DamagedFileError
from supernet.files import read_json, write_json
from supernet.record_fields import Omitted
from supernet.strict_json import ChangedError, seal, unseal
from supernet.track.sections import (
    DataRecord,
    EnvironmentRecord,
    FewShotRecord,
    IdentityRecord,
    LatencyRecord,
    RetrainRecord,
    SearchRecord,
    Section,
    TestRecord,
    TrainRecord,
)
from supernet.typed import Between, JsonRecord, MisfitError, shown_json

__all__ = ["VERSION", "Metrics", "forget_sections", "read_metrics", "record_section"]

VERSION = 2
"""Of the file as it is written now."""

REMEDY = (
    "Delete it and run the same command again; the steps are repeated from the files before them"
)

S = TypeVar("S", bound=Section)


@dataclass(frozen=True, kw_only=True)
class Metrics(JsonRecord):
    """All sections; each is there once its step has ended.

    Attributes:
        version: the version of the file, 2; files of version 1 have none.
        environment: where the supernet was trained.
        data: the data of the run.
        identity: hashes of what the results depend on besides options.
        train: the training of the supernet.
        few_shot: the training of its parts.
        latency: the table of latencies that was measured.
        search: the search.
        retrain: training networks alone, and the choice.
        test: the test.
        tested_before: the sections `test` from before options changed, oldest first: how often the test
            split was read for a choice.
    """

    version: Annotated[int, Between(1, VERSION)] = VERSION
    environment: Omitted[EnvironmentRecord | None] = None
    data: Omitted[DataRecord | None] = None
    identity: Omitted[IdentityRecord | None] = None
    train: Omitted[TrainRecord | None] = None
    few_shot: Omitted[FewShotRecord | None] = None
    latency: Omitted[LatencyRecord | None] = None
    search: Omitted[SearchRecord | None] = None
    retrain: Omitted[RetrainRecord | None] = None
    test: Omitted[TestRecord | None] = None
    tested_before: Omitted[tuple[Mapping[str, Any], ...]] = ()

    def section(self, name: str) -> Section | None:
        """Return a section by its name; None where it is not there, or no section has this name."""
        return next((one for one in self.sections if name == one.SECTION), None)

    def of(self, kind: type[S]) -> S | None:
        """Return the section of a class, or None where it is not there."""
        return cast("S | None", self.section(kind.SECTION))

    @property
    def sections(self) -> list[Section]:
        """The sections that are there."""
        every = (
            self.environment,
            self.data,
            self.identity,
            self.train,
            self.few_shot,
            self.latency,
            self.search,
            self.retrain,
            self.test,
        )
        return [section for section in every if section is not None]

    @property
    def names(self) -> Collection[str]:
        """The names of the sections that are there."""
        return [section.SECTION for section in self.sections]


def read_metrics(path: Path, notes: list[str] | None = None) -> Metrics:
    """Return what is written in a file; nothing where there is no file.

    Args:
        path: path of the file.
        notes: list that what is wrong with the digest is added to, where the content is only shown;
            otherwise it is refused.

    Raises:
        DamagedFileError: the file cannot be read, is of another shape or of a later version, or was
            changed.
    """
    return _read(path, notes)[1]


def record_section(path: Path, section: Section) -> None:
    """Write a section into a file, in place of the one of this name; all others stay as they are.

    Raises:
        DamagedFileError: the file cannot be read, or was changed.
        StorageError: the file cannot be written; the one that was there is intact.
    """
    _write(path, {**_read(path)[0], section.SECTION: section.to_json()})


def forget_sections(path: Path, names: Collection[str]) -> None:
    """Leave sections out of a file. What the test split was read for stays, under "tested_before".

    Raises:
        DamagedFileError: the file cannot be read, or was changed.
        StorageError: the file cannot be written; the one that was there is intact.
    """
    content, metrics = _read(path)
    kept = {name: section for name, section in content.items() if name not in names}
    if metrics.test is not None and metrics.test.SECTION in names:
        kept["tested_before"] = [*metrics.tested_before, content[metrics.test.SECTION]]
    _write(path, kept)


def _write(path: Path, content: Mapping[str, Any]) -> None:
    write_json(path, seal({**content, "version": VERSION}))


def _read(path: Path, notes: list[str] | None = None) -> tuple[dict[str, Any], Metrics]:
    """Return the content of a file as it is, of the version of now, and what it says."""
    if not path.exists():
        return {"version": VERSION}, Metrics()
    content = read_json(path, dict[str, Any], REMEDY)
    try:
        _check_version(path, content)
        try:
            content = unseal(content)
        except ChangedError as error:
            if notes is None:
                raise DamagedFileError(
                    f'{path}: {error}. If the change is meant, delete its line "digest"; otherwise put '
                    "a copy of the file back, or delete it and run the same command again: the steps "
                    "are repeated from the files before them"
                ) from error
            notes.append(
                f"{path.name} was changed since the run wrote it: what is shown is not what was found"
            )
            content = {name: section for name, section in content.items() if name != "digest"}
        content = {
            "version": VERSION,
            **content,
        }
        metrics = Metrics.from_json(content)
        _check_keys(metrics)
    except MisfitError as error:
        raise DamagedFileError(
            f"{path} is damaged or of another version: {error}. {REMEDY}"
        ) from error
    return content, metrics


def _check_version(path: Path, content: Mapping[str, Any]) -> None:
    """Check that the version of a file is known here.

    Raises:
        DamagedFileError: it is a later one.
        MisfitError: it is no version.
    """
    version = content.get("version", VERSION)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise MisfitError(("version",), shown_json(version), f"a number from 1 to {VERSION}")
    if version > VERSION:
        raise DamagedFileError(
            f"{path} is of version {version}, written by a later supernet; this one reads versions up "
            f"to {VERSION}. Install the supernet that wrote it, or a later one; or choose another folder"
        )


def _check_keys(metrics: Metrics) -> None:
    """Check that keys name networks that are listed.

    Raises:
        MisfitError: one does not.
    """
    for place, key, known in _references(metrics):
        if key not in known:
            raise MisfitError(place, repr(key), f"one of {sorted(known)}")


def _references(metrics: Metrics) -> Iterator[tuple[tuple[str, ...], str, set[str]]]:
    """Yield every key that names a network: where it stands, and what it can be."""
    if (retrain := metrics.retrain) is not None:
        rows = {row.key for row in retrain.candidates}
        yield ("retrain", "chosen"), retrain.chosen, rows
        if metrics.search is not None:
            named = [*metrics.search.selected, *retrain.substitutes, *retrain.promising]
            given = {row.key for row in named}
            drawn = {row.key for row in retrain.baselines.networks}
            yield ("retrain", "chosen"), retrain.chosen, given | drawn
            if retrain.searched is not None:
                yield ("retrain", "searched"), retrain.searched, given
        for row in retrain.baselines.networks:
            tried = rows | {one.key for one in retrain.failed}
            yield ("retrain", "baselines", "networks"), row.key, tried
    if metrics.test is not None:
        random = {row.key for row in metrics.test.random}
        for key in metrics.test.better:
            yield ("test", "better"), key, random
