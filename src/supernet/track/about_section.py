"""The parts of the report on the space, the device, versions, time, and how to load the model."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from supernet import zoo
from supernet.track import page
from supernet.track.candidates_section import CandidateScores
from supernet.track.headline import size_text
from supernet.track.numbers import duration
from supernet.track.run_files import RunFiles
from supernet.track.sections import EnvironmentRecord, RetrainRecord

__all__ = ["loading", "machine", "space"]


def space(run: RunFiles, found: CandidateScores) -> str:
    """Return the decisions with their options, as far as the files of the run name them."""
    train, search = run.metrics.train, run.metrics.search
    passes = train.passes if train else {}
    options = {label: list(counts) for label, counts in passes.items()}
    if not options:
        options = {label: list(map(str, one.has)) for label, one in sorted(found.effects.items())}
    if not options:
        return ""
    size = search.space_size if search else None
    many = sum(map(len, options.values()))
    counted = f"{len(options):,} decisions with {many:,} options"
    note = f"{size_text(size)} architectures: {counted}." if size else f"{counted}."
    if not passes:
        note += " These are the options that candidates have, where these differ."
    rows = [[label, f"{len(names):,}", ", ".join(names)] for label, names in options.items()]
    ordered = [[label, names, number] for label, number, names in rows]
    table = page.table(["decision", "options", "number"], ordered, text=2)
    return page.section("Space", page.more("All decisions", table), note)


def machine(run: RunFiles) -> str:
    """Return the device and the versions that the supernet was trained with, and the time of steps."""
    where = run.metrics.environment or EnvironmentRecord()
    threads = f", {where.threads} thread{'s' * (where.threads != 1)}" if where.threads else ""
    versions = {"supernet": where.supernet, "PyTorch": where.torch, "Python": where.python}
    rows = [[f"{name} version", one] for name, one in versions.items() if one is not None]
    if where.device is not None:
        rows.insert(0, ["device", f"{where.device}{threads}"])
    table = page.section("Device and versions", page.table([], rows, text=2)) if rows else ""
    return page.pair(table, _times(run))


def loading(run: RunFiles) -> str:
    """Return code that loads the chosen network from the run folder."""
    retrain = run.metrics.retrain
    if retrain is None:
        return ""
    parts = []
    if retrain.program is not None:
        parts.append(
            page.titled("model.pt2: a programme, without supernet", page.code(_program(retrain)))
        )
    code = page.code(_state_dict(run, retrain))
    parts.append(page.titled("model.pt: its weights, as an ordinary module", code))
    note = "The files are in the run folder; load those of others only if you trust them."
    return page.section("Load the chosen network", page.grid(parts), note)


def _program(retrain: RetrainRecord) -> str:
    taken = _taken(retrain)
    shapes = {name: ", ".join(map(str, one.get("shape", ()))) for name, one in taken.items()}
    notes = [
        f"{name}: {one.get('dtype', 'any type')}, [{shapes[name]}]" for name, one in taken.items()
    ]
    lines = "".join(
        f"# {' '.join(note.split())}\n" for note in notes
    )  # one line each, whatever is in it
    by_position = all(name.startswith("examples") for name in taken)
    given = ", ".join(name if by_position else f"{name}={name}" for name in taken)
    if not all(name.isidentifier() for name in taken):
        given = "**inputs"
    return (
        "import torch\n\n"
        'program = torch.export.load("model.pt2").module()\n'
        f"# takes examples as the data set has them:\n{lines}outputs = program({given})"
    )


def _taken(retrain: RetrainRecord) -> dict[str, Mapping[str, Any]]:
    """Return type and shape of each input of the programme, by its name."""
    taken = retrain.program or {}
    several = {name: one for name, one in taken.items() if isinstance(one, Mapping)}
    return several or ({"examples": taken} if taken else {})


def _state_dict(run: RunFiles, retrain: RetrainRecord) -> str:
    imports, model = _model(run, retrain)
    return (
        "import json\nfrom pathlib import Path\n\nimport torch\n\nimport supernet as sn\n"
        f"{imports}\n{model}\n"
        'answers = json.loads(Path("architecture.json").read_text())["architecture"]\n'
        "network = sn.derive(model, answers)\n"
        'network.load_state_dict(torch.load("model.pt", weights_only=True))\n'
        "network.eval()  # takes normalised inputs"
    )


def _model(run: RunFiles, retrain: RetrainRecord) -> tuple[str, str]:
    """Return how the model with choices is imported, and made."""
    config = run.config.get("model")
    changed = run.config.get("retrain")
    changed = changed.get("model") if isinstance(changed, Mapping) else None
    path = config.get("class_path") if isinstance(config, Mapping) else config
    module, _, name = str(path or "").rpartition(".")
    if not all(part.isidentifier() for part in (*module.split("."), name)):
        return "", "model = ...  # the model with choices that the run was started with"
    given = config.get("init_args") if isinstance(config, Mapping) else None
    arguments = {**(given if isinstance(given, Mapping) else {})}
    arguments |= changed if isinstance(changed, Mapping) else {}
    known, data = _asked(module, name), _data(run, retrain)
    arguments |= {one: value for one, value in data.items() if known is not None and one in known}
    written = ", ".join(
        f"{one}={value!r}" for one, value in arguments.items() if one.isidentifier()
    )
    note = ""
    if known is None and data:
        asked = ", ".join(f"{one}={value!r}" for one, value in data.items())
        note = f"  # and, where it asks for them, {asked}"
    return f"from {module} import {name}\n", f"model = {name}({written}){note}"


def _asked(module: str, name: str) -> set[str] | None:
    """Return the arguments of a space of supernet's; None of other code, which is not imported."""
    if module != "supernet.zoo" or name not in zoo.__all__:
        return None
    return set(inspect.signature(getattr(zoo, name)).parameters)


def _data(run: RunFiles, retrain: RetrainRecord) -> dict[str, Any]:
    """Return what the data gives to a model that asks for it."""
    data, shape = run.metrics.data, _taken(retrain).get("examples", {}).get("shape")
    found: dict[str, Any] = {}
    if isinstance(shape, list | tuple) and len(shape) == 4:
        found["image"] = tuple(shape[1:])
    if data is not None and data.classes:
        found["classes"] = data.classes
    if data is not None and data.vocabulary:
        found["vocabulary"] = data.vocabulary
        if isinstance(shape, list | tuple) and len(shape) == 2:
            found["context"] = shape[1]
    return found


def _times(run: RunFiles) -> str:
    found = run.metrics
    steps = [found.train, found.few_shot, found.search, found.retrain, found.test]
    known = [step for step in steps if step is not None]
    seconds = {step.SECTION: step.seconds for step in known if step.seconds is not None}
    if not seconds:
        return ""
    longest = max(*seconds.values(), 1e-9)
    rows = "".join(
        f'<tr><td>{stage}</td><td style="width:55%"><span class="bar" '
        f'style="width:{100 * value / longest:.1f}%"></span></td>'
        f'<td class="n">{duration(value)}</td></tr>'
        for stage, value in seconds.items()
    )
    table = f'<div class="scroll"><table>{rows}</table></div>'
    return page.section("Time per stage", table, f"{duration(sum(seconds.values()))} in all.")
