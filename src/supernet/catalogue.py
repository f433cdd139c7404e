"""Everything that can be named on the command line, one line each."""

from __future__ import annotations

import inspect

from supernet.data import SOURCES
from supernet.imports import resolve
from supernet.loggers import LOGGERS
from supernet.search import SEARCHERS
from supernet.strategies import STRATEGIES
from supernet.training_free import TRAINING_FREE
from supernet.zoo import SPACES

__all__ = ["catalogue"]


def catalogue() -> dict[str, dict[str, dict[str, str]]]:
    """Return, by kind and short name, the class and the first line of what it says of itself."""
    kinds = {
        "spaces": SPACES,
        "strategies": STRATEGIES,
        "searchers": SEARCHERS,
        "data sets": SOURCES,
        "loggers": LOGGERS,
        "scores without training": {
            name: f"{score.of.__module__}.{name}" for name, score in TRAINING_FREE.items()
        },
    }
    return {
        kind: {name: {"class": path, "summary": _summary(path)} for name, path in known.items()}
        for kind, known in kinds.items()
    }


def _summary(path: str) -> str:
    text = inspect.getdoc(resolve(path)) or ""
    return text.partition("\n")[0]
