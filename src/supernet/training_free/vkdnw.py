"""VKDNW: how evenly data would tell the weights of a network, by Fisher's information.

Týbl and Neumann, "Training-free Neural Architecture Search through Variance of Knowledge of Deep
Network Weights" (CVPR 2025). Of the first 128 parameter tensors one number each is looked at, the
first. With J the Jacobian of an example's logits by these numbers and p the class probabilities, F is
the mean over a batch of Jᵀ (diag p - p pᵀ) J. λ_1 ... λ_9 are the deciles of the eigenvalues of F,
made to sum to 1, and the score is -Σ λ log λ, at most log 9, plus the number of parameter tensors,
which so decides first. Weights are drawn by Kaiming's rule, inputs from a normal distribution, and
norms do not use the batch.

In a set of networks the paper adds log(rank) of it to those of `jacob_cov` and of AZ-NAS's
expressivity, trainability and complexity ("vkdnw_aggregated").

Differences from the authors' code: it multiplies J by the triangular root R of diag p - p pᵀ = R Rᵀ
from the wrong side (R J where Rᵀ J gives Jᵀ R Rᵀ J); here F is as the paper has it. It takes 64
examples, here 16, unless fewer are given: entropies are lower so, in nearly the same order. Parameters
that nothing reads do not count. J is computed module by module: the derivative of a module's output by
its number, times the gradient of each logit by that output.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

from supernet.errors import ConfigError
from supernet.modules.calls import called
from supernet.modules.hooks import hooked
from supernet.training_free.az_nas import kaiming
from supernet.training_free.network import (
    InitialNetwork,
    StandIn,
    first_output,
    noise_like,
    redrawn,
)

__all__ = ["fisher", "vkdnw"]

LAYERS = 128
"""The most parameter tensors that are looked at."""
IMAGES = 16
"""The most examples that the expectation is taken over."""
SMOOTHING = 0.05
"""Share of the probability that is spread over all classes, as in the authors' code."""


def vkdnw(network: InitialNetwork) -> float:
    """Entropy of the deciles of Fisher's information, plus parameter tensors (Týbl and Neumann, 2025).

    A network without a path from input to output has the entropy 0, and few parameters.

    Raises:
        ConfigError: the outputs are not logits `[batch, classes]`, or a parameter is read by another
            module than its own.
    """
    eigenvalues = np.maximum(np.linalg.eigvalsh(fisher(network)), 0)
    if not eigenvalues.size:
        return 0.0
    deciles = np.quantile(eigenvalues, np.arange(1, 10) / 10)
    shares = deciles / max(deciles.sum(), np.finfo(float).tiny)
    entropy = -np.sum(shares * np.log(np.where(shares > 0, shares, 1)))
    return float(entropy) + sum(p.requires_grad for p in network.model.parameters())


@dataclass(frozen=True)
class _Call:
    """A call of a module that has parameters of its own."""

    inputs: tuple[Any, ...]
    output: torch.Tensor


