"""Numbers of half the size for what convolutions and matrices compute, by PyTorch's autocast."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Literal

import torch

__all__ = ["Precision", "autocast_of", "autocasting"]

Precision = Literal["float32", "bfloat16", "float16"]
"""Type that convolutions and matrix products compute in; weights are float32 in any case."""

_TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def autocasting(precision: Precision, device: str | torch.device) -> AbstractContextManager[object]:
    """Return a block in which operations compute in a type, as far as PyTorch thinks that fit for them.

    Args:
        precision: type; "float32" changes nothing, whatever the weights are of.
        device: device that is computed on.
    """
    if precision == "float32":
        return nullcontext()
    return torch.autocast(torch.device(device).type, dtype=_TYPES[precision])


def autocast_of(device: torch.device) -> Callable[[], AbstractContextManager[object]]:
    """Return what makes blocks of code in which operations compute in the types of now.

    Args:
        device: device that is computed on.
    """
    kind = device.type
    enabled, dtype = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
    return partial(torch.autocast, kind, dtype=dtype, enabled=enabled)
