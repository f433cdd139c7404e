"""Every option of a configuration with values that nobody means, for tests of what they lead to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from inspect import signature
from typing import Any

import torch

from supernet.classes import SHORT
from supernet.errors import SupernetError
from supernet.net.source import FromCallable
from supernet.parser import parse
from supernet.zoo.converted import rules_of

ODD = [
    *("", "null", "true", "x", "a: b", "2024-01-01", "-1", "0", "1", "1.5", "1e30", "nan", ".inf"),
    *("1" + "0" * 30, "[]", "[1]", "[-1, 0]", "[null]", "[x, y]", "{}", "{a: 1}"),
]
"""Values of another type or out of range."""

HOSTILE = [
    *(
        " ",
        "~",
        "-",
        "--",
        "*",
        "'1'",
        "~/x",
        "é\u2028",
        "-0.0",
        "1e3",
        "1e-300",
        "1e999",
        "007",
        "0x10",
    ),
    *(
        "1:30",
        ".nan",
        "-.inf",
        "Infinity",
        "9" * 5000,
        "９",
        "²",
        "[[1]]",
        "[.nan]",
        "[1,",
        "[1e30]",
    ),
    *("{a: 1, a: 2}", "{1: 2}", "[" * 3000, "{a: " * 3000, "a: " + "[" * 3000, "[&a [1], *a, *a]"),
    *(
        "!!python/name:os.system",
        "&a x",
        "/dev/zero",
        "x" * 5000,
        "x" * 10**6,
        "a\0b",
        "\ud800",
        "a\nb: c",
    ),
]
"""Values that hurt whoever reads them, whatever is expected."""

NEEDS = {
    "idx": "folder",
    "folder": "folder",
    "huggingface": "folder",
    "table": "file",
    "dataset": "train",
    "text": "file",
    "characters": "file",
}
"""What a data set cannot do without."""


def flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the options in a nested configuration by their dotted name."""
    if isinstance(value, Mapping) and value:
        for key, one in value.items():
            yield from flat(one, f"{name}.{key}" if name else key)
    else:
        yield name, value


def options() -> Iterator[tuple[list[str], str]]:
    """Yield what must be given first, and an option, once for each class that it belongs to."""
    for name, _ in flat(parse("supernet", [])[1]):
        if name.endswith("class_path"):
            continue
        if name.partition(".")[0] not in ("model", "data", "strategy") and "searcher" not in name:
            yield [], name
    for option, known in SHORT.items():
        yield [], option
        for kind in known:
            first = [f"--{option}={kind}"]
            if kind in NEEDS:
                first.append(f"--{option}.{NEEDS[kind]}=x")
            for name, _ in flat(parse("supernet", first)[1]):
                if name.startswith(f"{option}.init_args."):
                    yield first, name.replace(".init_args", "")
    yield [], "split.augment.crop"
    yield ["--strategy=darts", "--strategy.cost.quantity=macs"], "strategy.cost.target"
    yield [], "config"


def distinct() -> Iterator[tuple[list[str], str]]:
    """Yield options as `options` does, but those of a class that several have once only."""
    seen = set()
    for first, option in options():
        shared = option.startswith(("few_shot.train.", "retrain.train.")) and "steps" not in option
        nested = [part for part in (".alpha.", ".attention.", ".evaluation.") if part in option]
        key = option.partition(".")[2] if nested else f"{first} {option}"
        if not shared and key not in seen:
            seen.add(key)
            yield first, option


def outcome(first: list[str], option: str, value: str) -> str | None:
    """Return what is wrong with how a value of an option is taken, or None.

    It is accepted, and then everything that it configures can be made without data; or refused by a
    message of a few lines that names the option.
    """
    try:
        config, plain = parse("supernet", [*first, f"--{option}={value}"])
    except SupernetError as error:
        return fault(str(error), option)
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    try:
        again = parse("supernet", [], plain)[1]
    except SupernetError as error:
        return f"is stored as what cannot be read: {error}"
    if again != plain:
        return f"is stored as what is read as something else: {plain} {again}"
    try:
        made(config)
    except SupernetError as error:
        return fault(str(error), option)
    except BaseException as error:
        return f"later {type(error).__name__}: {str(error)[:200]}"
    return None


def fault(message: str, option: str) -> str | None:
    """Return what is wrong with a message about an option."""
    last = option.rpartition(".")[2]
    if last not in message and option != "config":  # there it is the option in it that is named
        return f"does not name it: {message[:300]}"
    return f"is long: {message[:200]}..." if len(message) > 1500 else None


def made(config: Any) -> None:
    """Make the model of a configuration, on no device."""
    path = config.model.class_path
    given = config.model.init_args
    if path.endswith("Converted"):  # which runs the model
        rules_of(
            **{name: one for name, one in given.items() if name in signature(rules_of).parameters}
        )
    elif path.startswith("supernet."):
        source = FromCallable.named(config.model.class_path, given)
        data: dict[str, Any] = {
            "image": (3, 32, 32),
            "classes": 10,
            "vocabulary": 50,
            "context": 16,
        }
        with torch.device("meta"):
            source.build(0, data)
