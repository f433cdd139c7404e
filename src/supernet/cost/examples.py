"""What a supernet takes: which of it has a row for each example."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from supernet.elastic.spec import elastic_spec
from supernet.errors import SpaceError
from supernet.modules.batches import Inputs, batched_inputs, inputs_of
from supernet.modules.modes import evaluating
from supernet.net import SuperNet

__all__ = ["example_inputs"]


def example_inputs(supernet: SuperNet, *example: Any) -> Inputs:
    """Return which inputs have a row for each example, as a conversion found, or as a network shows.

    Args:
        supernet: supernet of the model.
        example: inputs of the model.

    Raises:
        SpaceError: it cannot be told.
    """
    for module in supernet.modules():
        what = elastic_spec(module)
        if what is not None and what.example is not None and what.example.fit(example):
            return inputs_of(example, what.example.batched)
    architecture = supernet.space.build(lambda decision: decision.value(range(decision.low)))
    with evaluating(supernet), torch.no_grad():
        found = batched_inputs(partial(supernet, routing=architecture), example)
    if found is None:
        raise SpaceError(
            "it cannot be told which inputs of the model have a row for each example: with another "
            "number of rows it does not return as many outputs; let it take only such inputs, and hold "
            "the others itself"
        )
    return found
