"""Segmentation: a class of each pixel."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from supernet.errors import ConfigError, DataError
from supernet.task import counts
from supernet.task.base import Batch, Task, outputs_of

__all__ = ["Segmentation"]


class Segmentation(Task):
    """The model maps images to logits `[batch, classes, height, width]`.

    Targets are class numbers, int64 `[batch, height, width]`. Figures over the whole data set are
    "mean_iou" (intersection over union of the pixels of a class, the mean over classes that are
    predicted or targets) and "accuracy" (the share of pixels with the right class).

    A loss is the mean over all pixels of an image, where ignored ones count as 0: so losses of images,
    of parts of a batch and of batches are means of one another.

    Args:
        ignore: class number of pixels that do not count; null for none.
        class_weights: weight of the loss of each class, in training only; 1 if not given. "balanced"
            gives all classes that pixels of the training split have the same share of the loss.
        label_smoothing: share of the target mass spread over all classes, in training only.

    Raises:
        ConfigError: the smoothing is not in 0..1, or weights are no numbers of at least 0.
    """

    of_places = True
    mixes = False

    def __init__(
        self,
        ignore: int | None = 255,
        class_weights: counts.ClassWeights = None,
        label_smoothing: float = 0.0,
    ) -> None:
        if not 0 <= label_smoothing <= 1:
            raise ConfigError(f"label_smoothing must be in 0..1, not {label_smoothing}")
        self.ignore = ignore
        self.class_weights = counts.checked_class_weights(class_weights)
        self.label_smoothing = label_smoothing

    def outputs(self, targets: Tensor) -> int | None:
        """Return one more than the highest class number that is not ignored."""
        if targets.ndim != 3 or targets.dtype != torch.int64:
            return None
        counted = self._counted(targets)
        return int(counted.max()) + 1 if len(counted) else None

    def of_targets(self, targets: Tensor, classes: int | None) -> Segmentation:
        """Return the task with the weights that balance the classes, where these are asked for.

        Raises:
            ConfigError: they are, and targets are no class numbers.
        """
        if self.class_weights != "balanced":
            return self
        if classes is None or targets.ndim != 3 or targets.dtype != torch.int64:
            raise ConfigError(
                "task.class_weights 'balanced' counts how often each class is a target, but the targets "
                f"are {targets.dtype} {list(targets.shape)}, no class number of each pixel; leave it out"
            )
        self.check_targets(targets)
        found = copy.copy(self)
        found.class_weights = counts.balanced_weights(self._counted(targets), classes)
        return found

    def check_targets(self, targets: Tensor) -> None:
        """Refuse negative class numbers, but the ignored one."""
        lowest = int(targets.min())
        if lowest < 0 and lowest != self.ignore:
            raise DataError(
                f"segmentation needs class numbers from 0 on, but some targets are {lowest}; if these "
                f"are pixels to be ignored, give --task.ignore {lowest}"
            )

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the cross-entropy, a mean over all pixels.

        Raises:
            DataError: targets or logits have another shape or type.
        """
        logits, targets = _predicted(model, batch)
        weights = counts.weights_like("class_weights", self.class_weights, logits)
        return self._losses(logits, targets, weights, self.label_smoothing).mean()

    def distance(self, outputs: Tensor, teacher: Tensor) -> Tensor:
        """Return the cross-entropy with the probabilities of a teacher's logits, a mean over pixels."""
        return F.cross_entropy(outputs, teacher.softmax(1))

    def log_probabilities(self, outputs: Tensor) -> Tensor:
        """Return the logarithms of the classes' probabilities, `[batch * height * width, classes]`."""
        return outputs.movedim(1, -1).flatten(0, -2).log_softmax(1)

    def measure(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return "loss" `[batch]`, without weights and smoothing, and "counts" `[batch, 3, classes]`."""
        logits, targets = _predicted(model, batch)
        loss, classes = self._losses(logits, targets).flatten(1).mean(1), logits.shape[1]
        predicted = logits.argmax(1)
        if self.ignore is not None:  # beyond all classes, which is not counted
            ignored = targets == self.ignore
            targets, predicted = (one.masked_fill(ignored, classes) for one in (targets, predicted))
        found = counts.of_classes(predicted.flatten(1), targets.flatten(1), classes)
        return {"loss": loss, "counts": found}

    def figures(self, means: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the loss, "accuracy" and "mean_iou"."""
        found = means["counts"]
        return {
            "loss": means["loss"],
            "accuracy": counts.accuracy(found),
            "mean_iou": counts.iou(found),
        }

    def _counted(self, targets: Tensor) -> Tensor:
        """Return the class numbers of all pixels that are not ignored, `[n]`."""
        return targets.flatten() if self.ignore is None else targets[targets != self.ignore]

    def _losses(
        self, logits: Tensor, targets: Tensor, weights: Tensor | None = None, smoothing: float = 0.0
    ) -> Tensor:
        """Return the cross-entropy of each pixel, 0 of ignored ones, `[batch, height, width]`."""
        ignored = -100 if self.ignore is None else self.ignore  # PyTorch's default
        return F.cross_entropy(
            logits,
            targets,
            weights,
            ignore_index=ignored,
            reduction="none",
            label_smoothing=smoothing,
        )


def _predicted(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return logits and targets, checked (free of cost: no value is read).

    Raises:
        DataError: these are no logits `[batch, classes, height, width]` and class numbers
            `[batch, height, width]`.
    """
    targets = batch[-1]
    if targets.ndim != 3 or targets.dtype != torch.int64:
        advice = (
            "give targets.squeeze(1).long()"
            if targets.ndim == 4 and targets.shape[1] == 1
            else "give targets.argmax(1) if these are one number per class"
            if targets.ndim == 4
            else "give targets.long() if they are class numbers"
            if targets.ndim == 3
            else "use another task, such as classification for one class per image"
        )
        raise DataError(
            "segmentation needs a class number of each pixel, int64 [batch, height, width], but the "
            f"targets are {targets.dtype} {list(targets.shape)}; {advice}"
        )
    logits = outputs_of(model, batch)
    shape = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if not isinstance(logits, Tensor) or logits.ndim != 4 or len(logits) != len(targets):
        raise DataError(
            f"segmentation needs logits [batch, classes, height, width], but for targets "
            f"{list(targets.shape)} the model returned {shape}; return the logits alone"
        )
    if logits.shape[2:] != targets.shape[1:]:
        raise DataError(
            f"segmentation needs logits of the targets' height and width, but for targets "
            f"{list(targets.shape)} the model returned {shape}; let it end with "
            "torch.nn.functional.interpolate(logits, size=images.shape[2:], mode='bilinear')"
        )
    return logits, targets
