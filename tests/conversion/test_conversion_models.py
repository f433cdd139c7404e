"""Converted models: the largest is the original; all others are what is derived, and cost the same."""

from __future__ import annotations

import copy
import random
from functools import cache

import pytest
import torch
from conversion_models import MODELS, Dense, Transformer, made
from torch import nn

from supernet.choice import ChoiceModule
from supernet.conversion import DEFAULT, Depths, Kernels, Operations, Widths, conversion_of, convert
from supernet.cost import count_macs, count_params, measure_costs
from supernet.elastic import Elastic
from supernet.net import SuperNet, derive
from supernet.net.batchnorm import recalibrated
from supernet.space import Architecture

RULES = (Widths(fractions=(0.25, 0.5, 1.0), multiple=4), Depths(least=0.0))


@cache
def converted(name):
    model, x = made(name)
    return model, SuperNet(convert(model, x, rules=RULES)).eval(), x


@pytest.fixture(params=MODELS)
def pair(request):
    return copy.deepcopy(converted(request.param))


def largest(space):
    return space.build(lambda d: d.value(range(len(d.options) - d.high, len(d.options))))


def drawn(space, count):
    stream = random.Random(0)
    return [space.sample(stream) for _ in range(count)]


@pytest.mark.slow_with("dense", "transformer", "same numbers", "residual", "gated", "torch")
def test_the_largest_network_computes_what_the_model_does(pair):
    model, supernet, x = pair
    assert supernet.space.size > 1
    torch.testing.assert_close(supernet(x, largest(supernet.space)), model(x), rtol=1e-5, atol=1e-5)


@pytest.mark.slow_with(
    "residual", "dense", "same numbers", "gated", "transformer", "torch", "one-dimensional"
)
def test_derived_networks_are_ordinary_and_compute_the_same(pair):
    model, supernet, x = pair
    kinds = {type(module) for module in model.modules()}
    for architecture in drawn(supernet.space, 20):
        derived = derive(supernet, architecture)
        torch.testing.assert_close(derived(x), supernet(x, architecture))
        for module in derived.modules():
            assert not isinstance(module, Elastic | ChoiceModule)
            assert type(module) in kinds | {nn.Identity} or isinstance(module, nn.Identity)
        assert not any("_opened" in module.__dict__ for module in derived.modules())
        assert conversion_of(derived) is None


@pytest.mark.slow_with(
    "residual", "dense", "same numbers", "gated", "transformer", "one-dimensional", "torch"
)
def test_costs_are_those_of_the_derived_networks(pair):
    _, supernet, x = pair
    costs = measure_costs(supernet, x[:1])
    for architecture in drawn(supernet.space, 20):
        derived = derive(supernet, architecture)
        assert costs["params"].cost(architecture) == count_params(derived)
        assert costs["macs"].cost(architecture) == count_macs(derived, x[:1])


@pytest.mark.slow_with("residual", "dense", "transformer", "same numbers", "torch", "gated")
def test_gradients_are_those_of_the_derived_network(pair):
    _, supernet, x = pair
    architecture = supernet.space.build(lambda d: d.value(range(d.low)))
    derived = derive(supernet, architecture)
    supernet.train()
    derived.train()
    supernet(x, architecture).square().sum().backward()
    derived(x).square().sum().backward()

    def total(module):
        found = [p.grad for p in set(module.parameters()) if p.grad is not None]
        return sum(float(g.square().sum()) for g in found)

    assert total(supernet) == pytest.approx(total(derived), rel=1e-3)


@pytest.mark.slow_with(
    "residual",
    "dense",
    "transformer",
    "same numbers",
    "gated",
    "torch",
    "one-dimensional",
    "tables",
)
def test_the_model_is_left_as_it_is(pair):
    model, _, x = pair
    before, modes = copy.deepcopy(model.state_dict()), [m.training for m in model.modules()]
    kinds = [type(m) for m in model.modules()]
    y = model(x)
    convert(model, x, rules=RULES)
    assert [type(m) for m in model.modules()] == kinds
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    torch.testing.assert_close(model(x), y, rtol=0, atol=0)


