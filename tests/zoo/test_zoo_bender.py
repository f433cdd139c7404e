import copy
import itertools
import random

import pytest
import torch

import supernet as sn
from supernet.cost import cost_of, measure_costs
from supernet.errors import SpaceError
from supernet.space import Edge
from supernet.zoo import Bender

OPERATIONS = (
    *("identity", "separable3", "separable5", "separable7"),
    *("conv1x7-7x1", "max3", "avg3"),
)
CELLS = ("cell-2", "cell-1")
INPUTS = (*CELLS, "block0", "block1", "block2", "block3")


def bender(blocks=4, groups=(1, 1), channels=2, **arguments):
    torch.manual_seed(0)
    return sn.SuperNet(Bender((1, 6, 6), 3, channels, groups, blocks, **arguments))


@pytest.fixture(scope="module")
def four():
    return bender()


def renumberings(architecture, blocks):
    """Return, by order of the old blocks, the architecture with the blocks in that order."""
    found = {}
    for order in itertools.permutations(range(blocks)):
        name = {f"block{old}": f"block{new}" for new, old in enumerate(order)}
        values, valid = {}, True
        for new, old in enumerate(order):
            inputs = [name.get(source, source) for source in architecture[f"block{old}.inputs"]]
            valid &= all(source not in name or int(source[5:]) < new for source in inputs)
            values[f"block{new}.inputs"] = tuple(sorted(inputs, key=INPUTS.index))
            values[f"block{new}.operations"] = architecture[f"block{old}.operations"]
        if valid:
            found[order] = sn.Architecture(values)
    return found


def few_operations(space, seed):
    """Draw an architecture in which many blocks are equal, so that ties must be resolved."""
    stream = random.Random(seed)
    drawn = {**space.sample(stream)}
    for label in drawn:
        if label.endswith("operations"):
            drawn[label] = stream.choice([("identity",), ("identity", "max3")])
        else:
            earlier = space.decision(label).options
            drawn[label] = stream.choice([("cell-1",), ("cell-2", "cell-1"), (earlier[-1],)])
    return sn.Architecture(drawn)


def test_the_space_has_the_size_of_the_paper(four):
    """Block i reads any of its 2 + i inputs; one or two of seven operations are 28 ways."""
    assert len(four.space.decisions) == 8
    assert four.space.size == (3 * 7 * 15 * 31) * 28**4


def test_blocks_read_cells_and_earlier_blocks(four):
    for i in range(4):
        inputs = four.space.decision(f"block{i}.inputs")
        assert inputs.options == INPUTS[: 2 + i]
        assert (inputs.low, inputs.high) == (1, 2 + i)
        operations = four.space.decision(f"block{i}.operations")
        assert operations.options == OPERATIONS
        assert (operations.low, operations.high) == (1, 2)


@pytest.mark.slow
def test_all_cells_share_one_architecture():
    assert bender(groups=(1,)).space.decisions == bender(groups=(2, 1, 2)).space.decisions


@pytest.mark.parametrize("image", [(1, 8, 8), (3, 32, 32), (2, 5, 9)])
def test_images_become_logits(image):
    model = sn.SuperNet(Bender(image, 7, channels=2, groups=(1, 1, 1), blocks=2))
    output = model(torch.randn(3, *image), model.space.sample(random.Random(0)))

    assert output.shape == (3, 7)
    assert torch.isfinite(output).all()


def test_groups_double_the_channels_and_halve_the_image():
    model = Bender((1, 9, 9), 3, channels=4, groups=(1, 2), blocks=2)
    supernet, sizes = sn.SuperNet(model), []
    for group in model.groups:
        for cell in group:
            cell.register_forward_hook(lambda _, __, output: sizes.append(tuple(output.shape[1:])))
    supernet(torch.randn(2, 1, 9, 9), supernet.space.sample(random.Random(0)))

    assert sizes == [(8, 9, 9), (16, 5, 5), (16, 5, 5)]
    assert [cell.blocks[0].inputs.options[0].in_channels for g in model.groups for cell in g] == [
        8,
        8,
        8,
    ]
    assert [cell.blocks[0].inputs.options[1].in_channels for g in model.groups for cell in g] == [
        8,
        8,
        16,
    ]


def test_affine_is_for_all_batch_norms():
    for affine in (True, False):
        norms = [
            m for m in bender(2, affine=affine).modules() if isinstance(m, torch.nn.BatchNorm2d)
        ]
        assert len(norms) == 2 + 2 * 2 * (1 + 2 * 3 + 1)
        assert {norm.affine for norm in norms} == {affine}


@pytest.mark.parametrize("draw", [lambda s, i: s.sample(random.Random(i)), few_operations])
def test_canonical_is_the_same_for_all_renumberings(four, draw):
    several = 0
    for seed in range(40):
        architecture = draw(four.space, seed)
        equal = set(renumberings(architecture, 4).values())
        canonical = {four.space.canonical(other) for other in equal}
        assert len(canonical) == 1
        assert canonical <= equal
        assert all(other in four.space for other in equal)
        (form,) = canonical
        assert four.space.canonical(form) == form
        several += len(equal) > 1
    assert several > 10


