"""The memory that a network needs."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from supernet.modules.calls import called
from supernet.modules.modes import evaluating

__all__ = ["kept_for_backward"]


def kept_for_backward(model: nn.Module, *example: Any) -> int:
    """Return the bytes of what a forward pass keeps for the backward pass, without the parameters.

    It is what grows with the batch when a network is trained, and with the network.

    Args:
        model: runs in evaluation mode, so that batch norm takes a batch of one.
        example: inputs of the model, `[batch, ...]`.
    """
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with evaluating(model), torch.enable_grad(), saved_tensors_hooks(pack, lambda tensor: tensor):
        outputs = called(
            model, example
        )  # held until all storages are counted, so that none is used twice
    del outputs
    return sum(kept.values())
