"""From a module to a programme that runs without the library that defined it."""

from __future__ import annotations

import copy
import io
import warnings

import torch
from torch import nn

__all__ = ["export_program"]


def export_program(
    model: nn.Module, example: torch.Tensor, before: nn.Module | None = None
) -> bytes:
    """Return the module in evaluation mode as a `torch.export` programme, for batches of any size.

    Modules within it with an attribute `training_only` that is true are left out.

    Args:
        model: an ordinary module of one input; it is left as it is.
        example: an input `[1, ...]` of the programme.
        before: what inputs pass through first, for instance their normalisation.

    Raises:
        Exception: whatever PyTorch raises where it cannot trace the module.
    """
    whole = nn.Sequential(before, model) if before is not None else model
    whole = copy.deepcopy(whole).eval().cpu().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    for module in list(whole.modules()):
        for name, child in list(module.named_children()):
            if getattr(child, "training_only", False):
                setattr(module, name, None)
    batch = torch.cat([example, example]).cpu()  # a batch of one would be taken as fixed
    with warnings.catch_warnings():
        # recurrent layers keep their parameters in a list besides, which tracing fills anew
        warnings.filterwarnings(
            "ignore", r"The tensor attributes? .*_flat_weights.* assigned during"
        )
        program = torch.export.export(
            whole, (batch.contiguous(),), dynamic_shapes=({0: torch.export.Dim.AUTO},)
        )
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()
