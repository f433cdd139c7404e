"""Objects that are given from Python instead of options: checked, put in place, told apart later."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from supernet.arguments import value_at
from supernet.classes import LATER, TRAININGS
from supernet.config import RunConfig
from supernet.data import as_source
from supernet.errors import ConfigError, RunFolderError
from supernet.net.source import FromInstance
from supernet.pipeline.code import module_structure, plain_description
from supernet.reading import shown, usable_path
from supernet.search import Searcher
from supernet.strategies import Strategy
from supernet.task import Task
from supernet.track import RunFolder
from supernet.train import digest

__all__ = [
    "check_data",
    "check_names",
    "check_objects",
    "made",
    "put_back",
    "put_fingerprints",
    "split_functions",
    "with_objects",
    "without_objects",
]

OBJECTS = ("model", "data", "task", "strategy", "search.searcher")
"""Options that may be objects."""

FUNCTIONS = tuple(f"{one}.{name}" for one in TRAININGS for name in ("optimizer", "schedule"))
"""Options that may be functions."""


def split_functions(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, object]]:
    """Return options without those that are functions, and these, which hold for later trainings too.

    Raises:
        ConfigError: an option is a function that takes none.
    """
    plain, functions = dict[str, Any](), dict[str, object]()
    for name, value in options.items():
        if not callable(value):
            plain[name] = value
        elif name in FUNCTIONS:
            functions[name] = value
        else:
            raise ConfigError(
                f"the option {name} cannot be {shown(value)}; functions may be given for "
                f"{', '.join(FUNCTIONS)}"
            )
    for name, value in list(functions.items()):
        for later in LATER if name.startswith("train.") else ():
            again = f"{later}.{name.removeprefix('train.')}"
            if not any(one == again or one.startswith(f"{again}.") for one in options):
                functions[again] = value
    return plain, functions


def check_data(data: object) -> None:
    """Refuse what cannot be data, before its numbers are looked at.

    Raises:
        ConfigError: it is no path, or there are no numbers in memory one by one.
    """
    if isinstance(data, str | Path):
        usable_path(data, "data")
    for place, part in enumerate(data if isinstance(data, list | tuple) else ()):
        kinds = "biufUO" if place == 1 else "biuf"  # targets may be names of classes
        numbers = not isinstance(part, np.ndarray) or part.dtype.kind in kinds
        dense = not isinstance(part, torch.Tensor) or (
            part.layout == torch.strided and not part.is_meta
        )
        if not numbers or not dense:
            kind = (
                f"{part.layout} on {part.device}" if isinstance(part, torch.Tensor) else part.dtype
            )
            raise ConfigError(
                f"arrays and tensors of data hold numbers one by one in memory, not {kind}"
            )


def check_names(options: Mapping[str, Any], objects: Mapping[str, object]) -> None:
    """Refuse what is no option, and options that an object, which is as it is, would leave no effect.

    Raises:
        ConfigError: there is one.
    """
    if not isinstance(options, Mapping):
        raise ConfigError(
            f'options are a dictionary such as {{"train.steps": 1000}}, not {shown(options)}'
        )
    for option in options:
        if (
            not isinstance(option, str)
            or not re.fullmatch(r"[A-Za-z_][\w.]{,200}", option, re.ASCII)
            or option.rpartition(".")[2] in ("help", "print_config")
        ):
            raise ConfigError(
                f"{shown(option)} is no name of an option; write it with dots, as in train.steps"
            )
        for name in objects:
            if option == name or option.startswith(f"{name}."):
                kind = getattr(objects[name], "__name__", type(objects[name]).__name__)
                raise ConfigError(
                    f"the option {option} has no effect on {name}, which is given as {kind}; set it "
                    f"there, or give {name} by its import path"
                )


def made(name: str, value: object, kind: type) -> object:
    """Return an object of a kind, made without arguments where its class is given.

    Raises:
        ConfigError: it is no such object.
    """
    if isinstance(value, type) and issubclass(value, kind):
        cls: type = value
        try:
            value = cls()
        except TypeError as error:
            raise ConfigError(
                f"{name} {cls.__qualname__} cannot be made without arguments ({error}); give an object"
            ) from error
    if not isinstance(value, kind):
        raise ConfigError(
            f"{name} is a short name, an import path, or a {kind.__name__}, not {shown(value)}"
        )
    return value


def with_objects(config: RunConfig, objects: Mapping[str, object]) -> RunConfig:
    """Return the options with the objects that are given from Python in their places.

    They are copied, but for the data: a run must not change what the caller gave, as a strategy's
    memory.
    """
    for name, value in objects.items():
        if name == "data":
            value = as_source(value)
        elif name != "model":
            value = copy.deepcopy(value)
        if name != "model":
            config = _replaced(config, name.split("."), value)
    return config


def _replaced(options: Any, path: Sequence[str], value: object) -> Any:
    """Return options, a dataclass, in which one at a path of names has a value."""
    name, *further = path
    inner = _replaced(getattr(options, name), further, value) if further else value
    return dataclasses.replace(options, **{name: inner})


def without_objects(stored: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options that were Python objects, by dotted name, and all others."""
    base = copy.deepcopy(dict(stored))
    objects: dict[str, Any] = {}
    for name in (*OBJECTS, *FUNCTIONS):
        outer, _, last = name.rpartition(".")
        place = value_at(base, outer) if outer else base
        if isinstance(place, dict) and _from_python(place.get(last)):
            objects[name] = place.pop(last)
    return objects, base


