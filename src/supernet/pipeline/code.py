"""What code of the user's a thing runs, as a hash that is the same in every process.

Compiled code is read, not its source: it is there for what was typed into a notebook too, and it is what
runs where a file was edited after it was imported. Comments, docstrings and formatting are not in it.
"""

from __future__ import annotations

import copyreg
import functools
import inspect
import random
import types
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from supernet.pipeline.bytecode import (
    OF_THE_SOURCE,
    assigned_in,
    constant,
    function_of,
    imported_in,
    instructions,
    is_constant,
    is_own,
    names_in,
)
from supernet.train import digest

__all__ = ["classes_of", "code_of", "module_structure", "plain_description"]

_OF_MODULES = frozenset(vars(nn.Module()))
_STREAMS = (random.Random, np.random.Generator, np.random.RandomState, torch.Generator)

Place = tuple[int, str]
"""Where a constant stands: the id of a module's dictionary, a class or a cell, and its name there."""


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
        only: attributes of classes among them that are hashed, with what they use through `self`;
            by default all.
        without: attributes of classes among them that are not hashed, nor what only they use.
    """
    reader = _Reader()
    for thing in things:
        if isinstance(thing, type):
            reader.read_class(thing, only, without)
        else:
            reader.read(thing)
    return digest(reader.all())


def plain_description(value: object) -> object:
    """Return plain data, to be hashed, that tells values apart and is equal in every process.

    Of objects, class and what they are copied from; of modules, structure and weights; of functions,
    their code; of Python's modules, and of streams of random numbers, no more than which they are.
    """
    return _described(value, ())


def classes_of(value: object) -> list[type]:
    """Return the class of an object, and those of the user's whose objects it holds, by name."""
    found, seen, waiting = {type(value)}, set[int](), [value]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Mapping):
            waiting += one.values()
        elif isinstance(one, list | tuple | set | frozenset):
            waiting += one
        elif one is value or (is_own(type(one).__module__) and not isinstance(one, type)):
            found.add(type(one))
            waiting += getattr(one, "__dict__", {}).values()
    return sorted(found, key=lambda kind: (kind.__qualname__, kind.__module__))


