"""Operators of layers: products of tensors, norms, activations with weights."""

from __future__ import annotations

from typing import Any

from supernet.conversion.axes import Axis, AxisShape, Dim, extent, fix, unite
from supernet.conversion.einsum import equation
from supernet.conversion.operators import (
    OperatorCall,
    PassedNumber,
    broadcast,
    operator_rule,
    unknown,
    window_shape,
)

__all__: list[str] = []  # importing it registers the rules


_KERNEL = "kernel (rules for kernels open it)"


@operator_rule("conv1d", "conv2d", "conv3d", "convolution")
def _convolution(call: OperatorCall) -> AxisShape:
    x, weight, bias = call.shape(0), call.shape(1), call.shape(2, "bias")
    groups = call.argument(8 if call.name == "convolution" else 6, "groups", 1)
    leaving, inner = weight[0], weight[1]
    batch = len(x) - len(weight) + 1  # 0 without a batch
    entering = x[batch]
    if groups == 1:
        unite(entering, inner, call.reason)
    else:
        # A group keeps its size, so a narrower convolution has fewer of them.
        count, inside = (Axis(groups),), (Axis(extent(inner)),)
        unite(entering, (*count, *inside), call.reason)
        unite(inner, inside, call.reason)
        rows = (Axis(extent(leaving) // groups),)
        unite(leaving, (*count, *rows), call.reason)
        fix([inside, rows], "it is the size of a group, which all widths share")
        call.numbers.append(PassedNumber(groups, count, -1))
    if bias is not None:
        unite(bias[0], leaving, call.reason)
    fix(weight[2:], _KERNEL)
    around = window_shape(call, x[batch + 1 :], call.sizes()[batch + 1 :])
    call.produced.append(leaving)
    call.summed.append((call.argument(1), 1))
    call.products.append((*x[:batch], leaving, inner, *weight[2:], *around))
    return (*x[:batch], leaving, *around)


@operator_rule("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _transposed(call: OperatorCall) -> Any:
    x, weight, bias = call.shape(0), call.shape(1), call.shape(2, "bias")
    if call.argument(6, "groups", 1) != 1:
        return unknown(call)
    batch = len(x) - len(weight) + 1
    unite(x[batch], weight[0], call.reason)
    if bias is not None:
        unite(bias[0], weight[1], call.reason)
    fix(weight[2:], _KERNEL)
    call.produced.append(weight[1])
    call.summed.append((call.argument(1), 0))
    call.products.append((*x, weight[1], *weight[2:]))
    return (*x[:batch], weight[1], *window_shape(call, x[batch + 1 :], call.sizes()[batch + 1 :]))


@operator_rule("linear")
def _linear(call: OperatorCall) -> AxisShape:
    x, weight, bias = call.shape(0), call.shape(1), call.shape(2, "bias")
    unite(x[-1], weight[-1], call.reason)
    if bias is not None:
        unite(bias[0], weight[0], call.reason)
    call.produced.append(weight[0])
    call.summed.append((call.argument(1), len(weight) - 1))
    call.products.append((*x, weight[0]))
    return (*x[:-1], weight[0])


@operator_rule("matmul", "mm", "bmm")
def _matmul(call: OperatorCall) -> AxisShape:
    return _contract(call, 0, 1)


@operator_rule("addmm", "baddbmm")
def _added_matmul(call: OperatorCall) -> AxisShape:
    product = _contract(call, 1, 2)
    return broadcast(call, [call.shape(0), product])


def _contract(call: OperatorCall, first: int, second: int) -> AxisShape:
    """Return the axes of a matrix product, whose outer axes are broadcast; of vectors, those left."""
    a, b = call.shape(first), call.shape(second)
    rows, columns = a[-2:-1], b[-1:] if len(b) > 1 else ()
    inner = len(b) - 1 - len(columns)
    unite(a[-1], b[inner], call.reason)
    outer = broadcast(call, [a[:-2], b[:-2]])
    call.given += [(call.argument(first), len(a) - 2)] * len(rows)
    call.given += [(call.argument(second), len(b) - 1)] * len(columns)
    call.summed += [(call.argument(first), len(a) - 1), (call.argument(second), inner)]
    call.products.append((*outer, *rows, a[-1], *columns))
    return (*outer, *rows, *columns)


@operator_rule("scaled_dot_product_attention")
def _attention(call: OperatorCall) -> AxisShape:
    query, key, value = (call.shape(place) for place in range(3))
    unite(query[-1], key[-1], call.reason)
    unite(key[-2], value[-2], call.reason)
    outer = broadcast(call, [query[:-2], key[:-2], value[:-2]])
    mask = call.argument(3, "attn_mask")
    if mask is not None:
        broadcast(call, [call.shapes[mask], (*outer, query[-2], key[-2])])
    call.products.append((*outer, query[-2], key[-1], key[-2]))
    call.products.append((*outer, query[-2], value[-1], value[-2]))
    return (*outer, query[-2], value[-1])


@operator_rule("batch_norm", "instance_norm")
def _batch_norm(call: OperatorCall) -> AxisShape:
    x = call.shape(0)
    for place, name in enumerate(("weight", "bias", "running_mean", "running_var"), 1):
        if (other := call.shape(place, name)) is not None:
            unite(x[1], other[0], call.reason)
    return x


@operator_rule("layer_norm", "rms_norm")
def _layer_norm(call: OperatorCall) -> AxisShape:
    x, sizes = call.shape(0), call.argument(1)
    axes = x[len(x) - len(sizes) :]
    others = (2, 3) if call.name == "layer_norm" else (2,)
    for place in others:
        if (other := call.shape(place, ("weight", "bias")[place - 2])) is not None:
            for dim, mine in zip(other, axes, strict=True):
                unite(mine, dim, call.reason)
    call.numbers += map(PassedNumber, sizes, axes, range(len(sizes)))
    return x


@operator_rule("group_norm")
def _group_norm(call: OperatorCall) -> AxisShape:
    x, groups = call.shape(0), call.argument(1)
    for place, name in ((2, "weight"), (3, "bias")):
        if (other := call.shape(place, name)) is not None:
            unite(x[1], other[0], call.reason)
    if groups > 1:
        count, inside = (Axis(groups),), (Axis(extent(x[1]) // groups),)
        unite(x[1], (*count, *inside), call.reason)
        fix([inside], "it is the size of a group, which all widths share")
        call.numbers.append(PassedNumber(groups, count, 0))
    return x


@operator_rule("embedding")
def _embedding(call: OperatorCall) -> AxisShape:
    weight, words = call.shape(0), call.shape(1)
    fix(weight[:1], "it is the number of words")
    call.produced += weight[1:]
    return (*words, *weight[1:])


@operator_rule("prelu")
def _prelu(call: OperatorCall) -> AxisShape:
    x, weight = call.shape(0), call.shape(1)
    if extent(weight[0]) > 1:
        unite(x[1], weight[0], call.reason)
    return x


@operator_rule("einsum")
def _einsum(call: OperatorCall) -> Any:
    nodes = call.argument(1)
    written = equation(str(call.argument(0)), [len(call.shapes[node]) for node in nodes])
    if len(nodes) > 2:
        return unknown(call)  # in which order they are multiplied depends on their sizes
    dims: dict[str, Dim] = {}
    for letters, node in zip(written.operands, nodes, strict=True):
        for letter, dim in zip(letters, call.shapes[node], strict=True):
            if extent(dims.setdefault(letter, dim)) == 1:
                dims[letter] = dim  # it is repeated
            elif extent(dim) != 1:
                unite(dims[letter], dim, call.reason)
        for place, one in enumerate(letters):
            (call.given if one in written.result else call.summed).append((node, place))
    if len(nodes) == 2:
        wide = "".join(letter for letter, dim in dims.items() if extent(dim) != 1)
        if multiplied := written.multiplied(wide):
            call.products.append(tuple(dims[letter] for letter in multiplied))
    return tuple(dims[letter] for letter in written.result)
