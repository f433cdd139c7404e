"""PC-DARTS: partial channels and normalised edges.

Xu et al., "PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search" (ICLR 2020).
DARTS of first order with three changes:

    edge normalisation   the input of a node is Σ_e softmax(β)_e · Σ_o softmax(α_e)_o · o(x_e), with a
                         vector β for each node over the edges that enter it
    partial channels     an edge computes with 1/k of the channels: a property of the search network,
                         argument `partial` of the space "darts"
    a late start         α and β rest in the first 15 of 50 epochs

An architecture is read off the products softmax(β)_e · softmax(α_e)_o: of each edge the largest that is
not `none`, of each node the two strongest edges.

Differences from the authors' code: those of DARTS from its authors' (see `DARTS`), of which this is one.
In a space without edges (no decision chooses several) only the late start remains.
"""

from __future__ import annotations

import torch

from supernet.net import Routing, SuperNet
from supernet.space import Architecture, OneOf
from supernet.strategies.coupled import CostLoss, Coupled
from supernet.strategies.rules import edges
from supernet.train import Moment

__all__ = ["PCDARTS"]


class PCDARTS(Coupled):
    """Softmax mixtures of operations and of edges.

    Args:
        learning_rate: see `Coupled`; the paper's for CIFAR-10.
        betas: see `Coupled`.
        weight_decay: see `Coupled`.
        warmup: see `Coupled`.
        cost: see `Coupled`.
        cost_weight: see `Coupled`.
        cost_target: see `Coupled`.
        cost_loss: see `Coupled`.
    """

    learns_edges = True

    def __init__(
        self,
        learning_rate: float = 6e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        weight_decay: float = 1e-3,
        warmup: float = 0.3,
        cost: str | None = None,
        cost_weight: float = 0.1,
        cost_target: float | None = None,
        cost_loss: CostLoss = "linear",
    ) -> None:
        super().__init__(
            learning_rate,
            betas,
            weight_decay,
            warmup,
            rule="edges",
            cost=cost,
            cost_weight=cost_weight,
            cost_target=cost_target,
            cost_loss=cost_loss,
        )

    def routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return gates with softmax weights, those of edges included."""
        return Routing.soft(model.space, self.probabilities())

    def learned(self, supernet: SuperNet) -> list[Architecture]:
        """Return the architecture that the rule `edges` reads off the products."""
        with torch.no_grad():
            shares = {label: p.tolist() for label, p in self.probabilities().items()}
        strengths = {
            label: [share * self._edge_share(supernet, label, shares) for share in values]
            for label, values in shares.items()
        }
        return [edges(supernet.space, strengths)]

    @staticmethod
    def _edge_share(supernet: SuperNet, label: str, shares: dict[str, list[float]]) -> float:
        """Return the share of the edge that a decision lies in; 1 if it lies in none.

        Of several, the largest.
        """
        space, found = supernet.space, []
        for path in space.conditions(label):
            if path and not isinstance(space.decision(path[-1][0]), OneOf):
                parent, option = path[-1]
                found.append(shares[parent][space.decision(parent).options.index(option)])
        return max(found, default=1.0)
