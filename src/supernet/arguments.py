"""Options as they are written, on command lines and in files, made ready for the parser.

Short names are written out, and where an option names another class than before, the arguments of the
class before are forgotten: the parser alone would keep those that both happen to have.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from supernet.classes import (
    FUNCTIONS,
    LATER,
    NAMED,
    OPTIONAL,
    TRAININGS,
    written_class,
    written_name,
)
from supernet.errors import ConfigError
from supernet.imports import dotted, look_here
from supernet.origin import check_classes, check_origin, code_in, is_own_file
from supernet.reading import check_number, check_text, read_text, shown, yaml_value
from supernet.shipped import config_path, shipped

__all__ = [
    "Layer",
    "named_class",
    "parser_arguments",
    "read_config_file",
    "read_layers",
    "value_at",
    "with_one_length",
    "with_train_options",
]

GROUPS = (
    "split",
    "train",
    "watch",
    "few_shot",
    "few_shot.train",
    "evaluate",
    "search",
    "retrain",
    "retrain.train",
)
"""Options that hold further ones and have no value of their own."""

Layer = tuple[str, Any]
"""An option and its value; "config" with a mapping of options."""


def read_layers(
    arguments: Sequence[str],
    base: Mapping[str, Any] | None,
    trust: bool = False,
    foreign: str | None = None,
) -> list[Layer]:
    """Return what is given, in its order: `base`, then options and configuration files.

    Modules that are named, and are nowhere else, are from now on found in the working directory.

    Args:
        arguments: arguments as on the command line, for instance `["--strategy", "spos"]`.
        base: options that come before the arguments.
        trust: use options of another origin that name code.
        foreign: name of what holds `base`, if that is of another origin, see `supernet.origin`.

    Raises:
        ConfigError: a configuration file cannot be read or is not trusted, or a short name is unknown.
    """
    joined = _joined(arguments)
    files = {one: read_config_file(path) for one in joined if (path := _file(one)) is not None}
    named = set(code_in([one for one in joined if one not in files]))
    for one, options in [] if trust else files.items():
        path = config_path(one.partition("=")[2])
        if path not in shipped().values() and not is_own_file(path, options):
            check_origin(f"the configuration {path}", options, named)
    if foreign is not None and not trust:
        check_origin(foreign, base, {*named, *code_in(list(files.values()))})
    layers = [files.get(one, one) for one in joined]
    check_classes([base, *layers])
    look_here(code_in([base, *layers]))
    return [("config", copy.deepcopy(dict(base or {}))), *map(_layer, layers)]


def _file(argument: str) -> Path | None:
    """Return the configuration file that an argument names, if it does."""
    name, equals, value = argument.partition("=")
    text = value.lstrip().startswith("{") or "\n" in value
    return config_path(value) if name == "--config" and equals and not text else None


def with_train_options(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers with what `train` is given, but its length, given to later trainings first.

    So it holds for them wherever nothing else is said.
    """
    found: list[Layer] = []
    for name, value in layers:
        given = _of_training(value) if name == "config" else _of_training({name: value})
        for training in LATER:
            found += [(f"{training}.{option}", copy.deepcopy(one)) for option, one in given]
    return [*found, *layers]


def _of_training(options: Mapping[str, Any]) -> list[Layer]:
    """Return what is given for `train`, by the rest of its name."""
    inner = options.get("train")
    given = {
        f"train.{name}": value for name, value in (inner if isinstance(inner, dict) else {}).items()
    }
    given |= {name: value for name, value in options.items() if name.startswith("train.")}
    return [
        (name.removeprefix("train."), value)
        for name, value in given.items()
        if name not in ("train.steps", "train.epochs") and not name.endswith(".help")
    ]