class _Reader:
    """Collects what code does, each function and class once."""

    def __init__(self) -> None:
        self._lines: list[tuple[object, tuple[Place, ...]]] = []
        self._changed: set[Place] = set()
        self._seen: dict[int, object] = {}  # with the objects, so that no other gets their id
        self._waiting: list[object] = []

    def all(self) -> list[object]:
        """Read on until nothing new is named; return what was noted, but for what some of it changes."""
        for value in self._waiting:  # grows meanwhile
            self._read_new(value)
        return [line for line, places in self._lines if self._changed.isdisjoint(places)]

    def _note(self, line: object, *places: Place) -> None:
        self._lines.append((line, places))

    def read(self, value: object, *places: Place) -> None:
        """Note a value that code names, and finds in one of some places.

        Devices and paths are left out: they are others on another machine.
        """
        if isinstance(value, torch.device | Path):
            return
        if is_constant(value):
            self._note(constant(value), *places)
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
        elif isinstance(value, functools.partial | functools.partialmethod):
            self.read(value.func)
            self._note(digest(plain_description([value.args, value.keywords])))
        elif callable(wrapped := inspect.getattr_static(value, "__wrapped__", None)):
            self.read(wrapped)
        elif isinstance(value, types.BuiltinFunctionType):
            self._note(value.__qualname__)
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
        self._note(kind.__qualname__)
        members: dict[str, object] = {}
        for base in reversed(kind.__mro__):
            if is_own(base.__module__):
                members.update(vars(base))
            elif base not in (object, kind):
                self._note(base.__qualname__)
        own = members.keys() - _reached(members, without)
        names = _reached(members, own if only is None else members.keys() & set(only))
        functions = list(filter(None, map(function_of, members.values())))
        changed = set[str]().union(*(assigned_in(one.__code__) for one in functions))
        for function in functions:  # also of those that are not read
            self._note_changes(function)
        for name in sorted(names - changed - OF_THE_SOURCE):
            value = members[name]
            plain = is_constant(value) and not name.startswith("__")
            made = is_own(type(value).__module__)  # such as a descriptor
            if plain or made or _is_code(value) or function_of(value):
                places = [(id(base), name) for base in kind.__mro__]
                self._note(name, *places)
                self.read(value, *places)

    def _read_function(self, function: types.FunctionType) -> None:
        code, around = function.__code__, function.__globals__
        self._note_changes(function)
        self.read(getattr(function, "__wrapped__", None))
        if is_own(around.get("__name__")):
            self._note(instructions(code))
            defaults = [function.__defaults__ or (), function.__kwdefaults__ or {}]
            self._note(digest(plain_description(defaults)))
            self._read_names(code, around)
        else:
            self._note(function.__qualname__)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                kept = cell.cell_contents
            except ValueError:  # not yet filled
                continue
            if is_constant(kept) or _is_code(kept):
                self.read(kept, (id(cell), name))

    def _read_names(self, code: types.CodeType, around: Mapping[str, object]) -> None:
        names = names_in(code)
        for name in names:
            value = around.get(name)
            if isinstance(value, types.ModuleType):
                self._read_module(value, names)
            elif value is not None and not name.startswith("__"):  # not __file__, __name__
                self.read(value, (id(around), name))
        for module in imported_in(code, around):
            self._read_module(module, names)

    def _read_module(self, module: types.ModuleType, names: Collection[str]) -> None:
        """Read what of a module of the user's, and of modules in it, has one of these names."""
        if not is_own(module.__name__):
            return
        inside = vars(module)
        for name in names:
            value = inside.get(name)
            if isinstance(value, types.ModuleType):
                if value.__name__ == f"{module.__name__}.{name}":
                    self._read_module(value, names)
            elif is_constant(value) or _is_code(value):
                self.read(value, (id(inside), name))

    def _note_changes(self, function: types.FunctionType) -> None:
        """Note which globals, outer variables, and attributes of classes and modules it changes."""
        code, around = function.__code__, function.__globals__
        if not is_own(around.get("__name__")):
            return
        changed = assigned_in(code)
        named = [around.get(name) for name in names_in(code)]
        spaces: list[object] = [around, *(one for one in named if isinstance(one, type))]
        spaces += [vars(one) for one in named if isinstance(one, types.ModuleType)]
        self._changed.update((id(space), name) for space in spaces for name in changed)
        cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
        self._changed.update((id(cell), name) for name, cell in cells if name in changed)


def _reached(members: Mapping[str, object], names: Collection[str]) -> set[str]:
    """Return names of attributes of a class, and those of what they use."""
    found, waiting = set[str](), list(names)
    while waiting:
        if (name := waiting.pop()) in found or name not in members:
            continue
        found.add(name)
        if function := function_of(members[name]):
            waiting += names_in(function.__code__)
    return found


def _described(value: object, within: tuple[int, ...]) -> object:
    if is_constant(value):
        return constant(value)
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
        return [module_structure(value), dict(value.state_dict())]
    if isinstance(value, types.ModuleType):
        return ["module", value.__name__]
    return [type(value).__qualname__, _described(_state(value), inner)]


def _state(value: object) -> object:
    """Return what an object is made from again when it is copied, as pickle does it."""
    if isinstance(value, _STREAMS):
        return None
    try:
        registered = copyreg.dispatch_table.get(type(value))
        made = registered(value) if registered else value.__reduce_ex__(2)
    except Exception:  # it cannot be copied, as a lock or an open file
        return dict(getattr(value, "__dict__", {}))
    if isinstance(made, str):
        return made
    _, arguments, *more = made
    parts = [list(part) if isinstance(part, Iterator) else part for part in more]
    return [[one for one in arguments if one is not type(value)], *parts]


def module_structure(model: nn.Module) -> list[object]:
    """Return the names and classes of all modules within a model, with their plain attributes."""
    return [
        [name, type(module).__qualname__, _plain_attributes(module)]
        for name, module in model.named_modules()
    ]


def _plain_attributes(module: nn.Module) -> dict[str, object]:
    return {
        name: _described(value, ())
        for name, value in vars(module).items()
        if name not in _OF_MODULES and (is_constant(value) or _is_code(value))
    }


def _is_code(value: object) -> bool:
    kinds = (
        type,
        types.FunctionType,
        types.MethodType,
        types.BuiltinFunctionType,
        functools.partial,
        functools.partialmethod,
    )
    return isinstance(value, kinds)
