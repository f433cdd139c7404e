"""Choices that a model gets besides open widths: operations, depths, kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from supernet.choice import Choice
from supernet.conversion.axes import AxisShape, factors
from supernet.conversion.optional_blocks import OpenDepth
from supernet.conversion.rules import ConversionRule, Depths, Kernels, Operations, matching
from supernet.conversion.trace import OperatorTrace
from supernet.elastic.composed import CentreSize
from supernet.elastic.convolution import Convolution, Padding
from supernet.elastic.module import elastic_class
from supernet.elastic.size import Dimension
from supernet.elastic.spec import ElasticSpec, Number
from supernet.elastic.spec import SizeTuple as Sizes
from supernet.errors import ConversionError

__all__ = ["kernels", "mixed", "open_depths", "open_kernel", "open_operations", "widen_kernels"]


def open_operations(model: nn.Module, rules: Sequence[ConversionRule]) -> list[str]:
    """Replace modules by choices between them and others, in place; return their names.

    Raises:
        ConversionError: a rule offers nothing, or matches the model itself.
    """
    found: list[str] = []
    for name, module in list(model.named_modules()):
        rule = matching(rules, Operations, name, module)
        if rule is None or any(name.startswith(f"{outer}.") for outer in found):
            continue
        offers = dict(rule.offer(module))
        if not name or not offers or "original" in offers:
            raise ConversionError(
                f"the rule for operations matches {name or 'the whole model'!r} and offers "
                f"{sorted(offers)}; it must match modules within the model, and offer at least one "
                "other module, none of which is named 'original'"
            )
        options = {"original": module, **offers}
        _replace(model, name, Choice(options, label=f"{name}.operation"))
        found.append(name)
    return found


def open_depths(
    model: nn.Module, trace: OperatorTrace, rules: Sequence[ConversionRule], refused: dict[str, str]
) -> list[str]:
    """Let the last of residual blocks in a row be left out, in place; return the names of the sequences.

    Args:
        model: model of which `trace` was made; it is changed.
        trace: says which blocks are residual.
        rules: rules, of which those for depths are read.
        refused: names of sequences and why their depth cannot be open; what is found is added.
    """
    found = []
    for name, module in list(model.named_modules()):
        rule = matching(rules, Depths, name, module)
        if rule is None or not isinstance(module, nn.Sequential | nn.ModuleList) or name in refused:
            continue
        row = _residual_row(name, module, trace)
        values = rule.values(len(row))
        if len(values) < 2:
            if len(module) > 1 and len(row) < 2:
                refused[name] = "no residual blocks in a row"
            continue
        for place, (own, block) in list(enumerate(row))[values[0] :]:
            returned = trace.returned[f"{name}.{own}" if name else own]
            module._modules[own] = OpenDepth(block, returned, place, values, f"{name}.depth")
        found.append(name)
    return found


def _residual_row(
    name: str, module: nn.Module, trace: OperatorTrace
) -> list[tuple[str, nn.Module]]:
    """Return the longest row of blocks that add to their input, which has the shape of the output."""
    best: list[tuple[str, nn.Module]] = []
    row: list[tuple[str, nn.Module]] = []
    for own, block in module.named_children():
        full = f"{name}.{own}" if name else own
        passage = trace.passages.get(full)
        if (
            passage is not None
            and passage.residual is not None
            and full in trace.returned
            and _alike(passage.residual, passage.leaving[0])
        ):
            row.append((own, block))
        else:
            row = []
        if len(row) > len(best):
            best = list(row)
    return best


def _alike(first: AxisShape, second: AxisShape) -> bool:
    return len(first) == len(second) and all(
        factors(one) == factors(other) for one, other in zip(first, second, strict=True)
    )


def widen_kernels(model: nn.Module, rules: Sequence[ConversionRule]) -> list[str]:
    """Put zeros around the kernels that a rule makes larger, in place; return what the rules match.

    Padding grows alike, so that the convolutions compute what they did.
    """
    found = []
    for name, module in model.named_modules():
        rule = matching(rules, Kernels, name, module)
        if rule is None:
            continue
        conv = cast(nn.Conv2d, module)
        own, largest = conv.kernel_size[0], max(rule.sizes)
        more = (largest - own) // 2
        if more > 0 and conv.padding != "valid":
            rank = len(conv.kernel_size)
            wide = nn.functional.pad(conv.weight.detach(), (more,) * 2 * rank)
            conv.weight = nn.Parameter(wide, conv.weight.requires_grad)
            conv.kernel_size = (largest,) * rank
            around = tuple(
                pad + apart * more
                for pad, apart in zip(_around(conv, own), conv.dilation, strict=True)
            )
            if not isinstance(conv.padding, str):
                conv.padding = around
            conv._reversed_padding_repeated_twice = doubled(around)
        found.append(name)
    return found


def doubled(around: Sequence[int]) -> list[int]:
    """Return the padding by direction as `torch.nn.functional.pad` takes it."""
    return [pad for pad in reversed(around) for _ in (0, 1)]


def _around(conv: nn.Conv2d, own: int) -> tuple[int, ...]:
    """Return the padding of a convolution by direction, also where it is a word."""
    if conv.padding == "valid":
        return (0,) * len(conv.kernel_size)
    if isinstance(conv.padding, str):
        return tuple(apart * (own - 1) // 2 for apart in conv.dilation)
    return conv.padding


def kernels(module: nn.Module, rule: Kernels) -> list[int]:
    """Return the kernels that a convolution may have: padding that is less than theirs closes them."""
    conv = cast(nn.Conv2d, module)
    own = conv.kernel_size[0]
    fitting = [
        size
        for size in rule.sizes
        if size < own
        and all(
            pad >= apart * (own - size) // 2
            for pad, apart in zip(_around(conv, own), conv.dilation, strict=True)
        )
    ]
    return [*sorted(fitting), own]


@dataclass(frozen=True)
class _Doubled:
    """Padding as `torch.nn.functional.pad` takes it, which does it where it is not of zeros."""

    padding: Padding

    @property
    def now(self) -> list[int]:
        """The numbers."""
        return doubled(self.padding.now)


def open_kernel(name: str, module: nn.Module, rule: Kernels, opened: ElasticSpec) -> ElasticSpec:
    """Let the kernel of a convolution, which `Convolution` was mixed into, be open too."""
    conv = cast(nn.Conv2d, module)
    own, rank = conv.kernel_size[0], len(conv.kernel_size)
    kernel = Dimension(f"{name}.kernel", kernels(conv, rule))
    numbers: dict[str, Number] = {**opened.numbers, "kernel_size": Sizes((kernel,) * rank)}
    padding = Padding(kernel, _around(conv, own), conv.dilation)
    numbers["_reversed_padding_repeated_twice"] = _Doubled(padding)
    if not isinstance(conv.padding, str):
        numbers["padding"] = padding
    weight = opened.shapes.get("weight", (None, None))[:2]
    products = [
        [(*product[: -2 * rank], *(kernel,) * rank, *product[-rank:]) for product in call]
        for call in opened.products or ()
    ]
    module.__dict__["kernel"] = kernel
    module.transforms = nn.ParameterDict()
    for size in kernel.values[:-1] if rule.transforms else ():
        module.transforms[str(size)] = nn.Parameter(torch.eye(int(size) ** rank))
    shapes = {**opened.shapes, "weight": (*weight, *(CentreSize(kernel),) * rank)}
    return ElasticSpec(
        shapes,
        numbers,
        (kernel,),
        products=products,
        example=opened.example,
        multiplied=opened.multiplied,
    )


def mixed(conv: nn.Module) -> type[nn.Module]:
    """Return the class of a convolution whose kernel is open."""
    return elastic_class(type(conv), Convolution)


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    model.get_submodule(parent)._modules[own] = module
