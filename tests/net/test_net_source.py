import pytest
import torch
from torch import nn

import supernet as sn
from supernet.errors import CodeError, ConfigError, SpaceError
from supernet.net.source import FromCallable, FromInstance, ModelSource, as_model_source


def small(classes, width=4):
    return nn.Linear(width, classes)


def same(one, two):
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


SOURCES = [FromCallable(small, {"classes": 3}), FromInstance(nn.Linear(4, 3))]
each_source = pytest.mark.parametrize("source", SOURCES, ids=["callable", "instance"])


@each_source
def test_weights_depend_on_the_seed_alone(source):
    first = source.build(1)
    torch.manual_seed(77)

    assert same(source.build(1), first)
    assert not same(source.build(2), first)


@each_source
def test_building_leaves_the_random_state_alone(source):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    source.build(1)

    assert torch.equal(torch.rand(3), expected)


def test_an_instance_is_copied(snapshot):
    model = nn.Linear(2, 2)
    before = snapshot(model)
    built = FromInstance(model).build(0, {"classes": 5})

    assert built is not model
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not same(built, model)


def test_an_instance_cannot_be_built_differently_or_without_reset(nested):
    with pytest.raises(ConfigError, match=r"\['width'\]; give the class instead"):
        FromInstance(nn.Linear(2, 2)).build(0, width=3)
    with pytest.raises(SpaceError, match="reset_parameters"):
        FromInstance(nested.model).build(0)


def test_what_the_data_gives_is_used_where_the_model_takes_it():
    data = {"classes": 7, "image": (1, 8, 8)}

    assert FromCallable(small).build(0, data).out_features == 7
    assert FromCallable(small, {"classes": 5}).build(0, data).out_features == 5
    assert FromCallable(nn.Identity).build(0, data) is not None


def test_overrides_win():
    built = FromCallable(small, {"classes": 5, "width": 2}).build(0, {"classes": 7}, width=9)

    assert (built.in_features, built.out_features) == (9, 5)


def test_a_model_that_takes_any_name_gets_the_given_ones_only():
    def greedy(**arguments):
        return nn.Linear(len(arguments), 1)

    built = FromCallable(greedy, {"a": 1}).build(0, {"classes": 7}, b=2)

    assert built.in_features == 2


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (small, {"classes": 3, "depth": 2}, "'depth'"),
        (small, {"width": 3}, "'classes'"),
        (lambda: None, {}, "returned None, which is not an nn.Module"),
    ],
)
def test_what_cannot_be_built_is_explained(make, arguments, message):
    with pytest.raises(ConfigError, match=message):
        FromCallable(make, arguments).build(0)


def test_an_error_inside_the_model_is_not_disguised():
    def broken():
        raise TypeError("the model's own")

    with pytest.raises(
        CodeError, match=r"TypeError: the model's own in .*broken\(\) at "
    ) as caught:
        FromCallable(broken).build(0)
    assert isinstance(caught.value.__cause__, TypeError)


def test_models_can_be_named():
    assert FromCallable.named("torch.nn.Linear", {}).make is nn.Linear
    built = FromCallable.named("torch.nn.Linear", {"in_features": 2, "out_features": 3}).build(0)
    assert built.weight.shape == (3, 2)


@pytest.mark.parametrize("path", ["Linear", "torch.nn.Lineal", "no_such_module.Net", "", ".x"])
def test_names_that_do_not_exist_are_explained(path):
    with pytest.raises(ConfigError, match="cannot be imported"):
        FromCallable.named(path, {})


def test_anything_that_is_a_model_becomes_a_source():
    instance, source = nn.Linear(2, 2), FromCallable(small)

    assert as_model_source(instance) == FromInstance(instance)
    assert as_model_source(nn.Identity) == FromCallable(nn.Identity)
    assert as_model_source(source) is source
    assert isinstance(as_model_source(small), ModelSource)
    for wrong in ("Net", 3, None):
        with pytest.raises(ConfigError, match="a model is an"):
            as_model_source(wrong)


def test_a_built_model_has_the_same_space(net):
    built = sn.SuperNet(FromInstance(net.model).build(3))

    assert built.space.decisions == net.space.decisions
    assert not same(built, net)


def test_arguments_that_a_layer_of_torch_refuses_are_said():
    source = FromCallable(nn.Linear, {"in_features": 8, "out_features": -2})
    with pytest.raises(CodeError, match=r"building the model Linear: .*negative dimension -2"):
        source.build(0)
