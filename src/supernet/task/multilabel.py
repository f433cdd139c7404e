"""Several labels of an example, each of which holds or does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from supernet.errors import ConfigError, DataError
from supernet.task import counts
from supernet.task.base import Batch, Task, outputs_of

__all__ = ["MultiLabel"]


class MultiLabel(Task):
    """The model maps inputs to logits `[batch, labels]`; targets are 0 or 1, `[batch, labels]`.

    A label is predicted where its logit is above 0. Figures over the whole data set are "f1_micro" (of
    all labels together), "f1_macro" (the mean over labels that occur or are predicted), "exact" (the
    share of examples with all labels right), and means over labels of "average_precision" and "auroc",
    for which logits are sorted into bins: what lies in one bin is taken to score alike.

    Args:
        positive_weights: weight of the loss where a label holds, for each label; 1 if not given.
        bins: number of bins, of equal width in the sigmoid of a quarter of the logit, which tells small
            probabilities apart; 0 leaves out the two figures that need them.

    Raises:
        ConfigError: weights are no numbers of at least 0, or the bins are 1 or negative.
    """

    mixes = False

    def __init__(self, positive_weights: Sequence[float] | None = None, bins: int = 200) -> None:
        if bins < 0 or bins == 1:
            raise ConfigError(f"bins must be at least 2, or 0 for no ranking of labels, not {bins}")
        self.positive_weights = counts.checked_weights("positive_weights", positive_weights)
        self.bins = bins

    @property
    def optional_figures(self) -> dict[str, str]:
        """Figures by thresholds, where there are no bins."""
        names = () if self.bins else ("average_precision", "auroc")
        return dict.fromkeys(names, "--task.bins 200")

    def outputs(self, targets: Tensor) -> int | None:
        """Return the number of labels."""
        return targets.shape[1] if targets.ndim == 2 else None

    def check_targets(self, targets: Tensor) -> None:
        """Refuse targets that are neither 0 nor 1."""
        if not bool(((targets == 0) | (targets == 1)).all()):
            raise DataError(
                "multilabel needs for each label 0 or 1, but targets go from "
                f"{targets.min().item():g} to {targets.max().item():g}; give (targets > 0).float(), or "
                "use the task regression for numbers"
            )

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the binary cross-entropy, a mean over examples and labels.

        Raises:
            DataError: targets or logits have another shape or type.
        """
        logits, targets = _predicted(model, batch)
        weights = counts.weights_like("positive_weights", self.positive_weights, logits)
        return F.binary_cross_entropy_with_logits(logits, targets, pos_weight=weights)

    def distance(self, outputs: Tensor, teacher: Tensor) -> Tensor:
        """Return the binary cross-entropy with the probabilities of a teacher's logits."""
        return F.binary_cross_entropy_with_logits(outputs, teacher.sigmoid())

    def log_probabilities(self, outputs: Tensor) -> Tensor:
        """Return the logarithms of the probabilities of each label, `[batch * labels, 2]`."""
        return torch.stack([F.logsigmoid(-outputs), F.logsigmoid(outputs)], -1).flatten(0, 1)

    def measure(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return "loss" (without weights) and "exact" `[batch]`, and counts by label.

        "counts" are `[batch, 3, labels]`, and "scores" `[batch, labels, 2, bins]`: how often a logit is
        in a bin, for labels that do not hold and that do.
        """
        logits, targets = _predicted(model, batch)
        predicted = (logits > 0).to(targets.dtype)
        loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(1)
        measures = {
            "loss": loss,
            "exact": (predicted == targets).all(1).to(loss.dtype),
            "counts": torch.stack([predicted * targets, predicted, targets], 1),
        }
        if self.bins:
            measures["scores"] = _histogram(logits, targets, self.bins)
        return measures

    def figures(self, means: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the loss and the figures that the class names."""
        figures = {
            "loss": means["loss"],
            "exact": means["exact"],
            "f1_micro": counts.f1(means["counts"], micro=True),
            "f1_macro": counts.f1(means["counts"]),
        }
        if self.bins:
            absent, present = means["scores"].unbind(1)
            figures["average_precision"] = _average_precision(absent, present)
            figures["auroc"] = _auroc(absent, present)
        return figures


def _histogram(logits: Tensor, targets: Tensor, bins: int) -> Tensor:
    """Return in which bin each logit is, `[batch, labels, 2, bins]`; see `MultiLabel`."""
    place = ((logits / 4).sigmoid().nan_to_num() * bins).long().clamp(max=bins - 1)
    place = place + bins * targets.long()
    found = torch.zeros(*logits.shape, 2 * bins, device=logits.device)
    return found.scatter_(2, place.unsqueeze(2), 1).view(*logits.shape, 2, bins)


def _average_precision(absent: Tensor, present: Tensor) -> Tensor:
    """Return Σ (R_n - R_{n-1}) P_n over falling thresholds, a mean over labels that hold somewhere.

    Args:
        absent: share of examples in each bin for which the label does not hold, `[labels, bins]`.
        present: the same of those for which it holds.
    """
    falling = present.flip(1)
    above = falling.cumsum(1)
    precision = above / (above + absent.flip(1).cumsum(1)).clamp(min=torch.finfo(above.dtype).tiny)
    return counts.mean_ratio((falling * precision).sum(1), present.sum(1))


def _auroc(absent: Tensor, present: Tensor) -> Tensor:
    """Return the probability that a label scores higher where it holds, a mean over labels.

    Equal bins count half. Labels that hold everywhere or nowhere are left out; 0.5 where all do.

    Args:
        absent: share of examples in each bin for which the label does not hold, `[labels, bins]`.
        present: the same of those for which it holds.
    """
    below = absent.cumsum(1) - absent / 2
    pairs = present.sum(1) * absent.sum(1)
    found = counts.mean_ratio((present * below).sum(1), pairs)
    return torch.where((pairs > 0).any(), found, 0.5)


def _predicted(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return logits, and targets of their type, checked (free of cost: no value is read).

    Raises:
        DataError: these are no logits and targets `[batch, labels]`.
    """
    targets = batch[-1]
    if targets.ndim != 2:
        advice = (
            "for one class number per example use the task classification"
            if targets.ndim == 1
            else "for a class of each pixel use the task segmentation, or another task"
        )
        raise DataError(
            "multilabel needs for each label 0 or 1, targets [batch, labels], but the targets are "
            f"{targets.dtype} {list(targets.shape)}; {advice}"
        )
    logits = outputs_of(model, batch)
    shape = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if shape != list(targets.shape):
        raise DataError(
            f"multilabel needs logits [batch, labels], but for targets {list(targets.shape)} the model "
            f"returned {shape}; give it {targets.shape[1]} outputs, such as --model.classes "
            f"{targets.shape[1]}"
        )
    return logits, targets.to(logits.dtype)
