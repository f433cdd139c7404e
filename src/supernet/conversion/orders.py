"""Operators that look positions up, put them in another order, or whose result depends on the order.

Where the positions of an axis keep their order, as in a running sum, the axis can be open, and its
first positions are what narrower networks have; they are not sorted (`keep_order`). Where another
position comes to each place for another width, as in a flip, the axis stays as it is.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from supernet.conversion.axes import (
    AxisShape,
    Dim,
    extent,
    fix,
    fixed_dim,
    keep_order,
    unite,
    viewed,
)
from supernet.conversion.operators import (
    OperatorCall,
    axis_number,
    broadcast,
    operator_rule,
    unknown,
)

__all__ = ["axis_before", "indexed"]  # importing it registers the rules


def _along(call: OperatorCall, place: int = 1, default: int = -1) -> int:
    """Return the axis that an operator goes along."""
    return axis_number(call.argument(place, "dim", default), len(call.shape(0)))


def _with(x: AxisShape, axis: int, *dims: Dim) -> AxisShape:
    """Return axes with others in the place of one."""
    return (*x[:axis], *dims, *x[axis + 1 :])


@operator_rule("cumsum", "cumprod", "logcumsumexp", "cummax", "cummin")
def _running(call: OperatorCall) -> Any:
    x = call.shape(0)
    keep_order([x[_along(call)]])
    return [x, x] if isinstance(call.node.meta["val"], list | tuple) else x


@operator_rule("tril", "triu")
def _triangle(call: OperatorCall) -> AxisShape:
    x = call.shape(0)
    keep_order(x[-2:])
    return x


@operator_rule("flip")
def _flip(call: OperatorCall) -> AxisShape:
    x = call.shape(0)
    fix([x[place] for place in call.argument(1)], f"{call.where} turns it round")
    return x


@operator_rule("sort", "argsort", "msort", "topk")
def _sorted(call: OperatorCall) -> Any:
    x = call.shape(0)
    place = {"topk": 2, "msort": 9}.get(call.name, 1)
    if "stable" in str(call.node.target):
        place = 9  # it is a keyword then
    axis = _along(call, place, 0 if call.name == "msort" else -1)
    fix([x[axis]], f"{call.where} sorts it")
    value = call.node.meta["val"]
    if call.name == "topk":
        size = int(value[0].shape[axis])
        x = _with(x, axis, fixed_dim(size, f"{call.where} takes as many"))
    return [x, x] if isinstance(value, list | tuple) else x


@operator_rule("diff")
def _differences(call: OperatorCall) -> AxisShape:
    x, axis = call.shape(0), _along(call, 2)
    fix([x[axis]], f"{call.where} takes differences along it")
    return _with(x, axis, *call.new(call.sizes()[axis : axis + 1]))


@operator_rule("gather")
def _gather(call: OperatorCall) -> AxisShape:
    x, index, axis = call.shape(0), call.shape(2), _along(call)
    _looked_up(call, x, index, axis)
    return index


@operator_rule("scatter", "scatter_add", "scatter_reduce")
def _scatter(call: OperatorCall) -> AxisShape:
    x, index, axis = call.shape(0), call.shape(2), _along(call)
    _looked_up(call, x, index, axis)
    if isinstance(call.argument(3, "src"), fx.Node):
        for dim, other in zip(index, call.shape(3, "src"), strict=True):
            unite(dim, other, call.reason)
    return x


def _looked_up(call: OperatorCall, x: AxisShape, index: AxisShape, axis: int) -> None:
    """Fix the axis that positions are looked up in; the others go along with those of the index."""
    fix([x[axis]], f"{call.where} looks positions of it up")
    for place, (dim, other) in enumerate(zip(x, index, strict=True)):
        if place != axis and extent(dim) == extent(other):
            unite(dim, other, call.reason)
        elif place != axis:
            fix([dim, other], f"{call.where} takes a part of it")


@operator_rule("index_select", "index_add", "index_copy", "index_fill")
def _selected(call: OperatorCall) -> AxisShape:
    x, index, axis = call.shape(0), call.shape(2), _along(call)
    fix([x[axis]], f"{call.where} looks positions of it up")
    if call.name == "index_select":
        return _with(x, axis, index[0] if index else ())
    if isinstance(call.argument(3, "source"), fx.Node) and call.name != "index_fill":
        for place, (dim, other) in enumerate(zip(x, call.shape(3, "source"), strict=True)):
            unite(index[0] if place == axis else dim, other, call.reason)
    return x


@operator_rule("index_put", "_unsafe_index_put")
def _index_put(call: OperatorCall) -> AxisShape:
    x, indices = call.shape(0), call.argument(1)
    found = indexed(call, x, indices)
    broadcast(call, [found, call.shape(2)])
    return x


def indexed(call: OperatorCall, x: AxisShape, indices: Any) -> AxisShape:
    """Return the axes of what is looked up along some axes at once."""
    used = [place for place, index in enumerate(indices) if index is not None]
    fix([x[place] for place in used], f"{call.where} looks positions of it up")
    among = broadcast(call, [call.shapes[indices[place]] for place in used])
    rest = [dim for place, dim in enumerate(x) if place not in used]
    # Where they lie apart, what was looked up comes first.
    start = used[0] if used == list(range(used[0], used[-1] + 1)) else 0
    return (*rest[:start], *among, *rest[start:])


@operator_rule("pixel_shuffle")
def _pixel_shuffle(call: OperatorCall) -> AxisShape:
    x, sizes = call.shape(0), call.sizes()
    channels, pixels = viewed([x[-3]], [sizes[-3], call.argument(1) ** 2], call.reason)
    fix([pixels], f"{call.where} makes pixels of it")
    return (*x[:-3], channels, *call.new(sizes[-2:]))


@operator_rule("pixel_unshuffle")
def _pixel_unshuffle(call: OperatorCall) -> AxisShape:
    x, sizes = call.shape(0), call.sizes()
    fix(x[-2:], f"{call.where} makes channels of it")
    pixels = fixed_dim(call.argument(1) ** 2, f"{call.where} makes it of pixels")
    return (*x[:-3], (*x[-3], *pixels), *call.new(sizes[-2:]))


@operator_rule("channel_shuffle")
def _channel_shuffle(call: OperatorCall) -> AxisShape:
    x, groups = call.shape(0), call.argument(1)
    outer, inner = viewed([x[1]], [groups, extent(x[1]) // groups], call.reason)
    fix([outer], f"{call.where} has as many groups")
    return (x[0], (*inner, *outer), *x[2:])


@operator_rule("im2col")
def _windows(call: OperatorCall) -> AxisShape:
    x, sizes = call.shape(0), call.sizes()
    fix(x[-2:], f"{call.where} cuts windows out of it")
    places = fixed_dim(sizes[-2] // extent(x[-3]), f"{call.where} takes as many from a window")
    return (*x[:-3], (*x[-3], *places), *call.new(sizes[-1:]))


@operator_rule("col2im")
def _from_windows(call: OperatorCall) -> AxisShape:
    x, sizes = call.shape(0), call.sizes()
    channels, places = viewed([x[-2]], [sizes[-3], extent(x[-2]) // sizes[-3]], call.reason)
    fix([places, x[-1]], f"{call.where} puts windows of it together")
    return (*x[:-2], channels, *call.new(sizes[-2:]))


@operator_rule("unfold")
def _unfold(call: OperatorCall) -> AxisShape:
    x, sizes, axis = call.shape(0), call.sizes(), _along(call)
    fix([x[axis]], f"{call.where} cuts windows out of it")
    return (*_with(x, axis, *call.new([sizes[axis]])), *call.new(sizes[-1:]))


@operator_rule("grid_sampler")
def _grid_sampler(call: OperatorCall) -> AxisShape:
    x, grid = call.shape(0), call.shape(1)
    fix([*x[2:], grid[-1]], f"{call.where} looks places of it up")
    unite(x[0], grid[0], call.reason)
    return (*x[:2], *grid[1:-1])


@operator_rule("diagonal")
def _diagonal(call: OperatorCall) -> Any:
    x = call.shape(0)
    first, second = (
        axis_number(call.argument(place, f"dim{place - 1}", place - 2), len(x)) for place in (2, 3)
    )
    if call.argument(1, "offset", 0) or extent(x[first]) != extent(x[second]):
        return unknown(call)
    unite(x[first], x[second], call.reason)
    return (*(dim for place, dim in enumerate(x) if place not in (first, second)), x[first])


@operator_rule("movedim", "moveaxis")
def _movedim(call: OperatorCall) -> AxisShape:
    x = call.shape(0)
    given, put = (
        [axis_number(p, len(x)) for p in ([places] if isinstance(places, int) else places)]
        for places in (call.argument(1, "source"), call.argument(2, "destination"))
    )
    rest = iter(dim for place, dim in enumerate(x) if place not in given)
    moved = dict(zip(put, (x[place] for place in given), strict=True))
    return tuple(moved[place] if place in moved else next(rest) for place in range(len(x)))


@operator_rule("_weight_norm")
def _weight_norm(call: OperatorCall) -> AxisShape:
    return broadcast(call, [call.shape(0), call.shape(1)])


_KEEPING = {
    *("alias", "detach", "clone", "contiguous", "to", "_to_copy", "float", "half", "type_as"),
    *("split", "split_with_sizes", "chunk", "slice", "narrow", "_weight_norm", "mul"),
    "<built-in function getitem>",
}
"""Operators that give the axes of their first input as they are, or a part of one."""


def _before_lookup(call: OperatorCall, given: fx.Node, axis: int) -> tuple[fx.Node, int] | None:
    """Return the axis of a tensor, of which others are looked up, that one of the result is."""
    if call.name == "index":
        indices: Any = call.argument(1)
        first = indices[0] if len(indices) == 1 else None
        ranks = first.meta["val"].ndim if isinstance(first, fx.Node) else 0
        return (given, axis - ranks + 1) if ranks and axis >= ranks else None
    place = axis_number(call.argument(1, "dim", 0), given.meta["val"].ndim)
    if call.name in ("select", "unbind"):
        return given, axis + (axis >= place)
    return None if axis == place else (given, axis)


def axis_before(node: fx.Node, axis: int) -> tuple[fx.Node, int] | None:
    """Return the input that an axis of an operator's result is of, and which; None if unknown."""
    call = OperatorCall(node, "", "", {})
    given = node.args[0] if node.args else None
    if not isinstance(given, fx.Node):
        return None
    rank = node.meta["val"].ndim if isinstance(node.meta.get("val"), torch.Tensor) else 0
    if call.name in ("transpose", "swapaxes", "swapdims"):
        first, second = (axis_number(call.argument(place), rank) for place in (1, 2))
        return given, {first: second, second: first}.get(axis, axis)
    if call.name in ("t", "numpy_T", "mT"):
        return given, {rank - 1: rank - 2, rank - 2: rank - 1}.get(axis, axis)
    if call.name == "permute":
        return given, axis_number(call.argument(1)[axis], rank)
    if call.name in ("index", "select", "unbind", "index_select"):
        return _before_lookup(call, given, axis)
    return (given, axis) if call.name in _KEEPING else None
