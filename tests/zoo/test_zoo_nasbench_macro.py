"""NAS-Bench-Macro's space costs what its published table says and holds as many networks."""

from __future__ import annotations

import pytest
import torch

from supernet.cost import measure_costs
from supernet.net import SuperNet
from supernet.zoo.nasbench_macro import NASBenchMacro

PUBLISHED = {
    "00000000": (387_882, 7_713_280),
    "10000000": (396_298, 12_128_768),
    "20000000": (409_834, 17_854_976),
    "01000000": (415_082, 14_447_104),
    "00010000": (491_434, 14_225_920),
    "00000010": (791_594, 14_115_328),
    "22222222": (2_932_586, 105_660_928),
}
"""Parameters and multiply-adds (called flops there) by key."""


@pytest.fixture(scope="module")
def supernet():
    return SuperNet(NASBenchMacro())


def test_costs_are_the_published_ones(supernet):
    tables = measure_costs(supernet, torch.zeros(1, 3, 32, 32))
    for digits, (params, macs) in PUBLISHED.items():
        architecture = NASBenchMacro.from_digits(digits)
        assert tables["params"].cost(architecture) == params
        assert tables["macs"].cost(architecture) == macs


def test_number_of_architectures_and_networks(supernet):
    space = supernet.space
    assert space.size == 6_561
    assert len({space.canonical(architecture).key for architecture in space}) == 3_969


def test_first_layer_of_a_stage_stays():
    canonical = SuperNet(NASBenchMacro(channels=2, features=4)).space.canonical
    digits = NASBenchMacro.from_digits
    assert canonical(digits("01002010")) == digits("01020010")
    assert canonical(digits("00001001")) == digits("00010010")
