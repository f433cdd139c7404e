"""The graph of a supernet's model, cut where what is computed begins to depend on further decisions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import fx, nn
from torch.fx.node import map_arg

from supernet.evaluate.segments import (
    Inputs,
    Segment,
    Signature,
    attribute,
    choice_graph,
    labels_within,
    program,
)
from supernet.evaluate.side_effects import UntraceableError
from supernet.modules.calls import given_as
from supernet.net import SuperNet
from supernet.net.batchnorm import Norm, norms_with_statistics

__all__ = ["CutGraph"]


class CutGraph:
    """A traced model, its choices as leaves, and the segments that it is cut into.

    Args:
        supernet: supernet whose model is traced.
        device: device of its parameters.

    Attributes:
        graph: the nodes, in the order in which they run.
        called: all modules that run, those within others too.
        signatures: labels of the decisions that a node's value depends on, by node.
        needed: nodes that have a part in the statistics of norms.
        segment_of: segment that a node lies in, by node, see `cut`.

    Raises:
        UntraceableError: PyTorch cannot trace the model, or the forward pass does more than compute.
    """

    def __init__(self, supernet: SuperNet, device: torch.device) -> None:
        self._model = supernet.model
        self._names = dict(supernet.model.named_modules())
        self._labels = labels_within(supernet)
        self.graph = choice_graph(supernet.model, device)
        self.called = {
            inner
            for node in self.graph.nodes
            if node.op == "call_module"
            for inner in self._names[str(node.target)].modules()
        }
        self._placeholders = [node for node in self.graph.nodes if node.op == "placeholder"]
        self.signatures = self._sign()
        self.needed = self._before_norms()
        self.segment_of: dict[fx.Node, Segment] = {}

    def asked_by(self, node: fx.Node) -> tuple[str, ...]:
        """Return the labels of the decisions that a node itself asks, outer ones first."""
        if node.op != "call_module":
            return ()
        return self._labels.get(self._names[str(node.target)], ())

    def value(self, node: fx.Node, results: dict[fx.Node, Any], inputs: Inputs) -> Any:
        """Return what a node computes, from the values of those before it and the inputs."""
        if node.op == "placeholder":
            position, (given, named) = self._placeholders.index(node), given_as(inputs)
            if str(node.target).startswith("*") and (named or len(given) > position + 1):
                raise UntraceableError("its forward takes any number of inputs (*args or **kwargs)")
            if str(node.target) in named:
                return named[str(node.target)]
            return given[position] if position < len(given) else node.args[0]
        args, kwargs = map_arg((node.args, node.kwargs), results.__getitem__)
        if node.op == "output":
            return args[0]
        if node.op == "get_attr":
            return attribute(self._model, str(node.target))
        if node.op == "call_module":
            return self._names[str(node.target)](*args, **kwargs)
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        return node.target(*args, **kwargs)  # type: ignore[operator]

    def cut(self, cached: Iterable[Signature]) -> list[Segment]:
        """Return a segment for each signature in `cached`, and one for all other nodes, at the end.

        From then on `segment_of` says where each node lies.

        Raises:
            UntraceableError: a norm is used in several, and its statistics would be those of neither.
        """
        (output,) = self.graph.find_nodes(op="output")
        last = Segment(self.signatures[output])
        segments = {signature: Segment(signature) for signature in cached}
        segments[last.signature] = last
        self.segment_of = {
            node: segments.get(signature, last) for node, signature in self.signatures.items()
        }
        home: dict[nn.Module, Segment] = {}
        for node in self.graph.nodes:
            own = self.segment_of[node]
            own.nodes.append(node)
            own.asked.update(self.asked_by(node))
            if node.op == "output" or any(self.segment_of[user] is not own for user in node.users):
                own.outputs.append(node)
            for source in node.all_input_nodes:
                if self.segment_of[source] is not own and source not in own.sources:
                    own.sources.append(source)
            for norm in self._norms_in(node):
                if home.setdefault(norm, own) is not own:
                    raise UntraceableError(
                        f"the batch norm in {node.target} is used at places that depend on different "
                        "decisions"
                    )
                if norm not in own.norms:
                    own.norms.append(norm)
        for segment in segments.values():
            segment.evaluation = program(segment.nodes, segment.outputs)
            needed = [node for node in segment.nodes if node in self.needed]
            segment.calibration = program(needed, segment.outputs)
        # A segment depends on smaller signatures only.
        others = (segment for segment in segments.values() if segment is not last)
        return [*sorted(others, key=lambda segment: len(segment.signature)), last]

    def _sign(self) -> dict[fx.Node, Signature]:
        # stem(x), then choice a, then choice b, then head: their signatures are {}, {a}, {a, b} and
        # {a, b}, which are three segments. Of candidates in the order of their answers
        #
        #   a=conv b=3     runs  {}  {a}  {a, b}
        #   a=conv b=5     runs           {a, b}      reads what {a} left for the candidate before
        #   a=skip b=3     runs      {a}  {a, b}      reads what {} left for the first candidate
        signatures: dict[fx.Node, Signature] = {}
        for node in self.graph.nodes:
            before = (signatures[source] for source in node.all_input_nodes)
            signatures[node] = frozenset(self.asked_by(node)).union(*before)
        (output,) = self.graph.find_nodes(op="output")
        signatures[output] = frozenset().union(*signatures.values())  # what is unused runs as well
        return signatures

    def _before_norms(self) -> set[fx.Node]:
        """Return the nodes up to the last that holds norms with statistics.

        What runs after it has no part in any statistics. Of what runs before, also a node whose value
        is not used may change one in place that is.
        """
        nodes = list(self.graph.nodes)
        ends = [position for position, node in enumerate(nodes, 1) if self._norms_in(node)]
        return set(nodes[: max(ends, default=0)])

    def _norms_in(self, node: fx.Node) -> list[Norm]:
        module = self._names[str(node.target)] if node.op == "call_module" else None
        return norms_with_statistics(module) if module is not None else []
