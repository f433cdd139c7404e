"""Plain data against types, and JSON that is read strictly."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest

from supernet.errors import DamagedFileError
from supernet.files import read_bytes, read_json
from supernet.record_fields import Inline, Omitted, Rest
from supernet.strict_json import ChangedError, parse_json, seal, unseal
from supernet.typed import Between, Count, JsonRecord, MadeBy, MisfitError, plain, typed


@dataclass(frozen=True)
class Point:
    x: float
    name: str = "origin"


class Shape(TypedDict):
    kind: Literal["line", "area"]
    points: tuple[Point, ...]
    share: NotRequired[Annotated[float, Between(0, 1)] | None]
    more: NotRequired[dict[Literal["a", "b"], list[Count]]]


GOOD = {"kind": "line", "points": [{"x": 1, "further": []}], "share": None, "more": {"a": [0]}}


def test_data_of_the_type_comes_back_and_dataclasses_are_made():
    assert typed(GOOD, Shape) == {**GOOD, "points": (Point(1),)}
    assert typed({"kind": "area", "points": []}, Shape) == {"kind": "area", "points": ()}
    assert typed({**GOOD, "of later versions": 3}, Shape)["of later versions"] == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "circle"}, "at kind there is 'circle', where 'line' or 'area' is expected"),
        ({"points": {}}, r"at points there is \{\}, where a list is expected"),
        ({"points": [{}]}, r"at points\[0\].x there is nothing, where a number is expected"),
        ({"points": [{"x": True}]}, r"at points\[0\].x there is True, where a number"),
        (
            {"points": [{"x": 1, "name": None}]},
            r"at points\[0\].name there is nothing, where a text",
        ),
        ({"share": 2.0}, "at share there is 2.0, where a number from 0 to 1 or nothing"),
        ({"share": "half"}, "at share there is 'half'"),
        ({"more": {"c": []}}, "at more.c there is 'c', where 'a' or 'b' is expected"),
        ({"more": {"a": [1, -1]}}, r"at more.a\[1\] there is -1, where a number of at least 0"),
        ({"more": {"a": [1.0]}}, r"at more.a\[0\] there is 1.0, where a whole number"),
        ({"more": {"a": [10**5000]}}, "there is a number of 16610 bits, where a whole number"),
    ],
)
def test_what_is_of_another_type_is_said_with_its_place(change, words):
    with pytest.raises(MisfitError, match=words):
        typed({**GOOD, **change}, Shape)


@dataclass(frozen=True)
class Drawing(JsonRecord):
    title: str
    at: Inline[Point]
    shares: Rest[Mapping[str, float]]
    points: tuple[Point, ...] = ()
    letters: Omitted[Annotated[set[str], MadeBy(str, set, "letters")] | None] = None
    number: Omitted[Count] = 0


def test_records_are_written_as_they_are_read():
    content = {"title": "t", "x": 1, "name": "n", "b": 2.5, "points": [{"x": 0, "name": "p"}]}
    found = Drawing.from_json(content)
    assert found == Drawing("t", Point(1, "n"), {"b": 2.5}, (Point(0, "p"),))
    assert list(found.to_json().items()) == list(content.items())
    assert Drawing.from_json({**content, "letters": "aba", "number": 3}).letters == {"a", "b"}
    assert Drawing("t", Point(1), {}, number=3).to_json() == {
        "title": "t",
        "x": 1,
        "name": "origin",
        "points": [],
        "number": 3,
    }
    assert plain({"a": (Point(1), [None])}) == {"a": [{"x": 1, "name": "origin"}, [None]]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": "1"}, "at x there is '1', where a number is expected"),
        ({"more": "1"}, "at more there is '1', where a number is expected"),
        ({"points": [{}]}, r"at points\[0\].x there is nothing"),
        ({"letters": 3}, "at letters there is 3, where letters or nothing is expected"),
        ({"number": -1}, "at number there is -1, where a number of at least 0"),
    ],
)
def test_what_a_record_cannot_hold_is_said_with_its_place(change, words):
    with pytest.raises(MisfitError, match=words):
        Drawing.from_json({"title": "t", "x": 1, **change})
    with pytest.raises(MisfitError, match="at x there is nothing, where a number is expected"):
        Drawing.from_json({"title": "t"})


def test_what_cannot_be_made_is_said_with_the_reason():
    kind = Annotated[int, MadeBy(str, int, "digits")]
    assert typed("12", kind) == 12
    with pytest.raises(
        MisfitError, match=r"it is 'x' \(invalid literal.*, where digits is expected"
    ):
        typed("x", kind)


def test_numbers_are_finite_and_texts_may_be_long():
    for wrong in (float("nan"), float("inf"), 2**63, -(2**63)):
        with pytest.raises(MisfitError):
            typed(wrong, float)
    assert typed(2**63 - 1, float) == 2**63 - 1
    with pytest.raises(MisfitError, match="…"):
        typed("x" * 10_000, int)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1, "a": 2}', "'a' is given twice"),
        ("NaN", "NaN is no number"),
        ("-Infinity", "-Infinity is no number"),
        ("1e999", "too large"),
        ("[" * 100_000, "nested too deeply"),
        ("1" * 5_000, "limit"),
        (r'"\ud800"', "half of a character"),
        (b'"\xff"', "utf-8"),
        (b"\xef\xbb\xbf1", "BOM"),
        ("", "Expecting value"),
    ],
)
def test_what_is_no_strict_json_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        parse_json(text, object)


def test_characters_of_two_halves_are_whole():
    assert parse_json(r'"\ud83d\ude00"', str) == "\N{GRINNING FACE}"


def test_every_change_of_sealed_content_is_noticed():
    content = {"b": {"2": [1, 0.1], "10": None}, "a": "x"}
    text = json.dumps(seal({"b": {2: [1, 0.1], 10: None}, "a": "x"}))
    assert unseal(json.loads(text)) == content
    sealed = json.loads(text)
    for change in (
        {"a": "y"},
        {"b": {**content["b"], "2": [1, 0.2]}},
        {"b": {**content["b"], "2": [1.0, 0.1]}},
        {"c": 0},
    ):
        with pytest.raises(ChangedError):
            unseal({**sealed, **change})
    del sealed["digest"]
    assert unseal({**sealed, "a": "meant"})["a"] == "meant"
    with pytest.raises(MisfitError, match="at digest"):
        unseal({**content, "digest": 5})


def test_files_that_cannot_be_read_are_named_with_a_remedy(tmp_path):
    folder, pipe, loop = tmp_path / "folder", tmp_path / "pipe", tmp_path / "loop"
    folder.mkdir()
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    for path, word in ((folder, "a folder"), (pipe, "no ordinary file"), (loop, "cannot be read")):
        with pytest.raises(DamagedFileError, match=word) as caught:
            read_bytes(path)
        assert str(path) in str(caught.value)
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "missing")
    file = tmp_path / "a.json"
    file.write_text('{"a": [{"b": 3}]}')
    with pytest.raises(DamagedFileError, match=r"at a\[0\].b there is 3.*Build it again"):
        read_json(file, dict[str, list[dict[str, str]]], "Build it again")
    assert read_json(file, dict[str, Any]) == {"a": [{"b": 3}]}
