"""A network with its initial weights, and what several scores need of it, computed once.

Nothing here changes the model: it runs by `torch.func.functional_call` with other tensors in place of
its parameters and buffers, in a mode that is put back, and draws from a random state that is put back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, cast

import torch
from torch import nn
from torch.func import functional_call

from supernet.errors import ConfigError
from supernet.modules.hooks import hooked
from supernet.modules.modes import in_mode
from supernet.modules.nested import mapped, tensors
from supernet.net.memory_format import memory_format
from supernet.random import derive_seed, generator, seeded
from supernet.task import Batch, Task, loss_and_outputs

__all__ = [
    "FirstPass",
    "InitialNetwork",
    "StandIn",
    "first_output",
    "first_pass",
    "noise_like",
    "redrawn",
    "weight_gradients",
    "weights_of",
]

T = TypeVar("T")
Weights = Mapping[str, torch.Tensor]


class StandIn(nn.Module):
    """Computes what a model computes with other weights, and keeps its changes of buffers to itself.

    Args:
        model: model that is called.
        weights: values of its parameters, by name.
    """

    def __init__(self, model: nn.Module, weights: Weights) -> None:
        super().__init__()
        self.model = model
        self.values = {**dict(weights), **_buffers(model, weights)}

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Return the outputs of the model."""
        return functional_call(self.model, self.values, inputs, named)

    @cached_property
    def names(self) -> dict[int, str]:
        """The names of the model's parameters and buffers, by their identities."""
        own = [*self.model.named_parameters(), *self.model.named_buffers()]
        return {id(tensor): name for name, tensor in own}

    def values_in(self, part: nn.Module) -> dict[str, torch.Tensor]:
        """Return what stands for parameters and buffers of a module, by their names in it."""
        own = [*part.named_parameters(), *part.named_buffers()]
        return {name: self.values[self.names[id(tensor)]] for name, tensor in own}


class InitialNetwork:
    """An ordinary network as it is before training, a batch, and a loss.

    Args:
        model: network; it is left as it is.
        batch: batch that the task takes, inputs first and targets last, on the model's device.
        task: task, whose loss is used.
        seed: seed of what a score draws, and of dropout.
    """

    def __init__(self, model: nn.Module, batch: Batch, task: Task, seed: int = 0) -> None:
        self.model, self.task, self.seed = model, task, seed
        self.layout = _layout(model, batch[-1].device)
        self.batch: list[Any] = mapped(lambda tensor: _laid_out(tensor, self.layout), list(batch))
        self._known: dict[Callable[..., Any], Any] = {}

    @property
    def inputs(self) -> list[torch.Tensor]:
        """The inputs of the batch, `[batch, ...]` each; those by name in their order, too."""
        return list(tensors(self.batch[:-1]))

    def like(self, inputs: Iterable[torch.Tensor]) -> list[Any]:
        """Return tensors in the place of the inputs, as a batch has them."""
        following = iter(inputs)
        found: list[Any] = mapped(lambda _: next(following), self.batch[:-1])
        return found

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the parameters by name, as tensors of their own that have gradients if they have."""
        return {
            name: _laid_out(p.detach(), self.layout).requires_grad_(p.requires_grad)
            for name, p in self.model.named_parameters()
        }

    def shared(self, compute: Callable[[InitialNetwork], T]) -> T:
        """Return what a function computes of this network; it runs once for all scores that ask."""
        if compute not in self._known:
            self._known[compute] = compute(self)
        return cast(T, self._known[compute])

    @contextmanager
    def running(
        self, weights: Weights, purpose: str, *, training: bool = True
    ) -> Iterator[StandIn]:
        """Yield the network with other weights, in a mode, with random draws of a purpose."""
        with in_mode(self.model, training), seeded(derive_seed(self.seed, purpose)):
            yield StandIn(self.model, weights)


@dataclass(frozen=True)
class FirstPass:
    """A forward pass of the batch in training mode, with its graph.

    Attributes:
        weights: parameters that were used, by name.
        inputs: inputs that were used, `[batch, ...]` each; those of real numbers have gradients.
        loss: loss of the task, a scalar.
        outputs: first tensor that the model returned, `[batch, ...]`.
        activations: outputs of the network's ReLUs, `[batch, ...]` each, in the order of their calls.
    """

    weights: dict[str, torch.Tensor]
    inputs: list[torch.Tensor]
    loss: torch.Tensor
    outputs: torch.Tensor
    activations: list[torch.Tensor]


def first_pass(network: InitialNetwork) -> FirstPass:
    """Run the batch through the network in training mode."""
    weights, activations = network.weights(), list[torch.Tensor]()
    inputs = [
        tensor.detach().requires_grad_(tensor.is_floating_point()) for tensor in network.inputs
    ]

    def keep(module: nn.Module, given: object, output: torch.Tensor) -> None:
        activations.append(output.detach())

    relus = [module for module in network.model.modules() if isinstance(module, nn.ReLU)]
    with network.running(weights, "first pass") as model, hooked(relus, leave=keep):
        batch = [*network.like(inputs), network.batch[-1]]
        loss, outputs = loss_and_outputs(network.task, model, batch, "a score without training")
    return FirstPass(weights, inputs, loss, outputs[0], activations)


def weight_gradients(network: InitialNetwork) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return each weight, see `weights_of`, with the gradient of the loss, zero where it has none."""
    done = network.shared(first_pass)
    chosen = weights_of(done.weights)
    if not chosen or not done.loss.requires_grad:
        return [(weight.detach(), torch.zeros_like(weight)) for weight in chosen]
    gradients = torch.autograd.grad(done.loss, chosen, retain_graph=True, materialize_grads=True)
    return [(w.detach(), g) for w, g in zip(chosen, gradients, strict=True)]


