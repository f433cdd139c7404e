"""The damage of an architecture is the importance of the channels that it lacks."""

from __future__ import annotations

import pytest
import torch
from importance_models import Branches, converted, made, measured
from torch import nn

import supernet as sn
from supernet import elastic as el
from supernet.importance import L1, Damage, Taylor
from supernet.space import Architecture


def test_damage_adds_up_what_is_narrower():
    model, batches = made(Branches)
    importance = Taylor(batches)
    found = measured(model, batches, importance)
    supernet = sn.SuperNet(converted(model, batches))
    damage = Damage(supernet, importance)
    assert supernet.space.labels == {"first", "wide"}
    for architecture in supernet.space:
        first, wide = architecture["first"], architecture["wide"]
        expected = found["first"][first:].sum() + found["wide"][wide:].sum()
        assert damage.of(architecture) == pytest.approx(float(expected), rel=1e-6, abs=1e-12)


def test_a_block_that_is_left_out_lacks_its_channels():
    torch.manual_seed(0)
    inner = [el.Dimension(f"inner{n}", [2, 4]) for n in range(2)]
    w = el.Dimension("width", [4, 6])
    blocks = [nn.Sequential(el.Linear(w, d), nn.ReLU(), el.Linear(d, w)) for d in inner]
    body = el.depth(blocks, [1, 2], "depth")
    supernet = sn.SuperNet(nn.Sequential(el.Linear(5, w), body, el.Linear(w, 3)))
    damage = Damage(supernet, L1())
    first, second = (block[2].weight.detach().abs().sum(0) for block in blocks)
    out = supernet.model[2].weight.detach().abs().sum(0)
    entering = sum(block[0].weight.detach().abs().sum(0) for block in blocks)
    whole = {"width": 6, "depth": 2, "inner0": 4, "inner1": 4}
    assert damage.of(Architecture(whole)) == 0
    shallow = Architecture({"width": 6, "depth": 1, "inner0": 2})
    expected = float(first[2:].sum() + second.sum())
    assert damage.of(shallow) == pytest.approx(expected, rel=1e-5)
    narrow = Architecture({**whole, "width": 4})
    assert damage.of(narrow) == pytest.approx(float((out + entering)[4:].sum()), rel=1e-5)


def test_sizes_that_follow_others_are_counted_once():
    w = el.Dimension("width", [2, 4])
    twice = el.ScaledSize(w, 2)
    supernet = sn.SuperNet(nn.Sequential(el.Linear(5, w), el.Linear(w, twice), el.Linear(twice, 3)))
    damage = Damage(supernet, L1())
    middle, last = (supernet.model[n].weight.detach().abs().sum(0) for n in (1, 2))
    expected = float(middle[2:].sum() + last[4:].sum())
    assert damage.of(Architecture({"width": 2})) == pytest.approx(expected, rel=1e-5)
