"""GHN: Zhang, Ren, Urtasun, "Graph HyperNetworks for Neural Architecture Search" (ICLR 2019).

As SMASH, but the architecture is encoded by a neural network on its graph, so that what a layer is told
depends on what lies around it. A node is a choice of the model with the options that run there; an edge
leads to it from every choice whose output they read. With h_v at first what is learned of v's options,
information passes along the edges and then against them, node by node:

    h_v <- GRU(Σ_u MLP(h_u), h_v), over all u with an edge to v (from v, on the way back),

several times. The weights of a layer in v are made from h_v by SMASH's network, without noise.

The graph is traced once with choices as nodes. What runs between two choices is no node, and a decision
within an option adds to the node that it lies in. Which inputs an `InputChoice` reads is known where it
is given a list of tensors; otherwise it has an edge from all that they are computed from.

Differences from the paper: its nodes are single operations and all weights are generated; here those of
linear layers and 1×1 convolutions are, as in SMASH, and what is learned of their tiles tells layers with
the same surroundings apart. Sizes are chosen here. The paper's stacked graphs and its any-time
prediction are left out. There was no code of the authors to compare with.

Shapes: what runs in the nodes is `[nodes, options]`, with the options of all decisions; what is known
of a node is `[hidden]`, and of the layers, for SMASH's network, `[layers, hidden]`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import fx, nn

from supernet.choice import InputChoice
from supernet.choice.choice import ChoiceModule
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.net.generated import Running, numbered
from supernet.space import Option, Sampling
from supernet.strategies.smash import SMASH, Encoder

__all__ = ["GHN"]


class GHN(SMASH):
    """Random architectures with weights that are generated from their graph.

    Args:
        layers: pattern of the layers whose weights are generated, see `SMASH`.
        tile: side of the square of weights that the hypernetwork returns at each place, see
            `SMASH`.
        embedding: size of the vector that is learned for each tile, see `SMASH`.
        growth: channels that each layer of the hypernetwork adds, see `SMASH`.
        depth: layers of the hypernetwork before its last, see `SMASH`.
        hidden: size of the vector that is known of a node.
        rounds: number of times that information passes along the graph and back.
        sampling: set that an architecture is uniform over, see `SMASH`.

    Raises:
        ConfigError: a number is too small.
    """

    noise = False

    def __init__(
        self,
        layers: str | None = None,
        tile: int = 8,
        embedding: int = 8,
        growth: int = 10,
        depth: int = 8,
        hidden: int = 32,
        rounds: int = 2,
        sampling: Sampling = "decisions",
    ) -> None:
        super().__init__(layers, tile, embedding, growth, depth, sampling)
        if min(hidden, rounds) < 1:
            raise ConfigError(f"hidden {hidden} and rounds {rounds} must be at least 1")
        self.hidden = hidden
        self.rounds = rounds

    def encoder(self, supernet: SuperNet, layers: Mapping[str, nn.Module]) -> Encoder:
        """Return the network on the graph of the architecture.

        Raises:
            ConfigError: the model cannot be traced, or a layer lies in no choice.
        """
        return Propagation(supernet, layers, self.hidden, self.rounds)


class Propagation(Encoder):
    """Messages along the graph of an architecture and back.

    Args:
        supernet: supernet of the model.
        layers: layers whose weights are generated, by place.
        hidden: size of the vector that is known of a node, see `GHN`.
        rounds: number of times that information passes along the graph and back, see `GHN`.

    Raises:
        ConfigError: the model cannot be traced, or a layer lies in no choice.
    """

    def __init__(
        self, supernet: SuperNet, layers: Mapping[str, nn.Module], hidden: int, rounds: int
    ) -> None:
        super().__init__()
        self.channels = hidden
        self.rounds = rounds
        nodes = _nodes(supernet.model)
        self.nodes = [(supernet.choices[node.choice], node.reads) for node in nodes]
        self.within = [
            {supernet.choices[m] for m in node.choice.modules() if isinstance(m, ChoiceModule)}
            for node in nodes
        ]
        fields = [(d.label, option) for d in supernet.space.decisions for option in d.options]
        self.fields = {field: i for i, field in enumerate(fields)}
        self.homes: dict[int, list[int]] = {}
        for name, number in numbered(layers).items():
            homes = [v for v, n in enumerate(nodes) if layers[name] in set(n.choice.modules())]
            if not homes:
                raise ConfigError(
                    f"ghn generates weights of layers in choices, but {name} lies in none that the "
                    "model's forward pass reaches; choose others with strategy.layers"
                )
            self.homes.setdefault(number, homes)
        self.first = nn.Linear(len(fields), hidden)
        self.message = nn.Sequential(
            nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden)
        )
        self.update = nn.GRUCell(hidden, hidden)

    def forward(self, running: Running, layers: Sequence[int]) -> torch.Tensor:
        """Return what is known of the node of each layer, the mean where it is in several."""
        before = self.edges(running)
        after = [[v for v, read in enumerate(before) if u in read] for u in range(len(before))]
        states = list(self.first(self.options(running).to(self.first.weight)))
        forth = range(len(before))
        for _ in range(self.rounds):
            for order, near in ((forth, before), (reversed(forth), after)):
                for v in order:
                    message = torch.zeros_like(states[v])
                    if near[v]:
                        message = self.message(torch.stack([states[u] for u in near[v]])).sum(0)
                    states[v] = self.update(message, states[v])
        known = [torch.stack([states[v] for v in self.homes[number]]) for number in layers]
        return torch.stack([each.mean(0) for each in known])

    def options(self, running: Running) -> torch.Tensor:
        """Return `[nodes, options]`: 1 where an option runs within a node."""
        x = torch.zeros(len(self.nodes), len(self.fields))
        for v, labels in enumerate(self.within):
            for label in labels & running.keys():
                for option in running[label]:
                    x[v, self.fields[label, option]] = 1
        return x

    def edges(self, running: Running) -> list[list[int]]:
        """Return, for each node, the nodes that its options read."""
        return [
            sorted({u for option in running.get(label, ()) for u in reads[option]})
            for label, reads in self.nodes
        ]


@dataclass(frozen=True)
class Node:
    """A choice where it is called.

    Attributes:
        choice: the choice that is called.
        reads: earlier nodes whose outputs each option reads, by option.
    """

    choice: ChoiceModule
    reads: Mapping[Option, frozenset[int]]


class _Tracer(fx.Tracer):
    """Traces with choices as leaves."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, ChoiceModule) or super().is_leaf_module(module, name)


