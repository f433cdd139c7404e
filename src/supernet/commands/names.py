"""The commands that need no run: what a model is, what has a name, and the shipped configurations."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from supernet.commands.base import Answer, Command
from supernet.errors import ConfigError
from supernet.failures import MORE_MEMORY, machine_errors
from supernet.reading import shown
from supernet.suggestions import did_you_mean
from supernet.terminal import (
    Arguments,
    file_path,
    mapping,
    number,
    several,
    whole_number,
)

__all__ = ["NAMES"]


def _doctor_parser(program: str) -> Arguments:
    sizes = several(whole_number(1, 10**6))
    parser = Arguments(
        program,
        description="Say what of a model is open, why something is not, how many architectures there "
        "are, and what they cost. A model without choices is converted for that.",
    )
    parser.add_argument(
        "model", help="a space of 'supernet zoo', or a class or function as package.module:name"
    )
    parser.add_argument("--arguments", type=mapping, default={}, help="of the model, as JSON")
    parser.add_argument(
        "--shape", type=sizes, default=(3, 32, 32), help="of one example (default: 3,32,32)"
    )
    parser.add_argument(
        "--words", type=whole_number(1), help="examples are tokens below this number, not images"
    )
    parser.add_argument(
        "--inputs",
        type=mapping,
        help="of several inputs, by name the type and shape of one example, as JSON such as "
        '\'{"tokens": ["int64", 16], "mask": ["bool", 16]}\'',
    )
    parser.add_argument(
        "--classes", type=whole_number(1), default=10, help="given to the model if it takes them"
    )
    parser.add_argument(
        "--constraint", action="append", default=[], help="such as 'macs <= 5e6'; several times"
    )
    parser.add_argument("--widths", type=several(number), default=(0.25, 0.5, 0.75, 1.0))
    parser.add_argument(
        "--multiple", type=whole_number(1), default=8, help="widths are multiples of it"
    )
    parser.add_argument("--inner", action="store_true", help="sizes of heads are open too")
    parser.add_argument(
        "--depth", type=number, default=0.5, help="smallest part of a row of blocks"
    )
    parser.add_argument("--kernels", type=sizes, default=(), help="for depthwise convolutions")
    parser.add_argument(
        "--keep", action="append", default=[], help="pattern of modules that stay; several times"
    )
    return parser


def _doctor(command: Command, given: argparse.Namespace, rest: list[str]) -> Answer:
    from supernet.pipeline import diagnose_named, doctor_text
    from supernet.track import doctor_table, print_table

    options = {
        name: value
        for name, value in vars(given).items()
        if name in ("widths", "multiple", "inner", "depth", "kernels", "keep")
    }
    with machine_errors("the model", f"Give smaller examples with --shape. {MORE_MEMORY}"):
        found = diagnose_named(
            given.model,
            given.arguments,
            given.shape,
            words=given.words,
            classes=given.classes,
            constraints=given.constraint,
            inputs=given.inputs,
            **options,
        )

    def show() -> None:
        print_table(doctor_table(found.rows_as_text()))
        print(doctor_text(found))

    return Answer(found.to_json(), show)


def _zoo_parser(program: str) -> Arguments:
    parser = Arguments(
        program,
        description="List spaces, strategies, searchers, tasks, data sets, loggers and scores without "
        "training, or explain one: what it is, its arguments, the paper, configurations, an example.",
    )
    parser.add_argument("name", nargs="?", help="a short name, such as spos")
    return parser


def _zoo(command: Command, given: argparse.Namespace, rest: list[str]) -> Answer:
    from supernet.catalogue import catalogue, explained, explanation_text

    if given.name is not None:
        found = explained(given.name)
        return Answer({given.name: found}, lambda: print("\n\n".join(map(explanation_text, found))))
    entries = catalogue()

    def show() -> None:
        width = max(len(name) for group in entries.values() for name in group)
        for kind, group in entries.items():
            print(f"{kind}:")
            for name, entry in group.items():
                print(f"  {name:<{width}}  {entry['summary']}")
        print("'supernet zoo NAME' explains one.")

    return Answer(entries, show)


_ACTIONS = {"list": 0, "show": 1, "copy": 2}
"""What is done with shipped configurations, and how many words follow."""


def _configs_parser(program: str) -> Arguments:
    parser = Arguments(
        program,
        usage=f"{program} [--json] [list | show NAME | copy NAME FILE]",
        description="List the configurations that come with supernet, show one, or copy one to change "
        "it. 'supernet run --config NAME' uses one as it is.",
    )
    parser.add_argument("action", nargs="?", default="list", help="list, show or copy")
    parser.add_argument("words", nargs="*", help="the name of one, such as digits/spos, and a file")
    return parser


def _configs(command: Command, given: argparse.Namespace, rest: list[str]) -> Answer:
    from supernet.shipped import about, shipped, shipped_path

    if given.action not in _ACTIONS:
        raise ConfigError(
            f"configurations are not to be {shown(given.action)}"
            f"{did_you_mean(given.action, _ACTIONS)}; possible: list, show NAME, copy NAME FILE"
        )
    if len(given.words) != _ACTIONS[given.action]:
        raise ConfigError(
            f"write {command.program} list, {command.program} show NAME or {command.program} copy NAME "
            f"FILE; after {given.action} {len(given.words)} words were given"
        )
    if given.action == "list":
        found = {name: about(file) for name, file in shipped().items()}
        width = max(map(len, found))
        lines = [
            f"{name:<{width}}  {textwrap.shorten(text, 98 - width, placeholder=' …')}"
            for name, text in found.items()
        ]
        return Answer(found, lambda: print("\n".join(lines)))
    name = given.words[0]
    text = shipped_path(name).read_text(encoding="utf-8")
    if given.action == "show":
        return Answer({"name": name, "text": text}, lambda: print(text, end=""))
    target = file_path(given.words[1])
    _write_new(target, text)
    return Answer(
        {"name": name, "file": str(target)},
        lambda: print(f"{name}: {target}; use it with: supernet run --config {target}"),
    )


def _write_new(file: Path, text: str) -> None:
    """Write a file that is not there yet.

    Raises:
        ConfigError: it is, or cannot be written.
    """
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as error:
        raise ConfigError(f"{file} is there already, and is not replaced; name another") from error
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from error


NAMES = (
    Command(
        "doctor",
        "say what of a model is open, why something is not, and what its networks cost",
        _doctor_parser,
        _doctor,
        leaves=False,
    ),
    Command(
        "zoo",
        "list what has a name (spaces, strategies, searchers, tasks, data sets, ...), or explain one",
        _zoo_parser,
        _zoo,
        leaves=False,
        works=False,
    ),
    Command(
        "configs",
        "list, show or copy the configurations that come with supernet",
        _configs_parser,
        _configs,
        leaves=False,
    ),
)
"""The commands, in the order in which help lists them."""