@pytest.mark.slow
def test_the_names_of_weights_stay_where_no_block_may_be_left_out():
    model, x = made("transformer")
    converted = convert(model, x, rules=(Widths(),))
    assert converted.state_dict().keys() == model.state_dict().keys()


@pytest.mark.slow
def test_a_copy_is_routed_by_its_own_numbers():
    model, x = made("transformer")
    first = convert(model, x, rules=(Widths(multiple=1),)).eval()
    second = SuperNet(copy.deepcopy(first)).eval()
    with second.route(second.space.build(lambda d: d.value(range(d.low)))):
        torch.testing.assert_close(first(x), model(x), rtol=1e-5, atol=1e-5)
        assert second.model.blocks[0].attn.num_heads == 1
        assert first.blocks[0].attn.num_heads == 4


@pytest.mark.slow
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("name", ["dense", "residual"])
def test_what_batch_norms_record_is_what_the_derived_ones_do(name, mode):
    model, x = made(name)
    supernet = SuperNet(convert(model, x, rules=RULES))
    batches = [torch.randn(4, 3, 8, 8) for _ in range(3)]
    for architecture in drawn(supernet.space, 5):
        derived = derive(supernet, architecture)
        with mode(), recalibrated(derived, batches, derived):
            expected = derived(x)
        with mode(), supernet.route(architecture), recalibrated(supernet, batches, supernet):
            torch.testing.assert_close(supernet(x), expected)


def test_groups_are_found():
    space = converted("gated")[1].space
    assert {d.label: d.options for d in space.decisions} == {"stem": (1, 2, 4), "squeeze": (4, 8)}


def test_concatenations_are_found():
    space = converted("dense")[1].space
    assert {d.label for d in space.decisions} == {"stem", "convs.0", "convs.1", "convs.2"}


@pytest.mark.slow
def test_heads_are_found():
    space = converted("transformer")[1].space
    assert space.decision("blocks.0.attn.qkv").options == (1, 2, 4)
    assert space.decision("patches").options == (8, 16, 32)
    assert space.decision("blocks.depth").options == (0, 1, 2, 3)


@pytest.mark.slow
def test_sizes_of_heads_are_open_if_so_asked():
    model, x = made("transformer")
    rules = (Widths(fractions=(0.5, 1.0), multiple=1, inner=True),)
    supernet = SuperNet(convert(model, x, rules=rules)).eval()
    assert supernet.space.decision("blocks.0.attn.qkv.2").options == (4, 8)
    for architecture in drawn(supernet.space, 10):
        torch.testing.assert_close(derive(supernet, architecture)(x), supernet(x, architecture))


@pytest.mark.slow
def test_attributes_of_equal_numbers_are_told_apart_by_running_them():
    model, x = made("same numbers")
    supernet = SuperNet(convert(model, x, rules=(Widths(),))).eval()
    with supernet.route(supernet.space.build(lambda d: d.value(range(d.low)))):
        attention = supernet.model.blocks[0].attn
        assert (attention.num_heads, attention.head_dim) == (2, 8)


@pytest.mark.slow
def test_channels_are_sorted_so_that_narrow_networks_start_well():
    model, x = made("residual")
    with torch.no_grad():
        model.blocks[0].conv2.weight[:, :12] *= 0.01  # the last four channels matter
    halves = {True: 0.0, False: 0.0}
    for sort in halves:
        supernet = SuperNet(convert(model, x, rules=RULES, sort=sort)).eval()
        answers = {d.label: d.options[-1] for d in supernet.space.decisions}
        answers["blocks.0.conv1"] = 4
        with torch.no_grad():
            halves[sort] = float((supernet(x, Architecture(answers)) - model(x)).abs().mean())
    assert halves[True] < 0.2 * halves[False]


def test_kernels_of_depthwise_convolutions():
    model, x = made("gated")
    rules = (Kernels("deep", sizes=(1, 3, 5)),)
    supernet = SuperNet(convert(model, x, rules=rules)).eval()
    assert [d.label for d in supernet.space.decisions] == ["deep.kernel"]
    assert supernet.space.decision("deep.kernel").options == (1, 3, 5)
    costs = measure_costs(supernet, x[:1])
    for kernel in (1, 3, 5):
        architecture = Architecture({"deep.kernel": kernel})
        derived = derive(supernet, architecture)
        assert derived.deep.kernel_size == (kernel, kernel)
        torch.testing.assert_close(derived(x), supernet(x, architecture))
        assert costs["macs"].cost(architecture) == count_macs(derived, x[:1])
        assert costs["params"].cost(architecture) == count_params(derived)
        if kernel > 1:  # larger ones have zeros around them
            torch.testing.assert_close(supernet(x, architecture), model(x))


