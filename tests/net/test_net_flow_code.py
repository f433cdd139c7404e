"""What a model's code does with modules: derived networks compute the same, and cost what is said."""

import pytest
import torch
from torch import nn

import supernet as sn
from supernet.cost import count_macs, count_params, measure_costs
from supernet.cost.completions import Completions
from supernet.net.flow import Unread

X = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))


def conv(entering, leaving, kernel=3):
    return nn.Conv2d(entering, leaving, kernel, padding=kernel // 2)


class Base(nn.Module):
    """Reads `near`, or `far` by way of `big`."""

    def __init__(self):
        super().__init__()
        self.pick = sn.InputChoice(["near", "far"], label="pick")
        self.big = self.make()

    def make(self):
        return conv(4, 4)

    def forward(self, x):
        return self.pick([x, self.big(x)])


class Named(Base):
    def forward(self, x):
        return self.pick([x, self.big(input=x)])


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = conv(4, 4)

    def forward(self, xs):
        return self.layer(xs[0] + xs[1])


class TakesPair(Base):
    def make(self):
        return Pair()

    def forward(self, x):
        return self.pick([x, torch.relu(self.big((x, x)))])


class ReadsNumber(Base):
    def forward(self, x):
        return self.pick([x, self.big(x)]) * self.big.out_channels


class ReadsWeight(Base):
    def forward(self, x):
        return self.pick([x, self.big(x)]) + self.big.weight.mean()


class CallsPart(Base):
    """A layer is called by itself beside the module that holds it."""

    def make(self):
        self.pre = conv(4, 8)
        return nn.Sequential(conv(8, 4), nn.Tanh())

    def forward(self, x):
        pre = self.pre(x)
        return self.pick([x, self.big(pre)]) + self.pick([self.big[0](pre), x])


class Held(Base):
    """Held at two places, so it stays, and needs what it reads."""

    def make(self):
        self.pre, last = conv(4, 8), nn.Sequential(conv(8, 4))
        self.again = nn.ModuleList([last])
        return last

    def forward(self, x):
        return self.pick([x, self.big(self.pre(x))])


class Optional(Base):
    """What it reads depends on whether an argument is given."""

    def make(self):
        self.side = conv(4, 4)
        return conv(4, 4)

    def forward(self, x, extra=None):
        side, near = self.side(x), self.pick([x, self.big(x)])
        return near + side if extra is None else near


class OptionalInside(Base):
    def make(self):
        return sn.Choice({"deep": Optional(), "flat": conv(4, 4)}, label="deep")


class AnyNumber(Optional):
    def forward(self, x, **others):
        return super().forward(x, others.get("extra"))


class AsksType(Optional):
    def forward(self, x):
        return super().forward(x, None if isinstance(x, torch.Tensor) else 1)


class WithoutGradients(Optional):
    def forward(self, x):
        return super().forward(x, 1 if torch.is_grad_enabled() else None)


def same(make, x, kept):
    torch.manual_seed(0)
    supernet = sn.SuperNet(make()).eval()
    tables, unread = measure_costs(supernet, x), 0
    for architecture in supernet.space:
        derived = sn.derive(supernet, architecture)
        unread += sum(isinstance(module, Unread) for module in derived.modules())
        with torch.no_grad():
            assert torch.equal(derived(x), supernet(x, architecture)), architecture
        assert tables["params"].cost(architecture) == count_params(derived)
        assert tables["macs"].cost(architecture) == count_macs(derived, x)
    assert (unread == 0) == kept


@pytest.mark.parametrize(
    "make",
    [Named, TakesPair, ReadsNumber, Optional, OptionalInside, WithoutGradients],
    ids=lambda make: make.__name__,
)
def test_what_nobody_reads_is_gone_and_nothing_else(make):
    same(make, X, kept=False)


@pytest.mark.parametrize(
    "make", [ReadsWeight, CallsPart, Held, AnyNumber, AsksType], ids=lambda make: make.__name__
)
def test_what_code_may_use_stays(make):
    same(make, X, kept=True)


class Tokens(nn.Module):
    """Numbers of words, which an activation cannot take, enter a module that is not read."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Embedding(5, 4), nn.Embedding(5, 4)
        self.pick = sn.InputChoice({"one": nn.Identity(), "two": nn.Linear(4, 4)}, label="pick")

    def forward(self, words):
        return self.pick([self.one(words), nn.functional.gelu(self.two(words))])


def test_whole_numbers_enter_what_is_not_read():
    same(Tokens, torch.tensor([[0, 1, 4], [2, 2, 3]]), kept=False)


class Never(Base):
    """No architecture reads the first layer."""

    def make(self):
        self.idle = conv(4, 8)
        return conv(4, 4)

    def forward(self, x):
        self.idle(x)
        return super().forward(x)


def test_what_no_architecture_reads_has_no_part_in_the_range():
    same(Never, X, kept=False)
    supernet = sn.SuperNet(Never())
    table = measure_costs(supernet, X)["params"]
    assert table.range(supernet.space) == (0, 4 * 4 * 9 + 4)
    assert (
        table.cost(Completions(table.entries, supernet.space, -1).architecture()) == 4 * 4 * 9 + 4
    )
