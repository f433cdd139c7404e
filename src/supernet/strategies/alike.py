"""Options that are built alike share their weights at first: CLOSE.

Zhou et al., "CLOSE: Curriculum Learning On the Sharing Extent Towards Better One-shot NAS" (ECCV 2022).
In a cell every edge has a convolution of its own, which is trained only as often as a path takes it
there, while what has no weights is good at once; so convolutions stay behind, and the supernet ranks
them below. In CLOSE operations are assigned to blocks of weights, of which there are few at first, and
then more and more. Here there are two stages: for a share of the steps all options that are built alike
have the same weights, each of which learns from all places, and from then on each goes on from there by
itself.

Differences: two stages instead of several, alike in the kind of the operation instead of by a learned
assignment; the statistics of batch norm are never shared, as candidates are scored with their own; and
`train.clip` sees a shared gradient once for each place.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Literal

import torch
from torch import nn

from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.strategies.base import Strategy, TrainingContext
from supernet.strategies.wrapped import Wrapped
from supernet.task import Batch, Task
from supernet.train import Moment

__all__ = ["Alike", "Among", "check_alike"]

Among = Literal["module", "model"]
"""Where options that are built alike share their weights: within each module that holds their choices,
as the edges of one cell, or in the whole model, as those of all cells of a stage."""


class Alike(Wrapped):
    """A strategy under which options that are built alike have the same weights at first.

    Args:
        strategy: strategy that trains.
        until: share of the steps after which each has weights of its own, in (0, 1].
        among: where they share their weights.
    """

    def __init__(self, strategy: Strategy, until: float, among: Among = "module") -> None:
        super().__init__(strategy)
        self.adds = False  # it adds up what is there after a whole batch
        self._until = until
        self._among = among
        self._alike: list[list[nn.Parameter]] = []

    def prepare(self, supernet: SuperNet, setting: TrainingContext) -> None:
        """Get the strategy ready, and give what is built alike the same weights.

        Raises:
            ConfigError: see `check_alike`.
        """
        super().prepare(supernet, setting)
        self._alike = check_alike(supernet, self._among)
        with torch.no_grad():
            for first, *others in self._alike:
                for parameter in others:
                    parameter.copy_(first)

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Add the strategy's gradients: of shared weights the sum over all places."""
        loss = super().backward(model, task, batch, moment)
        if moment.step < self._until * moment.steps:
            for alike in self._alike:
                used = [p.grad for p in alike if p.grad is not None]
                if used:
                    total = torch.stack(used).sum(0)
                    for parameter in alike:
                        parameter.grad = total.clone()
        return loss


def check_alike(supernet: SuperNet, among: Among) -> list[list[nn.Parameter]]:
    """Return the parameters that stand for each other, of two or more options that are built alike.

    Raises:
        ConfigError: no two options with weights are built alike.
    """
    names = {module: name for name, module in supernet.model.named_modules()}
    options: dict[Hashable, list[list[nn.Parameter]]] = {}
    for choice in supernet.choices:
        # The edges of a cell lie in a list, so what holds the list holds them.
        holder = names[choice].rpartition(".")[0] if among == "module" else ""
        for option in choice.options:
            learned = [p for p in option.parameters() if p.requires_grad]
            shapes = tuple((p.shape, p.dtype) for p in learned)
            options.setdefault((holder, type(option), repr(option), shapes), []).append(learned)
    # A module may lie in several choices.
    groups = [
        list(dict.fromkeys(same)) for group in options.values() for same in zip(*group, strict=True)
    ]
    alike = [group for group in groups if len(group) > 1]
    if not alike:
        where, more = "in the model", ""
        if among == "module":
            where, more = "within a module", "--sharing.among model, or "
        raise ConfigError(
            "sharing.until lets options that are built alike share their weights at first, but no two "
            f"options with weights are {where}; give {more}--sharing.until 0"
        )
    return alike
