"""Which keys of an object of JSON the fields of a dataclass stand for."""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

__all__ = ["Inline", "Omitted", "RecordField", "Rest", "keys_of", "record_fields"]

T = TypeVar("T")

How = Literal["key", "rest", "inline", "omitted"]


@dataclass(frozen=True)
class _Keys:
    """The mark of a field, in `Annotated`."""

    how: How


Rest = Annotated[T, _Keys("rest")]
"""A field that is a mapping: all keys of the object that no other field has."""

Inline = Annotated[T, _Keys("inline")]
"""A field that is a dataclass, the keys of which stand among those of the object."""

Omitted = Annotated[T, _Keys("omitted")]
"""A field that is not written where it has its default."""


@dataclass(frozen=True)
class RecordField:
    """A field of a dataclass, and the keys that it stands for.

    Attributes:
        name: the name of the field.
        kind: type of the field, with annotations.
        how: "key" (one key, of its name), or see `Rest`, `Inline` and `Omitted`.
        required: whether it has no default.
        default: value where the key is missing; None also where a function makes the default.
    """

    name: str
    kind: Any
    how: How
    required: bool
    default: object

    @property
    def inlined(self) -> Any:
        """The dataclass of a field that is `Inline`."""
        return typing.get_args(self.kind)[0]


@cache
def record_fields(kind: Any) -> tuple[RecordField, ...]:
    """Return the fields of a dataclass in their order."""
    hints = typing.get_type_hints(kind, include_extras=True)
    found = []
    for field in dataclasses.fields(kind):
        hint, missing = hints[field.name], dataclasses.MISSING
        marks = hint.__metadata__ if typing.get_origin(hint) is Annotated else ()
        how: How = next((mark.how for mark in marks if isinstance(mark, _Keys)), "key")
        required = field.default is missing and field.default_factory is missing
        default = None if field.default is missing else field.default
        found.append(RecordField(field.name, hint, how, required, default))
    return tuple(found)


@cache
def keys_of(kind: Any) -> frozenset[str]:
    """Return the keys that the fields of a dataclass stand for, but for a `Rest`."""
    keys = set[str]()
    for field in record_fields(kind):
        if field.how == "inline":
            keys |= keys_of(field.inlined)
        elif field.how != "rest":
            keys.add(field.name)
    return frozenset(keys)
