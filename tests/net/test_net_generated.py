"""Generated weights: which layers have them, where they go, how long they live, what stays as it was."""

import copy
import gc
import weakref

import pytest
import torch
from torch import nn

from supernet.choice import Choice, Routing
from supernet.cost import measure_costs
from supernet.data import Examples, Normalise
from supernet.errors import ConfigError, RoutingError
from supernet.evaluate import Evaluator, Protocol
from supernet.net import GeneratedSuperNet, SuperNet, derive, split_supernet
from supernet.net.generated import Hypernetwork, designated
from supernet.space import Architecture
from supernet.task import Classification


class Sines(Hypernetwork):
    """A weight is the sine of learned numbers plus one that the options which run decide."""

    def __init__(self, layers):
        super().__init__(layers)
        self.values = nn.ParameterList(torch.randn(shape) for shape in self.shapes)
        self.calls = []

    def forward(self, running, layers):
        self.calls.append((running, layers))
        shift = sum(map(len, sorted(str(pair) for pair in running.items())))
        shift += sum(ord(c) for options in running.values() for o in options for c in str(o))
        return [(self.values[number] + shift).sin() for number in layers]


class Tree(nn.Module):
    """A nested decision, a layer at two places, layers of every kind that can be generated or cannot."""

    def __init__(self):
        super().__init__()
        twice = nn.Conv2d(4, 4, 1)
        inner = Choice({"point": nn.Conv2d(4, 4, 1, bias=False), "twice": twice}, label="inner")
        self.stem = nn.Conv2d(1, 4, 1)
        self.outer = Choice(
            {"deep": nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), inner), "flat": twice},
            label="outer",
        )
        self.groups = Choice({"grouped": nn.Conv2d(4, 4, 1, groups=2), "skip": nn.Identity()})
        self.norm = nn.BatchNorm2d(4)
        self.head = Choice({"linear": nn.Linear(4, 3), "other": nn.Linear(4, 3)}, pick=(1, 2))

    def forward(self, x):
        x = self.norm(self.groups(self.outer(self.stem(x))))
        return self.head(x.mean((2, 3)))


IN_OPTIONS = {
    "outer.deep.1.point",
    "outer.deep.1.twice",
    "outer.flat",
    "head.linear",
    "head.other",
}


def built(pattern=None, seed=0):
    torch.manual_seed(seed)
    model = Tree()
    return GeneratedSuperNet(model, Sines(designated(SuperNet(model), pattern)))


@pytest.fixture
def supernet():
    return built()


@pytest.fixture
def images():
    return torch.randn(6, 1, 5, 5, generator=torch.Generator().manual_seed(1))


def by_hand(supernet, architecture):
    """Return a plain supernet into which the generated weights were copied."""
    model = copy.deepcopy(supernet.model)
    parameters = dict(model.named_parameters())
    names = {parameter: name for name, parameter in supernet.model.named_parameters()}
    with torch.no_grad():
        for parameter, weight in supernet.generated(architecture).items():
            parameters[names[parameter]].copy_(weight)
    return SuperNet(model)


def test_layers_in_options_are_designated_by_default(supernet):
    assert set(designated(supernet)) == IN_OPTIONS
    index = supernet.hypernetwork.index
    assert index["outer.flat"] == index["outer.deep.1.twice"]
    assert len(set(index.values())) == len(supernet.hypernetwork.shapes) == 4


def test_a_pattern_designates_layers_anywhere():
    assert set(designated(built(), "stem")) == {"stem"}
    assert set(designated(built(), "outer.flat*")) == {"outer.flat"}
    assert set(designated(built(), "head.*")) == {"head.linear", "head.other"}


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (
            "tail*",
            "'tail\\*' matches no linear layer or convolution of kernel 1.*stem, outer.deep.1",
        ),
        ("norm", "matches no linear layer"),
        ("outer.deep.*", r"cannot generate the weight \[4, 4, 3, 3\] of outer.deep.0"),
        ("groups*", r"cannot generate the weight \[4, 2, 1, 1\] of groups.grouped"),
    ],
)
def test_what_cannot_be_generated_is_refused(pattern, message):
    with pytest.raises(ConfigError, match=message):
        designated(built(), pattern)


def test_a_space_without_such_layers_is_refused():
    with pytest.raises(ConfigError, match="nothing to generate: no option holds"):
        designated(SuperNet(Choice([nn.Identity(), nn.Conv2d(1, 1, 3)])))


def test_only_reached_layers_are_generated_from_what_is_reached(supernet, images):
    flat = Architecture({"outer": "flat", "groups": "skip", "head": ("other",)})
    deep = Architecture({**flat, "outer": "deep", "inner": "point", "head": ("linear", "other")})
    index, calls = supernet.hypernetwork.index, supernet.hypernetwork.calls
    for architecture in (flat, deep):
        supernet(images, architecture)
    (of_flat, in_flat), (of_deep, in_deep) = calls

    assert set(in_flat) == {index["outer.flat"], index["head.other"]}
    assert of_flat == {"outer": {"flat"}, "groups": {"skip"}, "head": {"other"}}
    assert set(in_deep) == {
        index[f"{name}"] for name in ("outer.deep.1.point", *sorted(IN_OPTIONS)[:2])
    }
    assert of_deep["inner"] == {"point"}


