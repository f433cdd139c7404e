"""Symbolic traces of a model, which leave it as it is."""

from __future__ import annotations

import inspect
import operator
import random
import sys
import warnings
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from typing import Any

import torch
from torch import fx, nn

from supernet.choice.choice import ChoiceModule
from supernet.failures import check_memory

__all__ = [
    "UntraceableError",
    "changed_in_place",
    "has_choices",
    "is_pure",
    "structure_key",
    "traces",
]


class UntraceableError(Exception):
    """A forward pass cannot be traced, or does more than compute."""


FRESH = (
    *(nn.modules.conv._ConvNd, nn.Linear, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm),
    *(nn.modules.batchnorm._NormBase, nn.modules.pooling._AvgPoolNd, nn.modules.pooling._MaxPoolNd),
)
"""Modules whose output is a tensor of its own, so that it may be changed in place."""

IN_PLACE = {
    *(operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ifloordiv),
    *(operator.imod, operator.ipow, operator.imatmul, operator.ior, operator.iand, operator.ixor),
    *(operator.setitem, operator.delitem),
}


def has_choices(module: nn.Module) -> bool:
    """Return whether a module is a choice or holds one."""
    return any(isinstance(part, ChoiceModule) for part in module.modules())


def traces(model: nn.Module) -> list[fx.Graph]:
    """Return the graphs of a forward pass, by mode and by how many optional arguments are given.

    Leaves are choices and modules that hold none. Nothing is run but the code between them. Evaluation
    is traced without gradients and training with them.

    Raises:
        UntraceableError: PyTorch cannot trace it, or it changes attributes, draws random numbers, asks
            for the type of a value, or changes a value in place that may be another's.
    """
    found = []
    for training, absent in product((False, True), _absent(model)):
        with _left_alone(model), _mode(model, training), torch.set_grad_enabled(training):
            graph = _trace(model, _Tracer(whole=False), absent)
        if any(changed_in_place(node, model) for node in graph.nodes):
            raise UntraceableError("the forward pass changes a value in place")
        found.append(graph)
    return found


def _absent(model: nn.Module) -> list[dict[str, Any]]:
    """Return the arguments that may be left out, with defaults: none of them, the last, ... all."""
    signature = inspect.signature(type(model).forward)
    optional = [
        (p.name, p.default) for p in signature.parameters.values() if p.default is not p.empty
    ]
    return [dict(optional[given:]) for given in range(len(optional), -1, -1)]


def structure_key(module: nn.Module) -> Hashable:
    """Return what modules of equal code and attributes, but other weights, have in common.

    A module with attributes of other kinds than numbers and texts has it to itself.
    """
    own: list[Hashable] = []
    for name, value in module.__dict__.items():
        if name in _BASE or name == "training":
            if name.endswith("_hooks") and value:
                return module
        elif isinstance(value, int | float | str | tuple | None):
            own.append((name, repr(value)))
        else:
            return module
    held = tuple(name for name, one in module._parameters.items() if one is not None)
    children = tuple((name, structure_key(child)) for name, child in module.named_children())
    return (type(module), tuple(own), held, children)


_BASE = frozenset(nn.Module().__dict__)


def is_pure(module: nn.Module) -> bool:
    """Return whether a module does nothing but compute an output: it changes no input, and has no hooks.

    What cannot be traced to its operators is taken to do more.
    """
    if any(m._forward_hooks or m._forward_pre_hooks for m in module.modules()):
        return False
    if isinstance(module, ChoiceModule):
        return all(map(is_pure, module.options))
    if not all(is_pure(choice) for choice in _outermost_choices(module)):
        return False
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        before: nn.Module | None = None
        for child in module:
            on_fresh = getattr(child, "inplace", False) and isinstance(before, FRESH)
            if not on_fresh and not is_pure(child):
                return False
            before = child
        return True
    if type(module).forward.__module__.startswith("torch.nn."):
        return not getattr(module, "inplace", False)
    try:
        for training in (False, True):
            with _left_alone(module), _mode(module, training):
                graph = _trace(module, _Tracer(whole=True))
            if any(changed_in_place(node, module) for node in graph.nodes):
                return False
    except UntraceableError:
        return False
    return True


def _outermost_choices(module: nn.Module) -> Iterator[ChoiceModule]:
    for child in module.children():
        if isinstance(child, ChoiceModule):
            yield child
        else:
            yield from _outermost_choices(child)


