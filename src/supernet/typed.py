"""Plain data as typed values: what a file must hold is written once, as Python types.

The types are those of annotations: `int`, `float`, `str`, `bool`, `None`, `Any`, `Literal`, unions,
lists, tuples of any length, dictionaries, `TypedDict`s (whose keys are there unless `NotRequired`) and
dataclasses, and `Annotated` with `Where` and `MadeBy`. A dataclass is made of an object with its fields;
all else stays the plain data that it is. `plain` goes the other way. Fields of a dataclass may be
`Rest`, `Inline` or `Omitted`:

>>> @dataclass(frozen=True)
... class Network(JsonRecord):
...     key: str
...     costs: Rest[Mapping[str, float]]
...     warning: Omitted[str | None] = None
>>> Network.from_json({"key": "a", "params": 3})
Network(key='a', costs={'params': 3}, warning=None)
>>> Network("a", {"params": 3}).to_json()
{'key': 'a', 'params': 3}

>>> from typing import TypedDict
>>> class Score(TypedDict):
...     loss: float
>>> typed({"scores": [{"loss": 0.5}]}, dict[str, list[Score]])
{'scores': [{'loss': 0.5}]}
>>> typed({"scores": [{"loss": "0.5"}]}, dict[str, list[Score]])
Traceback (most recent call last):
    ...
supernet.typed.MisfitError: at scores[0].loss there is '0.5', where a number is expected
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Self, TypeVar, Union, cast

from supernet.record_fields import Inline, Omitted, Rest, keys_of, record_fields

T = TypeVar("T")

__all__ = [
    "AtLeast",
    "Between",
    "Count",
    "Inline",
    "JsonRecord",
    "MadeBy",
    "MisfitError",
    "Omitted",
    "Rest",
    "Where",
    "plain",
    "shown_json",
    "typed",
]

_LONGEST = 60
"""Characters of a value that a message shows."""

_LARGEST = 2**63
"""Whole numbers lie below it, and above its negative: what SQLite and PyTorch can hold."""


class MisfitError(ValueError):
    """Data is not of the type that is expected: says at which place, what is there, what should be.

    Attributes:
        place: place in the data, for instance `search.selected[0].key`; empty for all of it.
        depth: number of levels that the place is deep.
    """

    def __init__(self, place: tuple[str | int, ...], found: str, expected: str) -> None:
        self.place = _joined(place)
        self.depth = len(place)
        self.expected = expected
        where = f"at {self.place} there is" if place else "it is"
        super().__init__(f"{where} {found}, where {expected} is expected")


@dataclass(frozen=True)
class Where:
    """What a value must be besides of its type, in `Annotated[TYPE, Where(TEST, WORDS)]`.

    Attributes:
        test: whether a value is so.
        words: words for what is expected, for messages.
        schema: the same in the words of JSON Schema, as far as it can say it.
    """

    test: Callable[[Any], bool]
    words: str
    schema: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False)


def AtLeast(least: float) -> Where:  # reads as a type
    """Return the condition that a number is not smaller."""
    return Where(lambda value: value >= least, f"a number of at least {least}", {"minimum": least})


def Between(low: float, high: float) -> Where:  # reads as a type
    """Return the condition that a number is in a range."""
    schema = {"minimum": low, "maximum": high}
    return Where(lambda value: low <= value <= high, f"a number from {low} to {high}", schema)


@dataclass(frozen=True)
class MadeBy:
    """How a value is made of plain data, in `Annotated[TYPE, MadeBy(PLAIN, MAKE, WORDS)]`.

    Attributes:
        kind: the type of the plain data.
        make: makes the value; a `ValueError` says that the data does not fit.
        words: words for what is expected, for messages.
    """

    kind: Any
    make: Callable[[Any], object]
    words: str


Count = Annotated[int, AtLeast(0)]
"""A number of things."""


def typed(value: object, kind: type[T]) -> T:
    """Return plain data as what a type says.

    Args:
        value: dictionaries with texts as keys, lists, texts, numbers, booleans and None.
        kind: the type; objects may have more keys than a `TypedDict` or a dataclass names.

    Raises:
        MisfitError: the data is of another type. Numbers must be finite, and whole ones below 2^63.
    """
    return cast(T, _typed(value, kind, ()))


def plain(value: object) -> Any:
    """Return the plain data that `typed` makes a value of; dataclasses become objects, tuples lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        found: dict[str, Any] = {}
        for field in record_fields(type(value)):
            one = getattr(value, field.name)
            if field.how in ("rest", "inline"):
                found.update(plain(one))
            elif field.how != "omitted" or one != field.default:
                found[field.name] = plain(one)
        return found
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


class JsonRecord:
    """Base of frozen dataclasses that are written as objects of JSON, and read from them."""

    def to_json(self) -> dict[str, Any]:
        """Return the object, as plain data."""
        return cast(dict[str, Any], plain(self))

    @classmethod
    def from_json(cls, content: object) -> Self:
        """Return what `to_json` wrote.

        Raises:
            MisfitError: the content is something else.
        """
        return typed(content, cls)


def shown_json(value: object) -> str:
    """Return a value for a message, cut off where it is long."""
    if isinstance(value, int) and abs(value) >= _LARGEST:
        return f"a number of {value.bit_length()} bits"
    if isinstance(value, dict | list) and value:
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    text = "nothing" if value is None else ascii(value) if isinstance(value, str) else repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


_NAMES: dict[object, str] = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    type(None): "nothing",
    list: "a list",
    tuple: "a list",
    dict: "an object",
}


