"""GraSP: how much the gradient would flow less if connections were removed.

Wang et al., "Picking Winning Tickets Before Training by Preserving Gradient Flow" (ICLR 2020), summed
over the network by Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS" (ICLR 2021): -Σ w · (H
g), with the gradient g and the Hessian H of the loss by all weights, of one batch in training mode.

Differences from the authors' code: none in the formula; one forward pass serves for g and H g, logits
are not divided by a temperature (as in the second paper), and weights are those of `grad_norm`.
"""

from __future__ import annotations

import torch

from supernet.training_free.network import InitialNetwork, weights_of

__all__ = ["grasp"]


def grasp(network: InitialNetwork) -> float:
    """Sum of -w · (H g), the change of the gradient's flow (Wang et al., 2020).

    0 for a network without a path from input to output, which is not the least.
    """
    weights, inputs = network.weights(), network.inputs
    with network.running(weights, "first pass") as model:
        loss = network.task.loss(model, [*network.like(inputs), network.batch[-1]])
    chosen = weights_of(weights)
    if not chosen or not loss.requires_grad:
        return 0.0
    gradients = torch.autograd.grad(loss, chosen, create_graph=True, materialize_grads=True)
    flow = torch.stack([(g.detach() * g).sum() for g in gradients]).sum()
    if not flow.requires_grad:
        return 0.0
    changes = torch.autograd.grad(flow, chosen, materialize_grads=True)
    return -sum(float((w.detach() * h).sum()) for w, h in zip(chosen, changes, strict=True))
