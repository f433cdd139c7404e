"""What code of the user's a thing runs, as a hash that is the same in every process.

Compiled code is read, not its source: it is there for what was typed into a notebook too, and it is what
runs where a file was edited after it was imported. Comments, docstrings and formatting are not in it.
"""

from __future__ import annotations

import dis
import enum
import functools
import inspect
import sys
import sysconfig
import types
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from supernet.train import digest

__all__ = ["code_of", "described", "structure"]

Plain = None | bool | int | float | complex | str | bytes | Path | torch.dtype | torch.device

_NO_WORK = {"CACHE", "EXTENDED_ARG", "NOP", "PRECALL", "RESUME"}
_OF_THE_SOURCE = {"__doc__", "__firstlineno__", "__static_attributes__", "__annotate__"}
_OF_MODULES = frozenset(vars(nn.Module()))


def code_of(
    things: Iterable[object],
    only: Collection[str] | None = None,
    without: Collection[str] = (),
) -> str:
    """Return a hash of what classes and functions of the user's do.

    Followed are the functions, classes and constants that they name, base classes, and what functions
    keep from where they were defined; of what is installed, and of torch and supernet, the names alone.
    Values that a program may change while it runs are left out.

    Args:
        things: classes, functions, and other callables.
        only: of classes among them, these attributes and what they use through `self`; by default all.
        without: of classes among them, not these attributes, nor what only they use.
    """
    reader = _Reader()
    for thing in things:
        if isinstance(thing, type):
            reader.read_class(thing, only, without)
        else:
            reader.read(thing)
    return digest(reader.all())


def described(value: object) -> object:
    """Return plain data, to be hashed, that tells values apart and is equal in every process.

    Of objects, class and attributes; of modules, structure and weights; of functions, their code.
    """
    return _described(value, ())


class _Reader:
    """Collects what code does, each function and class once."""

    def __init__(self) -> None:
        self.lines: list[object] = []
        self._seen: dict[int, object] = {}  # with the objects, so that no other gets their id
        self._waiting: list[object] = []

    def all(self) -> list[object]:
        """Read on until nothing new is named; return what was noted."""
        for value in self._waiting:  # grows meanwhile
            self._read_new(value)
        return self.lines

    def read(self, value: object) -> None:
        """Note a value that code names."""
        if _is_constant(value):
            self.lines.append(_constant(value))
        elif id(value) not in self._seen:
            self._seen[id(value)] = value
            self._waiting.append(value)

    def _read_new(self, value: Any) -> None:
        if isinstance(value, type):
            self.read_class(value)
        elif isinstance(value, types.FunctionType):
            self._read_function(value)
        elif isinstance(value, staticmethod | classmethod | types.MethodType):
            self.read(value.__func__)
        elif isinstance(value, property):
            for one in (value.fget, value.fset, value.fdel):
                self.read(one)
        elif isinstance(value, functools.cached_property):
            self.read(value.func)
        elif isinstance(value, functools.partial):
            self.read(value.func)
            self.lines.append(digest(described([value.args, value.keywords])))
        elif callable(wrapped := inspect.getattr_static(value, "__wrapped__", None)):
            self.read(wrapped)
        elif isinstance(value, types.BuiltinFunctionType):
            self.lines.append(value.__qualname__)
        elif not isinstance(value, types.ModuleType):
            self.read(type(value))

    def read_class(
        self,
        kind: type,
        only: Collection[str] | None = None,
        without: Collection[str] = (),
    ) -> None:
        """Note a class: its name, and the attributes of those of its bases that are the user's."""
        self._seen[id(kind)] = kind
        self.lines.append(kind.__qualname__)
        members: dict[str, object] = {}
        for base in reversed(kind.__mro__):
            if _is_own(base.__module__):
                members.update(vars(base))
            elif base not in (object, kind):
                self.lines.append(base.__qualname__)
        own = members.keys() - _reached(members, without)
        names = _reached(members, own if only is None else members.keys() & set(only))
        changed = set[str]().union(*map(_assigned, filter(None, map(_code, members.values()))))
        for name in sorted(names - changed - _OF_THE_SOURCE):
            value = members[name]
            constant = _is_constant(value) and not name.startswith("__")
            if constant or _is_code(value) or _code(value):
                self.lines.append(name)
                self.read(value)

    def _read_function(self, function: types.FunctionType) -> None:
        code, around = function.__code__, function.__globals__
        self.read(getattr(function, "__wrapped__", None))
        if _is_own(around.get("__name__")):
            self.lines.append(_instructions(code))
            defaults = [function.__defaults__ or (), function.__kwdefaults__ or {}]
            self.lines.append(digest(described(defaults)))
            self._read_names(code, around)
        else:
            self.lines.append(function.__qualname__)
        changed = _assigned(code)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                kept = cell.cell_contents
            except ValueError:  # not yet filled
                continue
            if name not in changed and (_is_constant(kept) or _is_code(kept)):
                self.read(kept)

    def _read_names(self, code: types.CodeType, around: Mapping[str, object]) -> None:
        names = list(dict.fromkeys(name for one in _codes(code) for name in one.co_names))
        changed = _assigned(code)
        for name in names:
            value = around.get(name)
            if name in changed or value is None:
                continue
            if isinstance(value, types.ModuleType):
                if _is_own(value.__name__):
                    for other in (vars(value).get(attribute) for attribute in names):
                        if _is_constant(other) or _is_code(other):
                            self.read(other)
            else:
                self.read(value)


