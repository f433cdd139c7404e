"""NAS-Bench-Macro's space costs what its published table says and holds as many networks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from supernet.cost import measure_costs
from supernet.errors import SpaceError
from supernet.net import SuperNet
from supernet.zoo import NASBenchMacro

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

TABLE = Path(__file__).parents[3] / "shared" / "data" / "nas-bench-macro_cifar10.json"


@pytest.fixture(scope="module")
def supernet():
    return SuperNet(NASBenchMacro())


@pytest.fixture(scope="module")
def tables(supernet):
    return measure_costs(supernet, torch.zeros(1, 3, 32, 32))


def small(**arguments):
    return SuperNet(
        NASBenchMacro((1, 8, 8), 3, **{"channels": 2, "stages": (2, 3), "features": 4} | arguments)
    )


def test_costs_are_the_published_ones(tables):
    for digits, (params, macs) in PUBLISHED.items():
        architecture = NASBenchMacro.from_string(digits)
        assert tables["params"].cost(architecture) == params
        assert tables["macs"].cost(architecture) == macs


@pytest.mark.slow
@pytest.mark.skipif(not TABLE.exists(), reason="the published table is not there")
def test_costs_and_equal_networks_are_those_of_the_whole_published_table(supernet, tables):
    published = json.loads(TABLE.read_text())
    accuracies = {}
    for digits, entry in published.items():
        architecture = NASBenchMacro.from_string(digits)
        assert tables["params"].cost(architecture) == entry["params"]
        assert tables["macs"].cost(architecture) == entry["flops"]
        canonical = supernet.space.canonical(architecture)
        assert accuracies.setdefault(canonical, entry["test_acc"]) == entry["test_acc"]
    assert (len(published), len(accuracies)) == (6_561, 3_969)


@pytest.mark.slow
def test_number_of_architectures_and_networks(supernet):
    space = supernet.space
    assert space.size == 6_561
    assert len({space.canonical(architecture).key for architecture in space}) == 3_969


def test_first_layer_of_a_stage_stays():
    canonical = SuperNet(NASBenchMacro(channels=2, features=4)).space.canonical
    digits = NASBenchMacro.from_string
    assert canonical(digits("01002010")) == digits("01020010")
    assert canonical(digits("00001001")) == digits("00010010")


def test_canonical_follows_the_stages_that_are_given():
    """A stage of n layers has 3 first ones and 1 + 2 + ... + 2^(n-1) ways to go on."""
    for stages, count in {(1,): 3, (3,): 3 * 7, (2, 3): 3 * 3 * 3 * 7, (1, 4): 3 * 3 * 15}.items():
        space = SuperNet(NASBenchMacro((1, 8, 8), 3, 1, stages, 4)).space
        assert space.size == 3 ** sum(stages)
        assert len({space.canonical(architecture) for architecture in space}) == count


def test_stages_double_the_channels_and_halve_the_image():
    supernet, shapes = small(), []
    for layer in supernet.model.layers:
        layer.register_forward_hook(lambda _, __, y: shapes.append(tuple(y.shape[1:])))
    for architecture in ("00000", "12121"):
        supernet(torch.randn(2, 1, 8, 8), NASBenchMacro.from_string(architecture))

    assert shapes == 2 * [*[(4, 4, 4)] * 2, *[(8, 2, 2)] * 3]


@pytest.mark.parametrize("affine", [True, False])
def test_affine_is_for_all_batch_norms(affine):
    norms = [m for m in small(affine=affine).modules() if isinstance(m, torch.nn.BatchNorm2d)]

    assert len(norms) == 2 + 5 * 6 + 2
    assert {norm.affine for norm in norms} == {affine}


def test_the_diagram_shows_every_layer():
    diagram = small().model.diagram(NASBenchMacro.from_string("01020"))

    assert [node.label for node in diagram.nodes] == [
        "image",
        "conv1x1, 4 channels, stride 2",
        "mb3e3, 4 channels",
        "conv1x1, 8 channels, stride 2",
        "mb5e6, 8 channels",
        "identity, 8 channels",
        "classes",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 0}, "classes 0.*must be positive"),
        ({"stages": ()}, r"stages \(\).*none empty"),
        ({"stages": (2, 0)}, r"stages \(2, 0\).*must be positive"),
        ({"features": -1}, "features -1"),
        ({"image": (1, 7, 9)}, "7×9 cannot be halved 3 times; at most 2 times"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(SpaceError, match=message):
        NASBenchMacro(**arguments)


@pytest.mark.parametrize("digits", ["", "0123", "0 1", "x"])
def test_other_keys_are_refused(digits):
    with pytest.raises(SpaceError, match=r"no key of NAS-Bench-Macro.*0 for identity"):
        NASBenchMacro.from_string(digits)


def test_keys_are_written_as_they_are_read():
    for key in ("22212220", "0", "012"):
        assert NASBenchMacro.to_string(NASBenchMacro.from_string(key)) == key
