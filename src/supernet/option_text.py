"""Options in words: what is written for each, what it is for, and what holds where it is left out."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from jsonargparse import ArgumentParser, Namespace

from supernet.classes import SHORT
from supernet.imports import resolve, safe_children
from supernet.option_lines import UNBROKEN

__all__ = ["Option", "class_options", "option_names", "options_of", "short_name"]

_WORDS = {
    int: "N",
    float: "X",
    bool: "true|false",
    str: "TEXT",
    Path: "PATH",
    list: "[...]",
    tuple: "[...]",
    Sequence: "[...]",
    dict: "{...}",
    Any: "VALUE",
}
"""What stands for a value of a type."""


@dataclass(frozen=True)
class Option:
    """An option, as a user reads of it.

    Attributes:
        name: dotted name.
        value: word that stands for its value, such as N or auto|batch.
        help: sentences that say what it is.
        default: value where it is not given, as it would be written; None where it must be given.
    """

    name: str
    value: str
    help: str
    default: str | None

    @property
    def brief(self) -> str:
        """What it is, in the first phrase of its help."""
        return re.split(r"; |(?<!\.)\.(?: |$)", self.help, maxsplit=1)[0]

    def words(self, brief: bool = False) -> str:
        """What it is, all of it or in brief, and its default."""
        words = self.brief if brief else self.help
        if self.default is None or self.default in ("null", "[]", "{}"):
            return words
        ended = words if words.endswith("...") else words.removesuffix(".")
        return f"{ended} (default:{UNBROKEN}{self.default})".lstrip()


def class_options(path: str) -> dict[str, Option]:
    """Return the arguments of a class or function by name.

    Args:
        path: import path of it.
    """
    found: Any = resolve(path)
    parser = ArgumentParser(exit_on_error=False)
    with safe_children():
        if isinstance(found, type):
            parser.add_class_arguments(found, None, fail_untyped=False)
        else:
            parser.add_function_arguments(found, None, fail_untyped=False)
        return options_of(parser)


def options_of(parser: ArgumentParser) -> dict[str, Option]:
    """Return the options of a parser by name, without those that print something."""
    found = {}
    for action in parser._actions:
        kind = getattr(action, "_typehint", None)
        if kind is None or action.dest.endswith(".help"):
            continue
        found[action.dest] = Option(
            action.dest,
            _value(kind),
            " ".join((action.help or "").split()),
            None if action.required and action.default is None else _default(action.default),
        )
    return found


def option_names(parser: ArgumentParser) -> list[str]:
    """Return the dotted names of all options of a parser, and of groups of them, sorted."""
    names = [action.dest for action in parser._actions]
    return sorted(one for one in names if one.rpartition(".")[2] != "help")


def short_name(path: str) -> str:
    """Return the short name of a class, or else its own."""
    for known in SHORT.values():
        for name, one in known.items():
            if one == path:
                return name
    return path.rpartition(".")[2]


def _value(kind: Any) -> str:
    """Return what stands for values of a type."""
    origin = get_origin(kind)
    if origin is Literal:
        return "|".join(map(str, get_args(kind)))
    if origin in (Union, types.UnionType):
        found = [_value(one) for one in get_args(kind) if one is not type(None)]
        return "|".join(dict.fromkeys(found))
    return _WORDS.get(origin or kind, "NAME")


def _default(value: Any) -> str:
    """Return a default as it would be written."""
    if isinstance(value, Namespace):
        value = value.as_dict()
    if isinstance(value, Mapping) and "class_path" in value:
        return short_name(value["class_path"])
    if isinstance(value, str):
        return value
    try:
        text: str = yaml.dump(value, Dumper=_Plain, default_flow_style=True, width=10_000)
    except yaml.YAMLError:  # an object
        return str(value)
    return text.removesuffix("\n").removesuffix("\n...")


class _Plain(yaml.SafeDumper):
    """Writes data in full, however often a part of it occurs."""

    def ignore_aliases(self, data: object) -> bool:
        """Return that nothing is written as a reference."""
        return True