def _typed(value: object, kind: Any, place: tuple[str | int, ...]) -> object:
    if kind is Any or kind is object:
        return value
    if kind is None:
        kind = type(None)
    origin = typing.get_origin(kind) or kind
    if origin is Annotated:
        return _restricted(value, kind, place)
    if origin in (Union, types.UnionType):
        return _one_of(value, typing.get_args(kind), place)
    if origin is Literal:
        if isinstance(value, str | int | None) and value in typing.get_args(kind):
            return value
        raise MisfitError(place, shown_json(value), _words(kind))
    if not _is_a(value, origin):
        raise MisfitError(place, shown_json(value), _words(kind))
    if isinstance(value, list):
        (item,) = {*typing.get_args(kind)} - {...} or {Any}
        items = [_typed(one, item, (*place, number)) for number, one in enumerate(value)]
        return tuple(items) if origin is tuple else items
    if isinstance(value, dict):
        return _object(value, kind, place)
    return value


def _object(value: dict[str, object], kind: Any, place: tuple[str | int, ...]) -> object:
    made_of = typing.get_origin(kind) or kind
    if dataclasses.is_dataclass(made_of):
        return _record(value, made_of, place)
    if not typing.is_typeddict(made_of):
        key, item = typing.get_args(kind) or (Any, Any)
        return {
            cast(str, _typed(name, key, (*place, name))): _typed(one, item, (*place, name))
            for name, one in value.items()
        }
    fields, required = _keys(made_of)
    for name in required:
        if name not in value:
            raise MisfitError((*place, name), "nothing", _words(fields[name]))
    return {name: _typed(one, fields.get(name, Any), (*place, name)) for name, one in value.items()}


def _record(value: dict[str, object], kind: Any, place: tuple[str | int, ...]) -> object:
    """Return the dataclass that an object holds the fields of."""
    found = {}
    for field in record_fields(kind):
        if field.how == "inline":
            found[field.name] = _record(value, field.inlined, place)
        elif field.how == "rest":
            others = {name: one for name, one in value.items() if name not in keys_of(kind)}
            found[field.name] = _typed(others, field.kind, place)
        elif field.name in value:
            found[field.name] = _typed(value[field.name], field.kind, (*place, field.name))
        elif field.required:
            raise MisfitError((*place, field.name), "nothing", _words(field.kind))
    return kind(**found)


def _restricted(value: object, kind: Any, place: tuple[str | int, ...]) -> object:
    inner, *conditions = typing.get_args(kind)
    maker = next((one for one in conditions if isinstance(one, MadeBy)), None)
    found = _typed(value, inner if maker is None else maker.kind, place)
    if maker is not None:
        try:
            found = maker.make(found)
        except ValueError as error:
            raise MisfitError(place, f"{shown_json(value)} ({error})", maker.words) from error
    for condition in conditions:
        if isinstance(condition, Where) and not condition.test(found):
            raise MisfitError(place, shown_json(value), condition.words)
    return found


def _one_of(value: object, kinds: tuple[Any, ...], place: tuple[str | int, ...]) -> object:
    """Return the value as the first type that it is of, or say what comes nearest."""
    misfits = []
    for kind in kinds:
        try:
            return _typed(value, kind, place)
        except MisfitError as misfit:
            misfits.append(misfit)
    nearest = max(misfits, key=lambda misfit: misfit.depth)
    if nearest.depth > len(place):
        raise nearest
    raise MisfitError(place, shown_json(value), " or ".join(map(_words, kinds)))


def _is_a(value: object, origin: Any) -> bool:
    if origin is bool or isinstance(value, bool):
        return origin is bool and isinstance(value, bool)
    if origin is int:
        return isinstance(value, int) and abs(value) < _LARGEST
    if origin is float:
        if isinstance(value, int):
            return abs(value) < _LARGEST
        return isinstance(value, float) and math.isfinite(value)
    if origin in (list, tuple):
        return isinstance(value, list)
    if origin in (dict, Mapping) or typing.is_typeddict(origin) or dataclasses.is_dataclass(origin):
        return isinstance(value, dict) and all(isinstance(name, str) for name in value)
    return isinstance(value, origin)


@cache
def _keys(kind: Any) -> tuple[dict[str, Any], frozenset[str]]:
    """Return the types of a `TypedDict` by key, and which keys must be there."""
    hints = typing.get_type_hints(kind, include_extras=True)
    optional = {n for n, hint in hints.items() if typing.get_origin(hint) is typing.NotRequired}
    fields = {name: _without_mark(hint) for name, hint in hints.items()}
    return fields, frozenset(hints.keys() - optional)


def _without_mark(hint: Any) -> Any:
    return typing.get_args(hint)[0] if typing.get_origin(hint) is typing.NotRequired else hint


def _words(kind: Any) -> str:
    """Say what a type is."""
    return " or ".join(dict.fromkeys(_parts(kind)))


def _parts(kind: Any) -> Iterator[str]:
    origin = typing.get_origin(kind) or kind
    if origin is Annotated:
        inner, *conditions = typing.get_args(kind)
        words = [one.words for one in conditions if isinstance(one, Where | MadeBy)]
        yield " and ".join(words) or _words(inner)
    elif origin in (Union, types.UnionType):
        for one in typing.get_args(kind):
            yield from _parts(one)
    elif origin is Literal:
        yield from map(repr, typing.get_args(kind))
    elif kind is None:
        yield "nothing"
    elif kind is Any:
        yield "a value"
    else:
        yield _NAMES.get(origin, "an object")


def _joined(place: tuple[str | int, ...]) -> str:
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.isidentifier():
            text += f".{part}" if text else part
        else:
            text += f"[{shown_json(part)}]"
    return text
