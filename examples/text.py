"""Texts: search a network that reads them, and let it read new ones."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import nn

import supernet as sn
from supernet.data import Vocabulary


class Reader(nn.Module):
    """Embedded words, a layer that is open, and the mean over the words."""

    def __init__(self, vocabulary: int, classes: int, width: int = 32) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, width, padding_idx=0)
        convs = {f"conv{k}": nn.Conv1d(width, width, k, padding=k // 2) for k in (1, 3, 5)}
        self.layer = sn.Choice({**convs, "skip": nn.Identity()}, label="layer")
        self.head = nn.Linear(width, classes)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        mask = (tokens != 0).unsqueeze(1)
        hidden = self.layer(self.words(tokens).transpose(1, 2)).relu() * mask
        return self.head(hidden.sum(2) / mask.sum(2).clamp(min=1))


if __name__ == "__main__":
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/text")
    result = sn.run(
        Reader,
        "docstrings",  # or the path of a file of texts and labels
        strategy="spos",
        searcher="exhaustive",
        out=out,
        options={
            "train.optimizer": "AdamW",
            "train.optimizer.lr": 0.003,
            "train.steps": 300,
            "retrain.train.steps": 300,
        },
    )
    print(dict(result.architecture), result.metrics["test"]["chosen"])
    vocabulary = Vocabulary.read(out / "vocabulary.json")
    program = torch.export.load(out / "model.pt2").module()
    texts = ["Return the array with its axes reversed.", "Fit the classifier to samples."]
    logits = program(vocabulary.tokens(texts))
    print([vocabulary.classes[number] for number in logits.argmax(1).tolist()])
