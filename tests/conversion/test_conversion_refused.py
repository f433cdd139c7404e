"""What cannot be converted is refused with the place and the remedy, and left as it was."""

from __future__ import annotations

import copy
import random

import pytest
import torch
from conversion_models import Residual, Transformer
from torch import nn
from torch.nn import functional as F

from supernet.conversion import Depths, Kernels, Operations, Widths, conversion_of, convert
from supernet.errors import ConversionError, SpaceError
from supernet.net import SuperNet, derive

X = torch.randn(2, 3, 8, 8)


class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1)

    def forward(self, x):
        x = self.conv(x)
        if x.sum() > 0:
            x = -x
        return x


class Branching(nn.Module):
    """What runs depends on the values."""

    def __init__(self):
        super().__init__()
        self.inner = Inner()
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        return self.head(self.inner(x).mean((2, 3)))


class InPlace(nn.Module):
    """Blocks that change their input in place, which a block that is left out would not."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.blocks = nn.Sequential(*(InPlaceBlock() for _ in range(3)))
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


class InPlaceBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(16, 16, 3, padding=1)

    def forward(self, x):
        return F.relu_(x).add_(self.conv(x))


class HardCoded(nn.Module):
    """A number in the code that no attribute holds."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 24)
        self.second = nn.Linear(24, 24)
        self.head = nn.Linear(24, 5)

    def forward(self, x):
        y = F.relu(self.first(x)).reshape(len(x), 4, 6).tanh().reshape(len(x), 24)
        return self.head(F.relu(self.second(y)))


class LiteralHeads(nn.Module):
    """Four heads, whatever is open: with fewer features each would have less of them, unasked."""

    def __init__(self):
        super().__init__()
        self.q = nn.Linear(6, 32)
        self.out = nn.Linear(32, 5)

    def forward(self, x):
        b, n, _ = x.shape
        q = self.q(x).view(b, n, 4, -1).transpose(1, 2)
        y = F.scaled_dot_product_attention(q, q, q).transpose(1, 2)
        return self.out(y.reshape(b, n, -1).mean(1))


class Counting(nn.Module):
    """A model that a forward pass changes."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 16)
        self.head = nn.Linear(16, 5)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.head(torch.relu(self.first(x)))


class Odd(nn.Module):
    """Nothing can be narrower: what comes in goes out."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(6))

    def forward(self, x):
        return x * self.scale


class Grouped(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 1)
        self.conv = nn.Conv2d(24, 24, 3, padding=1, groups=6)
        self.head = nn.Linear(24, 5)

    def forward(self, x):
        return self.head(F.relu(self.conv(self.stem(x))).mean((2, 3)))


def refused(model, x, match, **options):
    before, kinds = copy.deepcopy(model.state_dict()), [type(m) for m in model.modules()]
    model.train()
    with pytest.raises(ConversionError, match=match):
        convert(model, x, **options)
    assert [type(m) for m in model.modules()] == kinds
    assert all(m.training for m in model.modules())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_code_that_depends_on_values_is_named(capsys):
    refused(Branching(), X, r"(?s)`if x.sum\(\) > 0:`.*in the module 'inner' raises")
    assert "torch.ops" not in capsys.readouterr().err  # all operators, as PyTorch prints them


def test_an_example_that_does_not_fit_is_named():
    refused(Residual(), torch.randn(2, 4, 8, 8), "in the module 'stem' raises")
    refused(Residual(), torch.zeros(()), "cannot be traced|example")
    with pytest.raises(ConversionError, match="an example of what the model takes"):
        convert(Residual())


def test_blocks_that_change_their_input_are_not_left_out():
    converted = convert(InPlace(), X, rules=(Widths(), Depths(least=0.0)))
    assert {d.label for d in SuperNet(converted).space.decisions} == {"stem"}
    rows = {row.name: row for row in conversion_of(converted).rows}
    assert any("changes it in place" in reason for reason in rows["blocks"].closed)


def test_numbers_in_the_code_close_what_they_count():
    model = HardCoded()
    x = torch.randn(3, 6)
    converted = convert(model, x, rules=(Widths(multiple=1),))
    supernet = SuperNet(converted)
    assert {d.label for d in supernet.space.decisions} == {"second"}
    rows = {row.name: row for row in conversion_of(converted).rows}
    assert any("reshape(len(x), 4, 6)" in reason for reason in rows["first"].closed)
    for architecture in supernet.space:
        torch.testing.assert_close(derive(supernet, architecture)(x), supernet(x, architecture))


