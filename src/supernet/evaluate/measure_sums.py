"""Sums of measures over the batches of an evaluation, in the order in which they pass."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch

from supernet.errors import DivergedError, MeasureError
from supernet.evaluate.jackknife import pseudo_values
from supernet.failures import attempted
from supernet.task import Task, checked_figures

__all__ = ["MeasureSums", "Score"]

Score = dict[str, float]
"""The figures of a task over the examples: "loss", "accuracy" (0–1), ..."""


@dataclass
class MeasureSums:
    """The sums of what was measured of one candidate so far.

    Attributes:
        task: task that makes figures of the means.
        images: number of images that were measured.
        sums: sums by measure, `[...]`, of the batches one after the other, in double precision.
        each: measures of each example, `[images, ...]` for each batch; only where they are asked for.
        by: name of the measure that candidates are ranked by; the loss where a task has no other that is
            one number per example.
        whole: whether all measures of each example are kept, or the one that candidates are ranked by.
    """

    task: Task
    images: int = 0
    sums: dict[str, torch.Tensor] = field(default_factory=dict)
    each: list[dict[str, torch.Tensor]] | None = None
    by: str = "accuracy"
    whole: bool = False

    def add(self, measures: dict[str, torch.Tensor], images: int) -> None:
        """Add a batch."""
        self.images += images
        for name, values in measures.items():
            total = values.double().sum(0)
            self.sums[name] = self.sums[name] + total if name in self.sums else total
        if self.each is not None:
            ranked = measures.get(self.by)
            name = "loss" if ranked is None or ranked.ndim > 1 else self.by
            self.each.append(measures if self.whole else {name: measures[name]})

    def extend(self) -> MeasureSums:
        """Return a tally that goes on from here, and leaves this one as it is."""
        each = None if self.each is None else [*self.each]
        return replace(self, sums=dict(self.sums), each=each)

    def score(self) -> Score:
        """Return the figures, with one host synchronisation.

        Raises:
            DataError: the figures are none, see `checked_figures`.
            DivergedError: the loss is not a finite number.
            MeasureError: the loss is one, but another figure is not.
        """
        figures = checked_figures(self.task, self.means())
        device = self.sums["loss"].device
        values = torch.stack([one.to(device, torch.double) for one in figures.values()])
        score = dict(zip(figures, values.tolist(), strict=True))
        if not math.isfinite(score["loss"]):
            raise DivergedError(f"the loss on {self.images} examples is {score['loss']}")
        for name, figure in score.items():
            if not math.isfinite(figure):
                raise MeasureError(
                    f"the measure {name!r} on {self.images} examples is {figure}, though the loss is "
                    f"{score['loss']:.4g}"
                )
        return score

    def examples(self) -> torch.Tensor | None:
        """Return of each example what candidates are ranked by, `[images]`.

        None where that is no mean over examples, so that no example has a part of its own in it.
        """
        means = self.means()
        figures, by = self._figures(means)
        if self.each is None or figures[by] is not means.get(by):
            return None
        return torch.cat([batch[by] for batch in self.each]).float()

    def parts(self) -> torch.Tensor | None:
        """Return the part of each example in what candidates are ranked by, `[images]`.

        Where that is no mean over examples, these are pseudo-values, see `pseudo_values`, for which all
        measures must have been kept; None where there is no figure of fewer examples.
        """
        found = self.examples()
        if found is not None or not self.each or self.images < 2:
            return found
        measures = {name: torch.cat([batch[name] for batch in self.each]) for name in self.sums}

        def figure(means: Mapping[str, torch.Tensor]) -> torch.Tensor:
            figures, by = self._figures(means)
            return figures[by]

        parts = attempted(lambda: pseudo_values(figure, measures))
        return None if isinstance(parts, Exception) or not parts.isfinite().all() else parts

    def _figures(self, means: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], str]:
        """Return the figures of means, and the name of the one that candidates are ranked by."""
        figures = checked_figures(self.task, means)
        return figures, self.by if self.by in figures else "loss"

    def means(self) -> dict[str, torch.Tensor]:
        """Return the means of all measures, `[...]` each."""
        return {name: total / self.images for name, total in self.sums.items()}
