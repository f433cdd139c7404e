"""Data sets that can only be gone through, kept on disk so that examples have an index."""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from supernet.data.labels import LabelNames
from supernet.data.packed import Layout
from supernet.data.pairs import LABEL, pairs_of, stacked
from supernet.data.several import Values
from supernet.errors import DataError

__all__ = ["spooled"]


def spooled(
    dataset: IterableDataset[Any], name: str, label: str = LABEL, names: LabelNames | None = None
) -> Dataset[Any]:
    """Go through a data set once, and return one that has its examples by index, on disk.

    They lie in a file in the folder of temporary files (`TMPDIR`) that has no name any more, so its
    space is free again when the process ends. It takes what all inputs take, and no memory.

    Raises:
        DataError: see `pairs_of`; or two inputs differ in shape or type.
        OSError: the disk is full.
    """
    shape: tuple[int, ...] = ()
    dtype, labels = torch.uint8, list[Tensor]()
    layout: Layout | None = None
    with tempfile.NamedTemporaryFile() as file:
        for number, (given, target) in enumerate(pairs_of(dataset, name, label, names)):
            if not labels and not isinstance(given, Tensor):
                layout = Layout.of(given)
            where = f"{name}, example {number}"
            found = given if layout is None else layout.packed(given, where)
            if not isinstance(found, Tensor):
                raise DataError(f"{where} has several inputs, but the first has one")
            if not labels:
                shape, dtype = tuple(found.shape), found.dtype
            if (tuple(found.shape), found.dtype) != (shape, dtype):
                raise DataError(
                    f"{where} is {found.dtype} {list(found.shape)}, but the first is "
                    f"{dtype} {list(shape)}; let its transform give all the same shape and type"
                )
            file.write(found.contiguous().reshape(-1).view(torch.uint8).numpy().data)
            labels.append(target)
        file.flush()
        size = len(labels) * int(np.prod(shape, dtype=np.int64))
        mapped = torch.from_file(file.name, shared=False, size=size, dtype=dtype)
    targets = stacked(labels, name)
    return _Spooled(mapped.view(len(labels), *shape), targets, layout, names or LabelNames())


class _Spooled(Dataset[tuple[Values, Any]]):
    def __init__(
        self, inputs: Tensor, targets: Tensor, layout: Layout | None, names: LabelNames
    ) -> None:
        self._inputs = inputs
        self._names = names
        self._layout = layout
        self.targets = targets

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Values, Any]:
        row = self._inputs[index]
        label = self._names.given(self.targets[index])
        return row if self._layout is None else self._layout.unpacked(row), label
