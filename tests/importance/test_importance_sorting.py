"""Converted models are put in the order of importances that are measured, and are left as they are."""

from __future__ import annotations

import copy

import pytest
import torch
from importance_models import Branches, Heads, converted, made, measured
from torch import nn

import supernet as sn
from supernet import elastic as el
from supernet.conversion import Operations, Widths
from supernet.conversion.trial_networks import largest
from supernet.elastic.sorting import sort_channels
from supernet.errors import ConfigError, ConversionError, DataError, DivergedError
from supernet.importance import L1, Activation, Fisher, Importance, Taylor
from supernet.space import Architecture
from supernet.task import Regression


def methods(batches):
    return [L1(), Taylor(batches), Activation(batches), Fisher(batches, labels="given")]


@pytest.mark.parametrize("kind", [Branches, Heads])
@pytest.mark.parametrize("place", range(4))
def test_converted_channels_are_in_the_order_of_an_importance(kind, place):
    model, batches = made(kind)
    importance = methods(batches)[place]
    before = measured(model, batches, importance)
    assert any(not torch.equal(one, one.sort(descending=True).values) for one in before.values())
    space = converted(model, batches, sort=importance)
    supernet = sn.SuperNet(space)
    whole = Architecture({d.label: d.options[-1] for d in supernet.space.decisions})
    with supernet.route(whole):
        again = sn.importance.channel_importances(space, importance)
    for label, values in before.items():
        torch.testing.assert_close(again[label], values.sort(descending=True).values)
    torch.testing.assert_close(supernet(batches[0][0], whole), model(batches[0][0]))


def test_true_is_l1():
    model, batches = made(Heads)
    states = [converted(model, batches, sort=sort).state_dict() for sort in (True, L1(), False)]
    assert all(torch.equal(states[0][name], value) for name, value in states[1].items())
    assert any(not torch.equal(states[0][name], value) for name, value in states[2].items())


class Counting(nn.Module):
    """A model whose forward pass changes a buffer and draws, in evaluation mode too."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(5, 8), nn.Linear(8, 3)
        self.norm = nn.BatchNorm1d(8)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return self.last(torch.relu(self.norm(self.first(x))) + 0.1 * torch.rand(8))


@pytest.mark.parametrize("place", range(1, 4))
def test_measuring_changes_nothing(place):
    torch.manual_seed(0)
    w = el.Dimension("width", [2, 8])
    model = Counting()
    model.first, model.last = el.Linear(5, w), el.Linear(w, 3)
    model.norm = el.BatchNorm1d(w)
    model.last.weight.requires_grad_(False)
    model.first.weight.grad = torch.ones(8, 5)
    model.norm.eval()
    importance = methods(batches := [(torch.randn(6, 5), torch.randint(3, (6,)))])[place]
    loader = torch.utils.data.DataLoader(list(zip(*batches[0], strict=True)), 3, shuffle=True)
    importance.batches = loader  # which draws, too
    state, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    supernet = sn.SuperNet(nn.Sequential(model))
    with supernet.route(Architecture({"width": 8})), torch.no_grad():
        found = sn.importance.channel_importances(supernet, importance)["width"]
        again = sn.importance.channel_importances(supernet, importance)["width"]
    assert torch.equal(found, again)
    assert (found > 0).all()
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.equal(model.first.weight.grad, torch.ones(8, 5))
    assert model.last.weight.grad is None
    assert not model.last.weight.requires_grad
    assert [model.training, model.norm.training] == [True, False]


class Named(nn.Module):
    """A model of two inputs by name, one of which is the same for all examples."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(5, 8), nn.Linear(8, 3)

    def forward(self, tokens, scale):
        return self.last(torch.relu(self.first(tokens)) * scale.mean())


def test_inputs_may_have_names_and_be_the_same_for_all_examples():
    torch.manual_seed(0)
    model, scale = Named(), torch.rand(4)
    tokens, labels = torch.randn(6, 5), torch.randint(3, (6,))
    rules = [Widths(multiple=1)]
    found = []
    for example, batches in (
        (({"tokens": tokens, "scale": scale},), [({"tokens": tokens, "scale": scale}, labels)]),
        ((tokens, scale), [(tokens, scale, labels)]),
    ):
        space = sn.convert(model, *example, rules=rules, sort=False, batched=(True, False))
        supernet = sn.SuperNet(space)
        with supernet.route(Architecture({"first": 8})):
            found.append(
                [sn.importance.channel_importances(space, one)["first"] for one in methods(batches)]
            )
    one = [(tokens[i : i + 1], scale, labels[i : i + 1]) for i in range(6)]
    with supernet.route(Architecture({"first": 8})):
        fisher = sn.importance.channel_importances(space, Fisher(one, labels="given"))["first"]
    for named, placed in zip(*found, strict=True):
        torch.testing.assert_close(named, placed)
    torch.testing.assert_close(found[0][3], fisher)


