"""A model that runs on batches without being changed, for importances that are measured on data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from supernet.elastic.importance import open_tensors
from supernet.errors import ConfigError, DataError, DivergedError, SupernetError
from supernet.failures import check_memory
from supernet.modules.modes import in_mode
from supernet.modules.nested import mapped, tensors
from supernet.random import derive_seed, seeded
from supernet.reading import shown
from supernet.training_free.network import StandIn

__all__ = ["Given", "checked_batches", "explaining", "gradients", "read", "standing_in"]

Given = tuple[tuple[Any, ...], Any]
"""The inputs of a batch, and its labels or None."""


def checked_batches(batches: Iterable[Any]) -> Iterable[Any]:
    """Return what was given as batches.

    Raises:
        ConfigError: it cannot be gone through, or is one tensor.
    """
    if isinstance(batches, torch.Tensor | Mapping | str) or not isinstance(batches, Iterable):
        raise ConfigError(
            "batches are several, such as a DataLoader or a list [(inputs, labels), ...], not "
            f"{shown(batches)}; put a single one in a list"
        )
    return batches


def read(batches: Iterable[Any], model: nn.Module, labels: bool, by: str) -> Iterator[Given]:
    """Yield inputs and labels of each batch, on the device of the model.

    Args:
        batches: iterable of `(inputs, labels)`, of several inputs `(first, second, ..., labels)`; a
            tensor or a dictionary of inputs by name has no labels.
        model: model that the batches are for.
        labels: whether there must be labels.
        by: name of what needs them, for messages.

    Raises:
        ConfigError: there are no batches.
        DataError: a batch is none, or has no labels where there must be some.
    """
    first = next(model.parameters(), None)
    device = torch.device("cpu") if first is None else first.device
    number = -1
    for number, batch in enumerate(batches):
        if isinstance(batch, torch.Tensor | Mapping):
            inputs, targets = (dict(batch) if isinstance(batch, Mapping) else batch,), None
        elif isinstance(batch, tuple | list) and len(batch) > 1:
            *several, targets = batch
            inputs = tuple(several)
        else:
            raise DataError(
                f"batch {number} for the importance {by} is {shown(batch)}; give (inputs, labels), or "
                "a tensor of inputs alone where no labels are needed"
            )
        if labels and targets is None:
            raise DataError(
                f"the importance {by} needs labels, but batch {number} has none; give batches "
                "[(inputs, labels), ...], or use Fisher, which draws them, or Activation"
            )
        yield mapped(lambda tensor: tensor.to(device), (inputs, targets))
    if number < 0:
        raise ConfigError(
            f"there are no batches for the importance {by}; give at least one (an iterator that was "
            "gone through before has none left: give a list or a DataLoader)"
        )


@contextmanager
def standing_in(
    model: nn.Module, seed: int
) -> Iterator[tuple[StandIn, dict[nn.Parameter, torch.Tensor]]]:
    """Yield what computes as the model does, and the copies of open parameters that it computes with.

    The copies have gradients, whether the parameters have or not. The model is in evaluation mode
    meanwhile; neither its weights, buffers and gradients nor the random state are changed.

    Args:
        model: model of elastic layers, under the gates of its largest network.
        seed: seed of what is drawn.
    """
    opened = {id(tensor) for _, tensor, _ in open_tensors(model)}
    copies = {parameter: parameter.detach() for parameter in model.parameters()}
    for parameter, copy in copies.items():
        if id(parameter) in opened and copy.is_floating_point():
            copies[parameter] = copy.clone().requires_grad_()
    values = {name: copies[parameter] for name, parameter in model.named_parameters()}
    with (
        in_mode(model, training=False),
        seeded(derive_seed(seed, "importance")),
        torch.inference_mode(False),
        torch.enable_grad(),
    ):
        stand_in = StandIn(model, values)
        yield stand_in, {own: copy for own, copy in copies.items() if copy.requires_grad}


@contextmanager
def explaining(by: str, inputs: tuple[Any, ...]) -> Iterator[None]:
    """Say of a batch that the model does not take what it is.

    Raises:
        DataError: the model, or the task, raised something.
    """
    try:
        yield
    except SupernetError:
        raise
    except Exception as error:  # a user's model may raise anything
        check_memory(error)
        shapes = ", ".join(str(list(tensor.shape)) for tensor in tensors(inputs))
        raise DataError(
            f"the model does not run on a batch of inputs {shapes} that was given for the importance "
            f"{by}: {type(error).__name__}: {str(error).partition(chr(10))[0]}; give inputs as in "
            "training"
        ) from error


def gradients(
    loss: torch.Tensor, weights: Mapping[nn.Parameter, torch.Tensor], by: str
) -> dict[nn.Parameter, torch.Tensor]:
    """Return the gradient of a loss for each open parameter, zero where it has none.

    Raises:
        DivergedError: the loss is not a finite number.
        DataError: it is no single number, or depends on no open parameter.
    """
    if loss.numel() != 1 or not loss.requires_grad:
        raise DataError(
            f"the importance {by} needs the gradient of a loss, but it is of shape {list(loss.shape)} "
            f"and depends on {'open' if loss.requires_grad else 'no open'} weights; return one number "
            "that is computed from what the model returns"
        )
    if not bool(loss.isfinite()):
        raise DivergedError(
            f"the loss of a batch for the importance {by} is {float(loss.detach())}; look for inputs, "
            "labels or weights that are not finite"
        )
    found = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True)
    return dict(zip(weights, found, strict=True))
