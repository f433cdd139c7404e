"""How each of PyTorch's operators passes the axes of its inputs on.

The operators are those of `torch.export`'s programmes. One that is not known here, and not applied
position by position, fixes the axes of its inputs: what cannot be followed stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import fx

from supernet.conversion.axes import (
    Axis,
    AxisShape,
    Dim,
    extent,
    factors,
    fix,
    fixed_dim,
    keep_order,
    unite,
)
from supernet.conversion.sources import Source
from supernet.errors import ConversionError

__all__ = [
    "OPERATORS",
    "OperatorCall",
    "PassedNumber",
    "axis_number",
    "broadcast",
    "follow",
    "operator_rule",
    "pointwise",
    "unknown",
    "window_shape",
]

Product = tuple[Dim, ...]
"""A number of multiply-adds as a product of axes."""


class PassedNumber(NamedTuple):
    """A number that is passed to an operator.

    Attributes:
        value: the number.
        dim: axis that the number is the size of.
        place: place of the number in the call in the model's code, -1 for the last; None if it is
            not known.
        sources: the module and attribute that it is read from, none if it is computed; None where
            that is not known.
    """

    value: int
    dim: Dim
    place: int | None = None
    sources: tuple[Source, ...] | None = None


@dataclass
class OperatorCall:
    """An operator that is applied, and what it is applied to.

    Attributes:
        node: node of the graph.
        where: name of the call in errors and reasons.
        scope: the name of the module whose code calls it.
        shapes: the axes of what was computed before, of a tuple a list of them.
        numbers: among the arguments, of which the code may have to pass others when it is narrower.
        products: multiply-adds of the call, each a product of axes.
        produced: axes that weights give the result.
        turn: name of the call within its module, which no other call there has.
        summed: nodes that are multiplied and summed up, each with the axis along which.
        given: nodes that give the result an axis, each with the number of its own axis; weights
            produce it so.
    """

    node: fx.Node
    where: str
    scope: str
    shapes: dict[fx.Node, Any]
    numbers: list[PassedNumber] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    produced: list[Dim] = field(default_factory=list)
    turn: str = ""
    summed: list[tuple[fx.Node, int]] = field(default_factory=list)
    given: list[tuple[fx.Node, int]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The operator, for instance `add` for `aten.add_.Tensor`."""
        packet = getattr(self.node.target, "overloadpacket", None)
        return str(packet or self.node.target).removeprefix("aten.").rstrip("_")

    def argument(self, place: int, name: str = "", default: Any = None) -> Any:
        """Return an argument, by its place or its name."""
        if place < len(self.node.args):
            return self.node.args[place]
        return self.node.kwargs.get(name, default)

    def shape(self, place: int, name: str = "") -> AxisShape:
        """Return the axes of an argument that is a tensor; those of None are None."""
        argument = self.argument(place, name)
        return None if argument is None else self.shapes[argument]  # type: ignore[return-value] # None only where a rule asks for it

    @property
    def tensors(self) -> list[AxisShape]:
        """The axes of all arguments that are tensors, also those within lists."""
        found = [self.shapes.get(node) for node in self.node.all_input_nodes]
        return [
            one for shape in found for one in (shape if isinstance(shape, list) else [shape]) if one
        ]

    def sizes(self) -> tuple[int, ...]:
        """Return the numbers of positions of the result."""
        return tuple(int(size) for size in self.node.meta["val"].shape)

    def new(self, sizes: Sequence[int], reason: str = "") -> AxisShape:
        """Return axes that have nothing to do with those of the inputs, and do not change."""
        return tuple(fixed_dim(int(n), reason or f"{self.where} makes it") for n in sizes)

    @property
    def reason(self) -> str:
        """Why axes that meet here cannot change."""
        return f"axes that meet in {self.where} are made of different parts"


Rule = Callable[[OperatorCall], Any]
OPERATORS: dict[str, Rule] = {}


def operator_rule(*names: str) -> Callable[[Rule], Rule]:
    """Register what says how operators of these names pass axes on."""

    def register(rule: Rule) -> Rule:
        OPERATORS.update(dict.fromkeys(names, rule))
        return rule

    return register


def follow(call: OperatorCall) -> Any:
    """Return the axes of what an operator computes; of a tuple a list of them, of no tensor None.

    Raises:
        ConversionError: they depend on the values of tensors.
    """
    _check_sizes(call)
    rule = OPERATORS.get(call.name)
    if rule is not None:
        try:
            return rule(call)
        except Exception:  # it is called in a way that its rule does not expect
            return unknown(call)
    tags = getattr(call.node.target, "tags", ())
    if torch.Tag.pointwise in tags or call.name in _ALIKE:
        return pointwise(call)
    return unknown(call)


