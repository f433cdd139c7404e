"""What a file must hold, as JSON Schema and for a page: both from the types that it is read with.

Descriptions of fields are those of docstrings, under "Attributes:".
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, Union

from supernet.record_fields import record_fields
from supernet.typed import MadeBy, Where

__all__ = ["descriptions", "json_schema", "summary"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_PLAIN: dict[Any, dict[str, Any]] = {
    Any: {},
    object: {},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
    None: {"type": "null"},
}


def json_schema(kind: type, title: str) -> dict[str, Any]:
    """Return the JSON Schema of the objects that a dataclass is read from.

    It says all that reading checks but for conditions on several values at once. Keys that are not known
    are allowed, as they are when a file is read.

    Args:
        kind: the dataclass.
        title: title of the schema.
    """
    named: dict[str, Any] = {}
    schema = _record(kind, named)
    return {"$schema": DIALECT, "title": title, **schema, "$defs": dict(sorted(named.items()))}


def summary(kind: type) -> str:
    """Return the first line of the docstring of a class."""
    return inspect.cleandoc(kind.__doc__ or "").partition("\n")[0]


@cache
def descriptions(kind: type) -> Mapping[str, str]:
    """Return the descriptions of fields, those that are inherited included."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        _, _, listed = inspect.cleandoc(one.__dict__.get("__doc__") or "").partition(
            "Attributes:\n"
        )
        listed = re.split(r"\n\n?(?=\S)", listed)[0]
        for name, text in re.findall(r"^    (\w+): (.*(?:\n {8,}.*)*)", listed, re.MULTILINE):
            found[name] = " ".join(text.split())
    return found


def _record(kind: Any, named: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required: list[str] = []
    more: dict[str, Any] = {}
    told = descriptions(kind)
    for field in record_fields(kind):
        if field.how == "inline":
            inner = _record(field.inlined, named)
            properties |= inner["properties"]
            required += inner.get("required", [])
        elif field.how == "rest":
            others = _schema(field.kind, named)["additionalProperties"]
            more["additionalProperties"] = {**others, "description": told[field.name]}
        else:
            schema = _schema(field.kind, named)
            properties[field.name] = {**schema, "description": told[field.name]}
            required += [field.name] if field.required else []
    found = {"type": "object", "description": summary(kind), "properties": properties, **more}
    return {**found, "required": required} if required else found


def _schema(kind: Any, named: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a type; those of dataclasses are put under their names."""
    origin, inner = typing.get_origin(kind) or kind, typing.get_args(kind)
    if origin is Annotated:
        return _annotated(inner, named)
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(one, named) for one in inner]}
    if isinstance(origin, type) and dataclasses.is_dataclass(origin):
        if origin.__name__ not in named:
            named[origin.__name__] = {}
            named[origin.__name__] = _record(origin, named)
        return {"$ref": f"#/$defs/{origin.__name__}"}
    if origin in (list, tuple):
        return {"type": "array", "items": _schema(inner[0] if inner else Any, named)}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        keys, values = inner or (str, Any)
        found = {"type": "object", "additionalProperties": _schema(values, named)}
        names = _schema(keys, named)
        return {**found, "propertyNames": names} if "enum" in names else found
    return dict(_PLAIN[origin])


def _annotated(inner: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
    kind, *notes = inner
    maker = next((note for note in notes if isinstance(note, MadeBy)), None)
    schema = _schema(kind if maker is None else maker.kind, named)
    for note in notes:
        if isinstance(note, Where):
            schema = {**schema, **note.schema}
    return schema