def fisher(network: InitialNetwork) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return F of the first numbers of the first parameter tensors, `[numbers, numbers]`.

    Raises:
        ConfigError: see `vkdnw`.
    """
    weights = redrawn(network, "vkdnw weights", kaiming)
    inputs = [value[:IMAGES] for value in noise_like(network, "vkdnw inputs")]
    chosen = [name for name, weight in weights.items() if weight.requires_grad][:LAYERS]
    places = _places(network.model, chosen)
    calls: defaultdict[nn.Module, list[_Call]] = defaultdict(list)

    def leave(module: nn.Module, given: tuple[Any, ...], output: object) -> object:
        calls[module].append(_Call(given, first_output(output)))
        # What follows may change it in place.
        return output.clone() if isinstance(output, torch.Tensor) else None

    owners = {place.owner: None for some in places.values() for place in some}
    with network.running(weights, "vkdnw", training=False) as model:
        with hooked(owners, leave=leave):
            logits = first_output(called(model, network.like(inputs)))
        _check(logits, weights, places, calls)
        jacobian = _jacobian(logits, model, places, calls)
    p = (1 - SMOOTHING) * logits.detach().softmax(1) + SMOOTHING / logits.shape[1]
    # Jᵀ (diag p - p pᵀ) J is the covariance of J's rows under p.
    p, jacobian = p.double().cpu(), jacobian.double().cpu()
    centred = jacobian - torch.einsum("nc,nce->ne", p, jacobian)[:, None]
    found: np.ndarray[Any, np.dtype[np.float64]] = (
        torch.einsum("nc,nce,ncf->ef", p, centred, centred) / len(p)
    ).numpy()
    return found


@dataclass(frozen=True)
class _Place:
    """A place of a parameter: the module that owns it, and its name there."""

    owner: nn.Module
    name: str


def _places(model: nn.Module, chosen: Sequence[str]) -> dict[str, list[_Place]]:
    """Return the places of parameters by name, several where modules share one."""
    names = {id(model.get_parameter(name)): name for name in chosen}
    found: dict[str, list[_Place]] = {name: [] for name in chosen}
    for module in model.modules():
        for own, parameter in module.named_parameters(recurse=False):
            if id(parameter) in names:
                found[names[id(parameter)]].append(_Place(module, own))
    return found


def _check(
    logits: torch.Tensor,
    weights: dict[str, torch.Tensor],
    places: dict[str, list[_Place]],
    calls: dict[nn.Module, list[_Call]],
) -> None:
    """Raise an error where the Jacobian cannot be computed module by module.

    Raises:
        ConfigError: see `vkdnw`.
    """
    if logits.ndim != 2:
        raise ConfigError(
            f"vkdnw needs logits [batch, classes], but the model returned {list(logits.shape)}; use "
            "another score, such as snip"
        )
    missed = [n for n, some in places.items() if any(place.owner not in calls for place in some)]
    if missed and logits.requires_grad:
        read = torch.autograd.grad(
            logits.sum(), [weights[name] for name in missed], retain_graph=True, allow_unused=True
        )
        if wrong := [name for name, g in zip(missed, read, strict=True) if g is not None]:
            raise ConfigError(
                f"vkdnw follows parameters through the modules that own them, but {wrong[0]!r} is read "
                "by another module, as in nn.MultiheadAttention; use another score, such as snip"
            )


def _jacobian(
    logits: torch.Tensor,
    model: StandIn,
    places: dict[str, list[_Place]],
    calls: dict[nn.Module, list[_Call]],
) -> torch.Tensor:
    """Return the derivatives of logits by the first number of each parameter, `[batch, classes, n]`."""
    found = logits.new_zeros(*logits.shape, len(places))
    outputs = [c.output for some in calls.values() for c in some if c.output.requires_grad]
    if not outputs or not logits.requires_grad:
        return found
    numbers = {id(output): number for number, output in enumerate(outputs)}
    axes = [tuple(range(1, output.ndim)) for output in outputs]
    tangents = [
        (column, numbers[id(call.output)], _tangent(place, call, model))
        for column, some in enumerate(places.values())
        for place in some
        for call in calls[place.owner]
    ]
    for c, of_class in enumerate(logits.unbind(1)):
        gradients = torch.autograd.grad(
            of_class.sum(), outputs, retain_graph=True, materialize_grads=True
        )
        for column, number, tangent in tangents:
            found[:, c, column] += (gradients[number] * tangent).sum(axes[number])
    return found


def _tangent(place: _Place, call: _Call, model: StandIn) -> torch.Tensor:
    """Return the derivative of a module's output by the first number of one of its parameters."""
    inner = {name: value.detach() for name, value in model.values_in(place.owner).items()}
    weight = inner[place.name].requires_grad_()
    inputs = tuple(v.detach() if isinstance(v, torch.Tensor) else v for v in call.inputs)
    output = first_output(functional_call(place.owner, inner, inputs))
    # What a gradient u sent into the module gives at the number is linear in u, by this derivative.
    sent = torch.zeros_like(output, requires_grad=True)
    (arrived,) = torch.autograd.grad(output, weight, sent, create_graph=True)
    (found,) = torch.autograd.grad(arrived[(0,) * weight.ndim], sent)
    return found