def weights_of(weights: Weights) -> list[torch.Tensor]:
    """Return the trained parameters of two or more dimensions: no biases and no scales of norms."""
    return [weight for weight in weights.values() if weight.requires_grad and weight.ndim > 1]


def redrawn(
    network: InitialNetwork, purpose: str, deviation: Callable[[torch.Tensor], float]
) -> dict[str, torch.Tensor]:
    """Return the parameters with weights drawn anew from normal distributions, and biases of zero.

    Args:
        network: network; the draws depend on its seed.
        purpose: word that the draws depend on, besides the seed.
        deviation: function that returns the standard deviation for a weight of two or more dimensions.
    """
    stream, drawn = generator(network.seed, purpose), network.weights()
    for name, weight in drawn.items():
        if weight.ndim > 1:
            values = torch.randn(weight.shape, generator=stream).to(weight) * deviation(weight)
            drawn[name] = _laid_out(values, network.layout).requires_grad_(weight.requires_grad)
        elif name.rpartition(".")[2] == "bias":
            drawn[name] = torch.zeros_like(weight, requires_grad=weight.requires_grad)
    return drawn


def noise_like(network: InitialNetwork, *purpose: str | int) -> list[torch.Tensor]:
    """Return standard normal noise in place of each input of real numbers; others are as they are."""
    stream = generator(network.seed, *purpose)
    return [
        _laid_out(torch.randn(value.shape, generator=stream).to(value), network.layout)
        if value.is_floating_point()
        else value
        for value in network.inputs
    ]


def first_output(returned: object) -> torch.Tensor:
    """Return the first tensor of what a model returned.

    Raises:
        ConfigError: it returned none.
    """
    found = next(tensors(returned), None)
    if found is None:
        raise ConfigError(
            f"the model returned {type(returned).__name__}, but scores without training need tensors, "
            "alone or in tuples, lists and dictionaries"
        )
    return found


def _buffers(model: nn.Module, weights: Weights) -> dict[str, torch.Tensor]:
    """Return copies of the buffers, of the type of the weights where they are real numbers."""
    kind = next((w.dtype for w in weights.values() if w.is_floating_point()), None)
    return {
        name: buffer.to(kind, copy=True) if kind and buffer.is_floating_point() else buffer.clone()
        for name, buffer in model.named_buffers()
    }


def _layout(model: nn.Module, device: torch.device) -> torch.memory_format:
    if any(parameter.ndim == 5 for parameter in model.parameters()):
        return torch.contiguous_format  # channels last exists for images only
    return memory_format(model, device)


def _laid_out(tensor: torch.Tensor, layout: torch.memory_format) -> torch.Tensor:
    return tensor.contiguous(memory_format=layout) if tensor.ndim == 4 else tensor
