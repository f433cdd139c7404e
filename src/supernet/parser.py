"""The options of a run, read from files, command lines and Python alike into a `RunConfig`.

`build_parser()` is the one definition; a user's own model, data set, strategy or searcher is named by
its import path, and the ready ones by a short name too.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
import re
import warnings
from argparse import ArgumentError
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace
from torch import nn

from supernet.arguments import (
    Layer,
    named_class,
    parser_arguments,
    read_layers,
    value_at,
    with_one_length,
    with_train_options,
)
from supernet.classes import NAMED, OPTIONAL, SHORT, dot_arguments
from supernet.code_checks import check_code, check_made
from supernet.config import (
    EvaluateConfig,
    FewShotConfig,
    ModelConfig,
    RetrainConfig,
    RunConfig,
    SearchConfig,
    SharingConfig,
    SplitConfig,
    TrainConfig,
    WatchConfig,
)
from supernet.data import SOURCES, DataSource
from supernet.errors import ConfigError, SupernetError
from supernet.imports import resolve, safe_children
from supernet.loggers import Logger
from supernet.net.source import DATA_ARGUMENTS
from supernet.option_errors import check_nulls, explanation
from supernet.reading import plain_value
from supernet.search import SEARCHERS
from supernet.strategies import STRATEGIES, Strategy
from supernet.task import TASKS, Task
from supernet.zoo import SPACES

__all__ = ["DEFAULTS", "OPTIONS", "build_parser", "differences", "help_text", "parse"]

_GROUPS = {
    "split": SplitConfig,
    "train": TrainConfig,
    "sharing": SharingConfig,
    "watch": WatchConfig,
    "few_shot": FewShotConfig,
    "evaluate": EvaluateConfig,
    "search": SearchConfig,
    "retrain": RetrainConfig,
}
"""Groups of options by their name."""

_SGD = {
    "class_path": "torch.optim.SGD",
    "init_args": {"lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4, "nesterov": True},
}

DEFAULTS: dict[str, Any] = {
    "model": {"class_path": SPACES["bender"], "init_args": {"channels": 8, "groups": [1, 1]}},
    "data": {"class_path": SOURCES["digits"]},
    "task": {"class_path": TASKS["classification"]},
    "strategy": {"class_path": STRATEGIES["bender"]},
    "train.optimizer": _SGD,
    "few_shot.train.optimizer": _SGD,
    "search.searcher": {"class_path": SEARCHERS["random"]},
    "retrain.train.optimizer": _SGD,
    "logger": None,
}
"""What `supernet run` does without a configuration: the Bender space on handwritten digits."""

OPTIONS = ("config", "print_config", *(field.name for field in dataclasses.fields(RunConfig)))
"""Options of a run, and groups of them, without dots."""

_DESCRIPTION = """
Where an option names a model, data set, strategy, searcher, logger or optimizer, give a short name
('supernet zoo' lists them) or the import path of a class, and its arguments as further options:
--strategy bender --strategy.vanish 0.05. --strategy.help NAME explains the arguments of one.
"""


def help_text(program: str) -> str:
    """Return the help of a command, without the lists of every class that PyTorch has."""
    with safe_children():
        text = build_parser(program).format_help()
    return re.sub(r",\s+known\s+subclasses:[^)]*\)", ")", text)


def build_parser(program: str, defaults: Mapping[str, Any] = DEFAULTS) -> ArgumentParser:
    """Return the parser of a run's configuration."""
    parser = ArgumentParser(
        prog=program, exit_on_error=False, allow_abbrev=False, description=_DESCRIPTION
    )
    parser.add_argument(
        "--config",
        action="config",
        help="YAML file with any of the options below, or the name of a shipped one",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="all random draws of a run depend on it"
    )
    parser.add_argument(
        "--device", type=str, default="auto", help="auto (a GPU where there is one), cpu, cuda, ..."
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=1,
        help="CPU threads, 0 for all cores; with one, small networks are fastest, and results do not "
        "depend on the number of cores",
    )
    parser.add_argument(
        "--workers",
        type=int | None,
        default=None,
        help="processes that read data which is not in memory, 0 to read it in the main one; by default "
        "2, or those of a DataLoader; results do not depend on it",
    )
    parser.add_subclass_arguments(
        nn.Module,
        "model",
        skip=set(DATA_ARGUMENTS),
        instantiate=False,
        required=False,
        help="the model with choices: a short name or an import path; its arguments "
        f"{', '.join(DATA_ARGUMENTS)}, if it has them, come from the data",
    )
    parser.add_argument(
        "--data",
        type=DataSource,
        help="the data set: a short name, the path of a folder or file, or a class",
    )
    parser.add_argument("--split", type=SplitConfig, default=SplitConfig())
    parser.add_argument("--task", type=Task, help="losses and measures: a short name or a class")
    parser.add_argument("--strategy", type=Strategy, help="how the shared weights are learned")
    parser.add_argument("--train", type=TrainConfig, default=TrainConfig())
    parser.add_argument("--sharing", type=SharingConfig, default=SharingConfig())
    parser.add_argument("--watch", type=WatchConfig, default=WatchConfig())
    parser.add_class_arguments(FewShotConfig, "few_shot")
    parser.add_argument("--evaluate", type=EvaluateConfig, default=EvaluateConfig())
    parser.add_class_arguments(SearchConfig, "search")
    parser.add_class_arguments(RetrainConfig, "retrain")
    parser.add_argument(
        "--logger",
        type=Logger | None,
        help="where records are sent besides the folder: a short name or a class; null for nowhere",
    )
    parser.set_defaults(dict(defaults))
    return parser


