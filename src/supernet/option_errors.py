"""What the parser of options says of a wrong one, in one sentence: option, value, what is possible.

The parser names a wrong option in pieces, one for each class that it belongs to, with the types of
Python that it tried; these are put together here.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from supernet.classes import SHORT
from supernet.errors import ConfigError
from supernet.imports import resolve
from supernet.suggestions import did_you_mean

__all__ = ["check_nulls", "explanation"]

_LONG_WORD = re.compile(r"\S{90,}")
_LONGEST_TEXT = 1200

_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "NoneType": "null",
    "list": "a list such as [1, 2]",
    "tuple": "a list such as [1, 2]",
    "dict": "a mapping such as {name: value}",
}
"""What to write for a type of Python."""

_EXPECTED = re.compile(
    r"^([ -]*)Expected an? (<class '[\w.]+'>|typing\.Literal\[[^\n\]]*\]|[^\n.]*)", re.MULTILINE
)


def explanation(message: str, options: Sequence[str]) -> str:
    """Return what is wrong in words.

    Args:
        message: message of the parser.
        options: the dotted names of all options of the parser itself.
    """
    message = re.sub(_LONG_WORD, lambda found: f"{found[0][:60]}…", message)
    found = _unknown(message, options) or _required(message) or _value(message)
    return (found or message)[:_LONGEST_TEXT]


def _unknown(message: str, options: Sequence[str]) -> str | None:
    """Return the message with which option was meant, if it is about one that is unknown."""
    found = re.search(r"arguments: --([\w.]+)|[Oo]ption '([\w.]+)'", message)
    if found is None:
        return None
    name = found[1] or found[2]
    group = re.search(r"Group '([\w.]+)'", message)
    kinds = list(re.finditer(r"class_path[ =]'([\w.]+)'", message))
    known: Collection[str] = options
    where = ""
    if kinds:
        kind = next((one for one in reversed(kinds) if one.start() < found.start()), kinds[0])
        known = _arguments(kind[1])
        where = f" by {kind[1]}"
    elif group is not None:
        known = [one.removeprefix(f"{group[1]}.") for one in options]
        known = [one for one in known if one not in options]
        where = f" by {group[1]}"
    near = did_you_mean(name, known)
    if not kinds and group is None:
        return f"{message}{near}"
    prefix = f"{group[1]}." if group is not None and not kinds else ""
    possible = "" if near else f"; possible: {', '.join(known) or 'none'}"
    return f"the option {prefix + _option(message, name)!r} is not accepted{where}{near}{possible}"


def _required(message: str) -> str | None:
    """Return which arguments of a class are missing, if the message is about that."""
    missing = re.search(
        r"class_path '([\w.]+)':\s+the following arguments are required: (.*)", message
    )
    option = _option(message)
    if missing is None or not option:
        return None
    known = {path: short for short, path in SHORT.get(option, {}).items()}
    name = known.get(missing[1], missing[1])
    here = f"; {name} in this folder is --{option} .{os.sep}{name}" if os.path.lexists(name) else ""
    given = ", ".join(f"--{option}.{one} VALUE" for one in missing[2].strip().split(", "))
    return f"{option} {name} needs {given}{here if option == 'data' else ''}"


def _arguments(path: str) -> list[str]:
    try:
        return list(inspect.signature(resolve(path)).parameters)
    except (TypeError, ValueError):  # of builtin classes none are known
        return []


def _option(message: str, last: str = "") -> str:
    """Return the dotted name that the parser gives in pieces."""
    parts = [
        part for key in re.findall(r'[Pp]arser key "([\w.]+)"', message) for part in key.split(".")
    ]
    if last and parts[-1:] != [last]:
        parts.append(last)
    kept = [part for number, part in enumerate(parts) if part not in parts[number - 1 : number]]
    return ".".join(kept)


def _value(message: str) -> str | None:
    """Return what is expected of an option and what was given, if the message is about that."""
    option = _option(message)
    config = re.search(r"Unable to load config ['\"](.*?)['\"]", message)
    if option and config:
        return (
            f"{option} is a group of options, not {config[1]!r}; give them one by one, as "
            f"--{option}.NAME VALUE, or together, as {{NAME: VALUE}}"
        )
    given = re.search(r"(?:Got|Given) value: (.*?)(?:\. Got value|\n|$)", message)
    wanted, choices = _expected(message)
    if not option or given is None or not wanted:
        return None
    below = re.match(r"^NestedArg\(key='([^']*)'", given[1])
    if below and not any(one.startswith("a mapping") for one in wanted):
        return f"there is no option {f'{option}.{below[1]}'!r}; {option} is {_either(wanted)}"
    value = re.sub(r"^NestedArg\(key='.*?', val='?(.*?)'?\)$", r"\1", given[1])
    near = did_you_mean(value, choices)
    return f"{option} cannot be {value!r}{near}; possible: {_either(wanted)}"


def _either(wanted: Sequence[str]) -> str:
    kinds = list(dict.fromkeys(wanted))
    return ", ".join(kinds[:-1]) + " or " * (len(kinds) > 1) + kinds[-1]


def _expected(message: str) -> tuple[list[str], list[str]]:
    """Return what is possible in words, and what of that is a word to be written as it is."""
    found = list(_EXPECTED.finditer(message))
    if found:  # what is less indented belongs to an option around this one
        found = [one for one in found if len(one[1]) >= len(found[0][1])]
    wanted: list[str] = []
    choices: list[str] = []
    for one in found:
        kind = re.fullmatch(r"<class '([\w.]+)'>", one[2])
        if one[2].startswith("typing.Literal"):
            literal = re.findall(r"'([^']*)'", one[2])
            choices += literal
            wanted += map(repr, literal)
        elif kind is not None:
            wanted.append(_TYPES.get(kind[1], f"a {kind[1].rpartition('.')[2]}"))
        elif not one[2].startswith("dot import path"):
            wanted.append(f"a {one[2]}".replace("tuple", "list"))
    if wanted == ["null"] and len(found) > 1:
        wanted = ["a mapping such as {name: value}", "null"]
    return wanted, choices


def check_nulls(plain: Mapping[str, Any], named: Sequence[str], groups: Mapping[str, type]) -> None:
    """Refuse null where an option cannot be null, and texts that are stored as numbers.

    The parser lets both pass.

    Args:
        plain: the configuration.
        named: options that name a class.
        groups: classes of the options that are groups of others.

    Raises:
        ConfigError: there is one.
    """
    for name in ("seed", "device", "threads"):
        if plain.get(name) is None:
            raise ConfigError(f"{name} cannot be null; leave it out for its default")
    for name, kind in groups.items():
        _check_arguments(plain.get(name), kind, name)
    for name in named:
        found: Any = plain
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        if isinstance(found, Mapping) and "class_path" in found:
            _check_arguments(found.get("init_args"), resolve(found["class_path"]), name)


def _check_arguments(given: Any, kind: Any, name: str) -> None:
    """Check what a class or function is given, and the dataclasses among it."""
    if not isinstance(given, Mapping):
        return
    try:
        hints = get_type_hints(kind.__init__ if isinstance(kind, type) else kind)  # type: ignore[misc]
        parameters = inspect.signature(kind).parameters
    except (
        NameError,
        TypeError,
        ValueError,
    ):  # a user's class, or one of PyTorch, whose hints are none
        return
    for argument, value in given.items():
        hint = hints.get(argument, Any)
        kinds = get_args(hint) or (hint,)
        known = parameters.get(argument)
        nullable = (
            hint is Any or type(None) in kinds or (known is not None and known.default is None)
        )
        if value is None and known is not None and not nullable:
            raise ConfigError(f"{name}.{argument} cannot be null; leave it out for its default")
        if isinstance(value, float) and {str, Path} & set(kinds) and not {int, float} & set(kinds):
            raise ConfigError(
                f"{name}.{argument} is a text, but what was given would be read as the number {value} "
                "when the configuration is read again; write it another way"
            )
        for one in kinds:
            if is_dataclass(one) and isinstance(one, type):
                _check_arguments(value, one, f"{name}.{argument}")