@pytest.mark.slow
def test_canonical_forms_are_counted_by_hand():
    """Two blocks: 3·28 first ones; the second reads the first (4·28 ways), or both can be swapped."""
    space = bender(2).space
    first = 3 * 28

    assert len({space.canonical(architecture) for architecture in space}) == (
        first * 4 * 28 + first * (first + 1) // 2
    )


@pytest.mark.slow
def test_canonical_keeps_costs(four):
    tables = measure_costs(four, torch.randn(1, 1, 6, 6))
    renamed = 0
    for seed in range(30):
        architecture = four.space.sample(random.Random(seed))
        canonical = four.space.canonical(architecture)
        renamed += canonical != architecture
        assert cost_of(tables, canonical) == cost_of(tables, architecture)
    assert renamed > 10


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
def test_renumbered_networks_compute_the_same_with_moved_weights(training):
    """Weights move with their block; where a cell is read, the columns move with its blocks."""
    old = bender(blocks=3, groups=(1, 2), channels=2, affine=True)
    for tensor in (*old.parameters(), *old.buffers()):
        if tensor.is_floating_point():
            torch.nn.init.uniform_(tensor, 0.1, 1)
    architecture = sn.Architecture(
        {
            "block0.inputs": ("cell-2", "cell-1"),
            "block0.operations": ("separable3",),
            "block1.inputs": ("cell-1",),
            "block1.operations": ("identity", "max3"),
            "block2.inputs": ("cell-2", "block1"),
            "block2.operations": ("identity", "conv1x7-7x1"),
        }
    )
    orders = renumberings(architecture, 3)
    assert len(orders) == 3
    x = torch.randn(4, 1, 6, 6)

    for order, renumbered in orders.items():
        new = moved(old, architecture, order).train(training)
        expected = copy.deepcopy(old).train(training)(x, architecture)
        assert torch.allclose(new(x, renumbered), expected, rtol=1e-4, atol=1e-5)


def moved(old, architecture, order):
    """Return the supernet whose block j has the weights of the old block order[j]."""
    new = copy.deepcopy(old)
    cells = [
        list(zip(old_group, new_group, strict=True))
        for old_group, new_group in zip(old.model.groups, new.model.groups, strict=True)
    ]
    for depth, (old_cell, new_cell) in enumerate(itertools.chain(*cells)):
        of_cells = CELLS[max(0, 2 - depth) :]  # the others are the stem's output
        for j, i in enumerate(order):
            source, target = old_cell.blocks[i], new_cell.blocks[j]
            target.norm.load_state_dict(source.norm.state_dict())
            target.operations.load_state_dict(source.operations.state_dict())
            for name in architecture[f"block{i}.inputs"]:
                there = f"block{order.index(int(name[5:]))}" if name.startswith("block") else name
                weight = source.inputs.options[INPUTS.index(name)].weight.detach()
                if name in of_cells:
                    weight = by_block(weight, order, dim=1)
                target.inputs.options[INPUTS.index(there)].weight.detach().copy_(weight)
    norm = new.model.head[0]
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        tensor.detach().copy_(by_block(tensor.detach(), order, dim=0))
    weight = new.model.classifier.weight.detach()
    weight.copy_(by_block(weight, order, dim=1))
    return new


def by_block(tensor, order, dim):
    parts = tensor.chunk(len(order), dim)
    return torch.cat([parts[i] for i in order], dim)


def test_the_diagram_shows_every_chosen_input_and_operation():
    model = bender(2).model
    diagram = model.diagram(
        sn.Architecture(
            {
                "block0.inputs": ("cell-2",),
                "block0.operations": ("max3",),
                "block1.inputs": ("cell-1", "block0"),
                "block1.operations": ("identity", "avg3"),
            }
        )
    )

    assert {node.id for node in diagram.nodes if node.kind == "input"} == {"cell-2", "cell-1"}
    assert [node.label for node in diagram.nodes if node.kind == "operation"] == [
        "max3",
        "identity",
        "avg3",
    ]
    edges = {
        *[("cell-2", "block0.in"), ("block0.in", "block0.max3"), ("block0.max3", "block0")],
        *[("cell-1", "block1.in"), ("block0", "block1.in")],
        *[("block1.in", "block1.identity"), ("block1.identity", "block1")],
        *[("block1.in", "block1.avg3"), ("block1.avg3", "block1")],
        *[("block0", "output"), ("block1", "output")],
    }
    assert set(diagram.edges) == {Edge(*edge) for edge in edges}
    assert len(diagram.edges) == len(edges)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image": (0, 8, 8)}, "must all be positive"),
        ({"classes": 0}, "must all be positive"),
        ({"channels": 0}, "must all be positive"),
        ({"blocks": 0}, "must all be positive"),
        ({"groups": ()}, "must all be positive"),
        ({"groups": (1, 0)}, "must all be positive"),
        ({"image": (1, 3, 8), "groups": (1, 1, 1)}, "3×8 cannot be halved 2 times"),
        ({"image": (1, 8, 3), "groups": (1, 1, 1)}, "8×3 cannot be halved 2 times"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(SpaceError, match=message):
        Bender(**{"channels": 2, "blocks": 2, "groups": (1,), **arguments})


def test_the_smallest_image_for_the_groups_works():
    model = sn.SuperNet(Bender((1, 4, 4), 3, channels=2, groups=(1, 1, 1), blocks=1))

    assert model(torch.randn(4, 1, 4, 4), model.space[0]).shape == (4, 3)
