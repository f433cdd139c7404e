"""Import paths of classes and functions, the same wherever one may be written."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from supernet.errors import ConfigError

__all__ = ["dotted", "import_from_here", "resolve"]


def dotted(path: str) -> str:
    """Return `package.module.name` for that, or for `package.module:name`."""
    return path.replace(":", ".")


def resolve(path: str) -> Any:
    """Return what an import path names, `package.module.name` or `package.module:name`.

    Raises:
        ConfigError: it cannot be imported.
    """
    module, _, name = path.partition(":") if ":" in path else path.rpartition(".")
    import_from_here()
    try:
        if not module:
            raise ImportError("it names no module")
        found, inner = _module(module, within=":" not in path)
        name = f"{inner}{name}"
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:  # importing a user's module may raise anything
        raise ConfigError(
            f"{path!r} cannot be imported: {error}. Write package.module.name or package.module:name; "
            "modules are looked for in the working directory and in the environment that supernet is "
            "installed in"
        ) from error
    return found


def _module(path: str, *, within: bool) -> tuple[Any, str]:
    """Return a module, or the one that `path` is within, and what of the path follows it, with a dot."""
    try:
        return importlib.import_module(path), ""
    except ModuleNotFoundError as error:
        outer, dot, last = path.rpartition(".")
        if not within or not dot or error.name != path:
            raise
        found, inner = _module(outer, within=True)
        return found, f"{inner}{last}."


def import_from_here() -> None:
    """Let import paths name modules in the working directory, as `python -m` does."""
    if "" not in sys.path:
        sys.path.insert(0, "")
