"""A model that is converted again, elsewhere in memory, is the same space with the same costs."""

from __future__ import annotations

import pytest
import torch

import supernet as sn
from supernet.cost import measure_costs
from supernet.zoo.resnet import ResNet


@pytest.mark.slow
def test_costs_of_a_model_that_is_converted_again_are_known_again():
    example = torch.zeros(2, 1, 8, 8)
    kept = []  # so that no conversion gets the memory of another
    for _ in range(4):
        model = sn.convert(ResNet(image=(1, 8, 8), widths=(16, 32), blocks=2), example)
        kept.append(sn.SuperNet(model))
    digests = [
        {name: table.digest for name, table in measure_costs(one, example[:1]).items()}
        for one in kept
    ]
    assert all(found == digests[0] for found in digests)
