"""Routes of forward passes, for what is computed again in their backward pass.

Activation checkpointing (`torch.utils.checkpoint`; Chen et al., "Training Deep Nets with Sublinear
Memory Cost", 2016) runs parts of a model once more while the loss goes backward, when the route is
over, perhaps after others. So the outputs of a forward pass remember its gates: as soon as the gradient
reaches them, and until it reaches the outputs of another pass or the backward pass ends, choices are
read under these gates. PyTorch goes first through what was computed last, so the gradients of two
passes do not mix.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch.utils.hooks import unserializable_hook

from supernet.choice.routing import Gate
from supernet.modules.nested import tensors

__all__ = ["NO_RECALL", "GatedChoice", "going_backward", "remember"]

NO_RECALL = Gate(())
"""Stands for a gate that cannot be had again, since more than gates was part of the forward pass."""


class GatedChoice(Protocol):
    """The protocol of a choice whose gate can be set again for a backward pass."""

    @property
    def gate(self) -> Gate | None:
        """What it computes now."""

    def recall(self, gate: Gate | None) -> None:
        """Be read under a gate of before, or under the present one again."""


def going_backward() -> bool:
    """Return whether a gradient is being computed right now, in this thread."""
    return bool(torch._C._current_graph_task_id() != -1)


def remember(outputs: Any, choices: Sequence[GatedChoice], whole: bool = True) -> None:
    """Let choices be read under the present gates while the outputs' gradient is computed.

    Args:
        outputs: outputs of a forward pass under these gates.
        choices: choices of the model.
        whole: whether gates are all that the forward pass depended on; if not, choices refuse.
    """
    found = [y for y in tensors(outputs) if y.grad_fn is not None]
    if not found:
        return
    gates = [choice.gate if whole else NO_RECALL for choice in choices]

    def forget() -> None:
        for choice in choices:
            choice.recall(None)

    @unserializable_hook  # type: ignore[untyped-decorator] # what is saved of the outputs are their values
    def recall(_: torch.Tensor) -> None:
        for choice, gate in zip(choices, gates, strict=True):
            choice.recall(gate)
        torch.autograd.Variable._execution_engine.queue_callback(forget)

    for y in found:
        y.register_hook(recall)  # type: ignore[no-untyped-call]
