"""Classification with cross-entropy, of further classifiers too."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional as F

from supernet.errors import ConfigError, DataError
from supernet.task import counts
from supernet.task.base import Batch, Task, outputs_of

__all__ = ["Classification"]


class Classification(Task):
    """The model maps inputs to logits `[batch, classes]`; targets are class indices `[batch]`.

    A model may return a tuple: first its logits, then those of auxiliary classifiers, which help to
    train its middle and are used for nothing else (Szegedy et al., "Going Deeper with Convolutions",
    CVPR 2015).

    Args:
        label_smoothing: share of the target mass spread over all classes, in training only.
        auxiliary: weight of the loss of each auxiliary classifier (in DARTS 0.4).
        class_weights: weight of the loss of each class, in training only; 1 if not given. The loss is
            the mean over examples (PyTorch's is divided by the sum of the weights of a batch).
            "balanced" gives all classes of the training split the same share of the loss.
        by_class: whether to report "f1" and "balanced_accuracy" besides, means over classes: of F1 over
            those that are predicted or targets, and of recall over those that are targets.

    Raises:
        ConfigError: the smoothing is not in 0..1, or a weight negative.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        auxiliary: float = 0.4,
        class_weights: counts.ClassWeights = None,
        by_class: bool = False,
    ) -> None:
        if not 0 <= label_smoothing <= 1:
            raise ConfigError(f"label_smoothing must be in 0..1, not {label_smoothing}")
        if not 0 <= auxiliary < math.inf:
            raise ConfigError(f"auxiliary is the weight of a loss, at least 0, not {auxiliary}")
        self.label_smoothing = label_smoothing
        self.auxiliary = auxiliary
        self.class_weights = counts.checked_class_weights(class_weights)
        self.by_class = by_class

    @property
    def optional_figures(self) -> dict[str, str]:
        """Figures by class, where `by_class` is false."""
        names = () if self.by_class else ("f1", "balanced_accuracy")
        return dict.fromkeys(names, "--task.by_class true")

    def of_targets(self, targets: torch.Tensor, classes: int | None) -> Classification:
        """Return the task with the weights that balance the classes, where these are asked for.

        Raises:
            ConfigError: they are, and targets are no class numbers.
        """
        if self.class_weights != "balanced":
            return self
        if classes is None or targets.ndim != 1 or targets.dtype != torch.int64:
            raise ConfigError(
                "task.class_weights 'balanced' counts how often each class is a target, but the targets "
                f"are {targets.dtype} {list(targets.shape)}, no class number of each example; leave it "
                f"out. For the task itself: {_advice(targets)}"
            )
        found = copy.copy(self)
        found.class_weights = counts.balanced_weights(targets, classes)
        return found

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Return the mean cross-entropy, and that of auxiliary classifiers times their weight.

        Targets may also be shares of the classes, `[batch, classes]`, as mixed examples have them.

        Raises:
            DataError: targets or logits have another shape or type.
        """
        targets = batch[-1]
        logits, *further = _outputs(outputs_of(model, batch), targets, shares=True)
        loss = self._loss(logits, targets)
        for other in further:
            loss = loss + self.auxiliary * self._loss(other, targets)
        return loss

    def _loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        smoothing, weights = self.label_smoothing, self.class_weights
        if weights is None:
            return F.cross_entropy(logits, targets, label_smoothing=smoothing)
        each = counts.weights_like("class_weights", weights, logits)
        losses = F.cross_entropy(logits, targets, each, reduction="none", label_smoothing=smoothing)
        return losses.mean()

    def distance(self, outputs: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy of logits with the probabilities of a teacher's logits."""
        return F.cross_entropy(outputs, teacher.softmax(1))

    def log_probabilities(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return the logarithms of the classes' probabilities, `[batch, classes]`."""
        return outputs.log_softmax(1)

    def measure(self, model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        """Return the cross-entropy (without smoothing or weights) and whether the prediction is right.

        With `by_class` also "counts" `[batch, 3, classes]`.
        """
        targets = batch[-1]
        logits = _outputs(outputs_of(model, batch), targets)[0]
        predicted = logits.argmax(1)
        measures = {
            "loss": F.cross_entropy(logits, targets, reduction="none"),
            "accuracy": (predicted == targets).to(logits.dtype),
        }
        if self.by_class:
            measures["counts"] = counts.of_classes(predicted, targets, logits.shape[1])
        return measures

    def figures(self, means: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        """Return loss and accuracy, and with `by_class` "f1" and "balanced_accuracy"."""
        if not self.by_class:
            return means
        figures = {name: value for name, value in means.items() if name != "counts"}
        found = means["counts"]
        return {**figures, "f1": counts.f1(found), "balanced_accuracy": counts.recall(found)}


def _outputs(returned: object, targets: torch.Tensor, shares: bool = False) -> list[torch.Tensor]:
    """Return the logits that the model returned, one or several, checked.

    Args:
        returned: value that the model returned.
        targets: class numbers `[batch]`.
        shares: whether targets may be shares of the classes, too, `[batch, classes]`.

    Raises:
        DataError: these are no logits.
    """
    outputs = []
    for logits in returned if isinstance(returned, tuple) and returned else (returned,):
        if not isinstance(logits, torch.Tensor):
            raise DataError(
                "classification needs logits [batch, classes], or a tuple of them, but the model "
                f"returned {type(logits).__name__}"
            )
        if not (shares and targets.is_floating_point() and targets.shape == logits.shape):
            _check(logits, targets)
        outputs.append(logits)
    if any(logits.shape != outputs[0].shape for logits in outputs):
        raise DataError(
            "the further outputs of a model are the logits of auxiliary classifiers, of the same "
            f"classes, but it returned {', '.join(str(list(logits.shape)) for logits in outputs)}; "
            "return nothing else besides, or use a task of your own"
        )
    return outputs


def _advice(targets: torch.Tensor) -> str:
    """Say what to do with targets that are no class numbers."""
    whole = not targets.is_floating_point() or bool((targets == targets.round()).all())
    if targets.ndim == 2 and targets.shape[1] == 1 and whole:
        return "give targets.squeeze(1).long() if this column holds class numbers"
    if targets.ndim == 2 and bool(((targets == 0) | (targets == 1)).all()):
        if bool((targets.sum(1) == 1).all()):
            return (
                "where exactly one class of each example is 1, give targets.argmax(1); where several "
                "may be, use the task multilabel"
            )
        return "several labels of an example may be 1 here, or none: use the task multilabel"
    if targets.is_floating_point():
        return "for numbers to be predicted use the task regression"
    if targets.ndim == 3:
        return "for a class of each pixel use the task segmentation"
    return "use another task, such as supernet.task.LanguageModel for text to be continued"


def _check(logits: torch.Tensor, targets: torch.Tensor) -> None:
    """Check shapes and types (free of cost: no value is read).

    Raises:
        DataError: these are not logits `[batch, classes]` and class numbers `[batch]`.
    """
    if targets.ndim != 1 or targets.dtype != torch.int64:
        raise DataError(
            f"classification needs one class number per example, int64 [batch], but the targets are "
            f"{targets.dtype} {list(targets.shape)}; {_advice(targets)}"
        )
    if logits.ndim != 2 or len(logits) != len(targets):
        raise DataError(
            f"classification needs logits [batch, classes], but for {len(targets)} examples the model "
            f"returned {list(logits.shape)}"
        )
