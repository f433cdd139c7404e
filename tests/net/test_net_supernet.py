import copy

import pytest
import torch
from torch import nn

import supernet as sn
from supernet.choice import Gate, Routing
from supernet.errors import RoutingError, SpaceError
from supernet.space import OneOf, SomeOf

X = torch.tensor([1.0, 2.0])


def wrap(**modules):
    """Return a model that applies the modules one after the other, under these names."""
    model = nn.Sequential()
    for name, module in modules.items():
        model.add_module(name, module)
    return model


def pair(times, first=2, second=3, **arguments):
    return sn.Choice({"x": times(first), "y": times(second)}, **arguments)


def test_decisions_are_named_after_the_place_or_the_label(times):
    model = sn.SuperNet(
        wrap(a=pair(times), b=nn.Sequential(pair(times), pair(times, label="mine")))
    )

    assert model.space.labels == {"a", "b.0", "mine"}
    assert model.space.decision("a") == OneOf("a", ("x", "y"))


def test_pick_decides_the_kind(times):
    options = [times(2), times(3), times(5)]

    assert sn.Choice(options).decision("d") == OneOf("d", ("0", "1", "2"))
    assert sn.Choice(options, 2).decision("d") == SomeOf("d", ("0", "1", "2"), 2, 2)
    assert sn.Choice(options, (1, 3)).decision("d") == SomeOf("d", ("0", "1", "2"), 1, 3)
    assert sn.Choice(options, (1, 1)).decision("d") == SomeOf("d", ("0", "1", "2"), 1, 1)


@pytest.mark.parametrize(
    ("options", "pick", "message"),
    [
        ({}, 1, "no options"),
        ({"f": torch.relu}, 1, "wrap a function"),
        ([nn.Identity()], 2, "cannot be chosen"),
        ([nn.Identity()], (0, 1), "at least one"),
        ([nn.Identity()], 0, "cannot be chosen"),
        ([nn.Identity(), nn.Identity()], (2, 1), "cannot be chosen"),
    ],
)
def test_bad_choices_are_refused(options, pick, message):
    with pytest.raises(SpaceError, match=message):
        sn.Choice(options, pick)


def test_a_decision_in_an_option_exists_with_it_only(nested):
    assert nested.space.labels == {"outer", "outer.deep.0"}
    assert nested.space.conditions("outer.deep.0") == ((("outer", "deep"),),)
    assert nested.space.size == 3
    assert sorted(nested(X, a)[0].item() for a in nested.space) == [6, 7, 10]


def test_equal_labels_share_one_decision(times):
    model = sn.SuperNet(wrap(a=pair(times, label="op"), b=pair(times, 5, 7, label="op")))

    assert model.space.size == 2
    assert [model(X, a)[0].item() for a in model.space] == [2 * 5, 3 * 7]


def test_a_shared_label_below_two_parents_exists_with_either(times):
    def below():
        return sn.Choice({"deep": pair(times, label="op"), "flat": times(7)})

    model = sn.SuperNet(wrap(a=below(), b=below()))

    assert set(model.space.conditions("op")) == {(("a", "deep"),), (("b", "deep"),)}
    assert model.space.size == 3 * 2 + 1
    assert sorted(model(X, a)[0].item() for a in model.space) == [4, 9, 14, 14, 21, 21, 49]


def test_one_choice_used_in_two_places_is_one_decision(times):
    shared = pair(times)
    model = sn.SuperNet(wrap(a=shared, b=nn.Sequential(shared)))

    assert model.space.labels == {"a"}
    assert [model(X, a)[0].item() for a in model.space] == [4, 9]


def test_one_choice_used_in_two_options_exists_with_either(times):
    shared = pair(times)
    outer = sn.Choice(
        {"once": nn.Sequential(shared), "twice": nn.Sequential(shared, shared), "no": nn.Identity()}
    )
    model = sn.SuperNet(outer)

    assert model.space.size == 5
    assert sorted(model(X, a)[0].item() for a in model.space) == [1, 2, 3, 4, 9]


def test_the_model_itself_can_be_a_choice(times):
    model = sn.SuperNet(pair(times))

    assert model.space.labels == {"choice"}
    assert sn.SuperNet(pair(times, label="op")).space.labels == {"op"}
    assert model(X, sn.Architecture({"choice": "y"}))[0] == 3


def test_a_choice_can_directly_be_an_option(times):
    model = sn.SuperNet(sn.Choice({"deep": pair(times), "flat": times(7)}))

    assert model.space.labels == {"choice", "deep"}
    assert sorted(model(X, a)[0].item() for a in model.space) == [2, 3, 7]


def test_equal_labels_with_different_options_are_refused(times):
    other = sn.Choice({"x": times(2), "z": times(3)}, label="op")
    with pytest.raises(SpaceError, match="share the label 'op' but differ"):
        sn.SuperNet(wrap(a=pair(times, label="op"), b=other))
    with pytest.raises(SpaceError, match="share the label 'op' but differ"):
        sn.SuperNet(wrap(a=pair(times, label="op"), b=pair(times, label="op", pick=(1, 2))))


