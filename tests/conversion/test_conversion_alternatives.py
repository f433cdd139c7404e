"""Ready alternatives of modules."""

import pytest
import torch
from torch import nn

import supernet as sn
from supernet.conversion import Operations, Widths, identity, left_out
from supernet.conversion.trial_networks import largest
from supernet.cost import count_macs, measure_costs
from supernet.errors import SpaceError
from supernet.ops import Nothing
from supernet.zoo import GPT

TOKENS = torch.arange(24).view(3, 8) % 7


def gpt():
    """Return a small transformer, an ordinary module."""
    torch.manual_seed(0)
    supernet = sn.SuperNet(GPT(7, 8, (16,), (2,), 8, (2,), (3,), dropout=0.0))
    return sn.derive(supernet, supernet.space[0]).eval()


def test_layers_without_attention_or_mlp_are_options():
    model = gpt()
    rules = [
        Operations("blocks.*.attention", left_out()),
        Operations("blocks.*.layers", left_out()),
        Widths("blocks.*", (0.5, 1.0), 1),
    ]
    supernet = sn.SuperNet(sn.convert(model, TOKENS, rules=rules))
    space, whole = supernet.space, largest(supernet)
    assert len([d for d in space.decisions if d.options == ("original", "none")]) == 6
    costs = measure_costs(supernet, TOKENS[:1])
    with torch.no_grad():
        torch.testing.assert_close(supernet(TOKENS, whole), model(TOKENS))
        one = space.build(
            lambda d: "none" if d.label == "blocks.1.attention.operation" else whole[d.label]
        )
        expected = gpt()
        expected.blocks[1].attention = nn.Module()
        expected.blocks[1].forward = lambda x: x + expected.blocks[1].layers(x)
        torch.testing.assert_close(supernet(TOKENS, one), expected(TOKENS))
        for number in (0, space.size // 2, space.size - 1):
            small = sn.derive(supernet, space[number])
            torch.testing.assert_close(small(TOKENS), supernet(TOKENS, space[number]))
            assert costs["macs"].cost(space[number]) == count_macs(small, TOKENS[:1])
    nothing = space.build(lambda d: "none" if "none" in d.options else whole[d.label])
    assert costs["params"].cost(nothing) == sum(
        p.numel() for name, p in model.named_parameters() if not name.startswith("blocks.")
    )


class Block(nn.Module):
    """A residual block."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x):
        return x + self.layer(x).tanh()


def test_a_whole_block_passes_its_input_on():
    model = nn.Sequential(nn.Linear(4, 6), Block(), nn.Linear(6, 3)).eval()
    x = torch.randn(5, 4)
    supernet = sn.SuperNet(sn.convert(model, x, rules=[Operations("1", identity)]))
    assert supernet.space.role("1.operation", "skip") == "skip"
    small = supernet(x, sn.Architecture({"1.operation": "skip"}))
    torch.testing.assert_close(small, model[2](model[0](x)))


def test_nothing_is_zeros_and_what_goes_with_them():
    x = torch.randn(2, 3)
    assert torch.equal(Nothing()(x), torch.zeros(2, 3))
    zeros, other = Nothing(2)(hidden_states=x, mask=None)
    assert torch.equal(zeros, torch.zeros(2, 3))
    assert other is None
    assert list(left_out(2)(nn.Linear(2, 2))) == ["none"]
    with pytest.raises(SpaceError, match="at least one value"):
        Nothing(0)