def parse(
    program: str,
    arguments: Sequence[str],
    base: Mapping[str, Any] | None = None,
    trust: bool = False,
    foreign: str | None = None,
) -> tuple[RunConfig, dict[str, Any]]:
    """Read a configuration: defaults, then `base`, then the arguments in their order.

    Where a class is named, the arguments of another class that was named before are forgotten.

    Args:
        program: name of the command in error messages.
        arguments: arguments as on the command line.
        base: options before them.
        trust: use options of another origin that name code.
        foreign: name of what holds `base`, if that is of another origin, see `supernet.origin`.

    Returns:
        The configuration (the model as class path and arguments), and the resolved one as plain
        data, which read again gives the same.

    Raises:
        ConfigError: an option is unknown or of the wrong type, or a file cannot be read or is not
            trusted, or code that it names is not made for what it would be used for.
    """
    layers = read_layers(arguments, base, trust, foreign)
    _check_owners(layers)
    again = copy.deepcopy(layers)
    layers = with_one_length(layers)
    all_layers = with_train_options(layers)
    try:
        return _parsed(program, all_layers)
    except ConfigError:
        if len(all_layers) > len(again):
            _parsed(program, again)  # names what is wrong as it was written
        raise


def _check_owners(layers: Sequence[Layer]) -> None:
    """Refuse arguments of a class where none is named.

    Raises:
        ConfigError: there is one.
    """
    for option in OPTIONAL:
        lost = [name for name, _ in layers if name.startswith(f"{option}.")]
        if lost and named_class(option, layers) is None and not lost[0].endswith(".help"):
            raise ConfigError(
                f"{lost[0]} is given, but no {option}; name one, as --{option} "
                f"{next(iter(SHORT[option]))}: {', '.join(SHORT[option])} or a class of your own"
            )


@functools.lru_cache(maxsize=16)
def _parser(program: str, defaults: str) -> ArgumentParser:
    """Return a parser for these defaults as JSON; building one takes longer than using it."""
    return build_parser(program, json.loads(defaults))


def _parsed(program: str, layers: Sequence[Layer]) -> tuple[RunConfig, dict[str, Any]]:
    given, defaults = parser_arguments(layers, _defaults(layers))
    parser = _parser(program, json.dumps(defaults))
    try:
        with safe_children():
            config = parser.parse_args(given)
    except (
        Exception
    ) as error:  # what the parser meets in values that it does not expect may be anything
        if isinstance(error, SupernetError):
            raise
        known = [action.dest for action in parser._actions if not action.dest.endswith(".help")]
        reason = (
            str(error) if isinstance(error, ArgumentError) else f"{type(error).__name__}: {error}"
        )
        raise ConfigError(f"{explanation(reason, known)} (see {program} --help)") from error
    config.pop("config", None)
    dot_arguments(config)
    with safe_children():
        check_code(config)
        plain = plain_value(_dumped(parser, config), "")
    check_nulls(plain, NAMED, _GROUPS)
    made = _made(parser, config, program)
    check_made(made)
    return _typed(made), plain


def _typed(made: Namespace) -> RunConfig:
    """Return the options, of which each is of its type by now, as what they are."""
    options = dict(vars(made))
    model = options.pop("model")
    if model is not None:
        arguments = model.init_args.as_dict() if "init_args" in model else {}
        model = ModelConfig(model.class_path, arguments)
    return RunConfig(model=model, **options)


def _dumped(parser: ArgumentParser, config: Namespace) -> dict[str, Any]:
    """Return the configuration as plain data, without defaults of classes that are objects."""
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        # What safe_load does, by the loader in C where there is one: this takes most of the time.
        plain: dict[str, Any] = yaml.load(
            parser.dump(config, skip_unset=False),
            Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader),
        )
    for option in NAMED:
        found = value_at(plain, option)
        arguments = found.get("init_args") if isinstance(found, dict) else None
        if isinstance(arguments, dict):
            kept = {name: value for name, value in arguments.items() if _OBJECT not in str(value)}
            found["init_args"] = kept
    return plain


_OBJECT = "Unable to serialize instance"
"""What the parser writes in place of an object."""


def _made(parser: ArgumentParser, config: Namespace, program: str) -> Namespace:
    """Return the configuration with objects for the classes in it.

    Raises:
        ConfigError: a class cannot be made from its arguments.
    """
    try:
        made: Namespace = parser.instantiate(config)
    except SupernetError:
        raise
    except Exception as error:  # a user's class may raise anything
        raise ConfigError(
            f"the classes in the configuration cannot be made: {type(error).__name__}: {error} "
            f"(see {program} --help)"
        ) from error
    return made


def _defaults(layers: Sequence[Layer]) -> dict[str, Any]:
    """Return the defaults; what a coupled strategy learned needs no other searcher."""
    searcher = named_class("search.searcher", layers)
    named = named_class("strategy", layers)
    if searcher is not None or named is None:
        return DEFAULTS
    kind = resolve(named if "." in named else f"supernet.strategies.{named}")
    if not (isinstance(kind, type) and issubclass(kind, Strategy)):
        return DEFAULTS
    learns = kind.learned is not Strategy.learned
    learned = {"search.searcher": {"class_path": SEARCHERS["learned"]}} if learns else {}
    return {**DEFAULTS, **learned}


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    """Yield the options in which two configurations differ, with both values."""
    first, second = dict(_flat(one)), dict(_flat(other))
    for name in sorted(first.keys() | second.keys()):
        if first.get(name) != second.get(name):
            was, now = (str(one.get(name, "not given")) for one in (first, second))
            yield f"{name}: {was[:200]} and {now[:200]}"


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}" if name else str(key))
    else:
        yield name, value
