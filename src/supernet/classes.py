"""Classes that options name: short names are written out, and import paths checked."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from jsonargparse import Namespace
from torch.utils.data import Dataset

from supernet.code_checks import KINDS
from supernet.data import SOURCES
from supernet.data.resolve import is_path, source_at
from supernet.errors import ConfigError
from supernet.imports import dotted, resolve
from supernet.loggers import LOGGERS
from supernet.reading import check_text, shown, yaml_value
from supernet.search import SEARCHERS
from supernet.strategies import STRATEGIES
from supernet.suggestions import did_you_mean
from supernet.task import TASKS
from supernet.zoo import SPACES

__all__ = [
    "LATER",
    "NAMED",
    "OPTIONAL",
    "SHORT",
    "TRAININGS",
    "dot_arguments",
    "names_of",
    "written_class",
    "written_name",
]

SHORT = {
    "model": SPACES,
    "data": SOURCES,
    "strategy": STRATEGIES,
    "search.searcher": SEARCHERS,
    "task": TASKS,
    "logger": LOGGERS,
}
"""Options with short names."""

OPTIONAL = ("logger",)
"""Options that may name no class, by null."""

LATER = ("few_shot.train", "retrain.train")
"""Trainings that what `train` is given holds for too."""

TRAININGS = ("train", *LATER)
"""All trainings."""

PATHS = {SPACES["converted"]: ("model",), SOURCES["dataset"]: ("train", "test")}
"""Classes of ours with arguments that are import paths, too."""

NAMED = (*SHORT, *(f"{training}.optimizer" for training in TRAININGS))
"""Options that name a class."""

FUNCTIONS = tuple(f"{training}.schedule" for training in TRAININGS)
"""Options that may name a function that is called as it is."""


def written_class(value: Any, option: str) -> Any:
    """Return what an option is given, with the import path of the class that a short name stands for.

    Args:
        value: name or import path of a class, or a mapping of that and its arguments; for data also
            the path of a folder or file. What is given for an option that names no class comes back
            as it is.
        option: dotted name of the option.

    Raises:
        ConfigError: the value is a name but not a known one, or cannot be used for this option.
        DataError: there is nothing at a path, or nothing that could be data.
    """
    if option == "data" and isinstance(value, str) and _is_path(value):
        name, arguments = source_at(value)
        return {"class_path": SOURCES[name], "init_args": arguments}
    return written_name(value, option)


def written_name(value: Any, option: str) -> Any:
    """Return the same where data are named by a class, not by a path.

    Raises:
        ConfigError: see `written_class`.
    """
    if option in FUNCTIONS:
        return _written_function(value, option)
    if option not in NAMED:
        return value
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = yaml_value(value, f"{option} {shown(value)}")
    if isinstance(value, Mapping):
        return _with_arguments(value, option)
    if value is None:
        return value
    if not isinstance(value, str):
        raise ConfigError(f"{option} {shown(value)} is no name of a class; {_possible(option)}")
    check_text(value, f"the name of a class for {option}", longest=500)
    known = SHORT.get(option, {})
    classes = _classes(option)
    if value in {*known, *classes}:
        return known.get(value, value)
    if not {".", ":"} & set(value):
        near = did_you_mean(value, [*known, *classes])
        raise ConfigError(f"{option} {shown(value)} is unknown{near}; {_possible(option)}")
    _check_importable(option, value)
    return dotted(value)


def _written_function(value: Any, option: str) -> Any:
    """Return the import path of a function in the form of all others; other values as they are.

    Raises:
        ConfigError: it cannot be imported, or names no function.
    """
    if not isinstance(value, str) or not {".", ":"} & set(value):
        return value
    check_text(value, f"the name of a function for {option}", longest=500)
    try:
        found = resolve(value)
    except ConfigError as error:
        raise ConfigError(f"{option} {error}") from error
    if isinstance(found, type) or not callable(found):
        raise ConfigError(f"{option} {value!r} is {shown(found)}, and must be a function")
    return dotted(value)


def _is_path(value: str) -> bool:
    """Return whether data are given by their path: a short name is none, nor is a mapping."""
    mapping = value.lstrip().startswith("{")
    named = value in {*SOURCES, *_classes("data")}
    return not (mapping or named or not value.strip()) and is_path(value)


def _with_arguments(value: Mapping[str, Any], option: str) -> dict[str, Any]:
    """Return a class and its arguments with the name of the class written out.

    Raises:
        ConfigError: they are something else.
    """
    found = dict(value)
    if "class_path" in found:
        named = found["class_path"]
        if not isinstance(named, str):
            raise ConfigError(
                f"{option}.class_path {shown(named)} is no name of a class; {_possible(option)}"
            )
        found["class_path"] = written_name(named, option)
    if not isinstance(found.get("init_args", {}), Mapping):
        raise ConfigError(
            f"{option}.init_args {shown(found['init_args'])} is no mapping of arguments, such as "
            "{name: value}"
        )
    return {name: _dotted_within(one) for name, one in found.items()}


def _dotted_within(value: Any) -> Any:
    """Return options with the import paths of all classes in them in the form that the parser reads."""
    if isinstance(value, Mapping):
        return {
            name: dotted(one)
            if name == "class_path" and isinstance(one, str)
            else _dotted_within(one)
            for name, one in value.items()
        }
    return [_dotted_within(one) for one in value] if isinstance(value, list) else value


def dot_arguments(config: Namespace) -> None:
    """Write import paths that are arguments in the form of all others, so that they compare equal."""
    for option in SHORT:
        named = config.get(option)
        for name in PATHS.get(getattr(named, "class_path", ""), ()):
            path = named.init_args.get(name)
            if isinstance(path, str):
                named.init_args[name] = dotted(path)


def _classes(option: str) -> list[str]:
    """Return the classes that need no import path."""
    if option in SHORT:
        return [path.rpartition(".")[2] for path in SHORT[option].values()]
    return [
        name
        for name, one in vars(torch.optim).items()
        if isinstance(one, type) and issubclass(one, torch.optim.Optimizer)
    ]


def names_of(option: str) -> list[str]:
    """Return the names that need no import path, for an option that names a class."""
    return list(SHORT.get(option, _classes(option)))


def _possible(option: str) -> str:
    names = ", ".join(names_of(option))
    path = "the path of a folder or file, " * (option == "data")
    return (
        f"possible: {names}, {path}or the import path of a class of your own, such as "
        "package.module.Class"
    )


def _check_importable(option: str, path: str) -> None:
    """Say what is wrong with an import path, better than the parser of all options can.

    Raises:
        ConfigError: it cannot be imported, or what it names cannot be used for this option.
    """
    try:
        # What is in no list of kinds is an optimizer; a torch data set is told below where to be named.
        kind = KINDS.get(option, torch.optim.Optimizer)
        found = resolve(path, kind, *([Dataset] if option == "data" else []))
    except ConfigError as error:
        raise ConfigError(f"{option} {error}") from error
    if inspect.isfunction(found) and inspect.signature(found).return_annotation is inspect._empty:
        raise ConfigError(
            f"{option} {path!r} is a function that does not say what it returns; write for instance "
            f"'def {found.__name__}(...) -> nn.Module:'"
        )
    if option == "data" and isinstance(found, type) and issubclass(found, Dataset):
        raise ConfigError(
            f"data {path!r} is a torch Dataset; name it as --data dataset --data.train {path} "
            "(its arguments as --data.arguments.NAME VALUE, a test set as --data.test)"
        )
