"""GHN: the graph of an architecture, messages along it, and layers that cannot be encoded."""

import pytest
import torch
from torch import nn

from supernet.choice import Choice, InputChoice
from supernet.errors import ConfigError
from supernet.net import SuperNet, split_supernet
from supernet.space import Architecture
from supernet.strategies import GHN
from supernet.task import Classification
from supernet.train import Moment
from supernet.zoo import Bender, NASBench201

SMALL = {"tile": 3, "embedding": 2, "growth": 3, "depth": 1, "hidden": 4, "rounds": 2}


class Net(nn.Module):
    """Node 0 is read by 1; node 2 reads the stem (a), 0 (b) or 1 (c); node 3 reads 2 and 0."""

    def __init__(self):
        super().__init__()
        inner = Choice({"p": nn.Linear(4, 4), "q": nn.Linear(4, 4)}, label="inner")
        self.zero = Choice({"x": nn.Linear(4, 4), "y": inner}, label="zero")
        self.one = Choice({"x": nn.Linear(4, 4), "skip": nn.Identity()}, label="one")
        self.two = InputChoice({name: nn.Linear(4, 4) for name in "abc"}, (1, 3), "two")
        self.three = Choice({"x": nn.Linear(4, 3), "y": nn.Linear(4, 3)}, label="three")

    def forward(self, x):
        stem = x.relu()
        zero = self.zero(stem)
        one = self.one(zero * 2)
        return self.three(self.two([stem, zero, one]) + zero)


def built(model=None):
    torch.manual_seed(0)
    return GHN(**SMALL).build(model or Net())


def running(architecture):
    values = {label: v if isinstance(v, tuple) else (v,) for label, v in architecture.items()}
    return {label: frozenset(options) for label, options in values.items()}


def architecture(two, zero="x", one="x", **inner):
    return Architecture({"zero": zero, "one": one, "two": two, "three": "x", **inner})


@pytest.mark.parametrize(
    ("two", "read"), [(("a",), []), (("b",), [0]), (("c",), [1]), (("a", "b", "c"), [0, 1])]
)
def test_edges_come_from_what_is_read(two, read):
    encoder = built().hypernetwork.encoder
    assert encoder.edges(running(architecture(two))) == [[], [0], read, [0, 2]]


def test_nodes_know_the_options_that_run_within_them():
    encoder = built().hypernetwork.encoder
    x = encoder.options(running(architecture(("a", "c"), zero="y", inner="q")))
    known = [
        {f"{label}={option}" for (label, option), i in encoder.fields.items() if row[i]}
        for row in x
    ]
    assert known == [{"zero=y", "inner=q"}, {"one=x"}, {"two=a", "two=c"}, {"three=x"}]
    assert set(x.flatten().tolist()) == {0, 1}


def test_messages_are_those_of_the_formula():
    supernet = built()
    encoder, one = supernet.hypernetwork.encoder, architecture(("c",))
    edges = {(0, 1), (1, 2), (0, 3), (2, 3)}
    with torch.no_grad():
        states = encoder.first(encoder.options(running(one)))
        for _ in range(2):
            for order, forth in (([0, 1, 2, 3], True), ([3, 2, 1, 0], False)):
                for v in order:
                    near = [u for u in range(4) if ((u, v) if forth else (v, u)) in edges]
                    message = sum((encoder.message(states[u]) for u in near), torch.zeros(4))
                    states[v] = encoder.update(message, states[v])
        index = supernet.hypernetwork.index
        places = ["zero.x", "one.x", "two.c", "three.x", "zero.y.q"]
        found = encoder(running(one), [index[place] for place in places])
    torch.testing.assert_close(found, states[[0, 1, 2, 3, 0]])


def test_a_layer_is_told_of_what_lies_around_it_in_both_directions():
    supernet = built()
    layer = dict(supernet.model.named_parameters())["one.options.0.weight"]

    def weight(**answers):
        return supernet.generated(architecture(**{"two": ("b",), **answers}))[layer]

    assert not torch.equal(weight(), weight(zero="y", inner="p"))
    assert not torch.equal(weight(zero="y", inner="q"), weight(zero="y", inner="p"))
    assert not torch.equal(weight(), weight(two=("c",)))
    assert torch.equal(weight(), weight())


@pytest.mark.parametrize(
    "model",
    [
        lambda: Bender((1, 8, 8), channels=4, groups=(1, 1), blocks=2),
        lambda: NASBench201((1, 8, 8), channels=4, cells=1, stages=2),
    ],
)
def test_every_architecture_has_weights_and_gradients(model):
    supernet = built(model())
    strategy = GHN(**SMALL)
    images, classes = torch.randn(8, 1, 8, 8), torch.arange(8)
    for step in range(8):
        strategy.backward(supernet, Classification(), (images, classes), Moment(step, 8, 1))
        drawn = supernet.space.sample(Moment(step, 8, 1).stream("path"), "decisions")
        generated = supernet.generated(drawn)
        for parameter, weight in generated.items():
            assert weight.shape == parameter.shape
            assert weight.isfinite().all()
        trained = [p.grad is not None for p in supernet.hypernetwork.encoder.parameters()]
        assert all(trained) if generated else not any(trained)
        supernet.zero_grad()


def test_parts_of_a_split_supernet_keep_the_graph():
    supernet, x = built(), torch.randn(5, 4)
    part = split_supernet(supernet, "one", "x")
    for one in part.space:
        assert torch.equal(part(x, one), supernet(x, one))


def test_layers_outside_of_choices_are_refused():
    with pytest.raises(ConfigError, match=r"but classifier lies in none .* strategy\.layers"):
        GHN(layers="classifier").build(Bender((1, 8, 8), channels=4, groups=(1,), blocks=1))


def test_models_that_cannot_be_traced_are_refused():
    class Branches(Net):
        def forward(self, x):
            return super().forward(x if x.sum() > 0 else -x)

    with pytest.raises(ConfigError, match=r"ghn needs a model that PyTorch can trace.*use smash"):
        built(Branches())


def test_a_supernet_of_its_own_is_needed():
    with pytest.raises(ConfigError, match="whose weights are generated, not a SuperNet"):
        GHN().prepare(SuperNet(Net()), None)
    with pytest.raises(ConfigError, match="hidden 0 and rounds 2 must be at least 1"):
        GHN(hidden=0)
