"""Configurations that come with the library, by name such as `digits/spos`."""

from __future__ import annotations

import os
from pathlib import Path

from supernet.errors import ConfigError
from supernet.reading import shown
from supernet.suggestions import did_you_mean

__all__ = ["about", "config_path", "shipped", "shipped_path"]

_FOLDER = Path(__file__).parent / "configs"


def shipped() -> dict[str, Path]:
    """Return the files of all shipped configurations by name, sorted by it."""
    files = sorted(_FOLDER.glob("*/*.yaml"))
    return {f"{file.parent.name}/{file.stem}": file for file in files}


def shipped_path(name: str) -> Path:
    """Return the file of a shipped configuration.

    Raises:
        ConfigError: there is none of that name.
    """
    known = shipped()
    if name not in known:
        near = did_you_mean(name, known)
        raise ConfigError(
            f"there is no shipped configuration {shown(name)}{near}; 'supernet configs' lists them"
        )
    return known[name]


def config_path(name: str) -> Path:
    """Return the file that `--config` means: one of that path, else the shipped one of that name.

    Raises:
        ConfigError: there is no file, but a shipped configuration that is nearly named so.
    """
    known = shipped()
    if os.path.exists(name):
        return Path(name)
    if name not in known and (near := did_you_mean(name, known)):
        raise ConfigError(
            f"there is no configuration file {shown(name)}, and no shipped configuration of that "
            f"name{near}"
        )
    return known.get(name, Path(name))


def about(path: Path) -> str:
    """Return the first sentence of the comment that a configuration begins with."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    first = " ".join(lines).partition(". ")[0]
    return first.removesuffix(".")
