"""AutoFormer's space, its networks against published sizes and torch's own layers."""

from __future__ import annotations

import inspect
import random
import re

import pytest
import torch
from torch import nn

import supernet as sn
from supernet.cost import cost_of, count_macs, count_params, measure_costs
from supernet.errors import SpaceError
from supernet.ops import DropPath
from supernet.space import Architecture, Ordered
from supernet.zoo import AutoFormer

SMALL = {
    "image": (1, 8, 8),
    "classes": 3,
    "patch": 2,
    "widths": (8, 12, 16),
    "heads": (1, 2, 3),
    "ratios": (0.5, 1, 2.5),
    "depths": (1, 2, 3),
    "head": 4,
}


def small(**arguments):
    torch.manual_seed(0)
    return sn.SuperNet(AutoFormer(**SMALL | arguments))


def samples(space, count):
    stream = random.Random(0)
    return [space.sample(stream) for _ in range(count)]


def network(width, blocks):
    values = {"width": width, "depth": len(blocks)}
    for i, (heads, ratio) in enumerate(blocks):
        values |= {f"block{i}.heads": heads, f"block{i}.ratio": ratio}
    return Architecture(values)


def parameters(architecture, image, classes, patch, head):
    """Return the number of parameters, layer by layer."""
    w = architecture["width"]
    tokens = 1 + (image[1] // patch) * (image[2] // patch)
    count = (image[0] * patch**2 + 1) * w + w + tokens * w + 2 * w + (w + 1) * classes
    for i in range(architecture["depth"]):
        inner = head * architecture[f"block{i}.heads"]
        hidden = round(w * architecture[f"block{i}.ratio"])
        count += 2 * 2 * w + 3 * (w + 1) * inner + (inner + 1) * w
        count += (w + 1) * hidden + (hidden + 1) * w
    return count


def multiply_adds(architecture, image, classes, patch, head):
    """Return the multiply-adds, layer by layer."""
    w = architecture["width"]
    patches = (image[1] // patch) * (image[2] // patch)
    tokens = 1 + patches
    count = patches * image[0] * patch**2 * w + w * classes
    for i in range(architecture["depth"]):
        inner = head * architecture[f"block{i}.heads"]
        hidden = round(w * architecture[f"block{i}.ratio"])
        count += tokens * (4 * w * inner + 2 * w * hidden) + 2 * tokens**2 * inner
    return count


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("tiny", 3 * (4**12 + 4**13 + 4**14)),
        ("small", 3 * (9**12 + 9**13 + 9**14)),
        ("base", 3 * (6**14 + 6**15 + 6**16)),
    ],
)
def test_the_supernets_of_the_paper(name, size):
    with torch.device("meta"):
        model = AutoFormer(**preset(name))
    space = sn.SuperNet(model).space
    assert space.size == size
    assert all(isinstance(decision, Ordered) for decision in space.decisions)


def preset(name):
    """Return the arguments that the docstring gives for a supernet of the paper."""
    text = " ".join(inspect.getdoc(AutoFormer).split())
    found = re.search(rf"Supernet-{name}: `([^`]*)`", text)
    return eval(f"dict({found[1]})") if found else {}


@pytest.mark.quick_with("tiny-192-3-12-5717416")
@pytest.mark.parametrize(
    ("name", "width", "heads", "depth", "published"),
    [
        # DeiT-Ti and DeiT-S (Touvron et al., ICML 2021) lie in the spaces
        ("tiny", 192, 3, 12, 5_717_416),
        ("small", 384, 6, 12, 22_050_664),
    ],
)
def test_deit_has_its_published_size(name, width, heads, depth, published):
    supernet = sn.SuperNet(AutoFormer(**preset(name)))
    architecture = network(width, [(heads, 4)] * depth)
    assert count_params(sn.derive(supernet, architecture)) == published


def test_depths_share_their_first_blocks_and_decisions_exist_where_blocks_run():
    space = small().space
    assert space.size == 3 * (9 + 9**2 + 9**3) == len(list(space))
    for architecture in samples(space, 20):
        blocks = {label.partition(".")[0] for label in architecture if "." in label}
        assert blocks == {f"block{i}" for i in range(architecture["depth"])}


@pytest.mark.slow
def test_tables_are_exact():
    supernet, sizes = small(), [SMALL[name] for name in ("image", "classes", "patch", "head")]
    x = torch.randn(1, 1, 8, 8)
    tables = measure_costs(supernet, x)
    for architecture in samples(supernet.space, 40):
        derived = sn.derive(supernet, architecture)
        expected = {
            "params": parameters(architecture, *sizes),
            "macs": multiply_adds(architecture, *sizes),
        }
        assert cost_of(tables, architecture) == expected
        assert {"params": count_params(derived), "macs": count_macs(derived, x)} == expected
    largest = network(16, [(3, 2.5)] * 3)
    smallest = network(8, [(1, 0.5)])
    for table in tables.values():
        assert table.range(supernet.space) == (table.cost(smallest), table.cost(largest))
    assert tables["params"].cost(largest) == count_params(supernet.model)


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
def test_derived_networks_equal_the_supernet(training):
    supernet, x = small(drop_path=0.4).train(training), torch.randn(5, 1, 8, 8)
    for architecture in samples(supernet.space, 30):
        derived = sn.derive(supernet, architecture)
        torch.manual_seed(1)
        expected = supernet(x, architecture)
        torch.manual_seed(1)
        torch.testing.assert_close(derived(x), expected)


