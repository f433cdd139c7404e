"""The command line: which command is meant, and what is said where one fails."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import supernet
from supernet.commands import COMMANDS
from supernet.errors import ConfigError, SupernetError
from supernet.failures import MORE_MEMORY, machine_errors
from supernet.imports import leave_here
from supernet.reading import shown
from supernet.suggestions import did_you_mean
from supernet.terminal import Arguments, complain, usable_streams

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 2 wrong input, 1 anything else."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None:  # called by a shell
        leave_here()
    command, rest = (given[0], given[1:]) if given else ("", [])
    said = f"supernet {command}" if command in COMMANDS else "supernet"
    with usable_streams():
        try:
            with machine_errors("this command", MORE_MEMORY):
                _run(command, rest)
            sys.stdout.flush()
        except SystemExit as end:  # of a parser that has shown its help
            return end.code if isinstance(end.code, int) else 0
        except BrokenPipeError:  # whoever read the output has read enough
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            works = command in COMMANDS and COMMANDS[command].works
            return 1 if works and not {"-h", "--help"} & set(rest) else 0
        except SupernetError as error:
            complain(f"{said}: {error}")
            return error.exit_code
        except OSError as error:  # such as of a full disk that the output is sent to
            complain(f"{said}: {error}")
            return 1
        except KeyboardInterrupt:
            complain(
                f"{said}: interrupted; the same command continues where the last checkpoint is"
            )
            return 1
    return 0


def _run(command: str, rest: Sequence[str]) -> None:
    try:
        Path.cwd()
    except OSError as error:
        raise ConfigError(
            f"the working directory cannot be used: {error.strerror}; change to another one"
        ) from error
    if command in COMMANDS:
        together = [name for name, one in COMMANDS.items() if one.ranks]
        COMMANDS[command].run(rest, together)
    elif not command or command.startswith("-"):
        parser = _parser()
        parser.parse_args([command, *rest] if command else [])
        parser.print_help()
    else:
        raise ConfigError(
            f"there is no command {shown(command)}{did_you_mean(command, COMMANDS)}; possible: "
            f"{', '.join(COMMANDS)} (see supernet --help)"
        )


def _parser() -> argparse.ArgumentParser:
    parser = Arguments(
        "supernet",
        description="One-shot neural architecture search on PyTorch.",
        epilog="'supernet COMMAND --help' explains the options of a command.",
    )
    parser.add_argument("--version", action="version", version=f"supernet {supernet.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", parser_class=argparse.ArgumentParser)
    for one in COMMANDS.values():
        commands.add_parser(one.name, help=one.help, add_help=False)
    return parser
