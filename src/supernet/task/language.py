"""Language models: what comes next in a text."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from supernet.errors import DataError
from supernet.task.base import Batch, Task, outputs_of

__all__ = ["LanguageModel"]


class LanguageModel(Task):
    """The model maps tokens `[batch, length]` to logits `[batch, length, vocabulary]`.

    Targets are the tokens that come next, `[batch, length]`. All texts of a data set are equally long,
    so a mean over texts of what is measured is the mean over their tokens.

    There is no "accuracy" among the measures, so candidates are ranked by their loss: it looks at the
    whole distribution of the next token, and tells models apart that guess equally often right. The
    perplexity is exp(loss); it is no mean over texts, so it is no measure either.
    """

    mixes = False

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Return the mean cross-entropy of a token, in nats.

        Raises:
            DataError: targets or logits have another shape or type.
        """
        return _losses(*_predicted(model, batch)).mean()

    def distance(self, outputs: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy with the probabilities of a teacher's logits, a mean over tokens."""
        return F.cross_entropy(outputs.flatten(0, 1), teacher.flatten(0, 1).softmax(1))

    def log_probabilities(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return the logarithms of the next token's probabilities, `[batch * length, vocabulary]`."""
        return outputs.flatten(0, 1).log_softmax(1)

    def measure(self, model: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        """Return means over the tokens of a text, each `[batch]`.

        "loss" is the cross-entropy in nats, "bits_per_character" the same in bits (a token is
        a character there), and "correct" the share
        of tokens (0-1) that are the most probable one.
        """
        logits, targets = _predicted(model, batch)
        loss = _losses(logits, targets).mean(1)
        correct = (logits.argmax(2) == targets).to(logits.dtype).mean(1)
        return {"loss": loss, "bits_per_character": loss / math.log(2), "correct": correct}


def _losses(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of each token, `[batch, length]`."""
    losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return losses.view_as(targets)


def _predicted(model: nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits and targets, checked (free of cost: no value is read).

    Raises:
        DataError: these are no logits `[batch, length, vocabulary]` and tokens `[batch, length]`.
    """
    targets = batch[-1]
    if targets.ndim != 2 or targets.dtype != torch.int64:
        raise DataError(
            f"a language model needs the next tokens, int64 [batch, length], but the targets are "
            f"{targets.dtype} {list(targets.shape)}; use the data set `characters`, or another task"
        )
    logits = outputs_of(model, batch)
    shape = list(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    if not isinstance(logits, torch.Tensor) or logits.ndim != 3 or shape[:2] != [*targets.shape]:
        raise DataError(
            f"a language model gives logits [batch, length, vocabulary], but for targets "
            f"{list(targets.shape)} the model returned {shape}; use the space `gpt`, or another task"
        )
    return logits, targets
