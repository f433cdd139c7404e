"""Everything that can be named on the command line: a line on each, or all there is to say of one."""

from __future__ import annotations

import functools
import inspect
import re
import textwrap
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from supernet.arguments import value_at
from supernet.classes import SHORT
from supernet.errors import ConfigError
from supernet.imports import resolve
from supernet.net.source import DATA_ARGUMENTS
from supernet.option_lines import option_lines
from supernet.option_text import Option, class_options
from supernet.reading import shown, yaml_value
from supernet.shipped import shipped
from supernet.suggestions import did_you_mean
from supernet.training_free import COMBINED, TRAINING_FREE

__all__ = ["catalogue", "explained", "explanation_text"]

_OPTIONS = {
    "spaces": "model",
    "strategies": "strategy",
    "searchers": "search.searcher",
    "tasks": "task",
    "data sets": "data",
    "loggers": "logger",
}
"""The option by which one of a kind is named."""

_SCORES = "scores without training"

_PAPER = re.compile(r'([A-Z][^"():;]*?), "([^"]+)" \(([^()]*\b(?:19|20)\d\d[^()]*)\)')
"""Authors, title, and where it appeared."""


def catalogue() -> dict[str, dict[str, dict[str, str]]]:
    """Return, by kind and short name, the class and the first line of what it says of itself."""
    scores = {name: f"{score.of.__module__}.{name}" for name, score in TRAINING_FREE.items()}
    kinds = {**{kind: SHORT[option] for kind, option in _OPTIONS.items()}, _SCORES: scores}
    return {
        kind: {name: {"class": path, "summary": _summary(path)} for name, path in known.items()}
        for kind, known in kinds.items()
    }


def _summary(path: str) -> str:
    text = inspect.getdoc(resolve(path)) or ""
    return text.partition("\n")[0]


def explained(name: str) -> list[dict[str, Any]]:
    """Return what there is to say of a short name, once for each kind that has it.

    Returns:
        Of each the kind, the class, `summary`, `text` (of its module), `papers`, `arguments`, the
        shipped configurations that use it, and an example of a command.

    Raises:
        ConfigError: nothing has this name.
    """
    known = catalogue()
    found = [
        _entry(kind, name, group[name]["class"]) for kind, group in known.items() if name in group
    ]
    if name in COMBINED:
        parts = ", ".join(COMBINED[name])
        found.append(_combined(name, f"The sum of the logarithms of ranks by {parts}."))
    if not found:
        names = [*(one for group in known.values() for one in group), *COMBINED]
        raise ConfigError(
            f"nothing has the name {shown(name)}{did_you_mean(name, names)}; 'supernet zoo' lists all"
        )
    return found


def _entry(kind: str, name: str, path: str) -> dict[str, Any]:
    of = resolve(path)
    text = inspect.getdoc(inspect.getmodule(of)) or ""
    option = _OPTIONS.get(kind)
    summary = re.split(r"\n\n?(?:Args|Raises|Attributes|Returns):", inspect.getdoc(of) or "")[0]
    configs = [] if option is None else _using(option, name, path)
    options = list(class_options(path).values()) if option else []
    if option == "model":
        options = [one for one in options if one.name not in DATA_ARGUMENTS]
    return {
        "kind": kind,
        "name": name,
        "class": path,
        "option": option,
        "summary": summary.strip(),
        "text": text,
        "papers": [f'{who}, "{title}" ({where})' for who, title, where in _papers(text)],
        "arguments": [asdict(one) for one in options],
        "configs": configs,
        "example": _example(option, name, configs, options),
    }


def _combined(name: str, summary: str) -> dict[str, Any]:
    return {
        "kind": _SCORES,
        "name": name,
        "class": None,
        "option": None,
        "summary": summary,
        "text": "",
        "papers": [],
        "arguments": [],
        "configs": [],
        "example": _example(None, name, [], []),
    }


def _papers(text: str) -> list[tuple[str, str, str]]:
    found = _PAPER.findall(" ".join(text.split()))
    return [(who.rpartition(". ")[2] if ". " in who else who, *rest) for who, *rest in found]


def _using(option: str, name: str, path: str) -> list[str]:
    """Return the names of the shipped configurations that name a class for an option."""
    found = []
    for config, options in _shipped_options().items():
        value = value_at(options, option)
        named = value.get("class_path") if isinstance(value, Mapping) else value
        if named in (name, path):
            found.append(config)
    return found


@functools.cache
def _shipped_options() -> dict[str, Any]:
    """Return what the shipped configurations say, by name; to read all takes a while."""
    return {
        name: yaml_value(file.read_text(encoding="utf-8"), name) for name, file in shipped().items()
    }


def _example(option: str | None, name: str, configs: list[str], options: list[Option]) -> str:
    if option is None:
        return f"supernet rank --training_free {name}"
    if option in ("model", "task"):  # which ask for data of their kind
        if configs:
            return f"supernet run --config {configs[0]}"
        return f"supernet run --{option} {name} --data PATH"
    needed = [one.name for one in options if one.default is None]
    return " ".join(
        [f"supernet run --{option} {name}", *(f"--{option}.{one} {one.upper()}" for one in needed)]
    )


def explanation_text(entry: Mapping[str, Any]) -> str:
    """Return what there is to say of a name in lines of at most 100 columns."""
    lines = [f"{entry['name']} ({entry['kind']}), {entry['class'] or 'made of other scores'}", ""]
    for line in entry["summary"].splitlines():
        lines += textwrap.wrap(line, 100) or [""]
    for paper in entry["papers"]:
        lines += ["", *textwrap.wrap(paper, 100, initial_indent="Paper: ", subsequent_indent="  ")]
    if entry["arguments"]:
        lines += ["", f"Arguments, as --{entry['option']}.NAME VALUE:"]
        options = [Option(**one) for one in entry["arguments"]]
        lines += option_lines((f"{one.name} {one.value}", one.words()) for one in options)
    if entry["option"] == "model":
        words = f"What it has of {', '.join(DATA_ARGUMENTS)} comes from the data."
        lines += ["", words]
    if entry["configs"]:
        names = ", ".join(entry["configs"])
        lines += ["", *textwrap.wrap(f"Shipped configurations: {names}", 100)]
    return "\n".join([*lines, "", f"Example: {entry['example']}"])