def with_one_length(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers with epochs that were given before taken back where steps are given.

    Raises:
        ConfigError: both are given as arguments.
    """
    found: list[Layer] = []
    for training in TRAININGS:
        both = [name for name, _ in layers if name in (f"{training}.steps", f"{training}.epochs")]
        if len(set(both)) == 2:
            raise ConfigError(
                f"{training}.steps and {training}.epochs both say how long to train; give one of them"
            )
    for name, value in layers:
        for training in TRAININGS:
            given = value if name == "config" else {name: value}
            steps, epochs = (
                f"{training}.{one}" in given or value_at(given, f"{training}.{one}") is not None
                for one in ("steps", "epochs")
            )
            if steps and not epochs:
                found.append((f"{training}.epochs", None))
        found.append((name, value))
    return found


def parser_arguments(
    layers: Sequence[Layer], defaults: Mapping[str, Any]
) -> tuple[list[str], dict[str, Any]]:
    """Return the arguments for the parser and what of the defaults applies to them.

    Args:
        layers: layers of options that are given, in their order.
        defaults: classes and their arguments by option, before anything is given.
    """
    layers = list(layers)
    kept = dict(defaults)
    for option, default in defaults.items():
        classes = [_class(default), *[_class_in(layer, option) for layer in layers]]
        named = [number for number, name in enumerate(classes) if name is not None]
        others = [number for number in named if not _same(classes[number], classes[named[-1]])]
        if not others:
            continue
        since = min(number for number in named if number > others[-1])
        del kept[option]
        layers[: since - 1] = [_without(layer, option) for layer in layers[: since - 1]]
    return [_written(layer) for layer in layers if layer != ("config", {})], kept


def named_class(option: str, layers: Sequence[Layer]) -> str | None:
    """Return the class that is named last for an option, or None."""
    named = [name for layer in layers if (name := _class_in(layer, option)) is not None]
    return named[-1] if named else None


def read_config_file(path: Path) -> dict[str, Any]:
    """Return the options in a YAML file, as they are written.

    Raises:
        ConfigError: the file is missing or is no YAML mapping.
    """
    return _options(read_text(path, "the configuration"), f"the configuration {path}")


def _options(text: str, what: str) -> dict[str, Any]:
    """Return the options in a YAML text, as they are written."""
    config = yaml_value(text, what)
    if not isinstance(config, dict):
        raise ConfigError(f"{what} holds no options; write 'name: value' lines")
    if "config" in config:
        raise ConfigError(
            f"{what} names another one, but each is given on its own, as --config FILE --config FILE"
        )
    return config


def _written_out(config: dict[str, Any]) -> dict[str, Any]:
    """Return options with the short names and import paths in them written out, and no empty groups.

    Raises:
        ConfigError: a group of options is something else, or a class is unknown.
    """
    for name in GROUPS:
        outer, last = _within(config, name)
        if last in outer and outer[last] is None:
            del outer[last]
        elif not isinstance(outer.get(last, {}), dict):
            raise ConfigError(_no_group(name, outer[last]))
    for name in (*NAMED, *FUNCTIONS):
        outer, last = _within(config, name)
        if last in outer:
            outer[last] = written_class(outer[last], name)
            if outer[last] is None:
                del outer[last]
    return config


def _within(config: dict[str, Any], name: str) -> tuple[dict[str, Any], str]:
    """Return the mapping that an option stands in, or an empty one, and its name there."""
    outer, dot, last = name.rpartition(".")
    found = value_at(config, outer) if dot else config
    return (found if isinstance(found, dict) else {}), last


def _no_group(name: str, value: object) -> str:
    return (
        f"{name} is a group of options, not {shown(value)}; give them one by one, as "
        f"--{name}.NAME VALUE, or together, as {{NAME: VALUE}}"
    )


def _joined(arguments: Sequence[str]) -> list[str]:
    """Write "--name value" as "--name=value"."""
    joined: list[str] = []
    waiting = False
    for argument in arguments:
        if waiting and not argument.startswith("--"):
            joined[-1] += f"={argument}"
            waiting = False
        else:
            joined.append(argument)
            waiting = argument.startswith("--") and "=" not in argument
    return joined


def _layer(argument: str | dict[str, Any]) -> Layer:
    """Return the layer of an option, or of the options that a configuration file holds."""
    if isinstance(argument, dict):
        return ("config", _written_out(argument))
    name, equals, value = argument.partition("=")
    option = name.removeprefix("--")
    if not argument.startswith("--") or not equals:
        return ("", argument)
    mapping = value.lstrip().startswith("{")
    if option == "config":
        return ("config", _written_out(_options(value, option)))
    _check_value(option, value)
    if (option in GROUPS or option.endswith(".init_args")) and not mapping:
        raise ConfigError(_no_group(option, value))
    if value in ("null", "~") and option in OPTIONAL:
        return (option, None)
    if value in ("null", "~") and (owner := _owner(option)):
        # The parser would hand on the text "None" to what lies deeper than an argument of a class.
        inner = option.removeprefix(f"{owner}.").removeprefix("init_args.")
        return ("config", _placed(f"{owner}.init_args.{inner}", None))
    if mapping and any(one.startswith(f"{option}.") for one in NAMED):
        return ("config", _written_out(_nested(option, value)))
    if option not in NAMED and value.lstrip()[:1] in ("[", "{"):
        return (option, yaml_value(value, f"{option} {shown(value)}"))  # as it is read in files
    owner, _, last = option.rpartition(".")
    if last == "class_path":
        return (option, written_name(value, owner) if owner in NAMED else dotted(value))
    named = written_class(value, option.removesuffix(".help"))
    if option.endswith(".help") and isinstance(named, Mapping):
        return (option, named["class_path"])
    return (option, named)


def _owner(option: str) -> str | None:
    """Return the option of a class that has this one below its arguments, or None."""
    owner = next((name for name in NAMED if option.startswith(f"{name}.")), None)
    inner = option.removeprefix(f"{owner}.").removeprefix("init_args.")
    return owner if "." in inner else None


def _check_value(option: str, value: str) -> None:
    """Refuse what is out of bounds, or begins as a list or mapping but is none.

    Raises:
        ConfigError: it is.
    """
    check_text(value, option, longest=100_000)
    check_number(value, option)
    if not {"[", "{"} & set(value):
        return
    try:
        yaml_value(value, f"{option} {shown(value)}")
    except ConfigError as error:
        if value.lstrip()[0] in "[{" or not isinstance(error.__cause__, yaml.YAMLError):
            raise


def _nested(option: str, text: str) -> dict[str, Any]:
    """Return options that are given together, as `--train '{"steps": 9}'`, below their names.

    Raises:
        ConfigError: they cannot be read.
    """
    return _placed(option, yaml_value(text, f"{option} {shown(text)}"))


def _placed(option: str, value: Any) -> dict[str, Any]:
    """Return options in which one has a value."""
    for part in reversed(option.split(".")):
        value = {part: value}
    placed: dict[str, Any] = value
    return placed


def _written(layer: Layer) -> str:
    name, value = layer
    if not name:
        return str(value)
    return f"--{name}={value if isinstance(value, str) else json.dumps(value)}"


def _class_in(layer: Layer, option: str) -> str | None:
    """Return the class that a layer names for an option, if any."""
    name, value = layer
    if name == "config":
        return _class(value_at(value, option))
    return _class(value) if name in (option, f"{option}.class_path") else None


def _class(value: Any) -> str | None:
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = yaml_value(value, "a class")
    if isinstance(value, Mapping):
        value = value.get("class_path")
    return value if isinstance(value, str) else None


def _same(one: str | None, other: str | None) -> bool:
    """Return whether two names are of one class; the parser takes "Class" for "package.Class"."""
    if one is None or other is None or ("." in one and "." in other):
        return one == other
    return one.rpartition(".")[2] == other.rpartition(".")[2]


def _without(layer: Layer, option: str) -> Layer:
    """Return a layer that does not mention an option."""
    name, value = layer
    if name == "config":
        outer, last = _within(value, option)
        outer.pop(last, None)
        return layer
    return ("config", {}) if name == option or name.startswith(f"{option}.") else layer


def value_at(config: Any, option: str) -> Any:
    """Return what nested options hold for a dotted name, or None."""
    for part in option.split("."):
        config = config.get(part) if isinstance(config, Mapping) else None
    return config
