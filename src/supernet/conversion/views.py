"""Operators that arrange positions: views, cuts, concatenations, reductions, pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import fx

from supernet.conversion.axes import (
    Axis,
    AxisShape,
    cut_dim,
    extent,
    factors,
    fix,
    fixed_dim,
    joined_dim,
    unite,
    viewed,
)
from supernet.conversion.operators import (
    OperatorCall,
    PassedNumber,
    axis_number,
    broadcast,
    operator_rule,
    pointwise,
    unknown,
    window_shape,
)
from supernet.conversion.orders import indexed

__all__: list[str] = []  # importing it registers the rules


@operator_rule("view", "reshape", "_unsafe_view", "flatten", "unflatten", "reshape_as", "view_as")
def _view(call: OperatorCall) -> AxisShape:
    return _numbered(call, viewed(call.shape(0), call.sizes(), f"the view in {call.where}"))


def _numbered(call: OperatorCall, shape: AxisShape) -> AxisShape:
    """Note the sizes that the code passes."""
    given: Any = next((a for a in call.node.args[1:] if isinstance(a, list | tuple)), None)
    if given is not None and call.name != "unflatten" and len(given) == len(shape):
        call.numbers += [
            PassedNumber(number, dim, place)
            for place, (number, dim) in enumerate(zip(given, shape, strict=True))
            if isinstance(number, int) and number != -1
        ]
    elif given is not None and call.name == "unflatten":
        start = axis_number(call.argument(1), len(call.shape(0)))
        call.numbers += map(PassedNumber, given, shape[start:], range(1, len(given) + 1))
    return shape


@operator_rule("expand", "expand_as")
def _expand(call: OperatorCall) -> AxisShape:
    x, sizes = call.shape(0), call.sizes()
    if call.name == "expand_as":
        other = call.shape(1)
        return broadcast(call, [x, other])
    missing = len(sizes) - len(x)
    found = [
        dim if extent(dim) == size else (Axis(size),)
        for dim, size in zip((((),) * missing + x), sizes, strict=True)
    ]
    return _numbered(call, tuple(found))


@operator_rule("permute")
def _permute(call: OperatorCall) -> AxisShape:
    x = call.shape(0)
    return tuple(x[place] for place in call.argument(1))


@operator_rule("transpose", "swapaxes", "swapdims")
def _transpose(call: OperatorCall) -> AxisShape:
    x = list(call.shape(0))
    a, b = (axis_number(call.argument(place), len(x)) for place in (1, 2))
    x[a], x[b] = x[b], x[a]
    return tuple(x)


@operator_rule("t", "numpy_T", "mT")
def _matrix_transpose(call: OperatorCall) -> AxisShape:
    x = call.shape(0)
    return (*x[:-2], x[-1], x[-2]) if len(x) > 1 else x


@operator_rule("unsqueeze")
def _unsqueeze(call: OperatorCall) -> AxisShape:
    x = list(call.shape(0))
    x.insert(axis_number(call.argument(1), len(x) + 1), ())
    return tuple(x)


@operator_rule("squeeze")
def _squeeze(call: OperatorCall) -> AxisShape:
    x, places = call.shape(0), call.argument(1)
    chosen = range(len(x)) if places is None else [places] if isinstance(places, int) else places
    gone = {axis_number(place, len(x)) for place in chosen}
    return tuple(dim for place, dim in enumerate(x) if place not in gone or extent(dim) != 1)


@operator_rule("cat", "concatenate", "concat")
def _cat(call: OperatorCall) -> AxisShape:
    given = [call.shapes[node] for node in call.argument(0)]
    # A tensor of nothing, `torch.tensor([])`, goes with any, as in caches that are empty at first.
    shapes = [shape for shape in given if [extent(dim) for dim in shape] != [0]] or given
    axis = axis_number(call.argument(1, "dim", 0), len(shapes[0]))
    first = list(shapes[0])
    for other in shapes[1:]:
        for place, (dim, mine) in enumerate(zip(other, first, strict=True)):
            if place != axis:
                unite(mine, dim, call.reason)
    parts = [shape[axis] for shape in shapes if extent(shape[axis])]
    first[axis] = parts[0] if len(parts) == 1 else joined_dim(parts)
    return tuple(first)


@operator_rule("stack")
def _stack(call: OperatorCall) -> AxisShape:
    shapes = [call.shapes[node] for node in call.argument(0)]
    found = list(broadcast(call, shapes))
    axis = axis_number(call.argument(1, "dim", 0), len(found) + 1)
    found.insert(axis, fixed_dim(len(shapes), f"{call.where} stacks as many"))
    return tuple(found)


@operator_rule("split", "split_with_sizes", "chunk", "unsafe_split", "unsafe_chunk", "tensor_split")
def _split(call: OperatorCall) -> list[AxisShape]:
    x = call.shape(0)
    axis = axis_number(call.argument(2, "dim", 0), len(x))
    sizes = [int(one.shape[axis]) for one in call.node.meta["val"]]
    parts = cut_dim(x[axis], sizes, call.reason)
    given = call.argument(1)
    if isinstance(given, list | tuple) and call.name != "tensor_split":
        call.numbers += map(PassedNumber, given, parts, range(len(given)))
    elif len(set(sizes)) == 1:
        for part in parts[1:]:
            unite(parts[0], part, call.reason)  # the code cuts what there is into equal parts
        if call.name.endswith("split"):
            call.numbers.append(PassedNumber(sizes[0], parts[0], 0))
    else:
        fix([x[axis]], f"{call.where} cuts it into unequal parts")
    return [(*x[:axis], part, *x[axis + 1 :]) for part in parts]


@operator_rule("unbind")
def _unbind(call: OperatorCall) -> list[AxisShape]:
    x = call.shape(0)
    axis = axis_number(call.argument(1, "dim", 0), len(x))
    fix([x[axis]], f"{call.where} takes its positions apart")
    return [(*x[:axis], *x[axis + 1 :]) for _ in range(extent(x[axis]))]


@operator_rule("<built-in function getitem>", "getitem")
def _getitem(call: OperatorCall) -> AxisShape:
    return call.shapes[call.argument(0)][call.argument(1)]  # type: ignore[no-any-return]


@operator_rule("select")
def _select(call: OperatorCall) -> AxisShape:
    x = call.shape(0)
    axis = axis_number(call.argument(1), len(x))
    fix([x[axis]], f"{call.where} selects a position of it")
    return (*x[:axis], *x[axis + 1 :])


@operator_rule("slice", "narrow")
def _slice(call: OperatorCall) -> AxisShape:
    x = call.shape(0)
    axis = axis_number(call.argument(1, "dim", 0), len(x))
    length, taken = extent(x[axis]), call.sizes()[axis]
    start, end = call.argument(2, "start", 0) or 0, call.argument(3, "end")
    if call.name == "narrow":
        end = start + end
    if not taken:  # as of what is left where positions turn a whole head
        if isinstance(start, int) and start == length:
            call.numbers.append(PassedNumber(start, x[axis]))
        return (*x[:axis], *call.new([0]), *x[axis + 1 :])
    if call.argument(4, "step", 1) != 1:
        fix([x[axis]], f"{call.where} takes every other position of it")
        return (*x[:axis], *call.new([taken]), *x[axis + 1 :])
    if taken == length:
        if end is not None and end == length:
            call.numbers.append(PassedNumber(end, x[axis]))
        return x
    start = start + length if start < 0 else start
    sizes = [size for size in (start, taken, length - start - taken) if size]
    parts = cut_dim(x[axis], sizes, call.reason)
    place = 1 if start else 0
    for number, until in ((start, 0), (start + taken, place)):
        if number and number != length:
            dim = joined_dim(parts[: until + 1]) if until else parts[0]
            call.numbers.append(PassedNumber(number, dim))
    return (*x[:axis], parts[place], *x[axis + 1 :])


@operator_rule("index")
def _index(call: OperatorCall) -> AxisShape:
    return indexed(call, call.shape(0), call.argument(1))


@operator_rule(
    *("mean", "sum", "amax", "amin", "var", "std", "linalg_vector_norm", "norm", "logsumexp"),
    *("prod", "any", "all"),
)
def _reduce(call: OperatorCall) -> AxisShape:
    return _reduced(call, call.sizes())


@operator_rule("max", "min", "median", "argmax", "argmin")
def _extreme(call: OperatorCall) -> Any:
    value = call.node.meta["val"]
    if len(call.tensors) > 1:
        return pointwise(call)
    asked = any(user.args[1:] == (1,) and user.users for user in call.node.users)
    if call.name.startswith("arg") or (isinstance(value, list | tuple) and asked):
        x, chosen = call.shape(0), call.argument(1, "dim")
        fix(x if chosen is None else [x[chosen]], f"{call.where} asks for positions of it")
    if isinstance(value, list | tuple):
        return [_reduced(call, tuple(one.shape)) for one in value]
    return _reduced(call, call.sizes())


@operator_rule("var_mean", "std_mean")
def _two(call: OperatorCall) -> list[AxisShape]:
    return [_reduced(call, tuple(one.shape)) for one in call.node.meta["val"]]


def _reduced(call: OperatorCall, sizes: Sequence[int]) -> AxisShape:
    """Return the axes of which none, one or some have been reduced to a single position."""
    x = call.shape(0)
    place = {"linalg_vector_norm": 2, "norm": 2}.get(call.name, 1)
    chosen = call.argument(place, "dim")
    if chosen is None or chosen == []:
        return call.new(sizes)  # a number
    gone = {axis_number(p, len(x)) for p in ([chosen] if isinstance(chosen, int) else chosen)}
    if len(sizes) == len(x):
        return tuple(() if p in gone else dim for p, dim in enumerate(x))
    return tuple(dim for p, dim in enumerate(x) if p not in gone)


@operator_rule(
    *(f"{kind}_pool{rank}d" for kind in ("max", "avg", "lp") for rank in (1, 2, 3)),
    *(f"adaptive_{kind}_pool{rank}d" for kind in ("max", "avg") for rank in (1, 2, 3)),
    *(f"upsample_{kind}" for kind in ("nearest1d", "nearest2d", "nearest3d", "linear1d")),
    *(f"upsample_{kind}" for kind in ("bilinear2d", "bicubic2d", "trilinear3d")),
    *(f"_upsample_{kind}_aa" for kind in ("bilinear2d", "bicubic2d")),
    *(f"_adaptive_avg_pool{rank}d" for rank in (2, 3)),
)
def _pool(call: OperatorCall) -> Any:
    if isinstance(call.node.meta["val"], list | tuple):
        return unknown(call)
    x, sizes = call.shape(0), call.sizes()
    rank = next(int(letter) for letter in reversed(call.name) if letter.isdigit())
    kept = len(x) - rank
    if "adaptive" not in call.name and "upsample" not in call.name:
        return (*x[:kept], *window_shape(call, x[kept:], sizes[kept:]))
    several = [dim for dim, size in zip(x[kept:], sizes[kept:], strict=True) if size != 1]
    fix(several, f"{call.where} makes as many of it, however many there are")
    return (*x[:kept], *call.new(sizes[kept:]))


@operator_rule("pad", "constant_pad_nd", "reflection_pad2d", "replication_pad2d")
def _pad(call: OperatorCall) -> AxisShape:
    x, sizes, amounts = call.shape(0), call.sizes(), list(call.argument(1))
    constant = call.name == "constant_pad_nd" or (
        call.name == "pad" and call.argument(2, "mode", "constant") == "constant"
    )
    reason = f"{call.where} pads it"
    found = list(x)
    for place in range(len(amounts) // 2):
        before, after = amounts[2 * place : 2 * place + 2]
        axis = len(x) - 1 - place
        is_open = any(not factor.fixed for factor in factors(x[axis]))
        if is_open and constant and before >= 0 and after >= 0:
            parts = [fixed_dim(before, reason), x[axis], fixed_dim(after, reason)]
            kept = [part for part, size in zip(parts, (before, 1, after), strict=True) if size]
            found[axis] = joined_dim(kept) if len(kept) > 1 else x[axis]
        elif before or after:
            fix([x[axis]], reason)
            found[axis] = fixed_dim(sizes[axis], reason)
    return tuple(found)


@operator_rule("repeat", "tile")
def _repeat(call: OperatorCall) -> AxisShape:
    x, times = call.shape(0), call.argument(1)
    dims = ((),) * (len(times) - len(x)) + x
    times = (1,) * (len(dims) - len(times)) + tuple(times)
    return tuple(
        (*fixed_dim(count, f"{call.where} repeats it"), *dim)
        for count, dim in zip(times, dims, strict=True)
    )


@operator_rule("repeat_interleave")
def _repeat_interleave(call: OperatorCall) -> Any:
    axis = call.argument(2, "dim")
    if axis is None or isinstance(call.argument(1), fx.Node):
        return unknown(call)
    x = call.shape(0)
    axis = axis_number(axis, len(x))
    times = fixed_dim(call.argument(1), f"{call.where} repeats it")
    return (*x[:axis], (*x[axis], *times), *x[axis + 1 :])


@operator_rule("glu")
def _glu(call: OperatorCall) -> AxisShape:
    x = call.shape(0)
    axis = axis_number(call.argument(1, "dim", -1), len(x))
    half = extent(x[axis]) // 2
    first, second = cut_dim(x[axis], [half, half], call.reason)
    unite(first, second, call.reason)
    return (*x[:axis], first, *x[axis + 1 :])


@operator_rule("roll")
def _roll(call: OperatorCall) -> AxisShape:
    x, axes = call.shape(0), call.argument(2, "dims", ())
    fix([x[axis] for axis in axes] or x, f"{call.where} rolls it")
    return x
