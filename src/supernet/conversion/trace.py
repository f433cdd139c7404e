"""The operators of a model on one example, and the axes of its parameters."""

from __future__ import annotations

import copy
import io
import re
import traceback
import warnings
from collections.abc import Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, cast

import torch
from torch import fx, nn
from torch.export import ExportedProgram

from supernet.conversion import layers, orders, views  # noqa: F401  they hold the rules of operators
from supernet.conversion.axes import Axis, AxisShape, Dim, extent, fix, fixed_dim, unite
from supernet.conversion.operators import OperatorCall, PassedNumber, follow
from supernet.conversion.optional_blocks import ReturnedArguments, returned_arguments
from supernet.conversion.orders import axis_before
from supernet.conversion.regions import inline
from supernet.conversion.sources import numbers_passed
from supernet.conversion.tied_axes import read_numbers
from supernet.conversion.trial_networks import all_options
from supernet.elastic.module import Elastic
from supernet.elastic.spec import elastic_spec
from supernet.errors import ConversionError
from supernet.failures import check_memory
from supernet.modules.batches import Inputs, inputs_of
from supernet.modules.calls import given_as
from supernet.modules.hooks import hooked, noting
from supernet.modules.nested import tensors

__all__ = ["OperatorTrace", "Passage", "trace"]


@dataclass(frozen=True)
class Passage:
    """The axes of what enters and leaves a module, and what it adds to.

    Attributes:
        entering: axes of every tensor that was computed outside and is used within.
        leaving: axes of every tensor that was computed within and is used outside.
        residual: axes of what enters and leaves plus something else (perhaps rectified), if any does.
    """

    entering: tuple[AxisShape, ...]
    leaving: tuple[AxisShape, ...]
    residual: AxisShape | None


@dataclass
class OperatorTrace:
    """The trace of a model: its operators, and the axes of its tensors, after it was followed.

    Attributes:
        tensors: axes of each parameter and buffer by its name; names of one tensor share them.
        calls: the operators, by the name of the module whose code calls them.
        passages: axes of what enters and leaves each module, by its name.
        numbers: numbers that the code of each module passes to operators, with the axes that they
            are the sizes of, by its name.
        order: operators of evaluation mode, all in their order.
        batch: the axes of the examples.
        used: names of the tensors that have a part in what the model computes.
        inputs: inputs of the model, in the sizes of the batch that it was followed on.
        names: name that stands for a module, by every name of it; a module may be held at several
            places.
        doubt: why multiply-adds may not be known, if so.
        returned: description of what a member of a sequence returns where it is left out, by its
            name.
        summed: axes along which a tensor multiplies and sums up, by the identity of the tensor's
            axes.
    """

    tensors: dict[str, AxisShape] = field(default_factory=dict)
    calls: dict[str, list[OperatorCall]] = field(default_factory=dict)
    passages: dict[str, Passage] = field(default_factory=dict)
    numbers: dict[str, list[PassedNumber]] = field(default_factory=dict)
    order: list[OperatorCall] = field(default_factory=list)
    batch: list[Axis] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    inputs: Inputs = field(default_factory=lambda: Inputs((), ()))
    names: dict[str, str] = field(default_factory=dict)
    doubt: str = ""
    returned: dict[str, ReturnedArguments] = field(default_factory=dict)
    summed: dict[int, frozenset[int]] = field(default_factory=dict)


def trace(model: nn.Module, inputs: Inputs, *example: Any) -> OperatorTrace:
    """Follow the axes of a model's tensors, in evaluation and in training mode.

    Args:
        model: model to follow; it is not changed.
        inputs: inputs of the model, and which of them have a row for each example.
        example: inputs of the model.

    Raises:
        ConversionError: PyTorch cannot trace the model.
    """
    # Two examples: of one, some operators would see no batch, and two cannot be cut into parts.
    batch = inputs.resized(example, 2)
    found = _untraced(model, inputs_of(batch, inputs.batched))
    _follow(found, _exported(model, batch, training=False))
    found.numbers = read_numbers(found.calls, numbers_passed(model, *batch))
    found.returned = returned_arguments(model, *batch)
    try:
        trained = _exported(model, batch, training=True)
    except ConversionError:
        pass  # what runs in training alone, and cannot be traced, is seen when it is run
    else:
        also = OperatorTrace(found.tensors, inputs=found.inputs, names=found.names)
        _follow(also, trained)
        found.used |= also.used
        for name, calls in also.calls.items():
            if name not in found.calls:  # it runs in training alone
                found.numbers[name] = [passed for call in calls for passed in call.numbers]
    for name, module in model.named_modules():
        if isinstance(module, nn.MultiheadAttention) and f"{name}.in_proj_weight" in found.used:
            # Torch's attention wants heads times their size to be what it takes.
            outer = found.tensors[f"{name}.in_proj_weight"][1]
            unite(outer, found.tensors[f"{name}.out_proj.weight"][1], f"{name} ties it")
    used = {id(found.tensors[name]) for name in found.used}  # of tied ones one name is used
    for name, shape in found.tensors.items():
        owner = model.get_submodule(name.rpartition(".")[0])
        if id(shape) not in used:
            fix(shape, f"{name} has no part in what the model computes")
        elif isinstance(owner, Elastic) and elastic_spec(owner) is not None:
            fix(shape, "elastic already")
    return found


