"""A small space of both kinds: sizes that are open, and choices between operations."""

import torch
from torch import nn

from supernet import elastic as el
from supernet.choice import Choice
from supernet.cost import measure_costs
from supernet.net import SuperNet
from supernet.strategies import TrainingContext
from supernet.train import Moment

BATCH = (
    torch.randn(16, 1, 6, 6, generator=torch.Generator().manual_seed(0)),
    torch.arange(16) % 3,
)
MOMENT = Moment(3, 10, 4)


class Mixed(nn.Module):
    """Two widths, a kernel, a depth, and a choice that holds a width of its own."""

    def __init__(self, dropout=0.0):
        super().__init__()
        width, inner = el.Dimension("width", [2, 4, 6]), el.Dimension("inner", [2, 3, 4, 5])
        self.stem = nn.Sequential(
            el.Conv2d(1, width, el.Dimension("kernel", [1, 3, 5])), el.BatchNorm2d(width)
        )
        deep = nn.Sequential(el.Conv2d(width, inner, 1), nn.ReLU(), el.Conv2d(inner, width, 1))
        self.op = Choice({"deep": deep, "pool": nn.AvgPool2d(3, 1, 1)}, label="op")
        blocks = [nn.Sequential(el.Conv2d(width, width, 1), nn.ReLU()) for _ in range(3)]
        self.blocks = el.depth(blocks, [1, 2, 3], "depth")
        self.dropout = nn.Dropout(dropout)
        self.head = el.Linear(width, 3)

    def forward(self, images):
        x = self.blocks(self.op(self.stem(images).relu()))
        return self.head(self.dropout(x.mean((2, 3))))


def made(kind, dropout=0.0, **arguments):
    """Return a strategy and the supernet that it is ready for."""
    torch.manual_seed(0)
    supernet, strategy = SuperNet(Mixed(dropout)).train(), kind(**arguments)
    strategy.prepare(supernet, TrainingContext(4, measure_costs(supernet, BATCH[0][:1])))
    return strategy, supernet
