"""Gradient norm: how large the gradient of the loss is at the start.

Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS" (ICLR 2021): Σ_l ‖∂L/∂W_l‖₂ over the
weights of all layers, of one batch in training mode.

Differences from the authors' code: it takes the weights of convolutions and linear layers; here they
are all parameters of two or more dimensions, which also are projections of attention and embeddings.
"""

from __future__ import annotations

from supernet.training_free.network import InitialNetwork, weight_gradients

__all__ = ["grad_norm"]


def grad_norm(network: InitialNetwork) -> float:
    """Sum of the norms of the loss's gradients by weights (Abdelfattah et al., 2021).

    Of a network without a path from input to output, the norm for its last layer alone, mostly 0.
    """
    return sum(float(gradient.norm()) for _, gradient in network.shared(weight_gradients))
