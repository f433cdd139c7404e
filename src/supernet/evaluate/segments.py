"""A traced model, cut into segments of nodes that depend on the same decisions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn

from supernet.choice import ChoiceModule
from supernet.evaluate.side_effects import UntraceableError, nothing_changed
from supernet.modules.nested import tensors
from supernet.net import SuperNet
from supernet.net.batchnorm import Norm
from supernet.space import Value

__all__ = [
    "Answers",
    "Inputs",
    "Program",
    "Segment",
    "Signature",
    "attribute",
    "choice_graph",
    "labels_within",
    "options_of",
    "program",
    "size",
    "storage",
]

Inputs = Sequence[Any]
"""The inputs of one batch: tensors, or one dictionary of them by name."""

Signature = frozenset[str]
"""Labels of the decisions that a value depends on."""

Answers = tuple[Value | None, ...]
"""What the decisions of a signature are, in the order of their labels."""

Program = list[tuple[fx.Node, tuple[fx.Node, ...]]]
"""Nodes in the order in which they run, each with the values that nobody needs after it."""


@dataclass
class Segment:
    """Nodes that depend on the same decisions.

    Attributes:
        signature: the labels of these decisions.
        nodes: nodes of the segment in the order in which they run.
        outputs: nodes whose values other segments, or the caller, need.
        sources: nodes of other segments whose values are needed.
        norms: batch norms with statistics among the nodes.
        calibration: program that calibration batches pass through, up to the last norm.
        evaluation: program that evaluation batches pass through.
        asked: labels of the decisions that the nodes themselves ask.
        seen: (label, option) pairs that ran already.
        calibrated: whether the values of the calibration batches are among those kept.
        answers: answers to the signature's decisions when the values were computed.
        values: values of each output by the number of the batch, calibration batches first.
    """

    signature: Signature
    nodes: list[fx.Node] = field(default_factory=list)
    outputs: list[fx.Node] = field(default_factory=list)
    sources: list[fx.Node] = field(default_factory=list)
    norms: list[Norm] = field(default_factory=list)
    calibration: Program = field(default_factory=list)
    evaluation: Program = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    seen: set[tuple[str, object]] = field(default_factory=set)
    calibrated: bool = True
    answers: Answers | None = None
    values: dict[fx.Node, dict[int, Any]] = field(default_factory=dict)

    @property
    def reads_inputs(self) -> bool:
        """Whether the inputs of the model are among the nodes."""
        return any(node.op == "placeholder" for node in self.nodes)

    def forget(self) -> None:
        """Drop all values."""
        self.answers, self.values = None, {}


class _Tracer(fx.Tracer):
    """Traces with choices as leaves: which options run is not part of the graph."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, ChoiceModule) or super().is_leaf_module(module, name)

    def create_arg(self, a: Any) -> Any:
        known = isinstance(a, nn.Parameter) or any(a is buffer for buffer in self.root.buffers())
        if isinstance(a, torch.Tensor) and not known:
            # It would be written into the model, and be the same for ever.
            raise UntraceableError("the forward pass uses a tensor that is no parameter or buffer")
        return super().create_arg(a)


def choice_graph(model: nn.Module, device: torch.device) -> fx.Graph:
    """Return the model's graph, its choices as leaves.

    Raises:
        UntraceableError: PyTorch cannot trace it, or the forward pass does more than compute.
    """
    try:
        with nothing_changed(model, device):
            return _Tracer().trace(model)
    except UntraceableError:
        raise
    except Exception as error:  # the forward pass of a user's model may raise anything here
        raise UntraceableError(f"PyTorch cannot trace the model: {error}") from error


def program(nodes: Sequence[fx.Node], outputs: Sequence[fx.Node]) -> Program:
    """Return the nodes, each with the values that are over after it, outputs excepted."""
    last_use: dict[fx.Node, int] = {}
    for position, node in enumerate(nodes):
        for source in (node, *node.all_input_nodes):
            last_use[source] = position
    over: list[list[fx.Node]] = [[] for _ in nodes]
    for source, position in last_use.items():
        if source not in outputs:
            over[position].append(source)
    return [(node, tuple(drop)) for node, drop in zip(nodes, over, strict=True)]


def size(batches: Sequence[Inputs], number: int) -> int:
    """Return the number of images in a batch, without making it where possible."""
    known = getattr(batches, "size", None)
    return int(known(number)) if known else len(next(tensors(batches[number])))


def storage(values: Iterable[torch.Tensor], seen: set[int]) -> int:
    """Return the bytes that keeping these tensors keeps, without those in `seen`."""
    total = 0
    for value in values:
        storage = value.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            total += storage.nbytes()
    return total


def options_of(value: Value | None) -> tuple[object, ...]:
    """Return the options that an answer names."""
    return value if isinstance(value, tuple) else (value,)


def labels_within(supernet: SuperNet) -> dict[nn.Module, tuple[str, ...]]:
    """Return, per choice, the labels of the decisions that it and its options ask, outer ones first."""
    return {
        choice: tuple(
            dict.fromkeys(
                supernet.choices[part]
                for part in choice.modules()
                if isinstance(part, ChoiceModule)
            )
        )
        for choice in supernet.choices
    }


def attribute(model: nn.Module, name: str) -> Any:
    """Return what a dotted name stands for."""
    owner, _, attribute = name.rpartition(".")
    return getattr(model.get_submodule(owner), attribute)
