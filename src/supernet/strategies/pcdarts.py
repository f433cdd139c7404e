"""PC-DARTS: partial channels and normalised edges.

Xu et al., "PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search" (ICLR 2020).
DARTS of first order with three changes:

    edge normalisation   the input of a node is Σ_e softmax(β)_e · Σ_o softmax(α_e)_o · o(x_e), with a
                         vector β for each node over the edges that enter it
    partial channels     an edge computes with 1/k of the channels: a property of the search network,
                         argument `partial` of the space "darts"
    a late start         α and β rest in the first 15 of 50 epochs

An architecture is read off the products softmax(β)_e · softmax(α_e)_o: of each edge the largest that is
not `none`, of each node the two strongest edges. Where a node may have fewer edges, one with a share
softmax(β)_e below the uniform one is left out.

Differences from the authors' code: those of DARTS from its authors' (see `DARTS`), of which this is one,
and that there is no second order. In a space without edges (no decision chooses several) only the late
start remains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from supernet.choice import Routing
from supernet.net import SuperNet
from supernet.space import Architecture, OneOf, SearchSpace
from supernet.strategies.alpha import Alpha
from supernet.strategies.cost_penalty import CostPenalty
from supernet.strategies.coupled import Coupled
from supernet.strategies.derivation import edges
from supernet.train import Moment

__all__ = ["PCDARTS", "products"]


class PCDARTS(Coupled):
    """Softmax mixtures of operations and of edges.

    Args:
        alpha: how α begins and how Adam moves it, see `Coupled`; by default the paper's for
            CIFAR-10.
        cost: expected cost that joins the loss of α, see `Coupled`.
    """

    learns_edges = True

    def __init__(
        self,
        alpha: Alpha = Alpha(learning_rate=6e-4, warmup=0.3),
        cost: CostPenalty | None = None,
    ) -> None:
        super().__init__(alpha, "edges", cost)

    def routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return gates with softmax weights, those of edges included."""
        return Routing.soft(model.space, self.probabilities())

    def learned(self, supernet: SuperNet) -> list[Architecture]:
        """Return the architecture that the rule `edges` reads off the products."""
        with torch.no_grad():
            shares = {label: p.tolist() for label, p in self.probabilities().items()}
        return [edges(supernet.space, products(supernet.space, shares), weighed=True)]


def products(space: SearchSpace, shares: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Return the shares of all options, times that of the edge which their decision lies in."""
    return {
        label: [share * _edge_share(space, label, shares) for share in values]
        for label, values in shares.items()
    }


def _edge_share(space: SearchSpace, label: str, shares: Mapping[str, Sequence[float]]) -> float:
    """Return the share of the edge that a decision lies in, of several the largest; 1 if in none."""
    found = []
    for path in space.conditions(label):
        if path and not isinstance(space.decision(path[-1][0]), OneOf):
            parent, option = path[-1]
            found.append(shares[parent][space.decision(parent).options.index(option)])
    return max(found, default=1.0)
