"""Every option is of a type that a checker knows, so that a misspelt one is found before a run."""

from __future__ import annotations

import dataclasses
import typing
from pathlib import Path
from typing import Any

import pytest

import supernet
from supernet.config import RunConfig
from supernet.pipeline.context import Run

HOME = Path(supernet.__file__).parent


def options(kind: type = RunConfig, prefix: str = "") -> dict[str, Any]:
    """Return the types of all options that are fields, by dotted name."""
    found = {}
    for name, hint in typing.get_type_hints(kind).items():
        if typing.get_origin(hint) is typing.ClassVar:
            continue
        found[prefix + name] = hint
        if dataclasses.is_dataclass(hint):
            found |= options(hint, f"{prefix}{name}.")
    return found


def test_no_option_is_of_any_type():
    found = options()
    assert {"seed", "few_shot.decision", "train.steps", "retrain.train.steps"} <= found.keys()
    assert [name for name, hint in found.items() if hint is Any] == []


def test_a_configuration_cannot_be_changed():
    kinds = [RunConfig, *(hint for hint in options().values() if dataclasses.is_dataclass(hint))]
    assert len(kinds) > 6
    for kind in kinds:
        assert kind.__dataclass_params__.frozen, kind


def test_steps_are_given_the_typed_configuration():
    assert typing.get_type_hints(Run.__init__)["config"] is RunConfig
    for file in [*HOME.glob("pipeline/*.py"), *HOME.glob("track/*.py"), HOME / "cli.py"]:
        assert "config: Any" not in file.read_text(), file


def misspelt(name: str) -> str:
    """Return a name with two letters in the wrong order."""
    at = next(i for i in range(len(name) - 1, 0, -1) if name[i] != name[i - 1])
    return name[: at - 1] + name[at] + name[at - 1] + name[at + 1 :]


@pytest.mark.slow
def test_the_type_checker_objects_to_every_misspelt_option(tmp_path):
    from mypy import api

    assert misspelt("few_shot.decision") == "few_shot.decisino"
    lines = [
        "from supernet.config import RunConfig",
        "from supernet.pipeline.context import Run",
        "def read(run: Run, config: RunConfig) -> None:",
    ]
    wrong = set()
    for name in options():
        lines += [f"    run.config.{name}", f"    run.config.{misspelt(name)}"]
        wrong.add(len(lines))
        lines += [f"    config.{name}", f"    config.{misspelt(name)}"]
        wrong.add(len(lines))
    file = tmp_path / "mutants.py"
    file.write_text("\n".join(lines) + "\n")
    project = HOME.parent.parent
    settings = ["--config-file", str(project / "pyproject.toml")]
    cache = ["--cache-dir", str(project / ".mypy_cache")]  # what `make check` left saves a minute
    said, failed, _ = api.run([*settings, *cache, str(file)])
    assert not failed
    found = {int(line.split(":")[1]) for line in said.splitlines() if "has no attribute" in line}
    assert found == wrong, said
    assert len(wrong) == 2 * len(options()) > 80