def _untraced(model: nn.Module, inputs: Inputs) -> OperatorTrace:
    """Return what is known of a model before it was followed."""
    found = OperatorTrace(inputs=inputs)
    axes: dict[int, AxisShape] = {}
    for name, tensor in chain(
        model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False)
    ):
        if id(tensor) not in axes:
            axes[id(tensor)] = tuple((Axis(size),) for size in tensor.shape)
        found.tensors[name] = axes[id(tensor)]
    first: dict[nn.Module, str] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        found.names[name] = first.setdefault(module, name)
    return found


def again(
    model: nn.Module, like: OperatorTrace, example: tuple[Any, ...], count: int
) -> OperatorTrace:
    """Follow a model in evaluation mode once more, on so many examples, with axes of their own."""
    batch = like.inputs.resized(example, count)
    found = _untraced(model, inputs_of(batch, like.inputs.batched))
    _follow(found, _exported(model, batch, training=False))
    return found


def astray(
    model: nn.Module, like: OperatorTrace, sizes: list[list[int] | None], *example: Any
) -> tuple[str, str, list[list[Dim]]] | None:
    """Say where a model computes tensors of other sizes than it must.

    Args:
        model: a smaller one of the kind of the one that was traced.
        like: trace of the model that was traced.
        sizes: sizes that each operator's result must have now, None where any will do.
        example: inputs of the model.

    Returns:
        The name of the module whose code does, what it does, and the axes that have other sizes, and
        those that they come from; None if none does, or if the code takes another way, so that nothing
        can be compared.
    """
    program = _exported(model, like.inputs.resized(example, 2), training=False)
    nodes = [node for node in program.graph.nodes if node.op == "call_function"]
    names = [_short(call.node) for call in like.order]
    if [_short(node) for node in nodes] != names:
        return None
    for node, call, must in zip(nodes, like.order, sizes, strict=True):
        value = node.meta.get("val")
        if must is not None and isinstance(value, torch.Tensor) and [*value.shape] != must:
            what = f"{call.where} computes {[*value.shape]} where {must} is meant"
            sides = zip(call.shapes[call.node], value.shape, must, strict=True)
            other = [dim for dim, size, meant in sides if size != meant]
            return call.scope, what, [other, [dim for shape in call.tensors for dim in shape]]
    return None


def _exported(model: nn.Module, example: tuple[Any, ...], training: bool) -> ExportedProgram:
    copied = copy.deepcopy(model).train(training)
    inside: list[str] = []
    fused = torch.backends.mha.get_fastpath_enabled()
    plain = hooked([copied], leave=lambda *call: tuple(tensors(call[-1])))  # dataclasses, caches
    with plain, noting(copied, inside), all_options(copied), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.backends.mha.set_fastpath_enabled(False)  # whose operators say nothing of heads
        try:
            with redirect_stderr(io.StringIO()):  # PyTorch prints all operators before it raises
                program = torch.export.export(copied, *given_as(example), strict=False)
        except Exception as error:  # a user's model may raise anything, and PyTorch does
            check_memory(error)
            raise ConversionError(
                f"the model cannot be traced: {line(error)}in {named(inside)} raises "
                f"{type(error).__name__}: {first(error)}; what the model does must not depend on the "
                "values in its tensors, and it must take the example"
            ) from error
        finally:
            torch.backends.mha.set_fastpath_enabled(fused)
    inline(program.graph_module)
    return program


def line(error: BaseException) -> str:
    """Return the last line of code outside of PyTorch that an error came through."""
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "/torch/" not in frame.filename and "/supernet/conversion/" not in frame.filename
    ]
    return f"`{own[-1].line}` (line {own[-1].lineno} of {own[-1].filename}) " if own else ""


def named(inside: list[str]) -> str:
    return f"the module {inside[-1]!r}" if inside and inside[-1] else "the model itself"


def first(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0]


