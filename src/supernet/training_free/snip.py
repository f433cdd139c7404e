"""SNIP: how much the loss would change if connections were removed.

Lee et al., "SNIP: Single-shot Network Pruning based on Connection Sensitivity" (ICLR 2019), summed
over the network by Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS" (ICLR 2021): Σ |w ·
∂L/∂w| over all weights, of one batch in training mode.

Differences from the authors' code: it multiplies weights by masks of ones, whose gradients are w ·
∂L/∂w; here the product is taken. Weights are those of `grad_norm`.
"""

from __future__ import annotations

from supernet.training_free.network import InitialNetwork, weight_gradients

__all__ = ["snip"]


def snip(network: InitialNetwork) -> float:
    """Sum of |w · ∂L/∂w|, the sensitivity of connections (Lee et al., 2019).

    0 for a network without a path from input to output, the least.
    """
    pairs = network.shared(weight_gradients)
    return sum(float((weight * gradient).abs().sum()) for weight, gradient in pairs)
