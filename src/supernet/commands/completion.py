"""The command that prints what a shell needs to complete all others."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from supernet.commands.base import Answer, Command
from supernet.errors import ConfigError
from supernet.reading import shown
from supernet.suggestions import did_you_mean
from supernet.terminal import Arguments

__all__ = ["completion_command"]

_OF_RUNS = ("run", "train", "search", "retrain", "test", "latency", "export")
"""Commands that take the options of a run."""


def completion_command(commands: Mapping[str, Command]) -> Command:
    """Return the command that prints the script for a shell.

    Args:
        commands: the commands that are completed, by name.
    """

    def act(command: Command, given: argparse.Namespace, rest: list[str]) -> Answer:
        from supernet.catalogue import catalogue
        from supernet.completion import SHELLS, completion_script, run_values

        if given.shell not in SHELLS:
            raise ConfigError(
                f"there is no script for {shown(given.shell)}{did_you_mean(given.shell, SHELLS)}; "
                f"possible: {', '.join(SHELLS)}"
            )
        values = run_values()
        options = {
            name: [*one.own_parser().names, *(values if name in _OF_RUNS else ())]
            for name, one in commands.items()
        }
        known = catalogue()
        values |= {
            "zoo": list(dict.fromkeys(name for group in known.values() for name in group)),
            "doctor": list(known["spaces"]),
            "configs": ["list", "show", "copy"],
            "show": values["--config"],
            "copy": values["--config"],
            "completion": list(SHELLS),
        }
        helps = {name: one.help for name, one in commands.items()} | {command.name: command.help}
        script = completion_script(given.shell, helps, {**options, command.name: []}, values)
        return Answer({}, lambda: print(script, end=""))

    return Command(
        "completion",
        "print a script by which bash, zsh or fish complete commands and options",
        _parser,
        act,
        leaves=False,
        works=False,
        answers=False,
    )


def _parser(program: str) -> Arguments:
    parser = Arguments(
        program,
        description="Print a script by which a shell completes commands, options, names and choices. "
        'For bash, add to ~/.bashrc: eval "$(supernet completion bash)"; for zsh the same in '
        "~/.zshrc; for fish: supernet completion fish > ~/.config/fish/completions/supernet.fish",
    )
    parser.add_argument("shell", help="bash, zsh or fish")
    return parser
