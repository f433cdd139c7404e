"""The commands, in a table; what they need is loaded when they run, so that help waits for nothing."""

from supernet.commands.base import Command
from supernet.commands.completion import completion_command
from supernet.commands.compress import COMPRESS
from supernet.commands.names import NAMES
from supernet.commands.results import RESULTS
from supernet.commands.steps import STEPS

__all__ = ["COMMANDS", "Command"]

_ALL = {command.name: command for command in (*STEPS, *RESULTS, COMPRESS, *NAMES)}

COMMANDS = {**_ALL, "completion": completion_command(_ALL)}
"""The commands by name."""