def test_layers_of_open_size_are_sorted_too():
    torch.manual_seed(0)
    w = el.Dimension("width", [4, 8])
    block = el.SelfAttention(w, el.Dimension("heads", [1, 3]), el.Dimension("head", [2, 4]))
    layers = el.Linear(5, w), el.LayerNorm(w), block, el.Linear(w, 3), nn.Flatten()
    supernet = sn.SuperNet(nn.Sequential(*layers))
    x, y = torch.randn(4, 5, 5), torch.zeros(4, 15)
    whole = Architecture({"width": 8, "heads": 3, "head": 4})
    for importance in (Activation([x]), Taylor([(x, y)], Regression())):
        before = supernet.eval()(x, whole)
        with supernet.route(whole):
            sort_channels(supernet, importance=importance)
            found = sn.importance.channel_importances(supernet, importance)
        assert found.keys() == {"width", "heads", "head"}
        for values in found.values():
            torch.testing.assert_close(values, values.sort(descending=True).values)
        torch.testing.assert_close(supernet(x, whole), before, atol=1e-5, rtol=1e-4)


class Copied(nn.Module):
    """A weight that is multiplied in a copy with other places."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(5, 8)
        self.last = nn.Parameter(torch.randn(3, 8))

    def forward(self, x):
        return torch.relu(self.first(x)) @ self.last.T.contiguous()


def test_what_activation_does_not_know_is_named():
    torch.manual_seed(0)
    x, rules = torch.randn(4, 5), [Widths(multiple=1)]
    with pytest.raises(ConversionError, match=r"'last'.*Taylor"):
        sn.convert(Copied(), x, rules=rules, sort=Activation([x]))
    sn.convert(Copied(), x, rules=rules, sort=Fisher([x]))


def test_operations_that_the_model_has_not_do_not_count():
    torch.manual_seed(0)
    x = torch.randn(6, 5)
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    offer = Operations("2", offer=lambda module: {"without": nn.Linear(8, 8, bias=False)})
    rules = [Widths(multiple=1)]
    found = []
    for both in ([offer, *rules], rules):
        supernet = sn.SuperNet(sn.convert(model, x, rules=both, sort=False))
        with supernet.route(largest(supernet)):
            found.append(sn.importance.channel_importances(supernet, Activation([x]))["0"])
    torch.testing.assert_close(found[0], found[1])


X, Y = torch.randn(6, 6, 5), torch.randint(3, (6,))


@pytest.mark.parametrize(
    ("importance", "error", "says"),
    [
        (lambda: Taylor([]), ConfigError, "no batches"),
        (lambda: Fisher(iter([])), ConfigError, "no batches"),
        (lambda: Activation([]), ConfigError, "no batches"),
        (lambda: Taylor(X), ConfigError, "put a single one in a list"),
        (lambda: Activation(3), ConfigError, "batches are several"),
        (lambda: Taylor((X, Y)), DataError, r"needs labels.*\[\(inputs, labels\), ...\]"),
        (lambda: Taylor([[X]]), DataError, r"(?s)batch 0 .*give \(inputs, labels\)"),
        (lambda: Fisher([X], labels="given"), DataError, "needs labels"),
        (lambda: Fisher([X], labels="true"), ConfigError, "'drawn' or 'given'"),
        (lambda: Fisher([X], part=0), ConfigError, "at least 1"),
        (lambda: Fisher([X], Regression()), ConfigError, "labels='given'"),
        (lambda: Fisher([X[:0]]), DataError, "no examples"),
        (lambda: Taylor([(X, Y[:3])]), DataError, "6|3"),
        (lambda: Activation([X[..., :4]]), DataError, r"\[6, 6, 4\].*Activation"),
        (lambda: Taylor([(X / 0, Y)]), DivergedError, "loss of a batch"),
        (lambda: Fisher([X / 0]), DivergedError, "loss of a batch"),
        (lambda: Activation([X / 0]), DivergedError, "not a finite number"),
        (lambda: "taylor", ConversionError, "True, False or an importance"),
    ],
)
def test_what_is_wrong_is_said(importance, error, says):
    model, batches = made(Heads)
    with pytest.raises(error, match=says):
        converted(model, batches, sort=importance())


def test_an_importance_may_be_of_ones_own():
    class First(Importance):
        def amounts(self, model):
            found = sn.importance.L1().amounts(model)
            yield {own: torch.arange(own.numel()).view(own.shape) for own in next(iter(found))}

    model, batches = made(Heads)
    found = measured(model, batches, First())["up"]
    assert found.tolist() == [3 + 9 * row for row in range(7)]
