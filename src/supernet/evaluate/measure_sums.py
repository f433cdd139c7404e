"""Sums of measures over the batches of an evaluation, in the order in which they pass."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import torch

from supernet.errors import DivergedError, MeasureError

__all__ = ["MeasureSums", "RankedBy", "Score"]

RankedBy = Literal["accuracy", "loss"]
"""Measures that candidates may be ranked by."""

Score = dict[str, float]
"""Means over the examples, by measure: "loss", "accuracy" (0–1), ..."""


@dataclass
class MeasureSums:
    """The sums of what was measured of one candidate so far.

    Attributes:
        images: number of images that were measured.
        sums: sums by measure, of the batches one after the other, in double precision.
        each: measure that candidates are ranked by, one tensor `[images]` for each batch; only
            where it is asked for.
        by: name of this measure; the loss where a task has no other.
    """

    images: int = 0
    sums: dict[str, torch.Tensor] = field(default_factory=dict)
    each: list[torch.Tensor] | None = None
    by: RankedBy = "accuracy"

    def add(self, measures: dict[str, torch.Tensor], images: int) -> None:
        """Add a batch."""
        self.images += images
        for name, values in measures.items():
            total = values.double().sum()
            self.sums[name] = self.sums[name] + total if name in self.sums else total
        if self.each is not None:
            self.each.append(measures[self.by if self.by in measures else "loss"].float())

    def extend(self) -> MeasureSums:
        """Return a tally that goes on from here, and leaves this one as it is."""
        return MeasureSums(
            self.images,
            dict(self.sums),
            None if self.each is None else [*self.each],
            self.by,
        )

    def score(self) -> Score:
        """Return the means, with one host synchronisation.

        Raises:
            DivergedError: the loss is not a finite number.
            MeasureError: the loss is one, but another measure is not.
        """
        means = (torch.stack(list(self.sums.values())) / self.images).tolist()
        score = dict(zip(self.sums, means, strict=True))
        if not math.isfinite(score["loss"]):
            raise DivergedError(f"the loss on {self.images} examples is {score['loss']}")
        for name, mean in score.items():
            if not math.isfinite(mean):
                raise MeasureError(
                    f"the measure {name!r} on {self.images} examples is {mean}, though the loss is "
                    f"{score['loss']:.4g}"
                )
        return score