def _reached(members: Mapping[str, object], names: Collection[str]) -> set[str]:
    """Return names of attributes of a class, and those of what they use."""
    found, waiting = set[str](), list(names)
    while waiting:
        if (name := waiting.pop()) in found or name not in members:
            continue
        found.add(name)
        if code := _code(members[name]):
            waiting += [other for one in _codes(code) for other in one.co_names]
    return found


def _described(value: object, within: tuple[int, ...]) -> object:
    if _is_constant(value):
        return _constant(value)
    if id(value) in within:
        return ["again", len(within) - within.index(id(value))]
    inner = (*within, id(value))
    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, np.ndarray | np.generic):
        return ["array", str(value.dtype), _described(value.tolist(), inner)]
    if isinstance(value, Mapping):
        pairs = [[_described(key, inner), _described(item, inner)] for key, item in value.items()]
        return sorted(pairs, key=lambda pair: digest(pair[0]))
    if isinstance(value, set | frozenset):
        return sorted((_described(item, inner) for item in value), key=digest)
    if isinstance(value, list | tuple):
        return [_described(item, inner) for item in value]
    if _is_code(value):
        return ["code", code_of([value])]
    if isinstance(value, nn.Module):
        return [structure(value), dict(value.state_dict())]
    attributes = getattr(value, "__dict__", {})
    return [type(value).__qualname__, _described(dict(attributes), inner)]


def structure(model: nn.Module) -> list[object]:
    """Return the names and classes of all modules within a model, with their plain attributes."""
    return [
        [name, type(module).__qualname__, _plain_attributes(module)]
        for name, module in model.named_modules()
    ]


def _plain_attributes(module: nn.Module) -> dict[str, object]:
    return {
        name: _described(value, ())
        for name, value in vars(module).items()
        if name not in _OF_MODULES and (_is_constant(value) or _is_code(value))
    }


def _instructions(code: types.CodeType) -> list[object]:
    """Return what code does, without its place in a file."""
    lines: list[object] = [
        [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount],
        list(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]),
    ]
    kept = [one for one in dis.get_instructions(code) if one.opname not in _NO_WORK]
    jumps = {*dis.hasjrel, *dis.hasjabs}
    for number, one in enumerate(kept):
        after = kept[number + 1] if number + 1 < len(kept) else one
        if one.opname == "LOAD_CONST" and after.argval in _OF_THE_SOURCE:
            continue
        if one.opcode in jumps:  # by the number of the instruction: offsets count what does no work
            argument: object = sum(other.offset < one.argval for other in kept)
        elif isinstance(one.argval, types.CodeType):
            argument = _instructions(one.argval)
        else:
            argument = _constant(one.argval)
        lines.append([one.opname, argument])
    return lines


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yield code and all that is defined within."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _code(value: Any) -> types.CodeType | None:
    """Return the code of a function, or of the first one that an attribute of a class calls."""
    if isinstance(value, property):
        value = value.fget
    elif isinstance(value, functools.cached_property):
        value = value.func
    value = inspect.unwrap(value) if callable(value) else value
    value = getattr(value, "__func__", value)
    found = getattr(value, "__code__", None)
    return found if isinstance(found, types.CodeType) else None


def _assigned(code: types.CodeType) -> set[str]:
    """Return the names of globals, attributes and outer variables that code changes."""
    return {
        str(one.argval)
        for inner in _codes(code)
        for one in dis.get_instructions(inner)
        if one.opname in ("STORE_GLOBAL", "STORE_ATTR", "STORE_DEREF")
    }


def _is_code(value: object) -> bool:
    kinds = (
        type,
        types.FunctionType,
        types.MethodType,
        types.BuiltinFunctionType,
        functools.partial,
    )
    return isinstance(value, kinds)


def _is_constant(value: object) -> bool:
    if isinstance(value, tuple | frozenset):
        return all(map(_is_constant, value))
    return isinstance(value, Plain | enum.Enum) or value is Ellipsis


def _constant(value: Any) -> object:
    """Return a constant in a form that is equal in every process."""
    if isinstance(value, frozenset):
        return ["set", sorted(repr(_constant(item)) for item in value)]
    if isinstance(value, tuple):
        return [_constant(item) for item in value]
    if isinstance(value, enum.Enum):
        return str(value)
    return value if isinstance(value, Plain) else repr(value)


@functools.cache
def _is_own(module: str | None) -> bool:
    """Return whether a module is the user's: not installed, and not Python's, torch's or supernet's."""
    if module is None:
        return True
    top, file = module.partition(".")[0], getattr(sys.modules.get(module), "__file__", None)
    if top in ("supernet", "torch"):
        return False
    if top in sys.stdlib_module_names:  # unless a file of the user's has that name
        return file is not None and not Path(file).is_relative_to(sysconfig.get_path("stdlib"))
    return file is None or not {"site-packages", "dist-packages"} & set(Path(file).parts)
