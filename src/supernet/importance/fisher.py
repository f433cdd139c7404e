"""The diagonal of the Fisher information, as that of the loss's second derivatives.

LeCun et al., "Optimal Brain Damage" (NeurIPS 1989): without a weight w, the loss of a trained model
grows by ½ w² · ∂²L/∂w². For a loss that is a negative log-likelihood, the mean second derivative is
about the Fisher information, the mean square of gradients (Theis et al., "Faster gaze prediction with
dense networks and Fisher pruning", 2018), so that

    I_j = Σ_w w² · F_w,    F_w = mean over examples x of E[ (∂ log p(y | x) / ∂w)² ]

over the weights w that multiply channel j (twice the growth of the loss), with y drawn from the model's
own distribution p(· | x): no labels are needed. As E[∂ log p / ∂w] = 0 under these, examples may be put
together: F_w is as well the mean of (Σ_x ∂ log p(y_x | x) / ∂w)² over parts of the batches, divided by
the examples of a part, and only the number of squares that are averaged is smaller. With given labels
that holds for parts of one example only (what is called the empirical Fisher).

The model runs in evaluation mode.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import torch
from torch import nn

from supernet.elastic.importance import Amounts, Importance
from supernet.elastic.spec import elastic_spec
from supernet.errors import ConfigError, DataError
from supernet.importance.measuring import (
    Given,
    checked_batches,
    explaining,
    gradients,
    read,
    standing_in,
)
from supernet.modules.calls import called
from supernet.modules.nested import cut_batch, tensors
from supernet.task import Classification, Task
from supernet.training_free.network import StandIn, first_output

__all__ = ["Fisher"]


class Fisher(Importance):
    """Σ w² · F_w with the diagonal of the Fisher information F, for which no labels are needed.

    Args:
        batches: iterable of inputs `[batch, ...]`, or of `(inputs, labels)` (several inputs need
            the tuple: `(first, second, None)`); some hundreds of examples.
        task: task that says what probabilities outputs stand for, and has the loss of given labels;
            classification if not given.
        labels: "drawn" from the model's own distribution, or those that are "given".
        part: number of examples whose gradients are added before they are squared. With given
            labels 1 gives the empirical Fisher; more take less time and are not the same.
        seed: seed of the labels that are drawn.

    Raises:
        ConfigError: an argument is out of range, the task knows no probabilities, or batches are none,
            at the latest when they are gone through.
        DataError: a batch has no labels where they are to be given, or is not what model and task take.
        DivergedError: a loss is not a finite number.
    """

    def __init__(
        self,
        batches: Iterable[Any],
        task: Task | None = None,
        labels: Literal["drawn", "given"] = "drawn",
        part: int = 1,
        seed: int = 0,
    ) -> None:
        if labels not in ("drawn", "given"):
            raise ConfigError(f"labels of Fisher are 'drawn' or 'given', not {labels!r}")
        if part < 1:
            raise ConfigError(f"a part of a batch has at least 1 example, not {part}")
        self.batches = checked_batches(batches)
        self.task = task or Classification()
        self.labels = labels
        self.part = part
        self.seed = seed

    def amounts(self, model: nn.Module) -> Iterator[Amounts]:
        """Yield w² · F_w, once."""
        examples = 0
        given = self.labels == "given"
        with standing_in(model, self.seed) as (stand_in, weights):
            squares = {
                own: torch.zeros_like(copy, dtype=torch.promote_types(copy.dtype, torch.float32))
                for own, copy in weights.items()
            }
            for whole in read(self.batches, model, labels=given, by="Fisher"):
                for inputs, labels, count in _parts(model, whole, self.part):
                    with explaining("Fisher", inputs):
                        loss = self._loss(stand_in, inputs, labels if given else None, count)
                        found = gradients(loss, weights, by="Fisher")
                    for own, gradient in found.items():
                        squares[own] += gradient.detach().to(squares[own].dtype).square()
                    examples += count
            yield {
                own: copy.detach().square() * squares[own] / examples
                for own, copy in weights.items()
            }

    def _loss(
        self, model: StandIn, inputs: tuple[Any, ...], labels: Any, count: int
    ) -> torch.Tensor:
        """Return the sum of the losses of examples."""
        if labels is not None:
            return count * self.task.loss(model, (*inputs, labels))
        try:
            logs = self.task.log_probabilities(first_output(called(model, inputs)))
        except ConfigError as error:
            raise ConfigError(
                f"Fisher draws labels from the probabilities of classes, but the task "
                f"{type(self.task).__name__} does not say which they are; give it a method "
                "log_probabilities(outputs), or use Fisher(labels='given'), or Taylor"
            ) from error
        if bool(logs.isnan().any()):
            return logs.sum()  # which is refused as no number
        drawn = torch.multinomial(logs.detach().exp(), 1)
        return -logs.gather(1, drawn).sum()


def _parts(model: nn.Module, whole: Given, size: int) -> Iterator[tuple[tuple[Any, ...], Any, int]]:
    """Yield the inputs of parts of a batch, their labels, and the number of their examples."""
    inputs, labels = whole
    known = elastic_spec(model)
    told = None if known is None else known.example
    if told is not None and told.fit(inputs):
        pairs = zip(tensors(inputs), told.batched, strict=False)
        rows = next(len(tensor) for tensor, batched in pairs if batched)
    else:
        told, rows = None, next((len(tensor) for tensor in tensors(inputs) if tensor.ndim), 0)
    if not rows:
        raise DataError(
            "a batch for the importance Fisher has no examples; give at least one in each"
        )
    count = math.ceil(rows / size)
    parts = cut_batch(inputs, count) if told is None else told.cut(inputs, count)
    sizes = [len(part) for part in torch.empty(rows).tensor_split(count)]
    yield from zip(parts, cut_batch(labels, count), sizes, strict=True)