def _check_sizes(call: OperatorCall) -> None:
    value = call.node.meta.get("val")
    made = value if isinstance(value, list | tuple) else [value]
    sizes = [size for one in made if isinstance(one, torch.Tensor) for size in one.shape]
    if all(isinstance(size, int) for size in sizes):
        return
    code = re.findall(
        r'File "(.*?)", line (\d+).*\n\s*(.*)', str(call.node.meta.get("stack_trace", ""))
    )
    place = "`{2}` (line {1} of {0})".format(*code[-1]) if code else call.where
    raise ConversionError(
        f"the sizes of what {place} in {call.scope or 'the model itself'} computes depend on the values "
        "of tensors, so that neither widths nor multiply-adds can be told; where examples are routed, "
        "compute all routes and weigh them (in Hugging Face's models "
        "`set_experts_implementation('batched_mm')`), or convert the model without that module"
    )


_ALIKE = {
    "alias",
    "clone",
    "contiguous",
    "detach",
    "dropout",
    "feature_dropout",
    "alpha_dropout",
    "to",
    "_to_copy",
    "type_as",
    "lift_fresh",
    "lift_fresh_copy",
    "softmax",
    "_softmax",
    "log_softmax",
    "_log_softmax",
    "masked_fill",
    "where",
    "copy",
    "fill",
    "zero",
    "floor_divide",
    "uniform",
    "normal",
    "exponential",
    "isin",
    "bucketize",
    "real",
    "polar",
    "complex",
    "resolve_conj",
    "resolve_neg",
    "detach_copy",
    "native_dropout",
    "bernoulli",
    "rand_like",
    "randn_like",
    "zeros_like",
    "ones_like",
    "full_like",
    "empty_like",
    "new_zeros_like",
    "rrelu",
    "gelu",
    "silu",
    "mish",
    "softplus",
    "hardtanh",
    "prelu_kernel",
    "float",
    "half",
    "double",
    "nan_to_num",
    "hardswish",
    "hardsigmoid",
    "hardshrink",
    "softshrink",
    "threshold",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "log_sigmoid",
    "logit",
    "dropout2d",
    "feature_alpha_dropout",
}
"""Operators that give every position of their input one of the output, though not tagged so."""


_MAKING = {
    "new_tensor",
    "arange",
    "linspace",
    "eye",
    "randint",
    "randperm",
    "scalar_tensor",
    "tril_indices",
    "triu_indices",
}
"""Operators that make a tensor of sizes that they are told; of another they take the type alone."""

_FILLING = {
    *("new_empty", "new_zeros", "new_ones", "new_full"),
    *("zeros", "ones", "full", "empty", "rand", "randn"),
}
"""Operators whose result is alike in all positions, so that any of them may be left out."""

_CHECKS = {
    *("_assert_tensor_metadata", "_assert_async", "_assert_scalar", "sym_constrain_range"),
    *("sym_constrain_range_for_size", "<built-in function _set_grad_enabled>"),
}
"""What `torch.export` puts beside operators: it asks, and computes nothing."""


def unknown(call: OperatorCall) -> Any:
    """Fix what goes into an operator that is not known; what comes out is new, and fixed."""
    if call.name in _CHECKS:
        return None
    if call.name in _MAKING:
        return call.new(call.sizes())
    if call.name in _FILLING:
        made = tuple(() if size == 1 else (Axis(size),) for size in call.sizes())
        given: Any = next((a for a in call.node.args if isinstance(a, list | tuple)), ())
        call.numbers += [
            PassedNumber(number, dim, place)
            for place, (number, dim) in enumerate(zip(given, made, strict=True))
            if isinstance(number, int)
        ]
        return made
    reason = f"the operator {call.node.target} in {call.where} is not known"
    for shape in call.tensors:
        fix(shape, reason)
    value = call.node.meta.get("val")
    if isinstance(value, torch.Tensor):
        return call.new(value.shape, reason)
    if isinstance(value, list | tuple):
        return [
            call.new(one.shape, reason) if isinstance(one, torch.Tensor) else None for one in value
        ]
    return None


def pointwise(call: OperatorCall) -> AxisShape:
    """Unite the axes of all tensors that an operator is applied to, position by position."""
    return broadcast(call, call.tensors)


def broadcast(call: OperatorCall, shapes: Sequence[AxisShape]) -> AxisShape:
    """Unite axes aligned from the last; those of one position are repeated."""
    found: list[Dim] = []
    for place in range(1, max(map(len, shapes), default=0) + 1):
        dims = [shape[-place] for shape in shapes if len(shape) >= place]
        wide = [dim for dim in dims if extent(dim) != 1]
        for dim in wide[1:]:
            unite(wide[0], dim, call.reason)
        found.append(wide[0] if wide else ())
    return tuple(reversed(found))


def window_shape(call: OperatorCall, dims: Sequence[Dim], sizes: Sequence[int]) -> AxisShape:
    """Return the axes of what a window makes that slides over axes, each position with its neighbours.

    Where it gives one position for each, as around a kernel of odd size, they keep their order.
    """
    found: list[Dim] = []
    for dim, size in zip(dims, sizes, strict=True):
        if extent(dim) == size and any(not axis.fixed for axis in factors(dim)):
            keep_order([dim])
            found.append(dim)
        else:
            fix([dim], f"{call.where} slides over it")
            found.append(fixed_dim(int(size), f"{call.where} makes it"))
    return tuple(found)


def axis_number(axis: int, rank: int) -> int:
    """Return the place of an axis that may be counted from the last."""
    return axis % rank if rank else 0
