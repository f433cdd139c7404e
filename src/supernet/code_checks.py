"""What options may name, and what must come of it."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from jsonargparse import Namespace
from torch import nn, optim
from torch.utils.data import Dataset

from supernet.data import Augment, DataSource
from supernet.errors import ConfigError
from supernet.imports import check_callable, resolve
from supernet.loggers import Logger
from supernet.search import Searcher
from supernet.strategies import Strategy
from supernet.task import Task

__all__ = ["KINDS", "check_code", "check_made"]

KINDS: dict[str, type] = {
    "model": nn.Module,
    "data": DataSource,
    "strategy": Strategy,
    "search.searcher": Searcher,
    "task": Task,
    "logger": Logger,
}
"""What is made of an option that names a class or function."""

_NESTED = (*KINDS.values(), Dataset, optim.Optimizer, Augment)
"""What of installed packages may be made for an argument."""


def check_code(options: Any) -> None:
    """Refuse classes and functions that must not be called, before any is.

    Args:
        options: options as the parser read them, or a part of them.

    Raises:
        ConfigError: there is one, at any place of the options.
    """
    if isinstance(options, Namespace):
        options = vars(options)
    if isinstance(options, Mapping):
        for name, value in options.items():
            if name == "class_path" and isinstance(value, str):
                check_callable(resolve(value), value, *_NESTED, nested=True)
            else:
                check_code(value)
    elif isinstance(options, list | tuple):
        for value in options:
            check_code(value)
    elif callable(options):
        name = getattr(options, "__qualname__", repr(options))
        check_callable(options, name)
        ours = str(getattr(options, "__module__", "")).partition(".")[0] == "supernet"
        if ours and not (isinstance(options, type) and issubclass(options, _NESTED)):
            # Among its functions are those that write files, and its command line.
            raise ConfigError(
                f"{name!r} of supernet is no function that may be called with anything"
            )


def check_made(config: Any) -> None:
    """Check that what options made is what they are for; the model is made later.

    Raises:
        ConfigError: something is not.
    """
    for name, kind in KINDS.items():
        made = attrgetter(name)(config)
        if name != "model" and not isinstance(made, kind | None):
            raise ConfigError(
                f"{name} gave a {type(made).__name__}, but must give a {kind.__module__}.{kind.__name__}"
            )
