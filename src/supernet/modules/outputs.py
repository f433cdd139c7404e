"""What options return, which a choice adds up: tensors of one shape, type and device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from supernet.errors import SpaceError

__all__ = ["explained_sum", "output_text", "unlike"]

_SUMS = ("supernet.choice.choice", "supernet.choice.mixture")
"""Where outputs are added up."""


def output_text(output: object) -> str:
    """Return a tensor's type, shape and device; of anything else its class."""
    if not isinstance(output, torch.Tensor):
        return f"a {type(output).__name__}" if output is not None else "None"
    return f"{str(output.dtype).removeprefix('torch.')} {list(output.shape)} on {output.device}"


def unlike(label: object, outputs: Mapping[Any, str]) -> SpaceError | None:
    """Return the error for outputs that cannot be added up, or None if they can.

    Args:
        label: label of the choice.
        outputs: description of what each option returns, as `output_text` says it, by option.
    """
    first, expected = next(iter(outputs.items()))
    tensor = "[" in expected  # a shape
    for option, found in outputs.items():
        if found != expected or not tensor:
            other = f"{first!r} returns {expected}, but {option!r} returns {found}"
            return SpaceError(
                f"the options of {label!r} cannot be added up: "
                f"{other if found != expected else f'{first!r} returns {expected}'}; all options of a "
                "choice must return tensors of the same shape, type and device"
            )
    return None


def explained_sum(
    error: Exception, label: object, names: Iterable[tuple[int, Any]], run: Callable[[int], object]
) -> Exception:
    """Return what was wrong where a sum of outputs failed: options that differ, or the error itself.

    Args:
        error: error that was raised.
        label: label of the choice.
        names: index and name of each option that ran.
        run: computes the output of an option once more.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or trace.tb_frame.f_globals.get("__name__") not in _SUMS:
        return error  # an option failed, and not the sum
    outputs = {}
    for number, name in names:
        try:
            with torch.no_grad():
                outputs[name] = output_text(run(number))
        except Exception:  # it failed for another reason after all
            return error
    return unlike(label, outputs) or error
