"""Files of one record, with a version and a digest, that decide nothing and are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from supernet.errors import ConfigError, DamagedFileError
from supernet.files import read_json
from supernet.strict_json import ChangedError, unseal
from supernet.typed import JsonRecord, MisfitError

__all__ = ["read_sealed"]

R = TypeVar("R", bound=JsonRecord)


def read_sealed(
    path: Path, kind: type[R], version: int, remedy: str, notes: list[str] | None = None
) -> R | None:
    """Return the record in a file, or None where there is none.

    Args:
        path: path of the file.
        kind: class of the record.
        version: latest version of the file that is known here.
        remedy: advice on what to do where the file is damaged.
        notes: list that is told that the file was changed, where it is only shown; otherwise it is
            refused.

    Raises:
        DamagedFileError: the file cannot be read, is of another shape or of a later version, or was
            changed.
    """
    if not path.exists():
        return None
    content = read_json(path, dict[str, Any], remedy)
    found = content.get("version")
    if isinstance(found, int) and found > version:
        raise DamagedFileError(
            f"{path} is of version {found}, written by a later supernet; this one reads versions up "
            f"to {version}. Install the supernet that wrote it, or delete the file"
        )
    try:
        try:
            content = unseal(content)
        except ChangedError as error:
            if notes is None:
                raise DamagedFileError(f"{path}: {error}. {remedy}") from error
            notes.append(
                f"{path.name} was changed since it was written: what is shown is not what was found"
            )
            content = {name: one for name, one in content.items() if name != "digest"}
        return kind.from_json(content)
    except (MisfitError, ConfigError) as error:  # the second of a class that looks at its fields
        raise DamagedFileError(
            f"{path} is damaged or of another version: {error}. {remedy}"
        ) from error
