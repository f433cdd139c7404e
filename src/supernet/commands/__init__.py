"""The commands, in a table; what they need is loaded when they run, so that help waits for nothing."""

from supernet.commands.base import Command
from supernet.commands.names import NAMES
from supernet.commands.results import RESULTS
from supernet.commands.steps import STEPS

__all__ = ["COMMANDS", "Command"]

COMMANDS = {command.name: command for command in (*STEPS, *RESULTS, *NAMES)}
"""The commands by name."""