def test_blocks_are_torch_s_encoder_layers():
    """A network against `nn.TransformerEncoderLayer`, with queries, keys and values in one matrix."""
    supernet, x = small().eval(), torch.randn(4, 1, 8, 8)
    model = supernet.model
    architecture = network(12, [(3, 1), (3, 2.5)])  # 3 heads of 4 numbers, as torch wants it
    width = 12
    patches = nn.functional.conv2d(
        x, model.patches.weight[:width], model.patches.bias[:width], stride=2
    )
    y = patches.flatten(2).transpose(1, 2)
    y = torch.cat((model.token.vectors.weight[:, :width].expand(4, 1, width), y), 1)
    y = y + model.positions.vectors.weight[:, :width]
    for place, ratio in enumerate((1, 2.5)):
        block = model.blocks[place] if place < 1 else model.blocks[place].options[-1]
        y = torch_layer(block, width, round(width * ratio))(y)
    y = nn.functional.layer_norm(
        y[:, 0], (width,), model.norm.weight[:width], model.norm.bias[:width]
    )
    expected = y @ model.classifier.weight[:, :width].T + model.classifier.bias
    torch.testing.assert_close(supernet(x, architecture), expected)


def torch_layer(block, width, hidden):
    norm, attention, _ = block.attention.module
    second, first, _, last, _ = block.layers.module
    layer = nn.TransformerEncoderLayer(
        width, 3, hidden, activation="gelu", batch_first=True, norm_first=True
    ).eval()
    whole = {name: p.detach() for name, p in layer.named_parameters()}
    with torch.no_grad():
        three = (attention.queries, attention.keys, attention.values)
        whole["self_attn.in_proj_weight"].copy_(torch.cat([m.weight[:12, :width] for m in three]))
        whole["self_attn.in_proj_bias"].copy_(torch.cat([m.bias[:12] for m in three]))
        whole["self_attn.out_proj.weight"].copy_(attention.out.weight[:width, :12])
        whole["self_attn.out_proj.bias"].copy_(attention.out.bias[:width])
        whole["linear1.weight"].copy_(first.weight[:hidden, :width])
        whole["linear1.bias"].copy_(first.bias[:hidden])
        whole["linear2.weight"].copy_(last.weight[:width, :hidden])
        whole["linear2.bias"].copy_(last.bias[:width])
        for name, module in (("norm1", norm), ("norm2", second)):
            whole[f"{name}.weight"].copy_(module.weight[:width])
            whole[f"{name}.bias"].copy_(module.bias[:width])
    return layer


def test_paths_are_dropped_more_often_in_later_blocks():
    model = small(drop_path=0.3, depths=(3,)).model
    found = [m.last_probability for m in model.modules() if isinstance(m, DropPath)]
    assert found == pytest.approx([0, 0, 0.15, 0.15, 0.3, 0.3])


def test_pixels_beyond_the_last_patch_are_not_seen():
    supernet = small(image=(1, 9, 8)).eval()
    x = torch.randn(2, 1, 9, 8)
    architecture = supernet.space[0]
    expected = supernet(x, architecture)
    x[:, :, 8] += 1
    torch.testing.assert_close(supernet(x, architecture), expected, rtol=0, atol=0)
    x[:, :, 7] += 1
    assert not torch.allclose(supernet(x, architecture), expected)


def test_the_diagram_shows_every_block():
    diagram = small().model.diagram(network(12, [(1, 0.5), (3, 2.5)]))
    assert [node.label for node in diagram.nodes] == [
        "image",
        "patches to 12 numbers",
        "heads 1, ratio 0.5",
        "heads 3, ratio 2.5",
        "classes",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"widths": ()}, "none empty"),
        ({"heads": (0, 1)}, "must be positive"),
        ({"head": 0}, "head 0, all must be positive"),
        ({"ratios": ()}, r"ratios \(\) must be positive and some"),
        ({"ratios": (0, 1)}, r"ratios \(0, 1\) must be positive"),
        ({"drop_path": 1.0}, r"drop_path 1\.0 from 0 to below 1"),
        ({"patch": 9}, "8×8 are smaller than a patch of 9×9"),
        ({"widths": (8, 4)}, "increasing"),
        ({"depths": (2, 1)}, "increasing"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(SpaceError, match=message):
        small(**arguments)
