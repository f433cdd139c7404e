"""What became of each module of a converted model, and why something of it is closed."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import cast

from torch import nn

from supernet.conversion.attributes import computed_notes, configured
from supernet.conversion.open_widths import Sizes, leaves
from supernet.conversion.sources import Source
from supernet.conversion.trace import OperatorTrace
from supernet.elastic.spec import elastic_spec
from supernet.modules.batches import Inputs

__all__ = ["Conversion", "Row", "conversion_of", "conversion_report"]


@dataclass(frozen=True)
class Row:
    """A row of the report: one module of the model, with what is open of it and what is closed.

    Attributes:
        name: name of the module.
        kind: name of its class.
        open: labels of the decisions that it follows.
        closed: reasons why something of it cannot be open.
    """

    name: str
    kind: str
    open: tuple[str, ...]
    closed: tuple[str, ...]


@dataclass(frozen=True)
class Conversion:
    """The report on a conversion, module by module.

    Attributes:
        rows: one row for each module with parameters, and for each sequence of modules.
        inputs: inputs of the model, in the sizes of the batch that it was followed on.
    """

    rows: tuple[Row, ...]
    inputs: Inputs


def conversion_of(model: nn.Module) -> Conversion | None:
    """Return what a converted model became; None of other models."""
    return cast(Conversion | None, model.__dict__.get("_conversion"))


def conversion_report(
    model: nn.Module,
    modules: Mapping[str, nn.Module],
    trace: OperatorTrace,
    sizes: Sizes,
    depths: Collection[str],
    refused: Mapping[str, str],
    read: Collection[Source],
) -> Conversion:
    """Return the report on a converted model.

    Args:
        model: model before it was opened.
        modules: opened modules, by name.
        trace: trace of the model.
        sizes: sizes of the axes.
        depths: names of sequences whose depth is open.
        refused: names of sequences and of convolutions, and why their depth or kernel is closed.
        read: attributes that the model's code reads.
    """
    rows = []
    stays = configured(model, trace, sizes)
    for name, module in modules.items():
        kind = getattr(type(module), "_ordinary", type(module)).__name__
        prefix = f"{name}." if name else ""
        dims = [
            dim
            for own, _ in itertools.chain(
                module.named_parameters(recurse=False), module.named_buffers(recurse=False)
            )
            for dim in trace.tensors.get(f"{prefix}{own}", ())
        ]
        found = elastic_spec(module)
        labels = [str(d.label) for d in found.dimensions] if found and dims else []
        if name in depths:
            labels.append(f"{name}.depth")
        closed = [dim for dim in dims if sizes.of(dim) is None]
        reasons = [axis.fixed for dim in closed for axis, _, _ in leaves(dim) if axis.fixed]
        if name in refused:
            reasons.append(refused[name])
        reasons += computed_notes(name, module, trace, sizes, read)
        reasons += stays.get(name, ())
        if labels or reasons:
            rows.append(
                Row(name, kind, tuple(dict.fromkeys(labels)), tuple(dict.fromkeys(reasons)))
            )
    return Conversion(tuple(rows), trace.inputs)