def test_code_that_runs_but_means_something_else_closes_what_it_counts():
    x = torch.randn(2, 7, 6)
    rules = (Widths(fractions=(0.25, 0.5, 1.0), multiple=1, inner=True),)
    supernet = SuperNet(convert(LiteralHeads(), x, rules=rules)).eval()
    (decision,) = supernet.space.decisions
    assert decision.options == (2, 4, 8)  # numbers of a head; the heads stay
    rows = {row.name: row for row in conversion_of(supernet.model).rows}
    assert rows["q"].open == ("q",)
    for architecture in supernet.space:
        derived = derive(supernet, architecture)
        assert derived.q.out_features == 4 * architecture["q"]
        torch.testing.assert_close(derived(x), supernet(x, architecture))


def test_a_forward_pass_that_changes_the_model_is_not_its_own():
    model = Counting()
    convert(model, torch.randn(2, 6))
    assert model.calls == 0


@pytest.mark.slow
def test_a_model_in_which_nothing_is_open():
    refused(Odd(), torch.randn(2, 6), "nothing of the model can be open: the model's input")
    refused(Residual(), X, "no rule for widths matches", rules=(Widths("head"),))


@pytest.mark.slow
@pytest.mark.parametrize(
    "rule",
    [
        Widths("blocks.9.*"),
        Depths("stem.*"),
        Kernels(sizes=(3, 5)),  # there is no depthwise convolution
        Operations("nothing", offer=lambda module: {"skip": nn.Identity()}),
    ],
    ids=lambda rule: type(rule).__name__,
)
def test_a_rule_that_matches_nothing(rule):
    refused(
        Residual(), X, "matches no module; the model's are stem, blocks", rules=(Widths(), rule)
    )


def test_rules_that_offer_nothing():
    offer = Operations("blocks.0.conv1", offer=lambda module: {})
    refused(Residual(), X, "offers \\[\\]; it must match modules within", rules=(offer,))
    itself = Operations("", offer=lambda module: {"skip": nn.Identity()})
    refused(Residual(), X, "matches 'the whole model'", rules=(itself,))
    other = Operations("blocks.0.conv1", offer=lambda conv: {"wide": nn.Conv2d(16, 32, 1)})
    with pytest.raises((ConversionError, SpaceError)):
        convert(Residual(), X, rules=(other,))


@pytest.mark.parametrize("fractions", [(), (0.0, 1.0), (0.5, 1.5)], ids=str)
def test_fractions_that_are_none(fractions):
    with pytest.raises(ConversionError, match="widths are fractions above 0"):
        Widths(fractions=fractions)


def test_numbers_of_rules():
    with pytest.raises(ConversionError, match="a multiple of a number from 1, not of 0"):
        Widths(multiple=0)
    with pytest.raises(ConversionError, match="from 0 to 1, not 2"):
        Depths(least=2)
    with pytest.raises(ConversionError, match=r"odd numbers, not \[2, 3\]"):
        Kernels(sizes=(2, 3))


@pytest.mark.slow
def test_widths_are_whole_groups_and_whole_heads():
    for fraction in (0.1, 0.3, 0.5, 0.77):
        rules = (Widths(fractions=(fraction, 1.0), multiple=1),)
        supernet = SuperNet(convert(Grouped(), X, rules=rules)).eval()
        for architecture in supernet.space:
            derived = derive(supernet, architecture)
            assert derived.conv.out_channels == 4 * derived.conv.groups
            torch.testing.assert_close(derived(X), supernet(X, architecture))
        supernet = SuperNet(convert(Transformer(), X, rules=rules)).eval()
        stream = random.Random(0)
        for _ in range(3):
            architecture = supernet.space.sample(stream)
            block = derive(supernet, architecture).blocks[0].attn
            assert block.qkv.out_features == 3 * block.num_heads * block.head_dim


def test_an_operator_that_is_not_known_closes_what_it_takes():
    class Unknown(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(6, 16)
            self.second = nn.Linear(16, 16)
            self.head = nn.Linear(16, 5)

        def forward(self, x):
            return self.head(torch.relu(self.second(torch.renorm(self.first(x), 2, 0, 1.0))))

    converted = convert(Unknown(), torch.randn(2, 6))
    assert {d.label for d in SuperNet(converted).space.decisions} == {"second"}
    rows = {row.name: row for row in conversion_of(converted).rows}
    assert any("aten.renorm" in reason for reason in rows["first"].closed)


def adapted():
    adapter = type("Linear", (nn.Linear,), {"__module__": "peft.tuners.lora.layer"})
    return nn.Sequential(nn.Linear(8, 16), adapter(16, 8))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 8)).to("meta"), "no weights yet"),
        (adapted, r"the module '1' has adapters of peft.*their merge_and_unload"),
        (
            lambda: torch.ao.quantization.quantize_dynamic(
                nn.Sequential(nn.Linear(8, 16), nn.ReLU()), {nn.Linear}
            ),
            "the module '0' is quantised; give the model before that",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:torch.quantize_per_tensor")
def test_weights_that_narrower_networks_cannot_have_are_refused(made, said):
    with pytest.raises(ConversionError, match=said):
        convert(made(), torch.randn(2, 8))
