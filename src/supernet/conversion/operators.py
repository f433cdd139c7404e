"""How each of PyTorch's operators passes the axes of its inputs on.

The operators are those of `torch.export`'s programmes. One that is not known here, and not applied
position by position, fixes the axes of its inputs: what cannot be followed stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import fx

from supernet.conversion.axes import (
    Axis,
    Dim,
    Shape,
    cut,
    extent,
    fix,
    fixed_dim,
    joined,
    same,
    viewed,
)
from supernet.conversion.sources import Source

__all__ = ["OPERATORS", "Call", "Passed", "follow"]

Product = tuple[Dim, ...]
"""A number of multiply-adds as a product of axes."""


class Passed(NamedTuple):
    """A number that is passed to an operator.

    Attributes:
        value: itself.
        dim: the axis that it is the size of.
        place: its place among the numbers of the call.
        sources: the module and attribute that it is read from, none if it is computed; None where
            that is not known.
    """

    value: int
    dim: Dim
    place: int = 0
    sources: tuple[Source, ...] | None = None


@dataclass
class Call:
    """An operator that is applied, and what it is applied to.

    Attributes:
        node: of the graph.
        where: what an error or a reason calls it.
        scope: the name of the module whose code calls it.
        shapes: the axes of what was computed before, of a tuple a list of them.
        numbers: among the arguments, of which the code may have to pass others when it is narrower.
        products: multiply-adds of the call, each a product of axes.
        produced: axes that weights give the result.
    """

    node: fx.Node
    where: str
    scope: str
    shapes: dict[fx.Node, Any]
    numbers: list[Passed] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    produced: list[Dim] = field(default_factory=list)

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

    def shape(self, place: int, name: str = "") -> Shape:
        """Return the axes of an argument that is a tensor; those of None are None."""
        argument = self.argument(place, name)
        return None if argument is None else self.shapes[argument]  # type: ignore[return-value]

    @property
    def tensors(self) -> list[Shape]:
        """The axes of all arguments that are tensors, also those within lists."""
        found = [self.shapes.get(node) for node in self.node.all_input_nodes]
        return [
            one for shape in found for one in (shape if isinstance(shape, list) else [shape]) if one
        ]

    def sizes(self) -> tuple[int, ...]:
        """Return the numbers of positions of the result."""
        return tuple(int(size) for size in self.node.meta["val"].shape)

    def new(self, sizes: Sequence[int], reason: str = "") -> Shape:
        """Return axes that have nothing to do with those of the inputs, and do not change."""
        return tuple(fixed_dim(int(n), reason or f"{self.where} makes it") for n in sizes)

    @property
    def reason(self) -> str:
        """Why axes that meet here cannot change."""
        return f"axes that meet in {self.where} are made of different parts"


Rule = Callable[[Call], Any]
OPERATORS: dict[str, Rule] = {}


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        OPERATORS.update(dict.fromkeys(names, rule))
        return rule

    return register


def follow(call: Call) -> Any:
    """Return the axes of what an operator computes; of a tuple a list of them, of no tensor None."""
    rule = OPERATORS.get(call.name)
    if rule is not None:
        return rule(call)
    tags = getattr(call.node.target, "tags", ())
    if torch.Tag.pointwise in tags or call.name in _ALIKE:
        return _pointwise(call)
    return _unknown(call)


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
    "cumsum",
    "cumprod",
    "flip",
    "masked_fill",
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
    "new_empty",
    "new_zeros",
    "new_ones",
    "new_full",
    "new_tensor",
    "zeros",
    "ones",
    "full",
    "empty",
    "arange",
    "linspace",
    "eye",
    "rand",
    "randn",
    "randperm",
    "randint",
    "scalar_tensor",
    "tril_indices",
    "triu_indices",
}
"""Operators that make a tensor of sizes that they are told; of another they take the type alone."""


def _unknown(call: Call) -> Any:
    if call.name in _MAKING:
        return call.new(call.sizes())
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


def _pointwise(call: Call) -> Shape:
    return _broadcast(call, call.tensors)


def _broadcast(call: Call, shapes: Sequence[Shape]) -> Shape:
    """Unite axes aligned from the last; those of one position are repeated."""
    found: list[Dim] = []
    for place in range(1, max(map(len, shapes), default=0) + 1):
        dims = [shape[-place] for shape in shapes if len(shape) >= place]
        wide = [dim for dim in dims if extent(dim) != 1]
        for dim in wide[1:]:
            same(wide[0], dim, call.reason)
        found.append(wide[0] if wide else ())
    return tuple(reversed(found))


_KERNEL = "kernel (rules for kernels open it)"


@_rule("conv1d", "conv2d", "conv3d", "convolution")
def _convolution(call: Call) -> Shape:
    x, weight, bias = call.shape(0), call.shape(1), call.shape(2, "bias")
    groups = call.argument(8 if call.name == "convolution" else 6, "groups", 1)
    leaving, inner = weight[0], weight[1]
    batch = len(x) - len(weight) + 1  # 0 without a batch
    entering = x[batch]
    if groups == 1:
        same(entering, inner, call.reason)
    else:
        # A group keeps its size, so a narrower convolution has fewer of them.
        count, inside = (Axis(groups),), (Axis(extent(inner)),)
        same(entering, (*count, *inside), call.reason)
        same(inner, inside, call.reason)
        rows = (Axis(extent(leaving) // groups),)
        same(leaving, (*count, *rows), call.reason)
        fix([inside, rows], "it is the size of a group, which all widths share")
        call.numbers.append(Passed(groups, count))
    if bias is not None:
        same(bias[0], leaving, call.reason)
    fix(weight[2:], _KERNEL)
    around = call.new(call.sizes()[batch + 1 :])
    call.produced.append(leaving)
    call.products.append((*x[:batch], leaving, inner, *weight[2:], *around))
    return (*x[:batch], leaving, *around)


@_rule("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _transposed(call: Call) -> Shape:
    x, weight, bias = call.shape(0), call.shape(1), call.shape(2, "bias")
    if call.argument(6, "groups", 1) != 1:
        return _unknown(call)  # type: ignore[no-any-return]
    batch = len(x) - len(weight) + 1
    same(x[batch], weight[0], call.reason)
    if bias is not None:
        same(bias[0], weight[1], call.reason)
    fix(weight[2:], _KERNEL)
    call.produced.append(weight[1])
    call.products.append((*x, weight[1], *weight[2:]))
    return (*x[:batch], weight[1], *call.new(call.sizes()[batch + 1 :]))


@_rule("linear")
def _linear(call: Call) -> Shape:
    x, weight, bias = call.shape(0), call.shape(1), call.shape(2, "bias")
    same(x[-1], weight[-1], call.reason)
    if bias is not None:
        same(bias[0], weight[0], call.reason)
    call.produced.append(weight[0])
    call.products.append((*x, weight[0]))
    return (*x[:-1], weight[0])


@_rule("matmul", "mm", "bmm")
def _matmul(call: Call) -> Shape:
    return _contract(call, 0, 1)


@_rule("addmm", "baddbmm")
def _added_matmul(call: Call) -> Shape:
    product = _contract(call, 1, 2)
    return _broadcast(call, [call.shape(0), product])


def _contract(call: Call, first: int, second: int) -> Shape:
    """Return the axes of a matrix product, whose outer axes are broadcast."""
    a, b = call.shape(first), call.shape(second)
    if len(a) < 2 or len(b) < 2:
        return _unknown(call)  # type: ignore[no-any-return]
    same(a[-1], b[-2], call.reason)
    outer = _broadcast(call, [a[:-2], b[:-2]])
    if call.argument(second).op == "placeholder":
        call.produced.append(b[-1])
    call.products.append((*outer, a[-2], a[-1], b[-1]))
    return (*outer, a[-2], b[-1])


@_rule("scaled_dot_product_attention")
def _attention(call: Call) -> Shape:
    query, key, value = (call.shape(place) for place in range(3))
    same(query[-1], key[-1], call.reason)
    same(key[-2], value[-2], call.reason)
    outer = _broadcast(call, [query[:-2], key[:-2], value[:-2]])
    mask = call.argument(3, "attn_mask")
    if mask is not None:
        _broadcast(call, [call.shapes[mask], (*outer, query[-2], key[-2])])
    call.products.append((*outer, query[-2], key[-1], key[-2]))
    call.products.append((*outer, query[-2], value[-1], value[-2]))
    return (*outer, query[-2], value[-1])


@_rule("batch_norm", "instance_norm")
def _batch_norm(call: Call) -> Shape:
    x = call.shape(0)
    for place, name in enumerate(("weight", "bias", "running_mean", "running_var"), 1):
        if (other := call.shape(place, name)) is not None:
            same(x[1], other[0], call.reason)
    return x


@_rule("layer_norm", "rms_norm")
def _layer_norm(call: Call) -> Shape:
    x, sizes = call.shape(0), call.argument(1)
    axes = x[len(x) - len(sizes) :]
    others = (2, 3) if call.name == "layer_norm" else (2,)
    for place in others:
        if (other := call.shape(place, ("weight", "bias")[place - 2])) is not None:
            for dim, mine in zip(other, axes, strict=True):
                same(mine, dim, call.reason)
    call.numbers += map(Passed, sizes, axes)
    return x


@_rule("group_norm")
def _group_norm(call: Call) -> Shape:
    x, groups = call.shape(0), call.argument(1)
    for place, name in ((2, "weight"), (3, "bias")):
        if (other := call.shape(place, name)) is not None:
            same(x[1], other[0], call.reason)
    if groups > 1:
        count, inside = (Axis(groups),), (Axis(extent(x[1]) // groups),)
        same(x[1], (*count, *inside), call.reason)
        fix([inside], "it is the size of a group, which all widths share")
        call.numbers.append(Passed(groups, count))
    return x


@_rule("embedding")
def _embedding(call: Call) -> Shape:
    weight, words = call.shape(0), call.shape(1)
    fix(weight[:1], "it is the number of words")
    call.produced += weight[1:]
    return (*words, *weight[1:])


@_rule("view", "reshape", "_unsafe_view", "flatten", "unflatten", "reshape_as", "view_as")
def _view(call: Call) -> Shape:
    return _numbered(call, viewed(call.shape(0), call.sizes(), f"the view in {call.where}"))


def _numbered(call: Call, shape: Shape) -> Shape:
    """Note the sizes that the code passes."""
    given: Any = next((a for a in call.node.args[1:] if isinstance(a, list | tuple)), None)
    if given is not None and call.name != "unflatten" and len(given) == len(shape):
        call.numbers += [
            Passed(number, dim, place)
            for place, (number, dim) in enumerate(zip(given, shape, strict=True))
            if isinstance(number, int) and number != -1
        ]
    elif given is not None and call.name == "unflatten":
        start = _place(call.argument(1), len(call.shape(0)))
        call.numbers += map(Passed, given, shape[start:], range(1, len(given) + 1))
    return shape


@_rule("expand", "expand_as")
def _expand(call: Call) -> Shape:
    x, sizes = call.shape(0), call.sizes()
    if call.name == "expand_as":
        other = call.shape(1)
        return _broadcast(call, [x, other])
    missing = len(sizes) - len(x)
    found = [
        dim if extent(dim) == size else fixed_dim(size, f"{call.where} repeats it")
        for dim, size in zip((((),) * missing + x), sizes, strict=True)
    ]
    return _numbered(call, tuple(found))


@_rule("permute")
def _permute(call: Call) -> Shape:
    x = call.shape(0)
    return tuple(x[place] for place in call.argument(1))


@_rule("transpose", "swapaxes", "swapdims")
def _transpose(call: Call) -> Shape:
    x = list(call.shape(0))
    a, b = (_place(call.argument(place), len(x)) for place in (1, 2))
    x[a], x[b] = x[b], x[a]
    return tuple(x)


@_rule("t", "numpy_T", "mT")
def _matrix_transpose(call: Call) -> Shape:
    x = call.shape(0)
    return (*x[:-2], x[-1], x[-2]) if len(x) > 1 else x


@_rule("unsqueeze")
def _unsqueeze(call: Call) -> Shape:
    x = list(call.shape(0))
    x.insert(_place(call.argument(1), len(x) + 1), ())
    return tuple(x)


@_rule("squeeze")
def _squeeze(call: Call) -> Shape:
    x, places = call.shape(0), call.argument(1)
    chosen = range(len(x)) if places is None else [places] if isinstance(places, int) else places
    gone = {_place(place, len(x)) for place in chosen}
    return tuple(dim for place, dim in enumerate(x) if place not in gone or extent(dim) != 1)


@_rule("cat", "concatenate", "concat")
def _cat(call: Call) -> Shape:
    shapes = [call.shapes[node] for node in call.argument(0)]
    axis = _place(call.argument(1, "dim", 0), len(shapes[0]))
    first = list(shapes[0])
    for other in shapes[1:]:
        for place, (dim, mine) in enumerate(zip(other, first, strict=True)):
            if place != axis:
                same(mine, dim, call.reason)
    first[axis] = joined([shape[axis] for shape in shapes])
    return tuple(first)


@_rule("stack")
def _stack(call: Call) -> Shape:
    shapes = [call.shapes[node] for node in call.argument(0)]
    found = list(_broadcast(call, shapes))
    axis = _place(call.argument(1, "dim", 0), len(found) + 1)
    found.insert(axis, fixed_dim(len(shapes), f"{call.where} stacks as many"))
    return tuple(found)


@_rule("split", "split_with_sizes", "chunk", "unsafe_split", "unsafe_chunk", "tensor_split")
def _split(call: Call) -> list[Shape]:
    x = call.shape(0)
    axis = _place(call.argument(2, "dim", 0), len(x))
    sizes = [int(one.shape[axis]) for one in call.node.meta["val"]]
    parts = cut(x[axis], sizes, call.reason)
    given = call.argument(1)
    if isinstance(given, list | tuple) and call.name != "tensor_split":
        call.numbers += map(Passed, given, parts, range(len(given)))
    elif len(set(sizes)) == 1:
        for part in parts[1:]:
            same(parts[0], part, call.reason)  # the code cuts what there is into equal parts
        if call.name.endswith("split"):
            call.numbers.append(Passed(sizes[0], parts[0]))
    else:
        fix([x[axis]], f"{call.where} cuts it into unequal parts")
    return [(*x[:axis], part, *x[axis + 1 :]) for part in parts]


@_rule("unbind")
def _unbind(call: Call) -> list[Shape]:
    x = call.shape(0)
    axis = _place(call.argument(1, "dim", 0), len(x))
    fix([x[axis]], f"{call.where} takes its positions apart")
    return [(*x[:axis], *x[axis + 1 :]) for _ in range(extent(x[axis]))]


@_rule("<built-in function getitem>", "getitem")
def _getitem(call: Call) -> Shape:
    return call.shapes[call.argument(0)][call.argument(1)]  # type: ignore[no-any-return]


@_rule("select")
def _select(call: Call) -> Shape:
    x = call.shape(0)
    axis = _place(call.argument(1), len(x))
    fix([x[axis]], f"{call.where} selects a position of it")
    return (*x[:axis], *x[axis + 1 :])


@_rule("slice", "narrow")
def _slice(call: Call) -> Shape:
    x = call.shape(0)
    axis = _place(call.argument(1, "dim", 0), len(x))
    length, taken = extent(x[axis]), call.sizes()[axis]
    start, end = call.argument(2, "start", 0) or 0, call.argument(3, "end")
    if call.name == "narrow":
        end = start + end
    if call.argument(4, "step", 1) != 1:
        fix([x[axis]], f"{call.where} takes every other position of it")
        return (*x[:axis], *call.new([taken]), *x[axis + 1 :])
    if taken == length:
        if end is not None and end == length:
            call.numbers.append(Passed(end, x[axis]))
        return x
    start = start + length if start < 0 else start
    sizes = [size for size in (start, taken, length - start - taken) if size]
    parts = cut(x[axis], sizes, call.reason)
    place = 1 if start else 0
    for number, until in ((start, 0), (start + taken, place)):
        if number and number != length:
            dim = joined(parts[: until + 1]) if until else parts[0]
            call.numbers.append(Passed(number, dim))
    return (*x[:axis], parts[place], *x[axis + 1 :])


@_rule("index")
def _index(call: Call) -> Shape:
    x, indices = call.shape(0), call.argument(1)
    used = [place for place, index in enumerate(indices) if index is not None]
    if used != list(range(used[0], used[-1] + 1)):
        return _unknown(call)  # type: ignore[no-any-return]
    fix([x[place] for place in used], f"{call.where} looks positions of it up")
    among = _broadcast(call, [call.shapes[indices[place]] for place in used])
    return (*x[: used[0]], *among, *x[used[-1] + 1 :])


@_rule(
    "mean", "sum", "amax", "amin", "var", "std", "linalg_vector_norm", "norm", "logsumexp", "prod"
)
def _reduce(call: Call) -> Shape:
    return _reduced(call, call.sizes())


@_rule("max", "min", "median", "argmax", "argmin")
def _extreme(call: Call) -> Any:
    value = call.node.meta["val"]
    if isinstance(value, list | tuple):
        return [_reduced(call, tuple(one.shape)) for one in value]
    return _pointwise(call) if len(call.tensors) > 1 else _reduced(call, call.sizes())


def _reduced(call: Call, sizes: Sequence[int]) -> Shape:
    """Return the axes of which none, one or some have been reduced to a single position."""
    x = call.shape(0)
    place = {"linalg_vector_norm": 2, "norm": 2}.get(call.name, 1)
    chosen = call.argument(place, "dim")
    if chosen is None or chosen == []:
        return call.new(sizes)  # a number
    gone = {_place(p, len(x)) for p in ([chosen] if isinstance(chosen, int) else chosen)}
    if len(sizes) == len(x):
        return tuple(() if p in gone else dim for p, dim in enumerate(x))
    return tuple(dim for p, dim in enumerate(x) if p not in gone)


@_rule(
    *(f"{kind}_pool{rank}d" for kind in ("max", "avg", "lp") for rank in (1, 2, 3)),
    *(f"adaptive_{kind}_pool{rank}d" for kind in ("max", "avg") for rank in (1, 2, 3)),
    *(f"upsample_{kind}" for kind in ("nearest1d", "nearest2d", "nearest3d", "linear1d")),
    *(f"upsample_{kind}" for kind in ("bilinear2d", "bicubic2d", "trilinear3d")),
    *(f"_upsample_{kind}_aa" for kind in ("bilinear2d", "bicubic2d")),
    *(f"_adaptive_avg_pool{rank}d" for rank in (2, 3)),
    "im2col",
)
def _pool(call: Call) -> Any:
    if call.name == "im2col" or isinstance(call.node.meta["val"], list | tuple):
        return _unknown(call)
    x, sizes = call.shape(0), call.sizes()
    rank = next(int(letter) for letter in reversed(call.name) if letter.isdigit())
    kept = len(x) - rank
    return (*x[:kept], *call.new(sizes[kept:]))


@_rule("pad", "constant_pad_nd", "reflection_pad2d", "replication_pad2d")
def _pad(call: Call) -> Shape:
    x, sizes = call.shape(0), call.sizes()
    changed = [dim for dim, size in zip(x, sizes, strict=True) if extent(dim) != size]
    fix(changed, f"{call.where} pads it")
    return tuple(
        dim if extent(dim) == size else fixed_dim(size, f"{call.where} pads it")
        for dim, size in zip(x, sizes, strict=True)
    )


@_rule("repeat", "tile")
def _repeat(call: Call) -> Shape:
    x, times = call.shape(0), call.argument(1)
    dims = ((),) * (len(times) - len(x)) + x
    return tuple(
        dim
        if times[place] == 1
        else fixed_dim(extent(dim) * times[place], f"{call.where} repeats it")
        for place, dim in enumerate(dims)
    )


@_rule("repeat_interleave")
def _repeat_interleave(call: Call) -> Any:
    axis = call.argument(2, "dim")
    if axis is None or isinstance(call.argument(1), fx.Node):
        return _unknown(call)
    x, sizes = call.shape(0), call.sizes()
    axis = _place(axis, len(x))
    fix([x[axis]], f"{call.where} repeats it")
    return (*x[:axis], *call.new([sizes[axis]]), *x[axis + 1 :])


@_rule("glu")
def _glu(call: Call) -> Shape:
    x = call.shape(0)
    axis = _place(call.argument(1, "dim", -1), len(x))
    half = extent(x[axis]) // 2
    first, second = cut(x[axis], [half, half], call.reason)
    same(first, second, call.reason)
    return (*x[:axis], first, *x[axis + 1 :])


@_rule("prelu")
def _prelu(call: Call) -> Shape:
    x, weight = call.shape(0), call.shape(1)
    if extent(weight[0]) > 1:
        same(x[1], weight[0], call.reason)
    return x


@_rule("roll")
def _roll(call: Call) -> Shape:
    x, axes = call.shape(0), call.argument(2, "dims", ())
    fix([x[axis] for axis in axes] or x, f"{call.where} rolls it")
    return x


@_rule("einsum")
def _einsum(call: Call) -> Any:
    equation = str(call.argument(0)).replace(" ", "")
    if "." in equation or "->" not in equation:
        return _unknown(call)
    names, result = equation.split("->")
    dims: dict[str, Dim] = {}
    for letters, node in zip(names.split(","), call.argument(1), strict=True):
        for letter, dim in zip(letters, call.shapes[node], strict=True):
            same(dims.setdefault(letter, dim), dim, call.reason)
    if "," in names:
        call.products.append(tuple(dims.values()))
    return tuple(dims[letter] for letter in result)


def _place(axis: int, rank: int) -> int:
    return axis % rank if rank else 0
