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
    "JSON",
    "JSON_HELP",
    "TRUST",
    "TRUST_HELP",
    "Answer",
    "Command",
    "check_folder",
]

DEFAULT_OUT = "runs/default"

JSON = "--json"
JSON_HELP = "print one JSON object, and all else to standard error"

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
    """Check that options without a dot are those of a run, and say which of all was meant.

    Args:
        parser: parser of the command's own arguments.
        rest: arguments that it left.

    Raises:
        ConfigError: one is not.
    """
    given = [name for one in rest if "." not in (name := one.partition("=")[0])]
    options = [name for name in given if name.startswith("--")]
    if not options:
        return
    from supernet.parser import OPTIONS

    possible = [f"--{name}" for name in OPTIONS]
    for name in options:
        if name not in possible:
            own = [one for one in parser.names if one != "--help"]
            raise ConfigError(
                f"there is no option {shown(name)}{did_you_mean(name, [*own, *possible])} "
                f"(see {parser.prog} --help)"
            )


def _check_alone(together: Sequence[str]) -> None:
    """Check that a command is not given to several processes that it would not know of each other.

    Raises:
        ConfigError: `torchrun` started several.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1":
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