def test_a_label_inside_its_own_options_is_answered_once(times):
    inner = pair(times, label="op")
    model = sn.SuperNet(sn.Choice({"x": inner, "y": times(7)}, label="op"))

    assert [model(X, a)[0].item() for a in model.space] == [2, 7]


def test_labels_that_lie_in_each_other_are_refused(times):
    def below(outer, inner):
        return sn.Choice({"x": pair(times, label=inner), "y": times(3)}, label=outer)

    with pytest.raises(SpaceError, match="circle"):
        sn.SuperNet(sn.Choice([below("a", "b"), below("b", "a")]))


def test_a_model_without_choices_is_refused():
    with pytest.raises(SpaceError, match="add at least one Choice"):
        sn.SuperNet(nn.Linear(2, 2))


def test_the_model_is_used_as_it_is(times):
    user = wrap(a=pair(times))
    names = [name for name, _ in user.named_parameters()]
    model = sn.SuperNet(user)

    assert model.model is user
    assert [name for name, _ in user.named_parameters()] == names
    assert not user.a._forward_hooks
    assert not user.a._forward_pre_hooks


def test_two_supernets_around_one_model_do_not_interfere(times):
    user = wrap(a=pair(times))
    one, two = sn.SuperNet(user), sn.SuperNet(user)
    x, y = sn.Architecture({"a": "x"}), sn.Architecture({"a": "y"})

    with one.route(x):
        assert two(X, y)[0] == 3
        assert one(X)[0] == 2
    with pytest.raises(RoutingError):
        two(X)


def test_a_copy_of_a_supernet_is_independent(nested):
    other = copy.deepcopy(nested)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()

    flat = sn.Architecture({"outer": "flat"})
    with nested.route(flat):
        assert other(X, flat)[0] == 0
        assert nested(X)[0] == 7
        with pytest.raises(RoutingError):
            other(X)


def test_every_module_has_the_paths_of_options_it_lies_in(times):
    shared = times(2)
    outer = sn.Choice({"a": nn.Sequential(shared, pair(times)), "b": nn.Sequential(shared)})
    model = sn.SuperNet(wrap(stem=times(1), outer=outer))
    paths = {}
    for module, path in model.places():
        paths.setdefault(module, []).append(path)

    inner = model.model.outer.options[0][1]
    assert paths[model.model] == [()]
    assert paths[model.model.stem] == [()]
    assert paths[outer] == [()]
    assert paths[shared] == [(("outer", "a"),), (("outer", "b"),)]
    assert paths[inner] == [(("outer", "a"),)]
    assert paths[inner.options[1]] == [(("outer", "a"), ("outer.a.1", "y"))]


def test_canonical_of_the_model_is_that_of_the_space(times):
    class Sorted(nn.Sequential):
        def canonical(self, architecture):
            return sn.Architecture(dict(zip("01", sorted(architecture.values()), strict=True)))

    model = sn.SuperNet(Sorted(pair(times), pair(times)))

    assert model.space.canonical(sn.Architecture({"0": "y", "1": "x"})) == sn.Architecture(
        {"0": "x", "1": "y"}
    )


def test_training_leaves_unused_options_bit_identical(net, snapshot):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    images = torch.randn(8, 1, 6, 6)
    everything = Routing.masked(net.space, {})
    for route in (everything, everything):  # every momentum buffer is filled
        optimizer.zero_grad(set_to_none=True)
        net(images, route).square().mean().backward()
        optimizer.step()
    before = snapshot(net)

    optimizer.zero_grad(set_to_none=True)
    net(images, Routing(a=Gate((0,)), b=Gate((1,)), join=Gate((1, 2)))).square().mean().backward()
    optimizer.step()

    used = ("model.stem", "model.a.options.0", "model.join.options.1", "model.head")
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]) != name.startswith(used), name


def test_module_dictionaries_and_lists_are_options():
    named = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Tanh()})
    assert sn.Choice(named).names == ("a", "b")
    assert sn.InputChoice(named).names == ("a", "b")
    assert sn.Choice(nn.ModuleList([nn.ReLU(), nn.Tanh()])).names == ("0", "1")


@pytest.mark.parametrize("pick", ["12", (1, 1, 1), 2.0, True, (1, "2"), None])
def test_odd_numbers_to_pick_are_refused(pick):
    with pytest.raises(SpaceError, match="pick is a number"):
        sn.Choice([nn.ReLU(), nn.Tanh()], pick=pick)


@pytest.mark.parametrize("route", ["a", [], [{"a": "0"}], 3])
def test_what_is_no_route_is_refused(route):
    net = sn.SuperNet(nn.Sequential(sn.Choice([nn.ReLU(), nn.Tanh()], label="a")))
    with pytest.raises(RoutingError, match="a route is an Architecture"):
        net(torch.zeros(1), routing=route)


def test_a_place_and_a_label_of_one_name_share_nothing_by_accident():
    model = nn.ModuleDict(
        {"a": sn.Choice([nn.ReLU(), nn.Tanh()]), "b": sn.Choice([nn.ReLU(), nn.Tanh()], label="a")}
    )
    with pytest.raises(SpaceError, match="no label, but another is labelled 'a'"):
        sn.SuperNet(model)
