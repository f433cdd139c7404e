"""SynFlow: how much passes through all paths of a network, without data.

Tanaka et al., "Pruning neural networks without any data by iteratively conserving synaptic flow"
(NeurIPS 2020), summed over the network by Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS"
(ICLR 2021). All weights become |w|, the input is ones, R is the sum of the outputs, and the score is Σ
|w| · ∂R/∂|w|. Batch norm is left out, since it would undo the weights' sizes.

Differences from the authors' code: modules run in evaluation mode, so dropout is off. Weights are
those of `grad_norm`. As there, 64-bit numbers; a network so deep that they overflow has an infinite
score.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from supernet.errors import ConfigError
from supernet.modules.calls import called
from supernet.modules.hooks import hooked
from supernet.training_free.network import InitialNetwork, first_output, weights_of

__all__ = ["synflow"]


def synflow(network: InitialNetwork) -> float:
    """Sum of |w · ∂R/∂w| of the network of |w| on an input of ones (Tanaka et al., 2020).

    0 for a network without a path from input to output, the least.

    Raises:
        ConfigError: an input is not of real numbers.
    """
    if not all(value.is_floating_point() for value in network.inputs):
        raise ConfigError(
            "synflow runs the network on ones, so its inputs must be real numbers, but one of this "
            "batch holds whole numbers, such as tokens; use another score, such as snip"
        )
    ones = [torch.ones_like(value[:1], dtype=torch.float64) for value in network.inputs]
    weights = {
        name: weight.detach().abs().double().requires_grad_(weight.requires_grad)
        for name, weight in network.weights().items()
    }
    chosen = weights_of(weights)
    if not chosen:
        return 0.0
    norms = [module for module in network.model.modules() if isinstance(module, _BatchNorm)]
    with network.running(weights, "synflow", training=False) as model, hooked(norms, leave=_input):
        flow = first_output(called(model, network.like(ones))).sum()
    if not flow.requires_grad:
        return 0.0
    gradients = torch.autograd.grad(flow, chosen, materialize_grads=True)
    return sum(float((w.detach() * g).abs().sum()) for w, g in zip(chosen, gradients, strict=True))


def _input(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: object) -> torch.Tensor:
    """Return what entered a module in place of its output."""
    return inputs[0]
