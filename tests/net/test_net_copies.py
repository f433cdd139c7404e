"""Networks are derived, split and exported also from models that keep what they computed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

import supernet as sn
from supernet.modules.copies import copied, kept_results
from supernet.net import split_supernet
from supernet.net.source import FromInstance


@dataclass
class Kind:
    """A class that a module refers to; its field has no value."""

    value: int


class Keeps(nn.Module):
    """Keeps a loss, and a map in a list that holds itself."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = sn.Choice({"a": nn.Linear(4, 4), "b": nn.Linear(4, 4)}, label="c")
        self.loss: torch.Tensor | None = None
        self.kept: list[object] = []
        self.kind = Kind

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layer(x)
        self.loss = y.square().mean()
        self.kept = [y, self.kept]
        self.kept.append(self.kept)
        return y


def test_results_that_a_model_keeps_do_not_hinder_copies():
    model, x = Keeps(), torch.randn(2, 4)
    supernet = sn.SuperNet(model)
    expected = supernet(x, {"c": "b"})
    assert {name for name, _ in kept_results(model)} == {"loss", "kept"}
    (expected.sum() + model.loss).backward()
    assert torch.equal(sn.derive(supernet, {"c": "b"})(x), expected)
    assert torch.equal(split_supernet(supernet, "c", "b")(x, {"c": "b"}), expected)
    assert FromInstance(model).build(0) is not model
    again = copied(model)
    assert torch.equal(again.loss, model.loss)
    assert again.loss.grad_fn is None
    assert again.kept[0].grad_fn is None
