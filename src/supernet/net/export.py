"""From a module to a programme that runs without the library that defined it."""

from __future__ import annotations

import io

import torch
from torch import nn

__all__ = ["export_program"]


def export_program(model: nn.Module, example: torch.Tensor) -> bytes:
    """Return the module in evaluation mode as a `torch.export` programme, for batches of any size.

    Args:
        model: an ordinary module of one input; its mode is left as evaluation mode.
        example: an input `[1, ...]`.

    Raises:
        Exception: whatever PyTorch raises where it cannot trace the module.
    """
    batch = (
        torch.cat([example, example]).cpu().contiguous()
    )  # a batch of one would be taken as fixed
    program = torch.export.export(
        model.eval().cpu().to(memory_format=torch.contiguous_format),  # type: ignore[call-overload]
        (batch,),
        dynamic_shapes=({0: torch.export.Dim.AUTO},),
    )
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()
