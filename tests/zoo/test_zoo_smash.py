"""SMASH's memory banks: what is read, computed and written; which orders of blocks are one network."""

from __future__ import annotations

import itertools
from random import Random

import pytest
import torch
from torch.nn import functional as F

from supernet.errors import SpaceError
from supernet.net import SuperNet, derive
from supernet.space import Architecture
from supernet.zoo import SMASH
from supernet.zoo.smash import PARTS


def small(**arguments):
    defaults = {"classes": 3, "banks": 3, "channels": 2, "stages": (2,), "bottleneck": 2}
    torch.manual_seed(0)
    return SuperNet(SMASH((1, 8, 8), **defaults | arguments))


def of_blocks(*blocks, stage=0):
    """Return the answers of the blocks of a stage, each (read, operations, write)."""
    return {
        f"stage{stage}.block{i}.{part}": answer
        for i, block in enumerate(blocks)
        for part, answer in zip(PARTS, block, strict=True)
    }


@pytest.mark.parametrize("banks", [1, 2, 3])
def test_number_of_architectures(banks):
    assert small(banks=banks).space.size == ((2**banks - 1) * 15 * (2**banks - 1)) ** 2


def test_a_block_is_concatenate_project_convolve_add():
    supernet = small(stages=(1,)).eval()
    block, banks = supernet.model.layers[0], torch.randn(2, 6, 5, 5)
    read, written = ("bank0", "bank2"), ("bank1", "bank2")
    answers = of_blocks((read, ("conv5", "gated3"), written))
    with supernet.route(Architecture(answers)):
        after = block(banks)

    weights = torch.cat([block.read.options[i].weight for i in (0, 2)], 1)
    assert weights.shape == (4, 4, 1, 1)
    x = F.conv2d(torch.cat([banks[:, 0:2], banks[:, 4:6]], 1), weights)
    x = block.norm(x).relu()
    conv5, gated = (
        block.operations.options[block.operations.names.index(n)] for n in ("conv5", "gated3")
    )
    y = F.conv2d(x, conv5.weight, padding=2)
    a, b = (F.conv2d(x, conv.weight, padding=1) for conv in (gated.value, gated.gate))
    y = block.norm_out(y + a.tanh() * b.sigmoid())
    expected = banks.clone()
    expected[:, 2:4] += y
    expected[:, 4:6] += y
    torch.testing.assert_close(after, expected)


def test_the_convolutions_are_what_their_names_say():
    options = small().model.layers[0].operations
    convs = dict(zip(options.names, options.options, strict=True))
    assert {
        name: (conv.kernel_size[0], conv.dilation[0], conv.groups)
        for name, conv in convs.items()
        if name != "gated3"
    } == {
        "conv3": (3, 1, 1),
        "conv5": (5, 1, 1),
        "conv3-dilated": (3, 2, 1),
        "conv3-grouped": (3, 1, 2),
    }


def test_stages_double_the_channels_and_halve_the_image():
    supernet, shapes = small(stages=(1, 2)), []
    for layer in supernet.model.layers:
        layer.register_forward_hook(lambda _, __, y: shapes.append(tuple(y.shape[1:])))
    supernet(torch.randn(2, 1, 8, 8), supernet.space[0])

    assert shapes == [(6, 8, 8), (12, 4, 4), (12, 4, 4), (12, 4, 4)]


def neighbours(blocks):
    """Yield the orders that a swap of two blocks gives, where neither reads what the other writes."""
    for i in range(len(blocks) - 1):
        one, other = blocks[i : i + 2]
        if not set(one[2]) & set(other[0]) and not set(other[2]) & set(one[0]):
            yield (*blocks[:i], other, one, *blocks[i + 2 :])


def test_canonical_forms_are_the_classes_of_all_swaps():
    """Found here by walking from order to order, among all orders of random blocks."""
    canonical, random = small(stages=(4,)).space.canonical, Random(0)
    banks = [("bank0",), ("bank1",), ("bank2",), ("bank0", "bank2")]
    counts = set()
    for _ in range(12):
        blocks = [
            (random.choice(banks), (random.choice(["conv3", "conv5"]),), random.choice(banks))
            for _ in range(4)
        ]
        orders = set(itertools.permutations(blocks))
        counts.add(len({canonical(Architecture(of_blocks(*order))) for order in orders}))
        while orders:
            reached, new = set(), {orders.pop()}
            while new:
                reached |= new
                new = {n for order in new for n in neighbours(order)} - reached
            orders -= reached
            forms = {canonical(Architecture(of_blocks(*order))) for order in reached}
            first = Architecture(of_blocks(*min(reached)))
            assert forms == {first}
    assert len(counts) > 2


def test_networks_of_one_form_are_equal():
    """The blocks' weights are exchanged with their places."""
    supernet, images = small().eval(), torch.randn(2, 1, 8, 8)
    late = (("bank2",), ("conv5",), ("bank2",))
    early = (("bank0", "bank1"), ("conv3", "gated3"), ("bank1",))
    one, other = (Architecture(of_blocks(*pair)) for pair in ((early, late), (late, early)))
    output = supernet(images, one)
    assert supernet.space.canonical(one) == supernet.space.canonical(other)
    derived = derive(supernet, one)
    derived.layers = derived.layers[::-1]
    torch.testing.assert_close(derived(images), output)
    assert not torch.allclose(supernet(images, other), output)


def test_the_diagram_leads_from_writers_to_readers():
    answers = of_blocks(
        (("bank0",), ("conv3", "conv5"), ("bank1", "bank2")), (("bank1",), ("gated3",), ("bank1",))
    )
    diagram = small(stages=(2,)).model.diagram(Architecture(answers))
    edges = {(edge.source, edge.target) for edge in diagram.edges}

    assert [node.label for node in diagram.nodes] == [
        "image",
        "conv3 + conv5 to bank1, bank2",
        "gated3 to bank1",
        "classes",
    ]
    first, second = "stage0.block0", "stage0.block1"
    assert edges == {
        ("input", first),
        ("input", second),
        (first, second),
        ("input", "output"),
        (first, "output"),
        (second, "output"),
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"banks": 0}, "banks 0.*must be positive"),
        ({"stages": ()}, r"stages \(\).*none empty"),
        ({"channels": 3}, "channels is a multiple of 2.*not 3"),
        ({"image": (1, 3, 8), "stages": (1, 1, 1)}, "3×8 cannot be halved 2 times"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(SpaceError, match=message):
        SMASH(**arguments)
