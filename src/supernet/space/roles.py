"""What an option is to its decision: no connection, or its input passed on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from supernet.space.decision import Option

__all__ = ["PUBLISHED", "Role"]

Role = Literal["none", "skip"]
""""none": it computes zeros, and stands for no connection; "skip": it passes its input on."""

PUBLISHED: Mapping[Option, Role] = {
    "none": "none",
    "zero": "none",
    "skip": "skip",
    "skip_connect": "skip",
    "identity": "skip",
}
"""What options are called in published spaces; a module with an `option_role` says it by itself."""
