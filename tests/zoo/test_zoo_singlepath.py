"""Single-Path NAS's space is ProxylessNAS's chain with superkernels, whose options share weights."""

from __future__ import annotations

import pytest
import torch

from supernet.cost import cost_of, count_params, measure_costs
from supernet.data import Examples, Normalise
from supernet.elastic import SuperKernel
from supernet.errors import SpaceError
from supernet.evaluate import Evaluator, Protocol
from supernet.net import SuperNet
from supernet.ops import InvertedResidual
from supernet.space import Architecture
from supernet.task import Classification
from supernet.zoo import Proxyless, SinglePath

CONVOLUTIONS = ("mb3e3", "mb3e6", "mb5e3", "mb5e6")

SMALL = {
    "image": (1, 8, 8),
    "classes": 3,
    "stem": 4,
    "first": 2,
    "widths": (4, 6),
    "depths": (1, 3),
    "strides": (1, 2),
    "features": 8,
    "stem_stride": 2,
}


def small(**arguments):
    return SuperNet(SinglePath(**SMALL | arguments))


def layers(*options):
    return Architecture({f"layer{i}": option for i, option in enumerate(options)})


def test_the_space():
    """Six of the 21 layers change the shape, so that they cannot be left out."""
    model = SinglePath(stem=4, first=1, widths=(2, 3, 4, 5, 6, 7), features=4)
    space = SuperNet(model).space

    assert space.size == 4**6 * 5**15
    for i, decision in enumerate(space.decisions):
        changes = i in (0, 4, 8, 12, 16, 20)
        assert decision.label == f"layer{i}"
        assert decision.options == CONVOLUTIONS if changes else (*CONVOLUTIONS, "identity")
    assert all(isinstance(layer, SuperKernel) for layer in model.layers)


def test_number_of_networks():
    space = small().space

    assert space.size == 4 * 4 * 5 * 5
    assert len({space.canonical(a) for a in space}) == 4 * 4 * (1 + 4 + 16)


def test_the_supernet_is_as_large_as_its_largest_network():
    supernet = small()
    largest = layers(*["mb5e6"] * 4)
    tables = measure_costs(supernet, torch.zeros(1, 1, 8, 8))

    assert count_params(supernet.model) == cost_of(tables, largest)["params"]
    assert cost_of(tables, largest)["params"] == tables["params"].range(supernet.space)[1]


def test_networks_cost_what_they_cost_in_proxyless():
    ours = SuperNet(SinglePath(**SMALL))
    theirs = SuperNet(Proxyless(**SMALL))
    example = torch.zeros(1, 1, 8, 8)
    tables, others = measure_costs(ours, example), measure_costs(theirs, example)
    for architecture in list(ours.space)[::7]:
        assert cost_of(tables, architecture) == cost_of(others, architecture)


@pytest.mark.slow
@pytest.mark.parametrize("batch_norm", ["batch", "recalibrate"])
def test_shared_scores_equal_plain_scores(batch_norm):
    """Though the options of a layer share batch norms, of whose statistics each takes its part."""
    torch.manual_seed(3)
    supernet = small()
    inputs = torch.randint(0, 256, (90, 1, 8, 8), dtype=torch.uint8)
    examples = Examples(inputs, torch.arange(90) % 3, ("a", "b", "c"))
    train, search = examples.select(torch.arange(50)), examples.select(torch.arange(50, 90))
    protocol = Protocol(batch_norm, batch_size=20, calibration_batches=2)
    made = Evaluator(supernet, Classification(), search, train, Normalise.of(train), protocol)
    some = list(supernet.space)[::9]
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    shared = dict(made.scores(some))
    assert made.plain_because == ""
    assert all(shared[architecture] == made.score(architecture) for architecture in some)
    assert len({score["loss"] for score in shared.values()}) > 30
    after = supernet.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("affine", [True, False])
def test_affine_is_for_all_batch_norms(affine):
    model = small(affine=affine).model
    norms = {m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)}

    assert len(norms) == 1 + 2 + 4 * 3 + 1
    assert {norm.affine for norm in norms} == {affine}


def test_layers_have_the_given_strides():
    supernet, shapes = small(), []
    for layer in supernet.model.layers:
        layer.register_forward_hook(lambda _, __, y: shapes.append(tuple(y.shape[1:])))
    for option in CONVOLUTIONS:
        supernet(torch.randn(2, 1, 8, 8), layers(*[option] * 4))

    assert shapes == 4 * [(4, 4, 4), *[(6, 2, 2)] * 3]


def test_fixed_blocks_are_no_choices():
    assert isinstance(small().model.stem[-1], InvertedResidual)


def test_the_diagram_shows_every_layer():
    diagram = small().model.diagram(layers("mb3e3", "mb5e6", "identity", "mb5e3"))

    assert [node.label for node in diagram.nodes] == [
        "image",
        "mb3e3, 4 channels",
        "mb5e6, 6 channels, stride 2",
        "identity, 6 channels",
        "mb5e3, 6 channels",
        "classes",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"first": 0}, "first 0.*must be positive"),
        ({"strides": (1, 4)}, r"^strides: a stride is 1 or 2 .*not \(1, 4\)"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(SpaceError, match=message):
        small(**arguments)
