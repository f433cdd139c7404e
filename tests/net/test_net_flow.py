"""What nobody reads is neither held nor computed in a derived network, and does not count."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import supernet as sn
from supernet import elastic as el
from supernet.cost import count_macs, count_params, measure_costs
from supernet.net.conditions import ALWAYS, Algebra
from supernet.net.flow import Unread
from supernet.ops.strided import Zero
from supernet.space import OneOf, SearchSpace, SomeOf
from supernet.zoo import DARTS, ENASMicro, NASBench1Shot1, NASBench201

X = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def conv(entering, leaving, kernel=3):
    return nn.Conv2d(entering, leaving, kernel, padding=kernel // 2)


class Base(nn.Module):
    """A stem, what a subclass computes from it, and a head."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = conv(1, 4), nn.Linear(4, 3)
        self.pick = sn.InputChoice(["near", "far"], label="pick")
        self.make()

    def forward(self, x):
        return self.head(self.body(self.stem(x)).mean((2, 3)))


class Branch(Base):
    def make(self):
        self.big = nn.Sequential(conv(4, 16), nn.ReLU(inplace=True), conv(16, 4))

    def body(self, x):
        return self.pick([x, self.big(x)])


class Chain(Base):
    """`first` may be read at once, or by `middle`, or by nobody."""

    def make(self):
        self.first, self.second = conv(4, 4), conv(4, 4, 1)
        self.middle = sn.InputChoice({"x": conv(4, 4, 1), "first": nn.Identity()}, label="middle")
        self.last = sn.InputChoice(["x", "first", "middle"], pick=(1, 2), label="last")

    def body(self, x):
        first = self.first(x)
        middle = self.second(self.middle([x, first]))
        return self.pick([x, self.last([x, first, middle.relu()])])


class Nested(Base):
    """A dead branch within an option, and an option that is not read itself."""

    def make(self):
        self.big = sn.Choice({"deep": Inner(), "flat": conv(4, 4)}, label="big")

    def body(self, x):
        return self.pick([x, self.big(x)])


class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.side = conv(4, 4)
        self.inner = sn.InputChoice(["x", "side"], label="inner")

    def forward(self, x):
        return self.inner([x, self.side(x)])


class Zeros(Base):
    """An edge of zeros reads nothing but a shape, so zeros stand for what it would have read."""

    def make(self):
        self.one = sn.Choice({"none": Zero(2), "conv": nn.Conv2d(4, 4, 2, 2)}, label="one")
        self.two = sn.Choice({"none": Zero(), "conv": conv(4, 4)}, label="two")
        self.side = nn.Conv2d(4, 4, 2, 2)

    def body(self, x):
        return self.two(self.one(x)) + self.side(self.pick([x, x.tanh()]))


class Elastic(Base):
    def make(self):
        width = el.Dimension("width", [2, 4, 8])
        self.big = nn.Sequential(el.Conv2d(4, width, 3), nn.ReLU(), el.Conv2d(width, 4, 3))

    def body(self, x):
        return self.pick([x, self.big(x)])


SPACES = [
    Branch,
    Chain,
    Nested,
    Zeros,
    Elastic,
    pytest.param(lambda: NASBench1Shot1((1, 8, 8), channels=4, cells=1), id="nasbench1shot1"),
    pytest.param(lambda: ENASMicro((1, 8, 8), cells=4, channels=2, blocks=1), id="enas-micro"),
    pytest.param(lambda: NASBench201((1, 8, 8), channels=2, cells=1), id="nasbench201"),
    pytest.param(lambda: DARTS((1, 8, 8), cells=4, channels=2, nodes=2), id="darts"),
]