def _nodes(model: nn.Module) -> list[Node]:
    """Return the calls of choices in their order.

    Raises:
        ConfigError: the model cannot be traced.
    """
    if isinstance(model, ChoiceModule):
        raise ConfigError(
            "ghn passes messages between the choices of a model, but this model is a choice itself; put "
            "it into a module, or use smash"
        )
    try:
        graph = _Tracer().trace(model)
    except Exception as error:  # the forward pass of a user's model may raise anything here
        raise ConfigError(
            f"ghn needs a model that PyTorch can trace, which this is not: {error}; use smash"
        ) from error
    modules, nodes = dict(model.named_modules()), list[Node]()
    origins: dict[fx.Node, frozenset[int]] = {}
    for node in graph.nodes:
        read = frozenset[int]().union(*(origins[source] for source in node.all_input_nodes))
        module = modules[str(node.target)] if node.op == "call_module" else None
        if not isinstance(module, ChoiceModule):
            origins[node] = read
            continue
        reads: dict[Option, frozenset[int]] = dict.fromkeys(module.names, read)
        inputs = node.args[0] if node.args else next(iter(node.kwargs.values()), None)
        if isinstance(module, InputChoice) and isinstance(inputs, list | tuple):
            given = [origins[source] for source in cast(Sequence[fx.Node], inputs)]
            reads = {n: given[i] for n, i in zip(module.names, module.positions, strict=True)}
        origins[node] = frozenset([len(nodes)])
        nodes.append(Node(module, reads))
    return nodes