def changed_in_place(node: fx.Node, root: nn.Module) -> bool:
    """Return whether a node changes a tensor that others may see."""
    if node.op == "call_module":
        module = root.get_submodule(str(node.target))
        changes = bool(getattr(module, "inplace", False))
    elif node.op == "call_method":
        name = str(node.target)
        changes = name.endswith("_") and not name.endswith("__")
    else:
        name = getattr(node.target, "__name__", "")
        changes = node.target in IN_PLACE or (name.endswith("_") and not name.endswith("__"))
        changes = changes or "out" in node.kwargs
    changes = changes or bool(node.kwargs.get("inplace", False))
    return changes and not (node.all_input_nodes and _is_fresh(node.all_input_nodes[0], root))


def _is_fresh(node: fx.Node, root: nn.Module) -> bool:
    """Return whether a value is a new tensor that one node reads."""
    made = node.op == "call_module" and isinstance(root.get_submodule(str(node.target)), FRESH)
    return made and len(node.users) == 1


class _Proxy(fx.Proxy):
    """Also notes `x += y`, which a proxy of PyTorch takes for `x = x + y`, and `isinstance(x, ...)`."""

    @property  # type: ignore[misc]  # nobody sets it
    def __class__(self) -> type:
        """Its type, which `isinstance` asks for; a model would be told that no value is a tensor.

        Raises:
            UntraceableError: other code than PyTorch's asks.
        """
        asks = sys._getframe(1).f_globals.get("__name__", "")
        if asks != __name__ and asks.partition(".")[0] != "torch":
            raise UntraceableError("the forward pass asks for the type of a value")
        return _Proxy


def _note(operation: Any) -> Any:
    def changed(self: fx.Proxy, other: Any) -> fx.Proxy:
        return self.tracer.create_proxy("call_function", operation, (self, other), {})

    return changed


for _name in ("iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "imatmul", "ior"):
    setattr(_Proxy, f"__{_name}__", _note(getattr(operator, _name)))


class _Tracer(fx.Tracer):
    """Traces with choices as leaves; other modules that hold none are leaves too unless `whole`."""

    def __init__(self, whole: bool) -> None:
        super().__init__()
        self._whole = whole

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, ChoiceModule):
            return True
        if self._whole:
            return type(m).forward.__module__.startswith("torch.nn.") and not isinstance(
                m, nn.Sequential
            )
        return not has_choices(m)

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def create_arg(self, a: Any) -> Any:
        if isinstance(a, torch.Tensor):
            known = [*self.root.parameters(), *self.root.buffers()]
            if not any(a is tensor for tensor in known):
                raise UntraceableError("a tensor is neither a parameter nor a buffer")
        return super().create_arg(a)


def _trace(model: nn.Module, tracer: _Tracer, absent: Mapping[str, Any] | None = None) -> fx.Graph:
    """Return the graph.

    Args:
        model: model that is traced.
        tracer: tracer of `torch.fx`.
        absent: arguments that are not given, with their defaults.

    Raises:
        UntraceableError: there is none.
    """
    if "forward" in model.__dict__ or isinstance(model, ChoiceModule):
        raise UntraceableError("its forward pass is not that of its class")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it cannot assert each default
            graph = tracer.trace(model, dict(absent or {}))
    except UntraceableError:
        raise
    except Exception as error:  # the forward pass of a user's model may raise anything here
        check_memory(error)
        raise UntraceableError(str(error)) from error
    for node in graph.nodes:
        if node.op == "placeholder" and str(node.target).startswith("*") and node.users:
            raise UntraceableError("it takes any number of arguments")
    return graph


@contextmanager
def _mode(model: nn.Module, training: bool) -> Iterator[None]:
    """Put every module into a mode, past methods of its own; afterwards each has the mode it had."""
    before = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in before:
            module.__dict__["training"] = training
        yield
    finally:
        for module, mode in before:
            module.__dict__["training"] = mode


@contextmanager
def _left_alone(model: nn.Module) -> Iterator[None]:
    """Put back what the block changes.

    Raises:
        UntraceableError: it sets attributes, or fills collections that are attributes, or draws numbers.
    """
    before = [(module, dict(module.__dict__)) for module in model.modules()]
    contents = [
        (value, value.copy())
        for _, attributes in before
        for value in attributes.values()
        if isinstance(value, list | dict | set)
    ]
    states = random.getstate(), torch.random.get_rng_state()
    changed = False
    try:
        yield
    finally:
        for module, attributes in before:
            now = module.__dict__
            if now.keys() != attributes.keys() or any(
                now[k] is not v for k, v in attributes.items()
            ):
                changed = True
                now.clear()
                now.update(attributes)
        for value, copied in contents:
            if len(value) != len(copied):
                changed = True
                value.clear()
                value.update(copied) if not isinstance(value, list) else value.extend(copied)
        if random.getstate() != states[0] or not torch.equal(
            torch.random.get_rng_state(), states[1]
        ):
            changed = True
            random.setstate(states[0])
            torch.random.set_rng_state(states[1])
    if changed:
        raise UntraceableError("the forward pass changes more than its output")
