"""Which inputs of a model that is converted have a row for each example."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from torch import nn

from supernet.errors import ConversionError
from supernet.modules.batches import Inputs, batched_inputs, inputs_of
from supernet.modules.calls import by_name
from supernet.modules.nested import tensors

__all__ = ["inputs_that"]


def inputs_that(model: nn.Module, example: Sequence[Any], batched: Sequence[bool] | None) -> Inputs:
    """Return what a model takes, and which of it has a row for each example.

    Args:
        model: model to run; it is not changed.
        example: inputs of the model.
        batched: for each input whether its tensors have a row for each example; None to find it
            out.

    Raises:
        ConversionError: there is no tensor with such rows, `batched` does not fit the example, or
            nothing was found out.
    """
    if not any(tensor.ndim for tensor in tensors(list(example))):
        raise ConversionError(
            "an example of what the model takes is needed, tensors [batch, ...], such as "
            "torch.randn(2, 3, 32, 32)"
        )
    if batched is None:
        found = batched_inputs(copy.deepcopy(model).eval(), example)
        if found is None:
            raise ConversionError(
                "it cannot be told which of the model's inputs have a row for each example: with "
                "other numbers of rows of the same inputs it does not return as many outputs; say so "
                "by `batched`, for instance batched=(True, False) if the second is the same for all"
            )
        return found
    given = list(example[0].values()) if by_name(example) else example
    if len(batched) != len(given):
        raise ConversionError(
            f"batched says of {len(batched)} inputs whether they have a row for each example, but the "
            f"example has {len(given)} inputs; give one value for each"
        )
    each = [(t, cut) for one, cut in zip(given, batched, strict=True) for t in tensors(one)]
    sizes = {t.shape[0] if t.ndim else 0 for t, cut in each if cut}
    if len(sizes) != 1 or 0 in sizes:
        raise ConversionError(
            "inputs that have a row for each example must be tensors [batch, ...] of one batch, not "
            f"of {sorted(sizes)} rows"
        )
    return inputs_of(example, [cut for _, cut in each])
