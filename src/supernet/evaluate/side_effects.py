"""What a forward pass must leave as it is, for results to be handed from one candidate to the next.

PyTorch counts the changes of every tensor, views and their base together, so that comparing the
counts finds an operation in place without looking at values.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.nn.modules import module as torch_module

from supernet.errors import SupernetError
from supernet.modules.modes import evaluating

__all__ = [
    "ModelContents",
    "RandomStates",
    "TensorWatch",
    "UntraceableError",
    "check_calls",
    "handed_tensors",
    "nothing_changed",
    "versions",
]


class UntraceableError(SupernetError, RuntimeError):
    """The model cannot be cut into segments; evaluate it plainly."""


_PLAIN = (int, float, complex, bool, str, bytes, type(None), torch.Size, torch.dtype, torch.device)
_FIXED = (*_PLAIN, torch.memory_format, torch.layout)


def handed_tensors(value: Any) -> list[torch.Tensor]:
    """Return the tensors in a value that one part of a network hands to another.

    Raises:
        UntraceableError: it holds something whose changes cannot be seen.
    """
    if isinstance(value, torch.Tensor):
        return [value]
    found: list[torch.Tensor] = []

    def look(leaf: Any) -> Any:
        if isinstance(leaf, torch.Tensor):
            found.append(leaf)
        elif not isinstance(leaf, _FIXED):
            raise UntraceableError(f"a {type(leaf).__name__} is handed on within the network")
        return leaf

    fx.node.map_aggregate(value, look)
    return found


def versions(values: list[torch.Tensor]) -> list[int]:
    """Return how often each tensor was changed in place; -1 where that is not counted."""
    return [-1 if value.is_inference() else value._version for value in values]


class TensorWatch:
    """A watch on tensors that nothing should change.

    Args:
        watched: tensors to watch.
        values: keep copies and compare them, for changes that are not counted (as through `.data`).
    """

    def __init__(self, watched: list[torch.Tensor], values: bool = False) -> None:
        self._watched = watched
        self._versions = versions(watched)
        self._copies = [tensor.clone() for tensor in watched] if values else []

    def changed(self) -> bool:
        """Return whether anything changed since the object was made."""
        if versions(self._watched) != self._versions:
            return True
        pairs = zip(self._watched, self._copies, strict=False)
        return not all(bool(((a == b) | ((a != a) & (b != b))).all()) for a, b in pairs)


class ModelContents:
    """The parameters and buffers of a model, to see whether any was changed or replaced."""

    def __init__(self, model: nn.Module) -> None:
        self._stores: list[Mapping[str, torch.Tensor | None]] = [
            store
            for module in model.modules()
            for store in (module._parameters, module._buffers)
            if store
        ]
        self._before = self._now()

    def changed(self) -> bool:
        """Return whether anything changed since the object was made."""
        return self._now() != self._before

    def _now(self) -> list[int]:
        held = [tensor for store in self._stores for tensor in store.values() if tensor is not None]
        try:
            return [*map(id, held), *[tensor._version for tensor in held]]
        except RuntimeError:  # some were made in inference mode
            return [*map(id, held), *versions(held)]


class RandomStates:
    """The states of the random generators, to see whether anything was drawn.

    Args:
        device: device that the network runs on.
        every: look at those of Python and NumPy too, which takes longer.
    """

    def __init__(self, device: torch.device, every: bool = False) -> None:
        self._cuda = device if device.type == "cuda" else None
        self._every = every
        self._before = self._states()

    def happened(self) -> bool:
        """Return whether numbers were drawn since the object was made."""
        now = self._states()
        return any(not _equal(a, b) for a, b in zip(self._before, now, strict=True))

    def _states(self) -> list[Any]:
        states: list[Any] = [torch.random.get_rng_state()]
        if self._cuda:
            states.append(torch.cuda.get_rng_state(self._cuda))
        if self._every:
            _, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002  # the user's draws
            states += [random.getstate(), np.asarray(keys).tobytes(), rest]
        return states


def _equal(one: Any, other: Any) -> bool:
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else bool(one == other)


@contextmanager
def nothing_changed(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Evaluation mode; afterwards, attributes, parameters and buffers are put back.

    Raises:
        UntraceableError: the block changed one of them, or drew random numbers.
    """
    dicts = [
        (name, module, dict(module.__dict__))
        for name, module in model.named_modules(remove_duplicate=True)
    ]
    buffers = [
        (name, module._buffers, key, tensor, tensor.clone(), versions([tensor]))
        for name, module in model.named_modules()
        for key, tensor in module._buffers.items()
        if tensor is not None
    ]
    state = torch.random.get_rng_state()
    draws, changed = RandomStates(device, every=True), ""
    try:
        with evaluating(model):
            yield
    finally:
        if draws.happened():
            changed = "random numbers are drawn in the forward pass"
            torch.random.set_rng_state(state)
        for name, module, before in dicts:
            after = module.__dict__
            if before.keys() != after.keys() or any(after[k] is not v for k, v in before.items()):
                changed = f"the forward pass sets attributes of {name or 'the model'}"
                after.clear()
                after.update(before)
        for name, owner, key, tensor, value, version in buffers:
            if owner.get(key) is not tensor or versions([tensor]) != version:
                changed = f"the forward pass changes the buffer {name}.{key}".replace(" .", " ")
                owner[key] = tensor
                with torch.no_grad():
                    tensor.copy_(value)
    if changed:
        raise UntraceableError(changed)


def check_calls(model: nn.Module, called: set[nn.Module]) -> None:
    """Check that no module outside `called` does something of its own when it is called.

    Args:
        model: model as plain evaluation calls it.
        called: the modules that run as modules, with all that is in them.

    Raises:
        UntraceableError: there are hooks, or a `forward` that belongs to one object.
    """
    if torch_module._global_forward_hooks or torch_module._global_forward_pre_hooks:
        raise UntraceableError("there are global forward hooks")
    for name, module in model.named_modules():
        if module in called:
            continue
        if module._forward_hooks or module._forward_pre_hooks:
            raise UntraceableError(f"{name or 'the supernet'} has forward hooks")
        own_call = type(module).__call__ is not nn.Module.__call__
        if own_call or "forward" in module.__dict__ or module._compiled_call_impl is not None:
            raise UntraceableError(f"{name or 'the supernet'} is called in a way of its own")
