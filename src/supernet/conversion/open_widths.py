"""From axes to sizes: which widths are open, and what of each module follows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import Any, cast

from torch import nn

from supernet.conversion.axes import Axis, Dim, extent, factors, fix
from supernet.conversion.rules import ConversionRule, Widths, matching
from supernet.conversion.trace import OperatorTrace
from supernet.elastic.composed import JoinedSize, ProductSize, ScaledSize
from supernet.elastic.size import Dimension, FixedSize, Size
from supernet.elastic.spec import ElasticSpec, Number, SizeTuple

__all__ = [
    "Sizes",
    "Way",
    "Width",
    "choose_dimensions",
    "leaves",
    "passed_attributes",
    "spec_of",
    "tied_widths",
    "ways",
    "widths",
]


@dataclass
class Width:
    """A width that can be open.

    Attributes:
        label: the name of the module that makes it.
        axis: axis of the width.
        inside: number of positions that one unit is made of, for instance the size of a head.
        inner: whether the width is that of a unit, such as a head, of which there are several.
        modules: names of the modules that have a part in it.
    """

    label: str
    axis: Axis
    inside: int
    inner: bool
    modules: list[str] = field(default_factory=list)


def leaves(dim: Dim) -> Iterator[tuple[Axis, bool, int]]:
    """Yield the axes that an axis is made of; whether an open one is outside of it; what is inside."""
    parts = factors(dim)
    before = False
    for place, axis in enumerate(parts):
        inside = extent(tuple(parts[place + 1 :]))
        if axis.kind == "leaf":
            yield axis, before, inside
            before = before or not axis.fixed
        else:
            for part in axis.parts:
                for leaf, inner, within in leaves(part):
                    yield leaf, inner or before, within * inside


def widths(trace: OperatorTrace) -> list[Width]:
    """Return the widths that can be open, in the order in which the model makes them."""
    found: dict[Axis, Width] = {}
    taken: dict[str, int] = {}
    for scope, calls in trace.calls.items():
        for dim in (dim for call in calls for dim in call.produced):
            for axis, inner, inside in leaves(dim):
                if axis.fixed or axis in found:
                    continue
                taken[scope] = taken.get(scope, 0) + 1
                label = scope or "model"
                if taken[scope] > 1:
                    label = f"{label}.{taken[scope]}"
                found[axis] = Width(label, axis, inside, inner)
    for name, shape in trace.tensors.items():
        for dim in shape:
            for axis, inner, _ in leaves(dim):
                if axis in found:
                    width, module = found[axis], name.rpartition(".")[0]
                    width.inner = width.inner or inner
                    if module not in width.modules:
                        width.modules.append(module)
                elif not axis.fixed and axis.extent > 1:
                    axis.fixed = "no layer makes it"
    return list(found.values())


def choose_dimensions(
    trace: OperatorTrace, model: nn.Module, rules: Sequence[ConversionRule]
) -> dict[Axis, Size]:
    """Return the sizes of the widths that the rules open; all other axes become fixed."""
    found: dict[Axis, Size] = {}
    labels: dict[str, list[int]] = {}
    modules = dict(model.named_modules(remove_duplicate=False))
    for group in tied_widths(trace, modules, rules, widths(trace)):
        ruled = [matching(rules, Widths, *_maker(one, modules)) for one in group]
        base = max(group, key=lambda one: one.inside)
        rule = ruled[group.index(base)]
        if rule is None or None in ruled:
            fix([(one.axis,) for one in group], "no rule for widths matches")
        elif any(one.inner for one in group) and not rule.inner:
            fix(
                [(one.axis,) for one in group],
                "it is within another that is open; see the option `inner`",
            )
        else:
            values = rule.values(base.axis.extent, base.inside)
            if len(values) == 1:
                why = f"{base.axis.extent} has no smaller width by the rule"
                fix([(one.axis,) for one in group], why)
                continue
            label = rule.decision(base.label)
            if labels.setdefault(label, values) != values:  # repeated blocks that are not alike
                label = base.label
            for one in group:
                own = Dimension(label, values, one.axis.ordered, place=one.label)
                factor = one.axis.extent // base.axis.extent
                found[one.axis] = own if factor == 1 else ScaledSize(own, factor)
    return found


def _maker(width: Width, modules: Mapping[str, nn.Module]) -> tuple[str, nn.Module]:
    """Return the module that makes a width, with its name."""
    maker = width.label if width.label in modules else width.label.rpartition(".")[0]
    maker = "" if width.label.partition(".")[0] == "model" and maker not in modules else maker
    return maker, modules[maker]


def tied_widths(
    trace: OperatorTrace,
    modules: Mapping[str, nn.Module],
    rules: Sequence[ConversionRule],
    open_ones: Sequence[Width],
) -> list[list[Width]]:
    """Return the widths in groups of one decision, most alone, in the order of their first ones.

    Those of a group are what a matrix takes and gives, which is to stay square.
    """
    by_axis = {one.axis: [one] for one in open_ones}
    for name, shape in trace.tensors.items():
        owner = name.rpartition(".")[0]
        rule = matching(rules, Widths, owner, modules[owner]) if len(shape) > 1 else None
        if rule is None or not rule.square:
            continue
        for taken, given in product(_parts(shape[0]), _parts(shape[1])):
            if extent(taken) == extent(given):
                first, second = (
                    [axis for axis, inner, _ in leaves(dim) if rule.inner or not inner]
                    for dim in (taken, given)
                )
                if len(first) == len(second) == 1 and first[0] in by_axis and second[0] in by_axis:
                    one, other = by_axis[first[0]], by_axis[second[0]]
                    if one is not other:
                        one += other
                        by_axis.update((width.axis, one) for width in other)
    groups = {id(group): group for group in by_axis.values()}
    return list(groups.values())


def _parts(dim: Dim) -> list[Dim]:
    """Return the parts of an axis of joined ones, or the axis itself."""
    parts = factors(dim)
    if len(parts) == 1 and parts[0].kind == "sum":
        return [inner for part in parts[0].parts for inner in _parts(part)]
    return [dim]


class Sizes:
    """The sizes of axes; equal axes have one size.

    Args:
        dimensions: sizes of the open axes.
    """

    def __init__(self, dimensions: Mapping[Axis, Size]) -> None:
        self._dimensions = dimensions
        self._known: dict[tuple[int, ...], Size | None] = {}

    def of(self, dim: Dim) -> Size | None:
        """Return the size of an axis; None if nothing of it is open."""
        parts = factors(dim)
        key = tuple(id(axis) for axis in parts)
        if key not in self._known:
            sizes = [self._axis(axis) for axis in parts]
            if all(size is None for size in sizes):
                self._known[key] = None
            else:
                made = [
                    size or FixedSize(axis.extent) for size, axis in zip(sizes, parts, strict=True)
                ]
                self._known[key] = made[0] if len(made) == 1 else ProductSize(*made)
        return self._known[key]

    def number(self, dim: Dim) -> Size | int:
        """Return the size of an axis, a number if nothing of it is open."""
        return self.of(dim) or extent(dim)

    def _axis(self, axis: Axis) -> Size | None:
        if axis.kind == "leaf":
            return self._dimensions.get(axis)
        parts = [self.of(part) for part in axis.parts]
        if all(part is None for part in parts):
            return None
        return JoinedSize(
            *(part or extent(dim) for part, dim in zip(parts, axis.parts, strict=True))
        )


Way = Mapping[str, int]
"""Which of the sizes that an attribute could be it is taken for; after the last, it stays as it is."""


def spec_of(
    name: str,
    module: nn.Module,
    trace: OperatorTrace,
    sizes: Sizes,
    way: Way,
    always: bool = False,
    told: Mapping[str, Size] | None = None,
) -> ElasticSpec | None:
    """Return what of a module follows open widths; None if nothing does.

    Args:
        name: name of the module.
        module: the module of this name.
        trace: trace of the model.
        sizes: sizes of the axes.
        way: way in which the module's attributes are taken; the first size if it says nothing.
        always: whether to return a specification also where nothing of the module is open.
        told: attributes that no operator is passed but tell a size.
    """
    shapes = {}
    tensors = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
    for own, _ in tensors:
        shape = trace.tensors[f"{name}.{own}" if name else own]
        found = tuple(sizes.of(dim) for dim in shape)
        if any(size is not None for size in found):
            shapes[own] = found
    numbers: dict[str, Number] = dict(told or {})
    for own, could_be in passed_attributes(name, module, trace, sizes).items():
        place = way.get(own, 0)
        if place < len(could_be):
            numbers[own] = could_be[place]
    numbers = _several(module, numbers)
    numbers.update(_known(name, module, trace, sizes))
    turns: dict[str, list[tuple[Size | int, ...]]] = {}
    for call in trace.calls.get(name, ()):
        turns.setdefault(call.turn, []).extend(
            tuple(sizes.number(dim) for dim in dims) for dims in call.products
        )
    products = list(turns.values()) if any(turns.values()) else []
    open_products = any(isinstance(size, Size) for turn in products for row in turn for size in row)
    if not (shapes or numbers or open_products or always):
        return None
    multiplied = {
        own: trace.summed.get(id(trace.tensors[f"{name}.{own}" if name else own]), frozenset())
        for own in shapes
    }
    return ElasticSpec(
        shapes, numbers, products=products, example=trace.inputs, multiplied=multiplied
    )


@dataclass(frozen=True)
class NumberTuple:
    """An attribute that is several numbers, of which some follow sizes.

    Attributes:
        whole: the numbers of the model.
        follow: sizes that numbers follow, by the place of the number.
    """

    whole: tuple[int, ...] | list[int]
    follow: Mapping[int, Size]

    @property
    def sizes(self) -> tuple[Size, ...]:
        """What they follow."""
        return tuple(self.follow.values())

    @property
    def now(self) -> tuple[int, ...] | list[int]:
        """The numbers."""
        found = [self.follow[i].now if i in self.follow else n for i, n in enumerate(self.whole)]
        return type(self.whole)(found)


def _several(module: nn.Module, numbers: Mapping[str, Number]) -> dict[str, Number]:
    """Return numbers of which those of one tuple, as `shape[0]` and `shape[1]`, are put together."""
    found: dict[str, Number] = {}
    parts: dict[str, dict[int, Size]] = {}
    for name, number in numbers.items():
        own, bracket, place = name.partition("[")
        if bracket:
            parts.setdefault(own, {})[int(place.rstrip("]"))] = cast(Size, number)
        else:
            found[own] = number
    return found | {own: NumberTuple(module.__dict__[own], follow) for own, follow in parts.items()}


def passed_attributes(
    name: str, module: nn.Module, trace: OperatorTrace, sizes: Sizes
) -> dict[str, list[Size]]:
    """Return the attributes whose numbers code passes to operators, and which sizes they may be."""
    found: dict[str, list[Size]] = {}
    for scope, numbers in trace.numbers.items():
        for number in numbers:
            size = sizes.of(number.dim)
            if size is None:
                continue
            if number.sources is not None:
                names = [own for owner, own in number.sources if owner == name]
            else:
                names = attributes(module, number.value) if scope == name else []
            for own in names:
                could_be = found.setdefault(own, [])
                if all(size is not other for other in could_be):
                    could_be.append(size)
    return found


def ways(could_be: Mapping[str, Sequence[Size]]) -> Iterator[Way]:
    """Yield how attributes can be taken, those first that differ least from the first sizes."""
    others = {own: range(1, len(sizes) + 1) for own, sizes in could_be.items()}
    for count in range(1, len(others) + 1):
        for chosen in combinations(others, count):
            for places in product(*(others[own] for own in chosen)):
                yield dict(zip(chosen, places, strict=True))


def attributes(module: nn.Module, value: int) -> list[str]:
    """Return the names of a module's own attributes that are this number."""
    return [
        own
        for own, number in module.__dict__.items()
        if isinstance(number, int) and not isinstance(number, bool) and number == value
    ]


