"""The pages on a run folder and its files, and their JSON Schemas, made of their descriptions.

`python -m supernet.track.published docs` writes `docs/schema/*.schema.json`, and what stands between
the marks `<!-- made: NAME -->` and `<!-- end -->` in `docs/run-folder.md`.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from supernet.files import write_text
from supernet.record_fields import RecordField, record_fields
from supernet.schema import descriptions, json_schema, summary
from supernet.space import Architecture
from supernet.track.contents import ENTRIES, STEPS, Entry
from supernet.track.metrics import VERSION, Metrics
from supernet.track.profile import ProfileRecord
from supernet.track.ranking import VERSION as RANKING_VERSION
from supernet.track.ranking import Ranking
from supernet.track.records import Failed
from supernet.track.watch import WatchRecord

__all__ = ["SCHEMAS", "made_page", "made_schema", "write_published"]

SCHEMAS: Mapping[str, tuple[type, str]] = {
    "schema/metrics.schema.json": (
        Metrics,
        f"metrics.json of a run of supernet, version {VERSION}",
    ),
    "schema/ranking.schema.json": (
        Ranking,
        f"ranking.json of a run of supernet, version {RANKING_VERSION}",
    ),
}
"""The files of schemas, in the folder of the pages: of what, and the title."""

PAGE = "run-folder.md"
"""The page, in the same folder."""

_BLOCK = re.compile(r"(?<=<!-- made: )(\w+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)

_WORDS: dict[Any, str] = {
    str: "text",
    bool: "true or false",
    int: "whole number",
    float: "number",
    type(None): "null",
    Any: "any",
    Architecture: "answers",
}

_STAYS = {
    "never": "always",
    "repeated": "until the step is to be repeated",
    "changed": "until code, weights or data change that the step depends on",
}


def made_schema(file: str) -> str:
    """Return the JSON Schema that a file of `SCHEMAS` holds."""
    kind, title = SCHEMAS[file]
    return json.dumps(json_schema(kind, title), indent=2, ensure_ascii=False) + "\n"


def made_page(text: str) -> str:
    """Return a page with its blocks made anew."""
    blocks: dict[str, Callable[[], str]] = {
        "files": _files,
        "steps": _steps,
        "metrics": _metrics,
        "failed": _failed,
        "ranking": partial(_file, Ranking),
        "watch": partial(_file, WatchRecord, Ranking),
        "profile": partial(_file, ProfileRecord),
    }
    return _BLOCK.sub(
        lambda found: f"{found[1]}{found[2]}\n{blocks[found[1]]()}\n\n",
        text,
    )


def write_published(folder: Path) -> None:
    """Write the schemas, and the blocks of the page, in a folder of pages.

    Raises:
        StorageError: a file cannot be written.
    """
    for file in SCHEMAS:
        (folder / file).parent.mkdir(exist_ok=True)
        write_text(folder / file, made_schema(file))
    write_text(folder / PAGE, made_page((folder / PAGE).read_text()))


def _files() -> str:
    def row(entry: Entry) -> Sequence[str]:
        return f"`{entry.name}`", entry.step, _STAYS[entry.goes], entry.content

    return _table(("file", "written by", "stays", "content"), map(row, ENTRIES))


def _steps() -> str:
    rows = ((f"`{s.name}`", ", ".join(f"`{option}`" for option in s.options)) for s in STEPS)
    return _table(("step", "options"), rows)


def _metrics() -> str:
    """Return the table of sections, and of each section and of each record within a table of keys."""
    parts = [_table(("section", "content"), _rows(Metrics, kinds=False))]
    for kind in _records(Metrics):
        name = getattr(kind, "SECTION", None)
        heading = f"### {kind.__name__}" if name is None else f"### `{name}`"
        parts += [heading, summary(kind), _table(("key", "holds", "content"), _rows(kind))]
    return "\n\n".join(parts)


def _file(record: type, *before: type) -> str:
    """Return the table of keys of a file, and of the records in it that files before it lack."""
    known = [kind for one in (Metrics, *before) for kind in _records(one)]
    parts = [_table(("key", "holds", "content"), _rows(record))]
    for kind in _records(record):
        if kind not in known:
            heads = ("key", "holds", "content")
            parts += [f"### {kind.__name__}", summary(kind), _table(heads, _rows(kind))]
    return "\n\n".join(parts)


def _failed() -> str:
    return _table(("key", "holds", "content"), _rows(Failed))


def _rows(kind: type, kinds: bool = True) -> Iterator[Sequence[str]]:
    told = descriptions(kind)
    for field in record_fields(kind):
        if field.how == "inline":
            yield from _rows(field.inlined, kinds)
            continue
        name = "further keys" if field.how == "rest" else f"`{field.name}`"
        words = [_words(_of_rest(field) if field.how == "rest" else field.kind)] if kinds else []
        yield name, *words, told[field.name].rstrip(".")


def _of_rest(field: RecordField) -> Any:
    """Return what each of the further keys holds."""
    return typing.get_args(typing.get_args(field.kind)[0])[1]


def _records(kind: type) -> Sequence[type]:
    """Return the dataclasses that stand in the fields of one, each once, and before those in theirs."""
    waiting, found = list(_inner(kind)), list[type]()
    while waiting:
        one = waiting.pop(0)
        if one not in found and one is not Failed:
            found.append(one)
            waiting = (
                [*_inner(one), *waiting] if hasattr(one, "SECTION") else [*waiting, *_inner(one)]
            )
    sections = [one for one in found if hasattr(one, "SECTION")]
    return [*sections, *(one for one in found if one not in sections)]


def _inner(kind: Any) -> Iterator[type]:
    for field in record_fields(kind):
        if field.how == "inline":
            yield from _inner(field.inlined)
        else:
            yield from _dataclasses(field.kind)


def _dataclasses(kind: Any) -> Iterator[type]:
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        yield kind
    for one in typing.get_args(kind):
        yield from _dataclasses(one)


def _words(kind: Any) -> str:
    """Say what a value is."""
    origin, inner = typing.get_origin(kind) or kind, typing.get_args(kind)
    if origin is Annotated:
        return _words(inner[0])
    if origin is Literal:
        return " or ".join(f'"{one}"' for one in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_words, inner)))
    if origin is Failed:
        return "[failure](#failures)"
    if isinstance(origin, type) and dataclasses.is_dataclass(origin):
        name = str(getattr(origin, "SECTION", origin.__name__))
        return f"[{name}](#{name.lower()})"
    if origin is tuple:
        return f"list of {_words(inner[0])}"
    if origin not in _WORDS and issubclass(origin, Mapping):
        return f"object of {_words(inner[1])}"
    return _WORDS[origin]


def _table(heads: Sequence[str], rows: typing.Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |".replace("  ", " ") for line in lines)


if __name__ == "__main__":
    write_published(Path(sys.argv[1]))