def put_fingerprints(plain: dict[str, Any], objects: Mapping[str, object]) -> None:
    """Note in plain options, which are changed, the objects that stand in the places of some."""
    for name, value in objects.items():
        _put(plain, name, {"python": _fingerprint(value)})


def put_back(plain: dict[str, Any], noted: Mapping[str, Any]) -> None:
    """Put notes of objects into plain options, which are changed, where they stood in a folder's."""
    for name, was in noted.items():
        _put(plain, name, was)


def _put(options: dict[str, Any], name: str, value: object) -> None:
    """Set an option by its dotted name."""
    *outer, last = name.split(".")
    for part in outer:
        options = options[part]
    options[last] = value


def check_objects(
    folder: RunFolder, made_before: Mapping[str, Any], given: Collection[str]
) -> None:
    """Refuse to go on without the Python objects that a folder was made with, or others for them."""
    for name in sorted(made_before.keys() - set(given)):
        raise RunFolderError(
            f"{folder.path} was made from Python, with {name} {made_before[name]['python']}; go on by "
            "calling supernet.run(...) as before, which is quick where all is done; its result exports "
            "networks, too (export_networks)"
        )


def _from_python(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == {"python"}


def _fingerprint(value: object) -> str:
    """Return a text that tells objects given from Python apart; code and weights are looked at later."""
    if isinstance(value, str | Path):
        return str(value)
    if isinstance(value, FromInstance):
        return _fingerprint(value.model) + " fresh" * value.fresh
    name = str(getattr(value, "__qualname__", type(value).__qualname__))
    if isinstance(value, nn.Module):
        return f"{name} {digest(module_structure(value))[:12]}"
    if isinstance(value, Strategy | Searcher | Task):
        return f"{name} {digest(plain_description(value))[:12]}"
    if isinstance(value, list | tuple):
        return f"tensors {digest([_described(one) for one in value])[:12]}"
    return name


def _described(part: object) -> object:
    """Return a part of data as it is hashed: tensors, arrays of numbers, and lists of labels."""
    if isinstance(part, np.ndarray):
        return torch.as_tensor(part) if part.dtype.kind in "biuf" else repr(part.tolist())
    if isinstance(part, torch.Tensor):
        return part
    labels = isinstance(part, list | tuple) and all(isinstance(p, str | int | float) for p in part)
    return repr(part) if labels else ""
