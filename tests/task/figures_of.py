"""Figures of a task over a data set that is measured batch by batch, as an evaluation does."""

import torch
from torch import nn

from supernet.evaluate.measure_sums import MeasureSums
from supernet.task import checked_measures


class Given(nn.Module):
    """A model that returns what it is given."""

    def forward(self, outputs):
        return outputs


def figures_of(task, outputs, targets, batch_size=7):
    """Return the figures of outputs, which are measured in batches of unequal sizes."""
    tally = MeasureSums(task)
    for one, other in zip(outputs.split(batch_size), targets.split(batch_size), strict=True):
        tally.add(checked_measures(task, Given(), (one, other)), len(other))
    return tally.score()


def in_parts(task, outputs, targets, parts=3):
    """Return the loss of a whole batch, and the mean of the losses of equal parts of it."""
    whole = task.loss(Given(), (outputs, targets)).item()
    pairs = zip(outputs.chunk(parts), targets.chunk(parts), strict=True)
    return whole, torch.stack([task.loss(Given(), pair) for pair in pairs]).mean().item()
