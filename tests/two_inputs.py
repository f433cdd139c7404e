"""A small space of tokens with a mask, whose model takes the two by position or by name."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import Dataset

import supernet as sn

LENGTH, WORDS, WIDTH = 6, 20, 8


class Masked(nn.Module):
    """The mean of the tokens that a mask leaves, between two choices; batch norm in the middle."""

    def __init__(self, shapes=None, classes: int = 3):
        super().__init__()
        self.shapes = shapes
        self.table = nn.Embedding(WORDS, WIDTH)
        wide = nn.Sequential(nn.Linear(WIDTH, 16), nn.ReLU(), nn.Linear(16, WIDTH))
        self.first = sn.Choice({"wide": wide, "slim": nn.Linear(WIDTH, WIDTH)}, label="first")
        self.norm = nn.BatchNorm1d(WIDTH)
        self.second = sn.Choice(
            {"linear": nn.Linear(WIDTH, WIDTH), "tanh": nn.Tanh()}, label="second"
        )
        self.head = nn.Linear(WIDTH, classes)

    def forward(self, tokens, mask):
        x = self.first(self.table(tokens))
        weights = mask.unsqueeze(-1).to(x.dtype)
        mean = (x * weights).sum(1) / weights.sum(1)
        return self.head(self.second(self.norm(mean)))


def examples(count: int = 120):
    """Return tokens, masks and labels of which the first token tells."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, WORDS, (count, LENGTH), generator=generator)
    mask = torch.rand(count, LENGTH, generator=generator) < 0.7
    mask[:, 0] = True
    return tokens, mask, tokens[:, 0] % 3


class Rows(Dataset):
    """The examples one by one, inputs by name, their labels listed."""

    def __init__(self):
        self.tokens, self.mask, labels = examples()
        self.targets = labels.tolist()

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        inputs = {"mask": self.mask[index], "tokens": self.tokens[index]}
        return {**inputs, "label": self.targets[index]}
