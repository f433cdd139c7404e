"""Cost tables as JSON files: latency tables that were measured, and tables written by hand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path as File
from typing import Any

import torch

from supernet.cost.checks import check_content, check_names
from supernet.cost.entry import Entry, path_from_json, path_to_json
from supernet.cost.table import CostTable
from supernet.cost.timing import device_name, usable
from supernet.errors import ConfigError, DamagedFileError, SpaceError
from supernet.files import read_json, write_json
from supernet.space import SearchSpace
from supernet.strict_json import ChangedError, seal, unseal
from supernet.typed import MisfitError

__all__ = ["SCHEMA", "LatencyTable", "load_table", "space_hash", "space_to_json"]

SCHEMA = 1
"""Version of the files that `LatencyTable.save` writes."""


class LatencyTable(CostTable):
    """A measured cost table together with where and how it was measured.

    Its costs are predictions, `offset + factor · sum of the amounts`.

    Attributes:
        content: content of the file, see docs/costs.md.
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.content = dict(content)
        correction = content.get("correction") or {"offset": 0.0, "factor": 1.0}
        entries = [
            Entry(entry.paths, correction["factor"] * entry.amount)
            for entry in entries_of(self.content)
        ]
        if correction["offset"]:
            entries.append(Entry(frozenset([()]), correction["offset"]))
        super().__init__(content["quantity"], entries)

    @property
    def provenance(self) -> dict[str, Any]:
        """Device, version of torch, threads, precision, batch size, input shapes, and so on."""
        return dict(self.content["provenance"])

    @property
    def held_out(self) -> dict[str, Any] | None:
        """The error on networks that nothing was fitted to, see `quality.compare`."""
        found: dict[str, Any] | None = self.content["held_out"]
        return found

    def save(self, path: str | File) -> None:
        """Write the table to a JSON file, with a digest of its content.

        Raises:
            StorageError: the file could not be written.
        """
        write_json(File(path), seal(self.content))


def load_table(
    path: str | File,
    space: SearchSpace,
    *,
    input_shape: Sequence[int] | Sequence[Sequence[int]] | None = None,
    device: str | torch.device | None = None,
    other_device: bool = False,
) -> CostTable:
    """Return the cost table in a JSON file: one that was measured, or one written by hand.

    Args:
        path: path of the file.
        space: the space that the table is to be used with.
        input_shape: shape of one example, without the batch, such as [3, 32, 32], or of several inputs
            a list of their shapes; None for any.
        device: device that networks are to run on; None for any.
        other_device: whether a table of another device is taken.

    Returns:
        A `LatencyTable` if the file says where it comes from, else a `CostTable`.

    Raises:
        ConfigError: there is no such file, its schema is unknown, keys are missing, amounts are
            negative or not finite, or it was measured with another input or on another device.
        DamagedFileError: the file is not JSON, or was changed since it was measured.
        SpaceError: the table is for another space.
    """
    file = File(path)
    content = _read(file)
    check_content(content, file, SCHEMA)
    if "schema" in content:
        _check_space(content["space"], space, file)
        _check_input(content["provenance"], input_shape, file)
        if not other_device:
            _check_device(content["provenance"], device, file)
    entries = entries_of(content)
    check_names(entries, space, file)
    if "schema" not in content:
        return CostTable(content["quantity"], entries)
    table = LatencyTable(content)
    if table.range(space)[0] < 0:
        raise ConfigError(
            f"the correction in {file} predicts negative times; build the table again"
        )
    return table


def entries_of(content: Mapping[str, Any]) -> list[Entry]:
    """Return the entries of a table's content, the fixed part included."""
    entries = [
        Entry(frozenset(map(path_from_json, entry["paths"])), entry["amount"])
        for entry in content["entries"]
    ]
    if "fixed" in content:
        entries.append(Entry(frozenset([()]), content["fixed"]["amount"]))
    return entries


def space_to_json(space: SearchSpace) -> dict[str, Any]:
    """Return the decisions: options, how many are chosen, and the conditions to exist."""
    return {
        decision.label: {
            "options": list(decision.options),
            "pick": [decision.low, decision.high],
            "conditions": [path_to_json(path) for path in space.conditions(decision.label)],
        }
        for decision in space.decisions
    }


def space_hash(space: SearchSpace) -> str:
    """Return sixteen hexadecimal digits that depend on the decisions and their conditions."""
    text = json.dumps(space_to_json(space), sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _read(file: File) -> Any:
    try:
        content: Any = read_json(file)
        return unseal(content) if isinstance(content, dict) else content
    except ChangedError as error:
        raise DamagedFileError(
            f"the cost table {file} was changed since it was measured; build it again, or, if the "
            'change is meant, delete its "digest"'
        ) from error
    except MisfitError as error:
        raise ConfigError(f"the cost table {file} cannot be used: {error}") from error
    except DamagedFileError as error:
        if not isinstance(error.__cause__, ValueError):  # it is not the content that is wrong
            raise ConfigError(f"the cost table {error}") from error
        raise DamagedFileError(
            f"the cost table {file} is no JSON ({error.__cause__}); mend it, or build it again"
        ) from error
    except OSError as error:
        raise ConfigError(f"the cost table {file} cannot be read: {error.strerror}") from error


def _check_space(stored: Mapping[str, Any], space: SearchSpace, file: File) -> None:
    there, here = stored["decisions"], space_to_json(space)
    if there == here:
        return
    differences = [f"{label!r} is in this space only" for label in here if label not in there]
    differences += [f"{label!r} is in the table only" for label in there if label not in here]
    differences += [
        f"{what} of {label!r}: {there[label].get(what)} in the table, {here[label][what]} here"
        for label in here
        if label in there
        for what in here[label]
        if there[label].get(what) != here[label][what]
    ] or ["the order of decisions"] * (not differences)
    more = f"; and {len(differences) - 5} more" if len(differences) > 5 else ""
    raise SpaceError(
        f"the cost table {file} was made for another space, which differs in: "
        f"{'; '.join(differences[:5])}{more}. Build a table for this space"
    )


def _check_input(
    provenance: Mapping[str, Any],
    input_shape: Sequence[int] | Sequence[Sequence[int]] | None,
    file: File,
) -> None:
    shapes = provenance["input_shapes"]
    if input_shape is not None and list(input_shape) not in (shapes[0], shapes):
        shape = " and ".join(map(str, shapes))
        raise ConfigError(
            f"the cost table {file} was measured on inputs of shape {shape} (without the batch), not "
            f"{list(input_shape)}; build a table for these"
        )


def _check_device(
    provenance: Mapping[str, Any], device: str | torch.device | None, file: File
) -> None:
    if device is None:
        return
    here = device_name(usable(device))
    if here != provenance["device"]:
        raise ConfigError(
            f"the cost table {file} was measured on {provenance['device']!r}, but this device is "
            f"{here!r}; build a table on this device, or allow tables of another one "
            "(--search.other_device true)"
        )