@pytest.mark.slow
def test_kernels_and_widths_together_with_matrices():
    model, x = made("gated")
    rules = (*RULES, Kernels(sizes=(1, 3), depthwise=False, transforms=True))
    supernet = SuperNet(convert(model, x, rules=rules)).eval()
    names = [name for name, _ in supernet.named_parameters() if "transforms" in name]
    assert names
    for architecture in drawn(supernet.space, 10):
        torch.testing.assert_close(derive(supernet, architecture)(x), supernet(x, architecture))
    derived = derive(supernet, largest(supernet.space))
    assert not any("transforms" in name for name, _ in derived.named_parameters())


@pytest.mark.slow
def test_operations_are_offered_and_their_widths_follow():
    model, x = made("residual")
    width = 16
    offer = Operations(
        match="blocks.*.conv1",
        offer=lambda conv: {"pointwise": nn.Conv2d(width, conv.out_channels, 1, bias=False)},
    )
    supernet = SuperNet(convert(model, x, rules=(*RULES, offer))).eval()
    assert supernet.space.decision("blocks.0.conv1.operation").options == ("original", "pointwise")
    answers = {d.label: d.options[-1] for d in supernet.space.decisions}
    answers |= {label: "original" for label in answers if label.endswith("operation")}
    torch.testing.assert_close(supernet(x, Architecture(answers)), model(x), rtol=1e-5, atol=1e-5)
    costs = measure_costs(supernet, x[:1])
    for architecture in drawn(supernet.space, 15):
        derived = derive(supernet, architecture)
        torch.testing.assert_close(derived(x), supernet(x, architecture))
        assert costs["params"].cost(architecture) == count_params(derived)
        assert costs["macs"].cost(architecture) == count_macs(derived, x[:1])


@pytest.mark.slow
def test_a_pattern_opens_a_part_of_the_model():
    model, x = made("transformer")
    rules = (Widths("blocks.0.*", multiple=1), Widths("*", fractions=(1.0,)))
    space = SuperNet(convert(model, x, rules=rules)).space
    assert {d.label for d in space.decisions} == {"blocks.0.attn.qkv", "blocks.0.fc1"}
    rows = {row.name: row for row in conversion_of(convert(model, x, rules=rules)).rows}
    assert rows["blocks.0.fc2"].open == ("blocks.0.fc1",)
    assert any("no smaller width" in reason for reason in rows["patches"].closed)


@pytest.mark.slow_with(
    "residual", "dense", "transformer", "same numbers", "torch", "gated", "shuffle"
)
def test_every_module_with_weights_is_accounted_for(pair):
    model, supernet, _ = pair
    rows = {row.name for row in conversion_of(supernet.model).rows}
    owners = {
        name
        for name, module in model.named_modules()
        if any(True for _ in module.parameters(recurse=False))
    }
    assert owners <= rows


@pytest.mark.slow
def test_a_model_that_was_saved_can_be_loaded_into_a_new_conversion(tmp_path):
    torch.manual_seed(0)
    model = Transformer().eval()
    x = torch.randn(2, 3, 8, 8)
    first = SuperNet(convert(model, x, rules=RULES)).eval()
    torch.save(first.state_dict(), tmp_path / "weights.pt")
    second = SuperNet(convert(Transformer(), x, rules=RULES, sort=False)).eval()
    second.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    for architecture in drawn(first.space, 3):
        torch.testing.assert_close(second(x, architecture), first(x, architecture))


@pytest.mark.slow
def test_the_default_rules_open_widths_and_depths():
    assert [type(rule) for rule in DEFAULT] == [Widths, Depths]
    supernet = SuperNet(convert(Dense(), torch.randn(2, 3, 8, 8), rules=(Widths(multiple=1),)))
    assert supernet.space.decision("stem").options == (2, 4, 6, 8)
