"""What a command is, and what several of them have."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supernet.errors import ConfigError, SupernetError
from supernet.reading import shown
from supernet.suggestions import did_you_mean
from supernet.terminal import Arguments, print_json

__all__ = [
    "DEFAULT_OUT",
    "HELPS",
    "JSON",
    "JSON_HELP",
    "TRUST",
    "TRUST_HELP",
    "Answer",
    "Command",
    "alone",
    "check_folder",
]

DEFAULT_OUT = "runs/default"

JSON = "--json"
JSON_HELP = "print one JSON object, and all else to standard error"

HELPS = Path(__file__).parent / "helps"
"""Options of the commands in words, and the names of all, see `supernet.option_help`."""

TRUST = "--trust"
TRUST_HELP = "run code that a folder or configuration of another origin names"


@dataclass(frozen=True)
class Answer:
    """What a command found, for programs and for people.

    Attributes:
        content: plain data, which `--json` prints.
        show: prints it in words and tables.
        error: error that is raised after that, where not all could be done.
    """

    content: Mapping[str, Any]
    show: Callable[[], None]
    error: SupernetError | None = None


@dataclass(frozen=True)
class Command:
    """A command of the command line.

    Attributes:
        name: name by which the command is called.
        help: one line that says what it does.
        parser: makes the parser of its own arguments, of a name for messages.
        act: does it; is given the command, its own arguments, and those that its parser leaves; returns
            what it found, or None where it has nothing to say.
        leaves: whether its parser leaves arguments that it does not know, which are options of a run.
        explain: prints its help, where the parser does not; is told whether everything is asked for.
        works: whether it does more than print, so that a broken pipe is a failure.
        answers: whether it has something to say, which `--json` prints as an object.
        ranks: whether several processes that `torchrun` started do it together.
    """

    name: str
    help: str
    parser: Callable[[str], Arguments]
    act: Callable[[Command, argparse.Namespace, list[str]], Answer | None]
    leaves: bool = True
    explain: Callable[[Command, bool], None] | None = None
    works: bool = True
    answers: bool = True
    ranks: bool = False

    @property
    def program(self) -> str:
        """What its messages begin with."""
        return f"supernet {self.name}"

    def own_parser(self) -> Arguments:
        """Return the parser of its own arguments."""
        parser = self.parser(self.program)
        if self.answers:
            parser.add_argument(JSON, action="store_true", help=JSON_HELP)
        return parser

    def run(self, arguments: Sequence[str], together: Sequence[str] = ()) -> None:
        """Do what the arguments after its name ask for.

        Args:
            arguments: words after its name.
            together: names of the commands that several processes can do, for messages.

        Raises:
            ConfigError: an argument is wrong, or it is one process's and several were started.
        """
        if self.explain is not None and {"-h", "--help"} & set(arguments):
            self.explain(self, "all" in arguments)
            return
        if not self.ranks:
            _check_alone(together)
        parser = self.own_parser()
        if self.leaves:
            given, rest = parser.parse_known_args(arguments)
            _check_names(parser, rest)
        else:
            given, rest = parser.parse_args(arguments), []
        self._answer(given, rest)

    def _answer(self, given: argparse.Namespace, rest: list[str]) -> None:
        """Act, and print what that returned; with `--json` nothing else is on standard output."""
        as_json = self.answers and given.json
        with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
            answer = self.act(self, given, rest)
        if answer is None:
            return
        if as_json:
            print_json(answer.content)
        else:
            answer.show()
        if answer.error is not None:
            raise answer.error


def _check_names(parser: Arguments, rest: Sequence[str]) -> None:
    """Check that options are those of a run, and say which of all was meant.

    Args:
        parser: parser of the command's own arguments.
        rest: arguments that it left.

    Raises:
        ConfigError: one is not.
    """
    given = [name for one in rest if (name := one.partition("=")[0]).startswith("--")]
    if not given:
        return
    known = (HELPS / "options.txt").read_text(encoding="utf-8").split()
    for name in given:
        if not _is_option(name.removeprefix("--").removesuffix("+"), known):
            own = [one for one in parser.names if one != "--help"]
            meant = did_you_mean(name, [*own, *(f"--{one}" for one in known)])
            raise ConfigError(
                f"there is no option {shown(name)}{meant} (see {parser.prog} --help all)"
            )


def _is_option(name: str, known: Sequence[str]) -> bool:
    """Return whether an option is known, or one below an option that may have others, as a class has.

    >>> _is_option("strategy.vanish", ["strategy", "train", "train.steps"])
    True
    >>> _is_option("train.stepz", ["strategy", "train", "train.steps"])
    False

    Args:
        name: dotted name.
        known: dotted names of all options, and of groups of them.
    """
    if name in known:
        return True
    above = [one for one in known if name.startswith(f"{one}.")]
    return bool(above) and not any(one.startswith(f"{max(above, key=len)}.") for one in known)


def alone() -> bool:
    """Return whether this is the only process, and not one of several that `torchrun` started."""
    return os.environ.get("WORLD_SIZE", "1") == "1"


def _check_alone(together: Sequence[str]) -> None:
    """Check that a command is not given to several processes that it would not know of each other.

    Raises:
        ConfigError: `torchrun` started several.
    """
    if not alone():
        raise ConfigError(
            "this is done by one process, and torchrun started "
            f"{os.environ['WORLD_SIZE']}; run it without torchrun. Several can do: {', '.join(together)}"
        )


def check_folder(out: Path, named: Path | None = None) -> None:
    """Check that there is a run folder.

    Args:
        out: path of the folder.
        named: path that the user gave, where this process works in a copy of it.
    """
    if not (out / "config.yaml").exists():
        from supernet.errors import RunFolderError

        shown = named or out
        raise RunFolderError(f"{shown} is no run folder; start with: supernet run --out {shown}")
