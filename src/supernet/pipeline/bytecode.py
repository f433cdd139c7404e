"""What stands in compiled code: instructions, names, constants; and whose code is the user's."""

from __future__ import annotations

import dataclasses
import dis
import enum
import functools
import importlib
import importlib.util
import inspect
import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from supernet.imports import is_installed

__all__ = [
    "OF_THE_SOURCE",
    "assigned_in",
    "codes_in",
    "constant",
    "function_of",
    "imported_in",
    "instructions",
    "is_constant",
    "is_own",
    "names_in",
]

Plain = None | bool | int | float | complex | str | bytes | Path | torch.dtype | torch.device

_NO_WORK = {"CACHE", "EXTENDED_ARG", "NOP", "PRECALL", "RESUME"}
OF_THE_SOURCE = {"__doc__", "__firstlineno__", "__static_attributes__", "__annotate__"}


def instructions(code: types.CodeType) -> list[object]:
    """Return what code does, without its place in a file."""
    lines: list[object] = [
        [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount],
        list(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]),
    ]
    kept = [one for one in dis.get_instructions(code) if one.opname not in _NO_WORK]
    jumps = {*dis.hasjrel, *dis.hasjabs}
    for number, one in enumerate(kept):
        after = kept[number + 1] if number + 1 < len(kept) else one
        if one.opname == "LOAD_CONST" and after.argval in OF_THE_SOURCE:
            continue
        if one.opcode in jumps:  # by the number of the instruction: offsets count what does no work
            argument: object = sum(other.offset < one.argval for other in kept)
        elif isinstance(one.argval, types.CodeType):
            argument = instructions(one.argval)
        else:
            argument = constant(one.argval)
        lines.append([one.opname, argument])
    return lines


def codes_in(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yield code and all that is defined within."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes_in(constant)


def names_in(code: types.CodeType) -> list[str]:
    """Return the names of globals and attributes in code and all that is defined within."""
    return list(dict.fromkeys(name for one in codes_in(code) for name in one.co_names))


def imported_in(code: types.CodeType, around: Mapping[str, Any]) -> Iterator[types.ModuleType]:
    """Yield the modules of the user's that code itself imports."""
    for inner in codes_in(code):
        before: list[Any] = [0, 0]  # the level and the names of an import stand before it
        for one in dis.get_instructions(inner):
            if one.opname == "IMPORT_NAME":
                name, package = "." * int(before[-2] or 0) + one.argval, around.get("__package__")
                try:
                    found = importlib.util.find_spec(name, package)
                    if found is not None and not is_installed(found.name, found.origin):
                        yield importlib.import_module(found.name)
                except Exception:  # what is not there now may not be needed
                    continue
            before.append(one.argval)


def function_of(value: Any) -> types.FunctionType | None:
    """Return the function behind an attribute of a class, or None."""
    if isinstance(value, property):
        value = value.fget
    elif isinstance(value, functools.cached_property):
        value = value.func
    value = inspect.unwrap(value) if callable(value) else value
    value = getattr(value, "__func__", value)
    return value if isinstance(value, types.FunctionType) else None


def assigned_in(code: types.CodeType) -> set[str]:
    """Return the names of globals, attributes and outer variables that code changes."""
    return {
        str(one.argval)
        for inner in codes_in(code)
        for one in dis.get_instructions(inner)
        if one.opname in ("STORE_GLOBAL", "STORE_ATTR", "STORE_DEREF")
    }


def is_constant(value: object) -> bool:
    """Return whether a value cannot change: a plain one, or a tuple or frozen dataclass of such."""
    if isinstance(value, tuple | frozenset):
        return all(map(is_constant, value))
    if _is_frozen(value):
        return all(map(is_constant, _fields(value)))
    return isinstance(value, Plain | enum.Enum | range) or value is Ellipsis


def _is_frozen(value: object) -> bool:
    parameters = getattr(type(value), "__dataclass_params__", None)
    return parameters is not None and bool(parameters.frozen)


def _fields(value: Any) -> list[object]:
    return [getattr(value, field.name, None) for field in dataclasses.fields(value)]


def constant(value: Any) -> object:
    """Return a constant in a form that is equal in every process."""
    if isinstance(value, frozenset):
        return ["set", sorted(repr(constant(item)) for item in value)]
    if isinstance(value, tuple):
        return [constant(item) for item in value]
    if isinstance(value, enum.Enum):
        return str(value)
    if _is_frozen(value):
        return [type(value).__qualname__, *map(constant, _fields(value))]
    return value if isinstance(value, Plain) else repr(value)


@functools.cache
def is_own(module: str | None) -> bool:
    """Return whether a module is the user's: not installed, and not Python's, torch's or supernet's."""
    return module is None or not is_installed(
        module, getattr(sys.modules.get(module), "__file__", None)
    )