def test_gates_out_of_reach_are_not_encoded(supernet, images):
    gates = Routing.hard(supernet.space, supernet.space[0])
    outer = supernet.space.decision("outer")
    for option in outer.options:
        gates = Routing(
            {**gates, "outer": Routing.hard(supernet.space, {"outer": option})["outer"]}
        )
        gates["inner"] = Routing.hard(supernet.space, {"inner": "point"})["inner"]
        supernet(images, gates)
        running, _ = supernet.hypernetwork.calls[-1]
        assert ("inner" in running) == (option == "deep")


@pytest.mark.parametrize("training", [True, False])
def test_the_result_is_that_of_a_module_with_the_weights_copied_by_hand(supernet, images, training):
    supernet.train(training)
    outputs = []
    for architecture in supernet.space:
        output = supernet(images, architecture)
        torch.testing.assert_close(
            by_hand(supernet, architecture).train(training)(images, architecture), output
        )
        torch.testing.assert_close(derive(supernet, architecture).train(training)(images), output)
        outputs.append(output)
    assert len({tuple(output.flatten().tolist()) for output in outputs}) == supernet.space.size


def test_the_users_parameters_stay_as_they_are(supernet, images):
    parameters = dict(supernet.model.named_parameters())
    values = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    for architecture in supernet.space:
        supernet(images, architecture).square().sum().backward()
        replaced = set(supernet.generated(architecture))
        assert replaced
        assert all(parameter.grad is None for parameter in replaced)
    with pytest.raises(RuntimeError):  # five channels in place of one
        supernet(torch.randn(2, 5, 5, 5), supernet.space[0])
    with pytest.raises(RoutingError):
        supernet(images)

    after = dict(supernet.model.named_parameters())
    assert after.keys() == parameters.keys()
    for name, parameter in after.items():
        assert parameter is parameters[name]
        assert torch.equal(parameter, values[name])


def test_weights_live_as_long_as_the_route(supernet, images):
    calls, seen = supernet.hypernetwork.calls, []

    def note(module, _):
        seen.append(weakref.ref(module.weight))

    supernet.model.outer.options[1].register_forward_pre_hook(note)
    flat = Architecture({"outer": "flat", "groups": "skip", "head": ("other",)})
    deep = Architecture({**flat, "outer": "deep", "inner": "twice"})
    with supernet.route(flat):
        for _ in range(3):
            supernet(images)
        with supernet.route(deep):
            supernet(images)
        supernet(images)
        assert len(calls) == 2
        *first, within, last = (ref() for ref in seen)
        assert within is None
        assert last is not None
        assert all(weight is last for weight in first)
        del first, last
    gc.collect()
    assert all(ref() is None for ref in seen)
    supernet(images, flat)
    assert len(calls) == 3


def test_a_pass_without_gradients_does_not_take_them_from_the_next(supernet, images):
    with supernet.route(supernet.space[0]):
        with torch.no_grad():
            supernet(images)
        with torch.inference_mode():
            supernet(images)
        supernet(images).square().sum().backward()
    number = supernet.hypernetwork.calls[0][1][0]
    assert supernet.hypernetwork.values[number].grad is not None


def test_ghost_batches_have_their_own_weights(supernet, images):
    supernet.eval()
    one, other = supernet.space[0], supernet.space[supernet.space.size - 1]
    routes = [Routing.hard(supernet.space, architecture) for architecture in (one, other)]
    expected = torch.cat([supernet(images[:3], one), supernet(images[3:], other)])
    torch.testing.assert_close(supernet(images, routing=routes), expected)


def test_costs_are_those_of_the_model(supernet, images):
    plain = measure_costs(SuperNet(supernet.model), images[:1])
    tables = measure_costs(supernet, images[:1])
    for architecture in supernet.space:
        for quantity, table in tables.items():
            assert table.cost(architecture) == plain[quantity].cost(architecture)


@pytest.mark.parametrize("option", ["deep", "flat"])
def test_a_part_of_a_split_supernet_generates_the_same_weights(supernet, images, option):
    supernet.eval()
    part = split_supernet(supernet, "outer", option)
    mine = [architecture for architecture in supernet.space if architecture["outer"] == option]
    assert list(part.space) == mine
    for architecture in mine:
        assert torch.equal(part(images, architecture), supernet(images, architecture))
    with torch.no_grad():
        for parameter in part.parameters():
            parameter.add_(1)
    assert not torch.equal(part(images, mine[0]), supernet(images, mine[0]))
    assert {id(p) for p in part.parameters()}.isdisjoint(map(id, supernet.parameters()))


@pytest.mark.parametrize("batch_norm", ["batch", "recalibrate"])
def test_candidates_are_scored_plainly_with_one_generation_each(supernet, images, batch_norm):
    examples = Examples(images.repeat(8, 1, 1, 1), torch.arange(48) % 3)
    protocol, identity = Protocol(batch_norm, 12, 2), Normalise((0.0,), (1.0,))
    evaluator = Evaluator(supernet, Classification(), examples, examples, identity, protocol)
    architectures = list(supernet.space)
    scores = dict(evaluator.scores(architectures))

    assert "depends on decisions that lie elsewhere" in evaluator.plain_because
    assert len(supernet.hypernetwork.calls) == len(architectures)
    assert len({score["loss"] for score in scores.values()}) == len(architectures)
    for architecture in reversed(architectures):
        assert evaluator.score(architecture) == scores[architecture]