def _channels(name: str, trace: OperatorTrace) -> Dim:
    """Return the channels `[batch, channels, ...]` of what a norm without weights is given."""
    for call in trace.calls.get(name, ()):
        if call.name.endswith("_norm"):
            shape = call.shape(0)
            return shape[1] if len(shape) > 1 else ()
    return ()


def _known(name: str, module: nn.Module, trace: OperatorTrace, sizes: Sizes) -> dict[str, Number]:
    """Return the attributes of torch's layers that tell sizes."""

    def axes(own: str) -> tuple[Dim, ...]:
        shape = trace.tensors.get(f"{name}.{own}" if name else own)
        return shape or ((), (), ())

    dims: dict[str, Dim] = {}
    weight = axes("weight")
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        dims = {"out_channels": weight[0], "in_channels": weight[1]}
        passed = trace.numbers.get(name, ())
        if module.groups > 1 and passed:
            dims["groups"] = passed[0].dim
            dims["in_channels"] = (*passed[0].dim, *weight[1])
    elif isinstance(module, nn.Linear):
        dims = {"out_features": weight[0], "in_features": weight[1]}
    elif isinstance(module, nn.Embedding | nn.EmbeddingBag):
        dims = {"embedding_dim": weight[1]}
    elif isinstance(module, nn.modules.batchnorm._NormBase):
        dims = {"num_features": weight[0] or axes("running_mean")[0] or _channels(name, trace)}
    elif isinstance(module, nn.GroupNorm):
        dims = {"num_channels": weight[0] or _channels(name, trace)}
    elif isinstance(module, nn.PReLU):
        dims = {"num_parameters": weight[0]}
    elif isinstance(module, nn.modules.conv._ConvTransposeNd) and module.groups == 1:
        dims = {"in_channels": weight[0], "out_channels": weight[1]}
    elif isinstance(module, nn.LayerNorm | nn.RMSNorm):
        normalised = [number.dim for number in trace.numbers.get(name, ())] or list(weight)
        normalised = normalised[: len(module.normalized_shape)]
        if any(sizes.of(dim) is not None for dim in normalised):
            made = (sizes.number(dim) for dim in normalised)
            parts = tuple(size if isinstance(size, Size) else FixedSize(size) for size in made)
            return {"normalized_shape": SizeTuple(parts)}
    found: dict[str, Any] = {own: sizes.of(dim) for own, dim in dims.items()}
    return {own: size for own, size in found.items() if size is not None}