def _follow(found: OperatorTrace, program: ExportedProgram) -> None:
    """Follow the axes through all operators."""
    signature = program.graph_signature
    names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    shapes: dict[fx.Node, Any] = {}
    scopes: dict[fx.Node, tuple[str, ...]] = {}
    inputs: set[fx.Node] = set()
    batched = iter(found.inputs.batched)
    for node in program.graph.nodes:
        value = node.meta.get("val")
        if node.op == "placeholder":
            if node.name in names:
                shapes[node] = found.tensors[names[node.name]]
                if node.users:
                    found.used.add(names[node.name])
            elif isinstance(value, torch.Tensor):
                reason = "a constant"
                if node.name not in signature.inputs_to_lifted_tensor_constants:
                    inputs.add(node)
                    reason = "the model's input"
                shapes[node] = tuple(fixed_dim(int(size), reason) for size in value.shape)
                if node in inputs and next(batched):
                    found.batch += shapes[node][0]
        elif node.op == "call_function":
            scopes[node], turn = _scope(node, found.names)
            scope = scopes[node][-1]
            where = f"{_short(node)} in {scope or 'the model itself'}"
            call = OperatorCall(node, where, scope, shapes, turn=turn)
            found.order.append(call)
            found.calls.setdefault(scope, []).append(call)
            shapes[node] = follow(call)
            _checked(call)
            _note_weights(found, names, call)
        elif node.op == "output":
            for given in node.all_input_nodes:
                fix(shapes.get(given) or (), "the model's output")
    found.passages = _passages(shapes, scopes, inputs)


def _note_weights(found: OperatorTrace, names: dict[str, str], call: OperatorCall) -> None:
    """Note which axes weights give a product, and along which they are summed up."""
    for node, axis in call.summed:
        origin = _parameter(names, node, axis)
        if origin is not None:
            key = id(found.tensors[origin[0]])
            found.summed[key] = found.summed.get(key, frozenset()) | {origin[1]}
    for node, axis in call.given:
        if _parameter(names, node, axis) is not None:
            call.produced.append(call.shapes[node][axis])


def _parameter(names: dict[str, str], node: fx.Node, axis: int) -> tuple[str, int] | None:
    """Return the parameter that a tensor is in other words, and which of its axes one is."""
    while node.op == "call_function":
        moved = axis_before(node, axis)
        if moved is None:
            return None
        node, axis = moved
    return (names[node.name], axis) if node.name in names else None


def _checked(call: OperatorCall) -> None:
    """Give what has been followed wrongly, by its number of positions, axes that do not change."""
    value, shape = call.node.meta.get("val"), call.shapes[call.node]
    if not isinstance(value, torch.Tensor):
        return
    if shape is None or [extent(dim) for dim in shape] != [int(size) for size in value.shape]:
        for given in call.tensors:
            fix(given if isinstance(given, tuple) else (), f"{call.where} could not be followed")
        call.shapes[call.node] = call.new(value.shape)


def _scope(node: fx.Node, known: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
    """Return the names of the modules whose code runs, outermost first; and which call it is."""
    stack = cast(dict[str, tuple[str, Any]], node.meta.get("nn_module_stack", {}))
    names = [re.sub(r"@\d+", "", path) for path, _ in stack.values()]
    return tuple(known.get(name, name) for name in names) or ("",), next(reversed(stack), "")


def _short(node: fx.Node) -> str:
    return str(getattr(node.target, "overloadpacket", node.target)).removeprefix("aten.")


def _passages(
    shapes: dict[fx.Node, Any], scopes: dict[fx.Node, tuple[str, ...]], inputs: set[fx.Node]
) -> dict[str, Passage]:
    """Find what enters and leaves each module."""
    members: dict[str, list[fx.Node]] = {}
    for node, names in scopes.items():
        for name in names:
            members.setdefault(name, []).append(node)
    found: dict[str, Passage] = {}
    for name, nodes in members.items():
        within = set(nodes)
        entering = dict.fromkeys(
            given
            for node in nodes
            for given in node.all_input_nodes
            if given not in within and (given in scopes or given in inputs)
        )
        leaving = [node for node in nodes if any(user not in within for user in node.users)]
        added = [given for given in entering if len(leaving) == 1 and _adds(leaving[0], given)]
        found[name] = Passage(
            tuple(shapes[node] for node in entering),
            tuple(shapes[node] for node in leaving),
            shapes[added[0]] if added else None,
        )
    return found


_PASSING = {
    *("add", "relu", "relu6", "hardtanh", "dropout", "alias", "clone", "contiguous", "to"),
    *("view", "reshape", "flatten", "unflatten", "transpose", "permute"),
}
"""What may lie between a block's input and its output, besides an addition."""


def _adds(leaving: fx.Node, entering: fx.Node) -> bool:
    """Return whether a node is another plus something, through additions and rectifications alone."""
    waiting, seen = [(leaving, False)], set[tuple[fx.Node, bool]]()
    while waiting:
        node, added = waiting.pop()
        if node is entering and added:
            return True
        name = _short(node).rstrip("_")
        if (node, added) not in seen and node.op == "call_function" and name in _PASSING:
            seen.add((node, added))
            waiting += [(given, added or name == "add") for given in node.all_input_nodes]
    return False