def some(space, most=20):
    """Return all architectures, or a part that is spread evenly over the space."""
    return [space[i] for i in range(0, space.size, max(space.size // most, 1))]


@pytest.mark.slow_with("nasbench1shot1", "enas-micro", "darts", "nasbench201")
@pytest.mark.parametrize("make", SPACES)
def test_tables_are_the_costs_of_derived_networks_which_compute_what_the_supernet_does(make):
    supernet = sn.SuperNet(make()).eval()
    tables = measure_costs(supernet, X)
    for architecture in some(supernet.space):
        derived = sn.derive(supernet, architecture)
        with torch.no_grad():
            assert torch.equal(derived(X), supernet(X, architecture))
        assert tables["params"].cost(architecture) == count_params(derived)
        assert tables["macs"].cost(architecture) == count_macs(derived, X)


@pytest.mark.slow_with("nasbench1shot1")
@pytest.mark.parametrize("make", SPACES[:6])
def test_every_parameter_of_a_derived_network_has_a_gradient(make):
    """By autograd, which knows nothing of the conditions."""
    supernet = sn.SuperNet(make())
    batch = X.repeat(4, 1, 1, 1)
    for architecture in some(supernet.space):
        derived = sn.derive(supernet, architecture).train()
        derived(batch).square().sum().backward()
        without = {name for name, p in derived.named_parameters() if p.grad is None}
        assert without == set(), architecture


@pytest.mark.slow_with("nasbench1shot1", "enas-micro")
@pytest.mark.parametrize("make", [Branch, Chain, Nested, Zeros, Elastic, *SPACES[5:7]])
def test_the_range_is_that_of_all_architectures(make):
    make = getattr(make, "values", [make])[0]
    supernet = sn.SuperNet(make())
    space = supernet.space
    for table in measure_costs(supernet, X).values():
        costs = [table.cost(architecture) for architecture in space]
        assert table.range(space) == (min(costs), max(costs))


def test_a_branch_that_nobody_reads_is_gone():
    supernet = sn.SuperNet(Branch())
    near, far = (sn.derive(supernet, sn.Architecture({"pick": o})) for o in ("near", "far"))
    big = 4 * 16 * 9 + 16 + 16 * 4 * 9 + 4
    assert isinstance(near.big, Unread)
    assert count_params(far) - count_params(near) == big
    tables = measure_costs(supernet, X)
    macs = [tables["macs"].cost(sn.Architecture({"pick": option})) for option in ("near", "far")]
    assert macs[1] - macs[0] == 64 * (4 * 16 * 9 + 16 * 4 * 9)


class Changes(Base):
    """The branch changes what it reads, so what is read elsewhere depends on it."""

    def make(self):
        self.big = nn.Sequential(nn.ReLU(inplace=True), conv(4, 4))

    def body(self, x):
        far = self.big(x)
        return self.pick([x, far])


class ChangesInCode(Changes):
    class Doubled(nn.Module):
        def forward(self, x):
            x *= 2
            return x + 1

    def make(self):
        self.big = nn.Sequential(nn.Identity(), self.Doubled(), conv(4, 4))


class Hooked(Branch):
    def make(self):
        super().make()
        self.seen = []
        self.big[0].register_forward_hook(lambda *_: self.seen.append(1))


class Shaped(Branch):
    """Code that runs in any case needs the branch's shape."""

    def body(self, x):
        far = self.big[0](x)
        return self.pick([x, far.view(len(x), 4, 4, 8, 8).sum(2)])


class Helped(Branch):
    def body(self, x):
        far = self.big(x)
        near = self.pick([x, far])
        return near + far if self.training else near


class DataDependent(Branch):
    def body(self, x):
        far = self.big(x)
        return self.pick([x, far]) if x.sum() > -1e9 else x


class Twice(Branch):
    """Called at two places, one of which is always read."""

    def body(self, x):
        return self.pick([x, self.big(x)]) + self.big(x)


class TwoNames(Branch):
    def make(self):
        super().make()
        self.other = self.big

    def body(self, x):
        return self.pick([x, self.big(x)]) + self.other(x)


@pytest.mark.parametrize(
    "make",
    [Changes, ChangesInCode, Hooked, Shaped, Helped, DataDependent, Twice, TwoNames],
    ids=lambda make: make.__name__,
)
def test_what_may_matter_stays_and_counts(make):
    supernet = sn.SuperNet(make())
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    tables = measure_costs(supernet, X)
    for architecture in supernet.space:
        derived = sn.derive(supernet, architecture)
        assert not any(isinstance(module, Unread) for module in derived.modules())
        assert tables["params"].cost(architecture) == count_params(derived)
        assert tables["macs"].cost(architecture) == count_macs(derived, X)
        for mode in (True, False):
            derived.train(mode)
            supernet.train(mode)
            with torch.no_grad():
                assert torch.equal(derived(X), supernet(X, architecture))
    after = supernet.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


class Keeps(Branch):
    """Its forward pass writes into the model, which a trace must not leave there."""

    def body(self, x):
        self.last = x
        return self.pick([x, self.big(x)])


def test_a_trace_leaves_nothing_in_the_model():
    model = Keeps()
    names = set(model.__dict__)
    supernet = sn.SuperNet(model)
    assert supernet.flow.kept == {}
    assert set(model.__dict__) == names
    assert all(module.training for module in model.modules())


def test_a_copied_supernet_derives_the_same():
    supernet = sn.SuperNet(Branch())
    near = sn.Architecture({"pick": "near"})
    first = sn.derive(supernet, near)
    second = sn.derive(copy.deepcopy(supernet), near)
    assert isinstance(second.big, Unread)
    assert first.state_dict().keys() == second.state_dict().keys()


def test_an_exported_programme_holds_nothing_dead():
    supernet = sn.SuperNet(Branch()).eval()
    derived = sn.derive(supernet, sn.Architecture({"pick": "near"}))
    program = torch.export.export(derived, (X,))
    convolutions = [n for n in program.graph.nodes if "conv2d" in str(n.target)]
    assert len(convolutions) == 1


def some_conditions(algebra):
    atom = algebra.atom
    yield from (atom("one", "a"), atom("one", "b"), atom("one", "c"))
    yield from (atom("some", "x"), atom("some", "y"), atom("some", "z"))
    yield algebra.both(atom("one", "a"), atom("some", "x"))
    yield algebra.either(atom("one", "a"), algebra.both(atom("one", "b"), atom("some", "y")))
    yield algebra.either(
        algebra.both(atom("some", "x"), atom("some", "y")), algebra.both(atom("some", "z"), ALWAYS)
    )


@pytest.mark.slow
def test_conditions_mean_what_they_say():
    space = SearchSpace([OneOf("one", ("a", "b", "c")), SomeOf("some", ("x", "y", "z"), 1, 3)])
    algebra = Algebra(space)
    found = list(some_conditions(algebra))
    found += [algebra.either(a, b) for a in found for b in found]
    for one in found[::3]:
        for other in found[::2]:
            either, both = algebra.either(one, other), algebra.both(one, other)
            for architecture in space:
                holds = [algebra.holds(c, architecture) for c in (one, other, either, both)]
                assert holds[2:] == [holds[0] or holds[1], holds[0] and holds[1]]
                chosen = {("one", architecture["one"])}
                chosen |= {("some", option) for option in architecture["some"]}
                by_paths = any(chosen.issuperset(path) for path in algebra.paths(both))
                assert by_paths == holds[3]


def test_conditions_that_always_hold_are_recognised():
    space = SearchSpace([OneOf("one", ("a", "b")), SomeOf("some", ("x", "y"), 1, 2)])
    algebra = Algebra(space)
    atom = algebra.atom
    assert algebra.either(atom("one", "a"), atom("one", "b")) is ALWAYS
    assert algebra.either(atom("some", "x"), atom("some", "y")) is ALWAYS
    assert algebra.both(atom("one", "a"), atom("one", "b")).terms == ()
    assert algebra.both(atom("some", "x"), atom("some", "y")).terms != ()
