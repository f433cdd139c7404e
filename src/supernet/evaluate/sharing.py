"""Candidates that begin alike are computed once as far as they are alike.

The model is traced with its choices as leaves. What a node computes depends on the decisions that it
or anything before it asks, its *signature*; nodes of one signature form a segment. While candidates go
by in the order of their answers, a segment runs again only when an answer in its signature changed,
and hands the activations that later segments need, for all batches, to the next candidates. Within a
segment batches pass one after the other, so nothing else is kept.

Batch norm is re-estimated segment by segment: the calibration batches pass in training mode, as they
do when the whole network is calibrated at once, then the evaluation batches with the statistics found.
Scores are therefore the same to the bit as those of plain evaluation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn
from torch.fx.node import map_arg
from torch.nn.modules.batchnorm import _BatchNorm

from supernet.errors import SupernetError
from supernet.evaluate.batchnorm import norms_with_statistics, reestimated
from supernet.net import ChoiceModule, SuperNet
from supernet.net.modes import evaluating
from supernet.space import Architecture, Value

__all__ = ["SharedForward", "UntraceableError"]

Inputs = Sequence[torch.Tensor]
"""The inputs of one batch."""

Signature = frozenset[str]
"""Labels of the decisions that a value depends on."""


class UntraceableError(SupernetError, RuntimeError):
    """The model cannot be cut into segments; evaluate it plainly."""


@dataclass
class Segment:
    """Nodes that depend on the same decisions.

    Attributes:
        signature: the labels of these decisions.
        nodes: in the order in which they run.
        outputs: those whose values other segments, or the caller, need.
        answers: what the signature's decisions were when the values were computed.
        values: per output, the values for all calibration and then all evaluation batches.
    """

    signature: Signature
    nodes: list[fx.Node] = field(default_factory=list)
    outputs: list[fx.Node] = field(default_factory=list)
    answers: tuple[Value | None, ...] | None = None
    values: dict[fx.Node, list[Any]] = field(default_factory=dict)


class SharedForward:
    """Forward passes of one candidate after the other on fixed batches.

    Args:
        supernet: in evaluation mode, and with the batch norms as evaluation wants them, while
            `outputs` runs.
        calibration: inputs that batch norm's statistics are estimated on; empty to leave them.
        evaluation: inputs whose outputs are wanted.
        memory: bytes that activations kept for the next candidate may take. Segments for which
            there is no room are joined to the last one, which keeps nothing.

    Raises:
        UntraceableError: the forward pass depends on data, or a batch norm is used in several segments.
    """

    def __init__(
        self,
        supernet: SuperNet,
        calibration: Sequence[Inputs],
        evaluation: Sequence[Inputs],
        memory: int = 2**30,
    ) -> None:
        self._supernet = supernet
        self._calibration = calibration
        self._batches = [*calibration, *evaluation]
        self._modules = dict(supernet.model.named_modules())
        self._graph = _traced(supernet.model)
        self._labels = _labels_within(supernet)
        self._placeholders = [node for node in self._graph.nodes if node.op == "placeholder"]
        self._signatures = self._sign()
        self._segments = self._cut(set(self._signatures.values()))
        self._norms = self._norms_by_segment()
        kept = self._that_fit(memory)
        if len(kept) < len(self._segments):
            self._segments = self._cut(kept)
            self._norms = self._norms_by_segment()

    def order(self, architectures: Iterable[Architecture]) -> list[Architecture]:
        """Return architectures in the order in which most is shared."""
        labels = [label for node in self._graph.nodes for label in self._own(node)]
        decisions = [self._supernet.space.decision(label) for label in dict.fromkeys(labels)]

        def answers(architecture: Architecture) -> list[tuple[int, ...]]:
            return [
                decision.indices(architecture[decision.label])
                if decision.label in architecture
                else ()
                for decision in decisions
            ]

        return sorted(architectures, key=answers)

    def outputs(self, architecture: Architecture) -> list[Any]:
        """Return the model's outputs for all evaluation batches."""
        with self._supernet.route(architecture):
            for segment in self._segments:
                answers = tuple(architecture.get(label) for label in sorted(segment.signature))
                if segment.answers != answers:
                    segment.answers, segment.values = None, {}
                    segment.values = self._run(segment)
                    segment.answers = answers
        last = self._segments[-1]
        last.answers = None
        (output,) = self._graph.find_nodes(op="output")
        return last.values.pop(output)[len(self._calibration) :]

    def forget(self) -> None:
        """Drop all activations; the weights may change before the next candidates."""
        for segment in self._segments:
            segment.answers, segment.values = None, {}

    def _run(self, segment: Segment) -> dict[fx.Node, list[Any]]:
        values: dict[fx.Node, list[Any]] = {node: [] for node in segment.outputs}

        def run(batch: int) -> None:
            results: dict[fx.Node, Any] = {}
            for node in segment.nodes:
                results[node] = self._compute(node, batch, results)
            for node in segment.outputs:
                values[node].append(results[node])

        count = len(self._calibration)
        with reestimated(self._norms[id(segment)] if count else [], range(count), run):
            for batch in range(count, len(self._batches)):
                run(batch)
        return values

    def _compute(self, node: fx.Node, batch: int, results: Mapping[fx.Node, Any]) -> Any:
        def value(source: fx.Node) -> Any:
            if source in results:
                return results[source]
            return self._segment_of[source].values[source][batch]

        if node.op == "placeholder":
            position = self._placeholders.index(node)
            inputs = self._batches[batch]
            return inputs[position] if position < len(inputs) else node.args[0]
        args, kwargs = map_arg(node.args, value), map_arg(node.kwargs, value)
        if node.op == "output":
            return args[0]
        if node.op == "get_attr":
            return _attribute(self._supernet.model, str(node.target))
        if node.op == "call_module":
            return self._modules[str(node.target)](*args, **kwargs)
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        return node.target(*args, **kwargs)  # type: ignore[operator]

    def _own(self, node: fx.Node) -> tuple[str, ...]:
        """Return the labels of the decisions that a node itself asks, outer ones first."""
        if node.op != "call_module":
            return ()
        return self._labels.get(self._modules[str(node.target)], ())

    def _sign(self) -> dict[fx.Node, Signature]:
        signatures: dict[fx.Node, Signature] = {}
        for node in self._graph.nodes:
            before = (signatures[source] for source in node.all_input_nodes)
            signatures[node] = frozenset(self._own(node)).union(*before)
        return signatures

    def _cut(self, cached: Iterable[Signature]) -> list[Segment]:
        """Return a segment for each signature in `cached`, and one for all other nodes, at the end."""
        last = Segment(frozenset().union(*self._signatures.values()))
        segments = {signature: Segment(signature) for signature in cached}
        segments[last.signature] = last
        self._segment_of = {
            node: segments.get(signature, last) for node, signature in self._signatures.items()
        }
        for node in self._graph.nodes:
            own = self._segment_of[node]
            own.nodes.append(node)
            users = {id(self._segment_of[user]) for user in node.users} - {id(own)}
            if users or node.op == "output":
                own.outputs.append(node)
        # A segment depends on smaller signatures only.
        others = (segment for segment in segments.values() if segment is not last)
        return [*sorted(others, key=lambda segment: len(segment.signature)), last]

    def _norms_by_segment(self) -> dict[int, list[_BatchNorm]]:
        """Return the batch norms of each segment, by its id.

        Raises:
            UntraceableError: one is used in several, and its statistics would be those of neither.
        """
        found: dict[int, list[_BatchNorm]] = {id(segment): [] for segment in self._segments}
        home: dict[nn.Module, int] = {}
        for node, segment in self._segment_of.items():
            if node.op != "call_module":
                continue
            for norm in norms_with_statistics(self._modules[str(node.target)]):
                if home.setdefault(norm, id(segment)) != id(segment):
                    raise UntraceableError(
                        f"the batch norm in {node.target} is used at places that depend on different "
                        "decisions"
                    )
                if norm not in found[id(segment)]:
                    found[id(segment)].append(norm)
        return found

    def _that_fit(self, memory: int) -> set[Signature]:
        """Return the signatures whose activations fit into the memory, the earliest first."""
        batches, calibration = self._batches, self._calibration
        scale = sum(len(batch[0]) for batch in batches) / len(batches[0][0])
        self._batches, self._calibration = batches[:1], []
        try:
            self._try_out(self._supernet.space[0])
            kept: set[Signature] = set()
            for segment in self._segments[:-1]:
                tensors = [v for values in segment.values.values() for v in values]
                memory -= int(scale * sum(t.nbytes for t in tensors if isinstance(t, torch.Tensor)))
                if memory < 0:
                    break
                kept.add(segment.signature)
        finally:
            self._batches, self._calibration = batches, calibration
            self.forget()
        return kept | {self._segments[-1].signature}

    def _try_out(self, architecture: Architecture) -> None:
        try:
            with evaluating(self._supernet), torch.inference_mode():
                self.outputs(architecture)
        except (
            Exception
        ) as error:  # a user's model may raise anything, for one candidate or for all
            raise UntraceableError(f"{architecture} cannot be run: {error}") from error


class _Tracer(fx.Tracer):
    """Traces with choices as leaves: which options run is not part of the graph."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, ChoiceModule) or super().is_leaf_module(module, name)


def _traced(model: nn.Module) -> fx.Graph:
    try:
        with evaluating(model):
            return _Tracer().trace(model)
    except Exception as error:  # the forward pass of a user's model may raise anything here
        raise UntraceableError(f"PyTorch cannot trace the model: {error}") from error


def _labels_within(supernet: SuperNet) -> dict[nn.Module, tuple[str, ...]]:
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


def _attribute(model: nn.Module, name: str) -> Any:
    owner, _, attribute = name.rpartition(".")
    return getattr(model.get_submodule(owner), attribute)
