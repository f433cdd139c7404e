import random

import pytest
import torch
from torch import nn

import supernet as sn
from supernet.choice import Gate, Routing
from supernet.errors import RoutingError, SpaceError

X = torch.tensor([[1.0, -2.0], [3.0, 4.0]])


@pytest.fixture
def three(times):
    """One choice of the factors 2, 3 and 5, of which one to three are summed."""
    return sn.SuperNet(sn.Choice({"two": times(2), "three": times(3), "five": times(5)}, (1, 3)))


@pytest.fixture
def batch_norm():
    """Two options that normalise, without parameters."""
    options = {name: nn.BatchNorm1d(2, affine=False) for name in "ab"}
    return sn.SuperNet(sn.Choice(options))


def gates(model):
    return [choice.gate for choice in model.choices]


@pytest.mark.parametrize(
    ("chosen", "factor"), [(("two",), 2), (("two", "five"), 7), (("two", "three", "five"), 10)]
)
def test_hard_gates_sum_the_chosen_options(three, chosen, factor):
    assert torch.equal(three(X, sn.Architecture({"choice": chosen})), factor * X)


def test_soft_gates_weigh_all_options_and_pass_gradients_to_the_weights(three):
    weights = torch.tensor([0.5, 0.25, 2.0], requires_grad=True)
    output = three(X, Routing.soft(three.space, {"choice": weights}))
    output.sum().backward()

    assert torch.allclose(output, (0.5 * 2 + 0.25 * 3 + 2 * 5) * X)
    assert torch.allclose(weights.grad, torch.tensor([2.0, 3.0, 5.0]) * X.sum())
    assert torch.allclose(three.model.options[2].factor.grad, 2 * X.sum())


def test_masked_gates_keep_what_is_listed_and_all_where_nothing_is_said(nested):
    everything = nested(X, Routing.masked(nested.space, {}))
    without_p = nested(X, Routing.masked(nested.space, {"outer.deep.0": (1,)}))
    flat = nested(X, Routing.masked(nested.space, {"outer": (1,)}))

    assert torch.equal(everything, ((3 + 5) * 2 + 7) * X)
    assert torch.equal(without_p, (5 * 2 + 7) * X)
    assert torch.equal(flat, 7 * X)


def test_an_empty_gate_gives_zeros_without_gradient(three):
    output = three(X, Routing(choice=Gate(())))

    assert torch.equal(output, torch.zeros_like(X))
    assert not output.requires_grad


def test_an_empty_gate_leaves_the_statistics_of_all_options_alone(batch_norm, snapshot):
    before = snapshot(batch_norm)
    batch_norm(X, Routing(choice=Gate(())))

    assert all(torch.equal(value, before[name]) for name, value in batch_norm.state_dict().items())
    assert all(module.training for module in batch_norm.modules())


def test_options_that_are_not_gated_get_no_gradient(three):
    three(X, sn.Architecture({"choice": ("three",)})).sum().backward()
    two, used, five = three.model.options

    assert two.factor.grad is None
    assert five.factor.grad is None
    assert torch.equal(used.factor.grad, X.sum())


def test_options_that_are_not_gated_do_not_run(batch_norm):
    batch_norm(X, sn.Architecture({"choice": "b"}))

    assert [int(norm.num_batches_tracked) for norm in batch_norm.model.options] == [0, 1]


def test_an_input_choice_gives_each_option_its_own_input(times):
    model = sn.SuperNet(sn.InputChoice({"x": times(2), "y": times(3), "z": times(5)}, (1, 3)))
    inputs = [X, 10 * X, 100 * X]

    assert torch.equal(model(inputs, sn.Architecture({"choice": ("x", "z")})), 502 * X)
    with pytest.raises(RoutingError, match="between 3 inputs but was given 2"):
        model(inputs[:2], sn.Architecture({"choice": ("x",)}))


def test_an_input_choice_of_names_alone_passes_inputs_on():
    model = sn.SuperNet(sn.InputChoice(["x", "y"], label="from"))

    assert torch.equal(model([X, 2 * X], sn.Architecture({"from": "y"})), 2 * X)


def test_projections_summed_equal_the_projected_concatenation():
    torch.manual_seed(0)
    parts = nn.ModuleList(nn.Conv2d(width, 4, 1, bias=False) for width in (2, 3, 5))
    model = sn.SuperNet(sn.InputChoice(list(parts), (1, 3)))
    inputs = [torch.randn(2, width, 3, 3) for width in (2, 3, 5)]
    whole = torch.cat([part.weight for part in (parts[0], parts[2])], dim=1)

    output = model(inputs, sn.Architecture({"choice": ("0", "2")}))

    expected = nn.functional.conv2d(torch.cat([inputs[0], inputs[2]], 1), whole)
    assert torch.allclose(output, expected, atol=1e-6)


@pytest.mark.parametrize("positional", [True, False])
def test_the_route_can_be_named_or_the_last_input(three, positional):
    route = sn.Architecture({"choice": ("two",)})
    output = three(X, route) if positional else three(X, routing=route)

    assert torch.equal(output, 2 * X)
    assert gates(three) == [None]


def test_a_call_without_a_route_is_refused(nested):
    with pytest.raises(RoutingError, match="without a gate"):
        nested(X)


def test_a_reached_decision_without_a_gate_is_refused_and_an_unreached_one_is_not(nested):
    assert torch.equal(nested(X, Routing(outer=Gate((1,)))), 7 * X)
    with pytest.raises(RoutingError, match="without a gate"):
        nested(X, Routing(outer=Gate((0,))))


def test_a_gate_for_an_unknown_label_is_refused(three):
    with pytest.raises(RoutingError, match=r"gates for \['other'\]"):
        three(X, Routing(choice=Gate((0,)), other=Gate((0,))))
    with pytest.raises(SpaceError, match="no decision 'other'"):
        three(X, sn.Architecture({"other": "a"}))
    assert gates(three) == [None]


@pytest.mark.parametrize("shape", [(), (2,), (3, 1)])
def test_weights_of_another_shape_are_refused(shape):
    with pytest.raises(RoutingError, match=r"shape \[3\]"):
        Gate((0, 1, 2), torch.ones(shape))


def test_routes_nest_and_end_with_their_block(three):
    two, five = (sn.Architecture({"choice": (name,)}) for name in ("two", "five"))
    with three.route(two):
        with three.route(five):
            assert torch.equal(three(X), 5 * X)
        assert torch.equal(three(X), 2 * X)
        assert torch.equal(three(X, five), 5 * X)
        assert torch.equal(three(X), 2 * X)
    with pytest.raises(RoutingError):
        three(X)


def test_an_inner_route_does_not_take_gates_from_the_outer_one(nested):
    with nested.route(Routing.masked(nested.space, {})):
        with pytest.raises(RoutingError, match="without a gate"):
            nested(X, Routing(outer=Gate((0,))))
        assert torch.equal(nested(X), ((3 + 5) * 2 + 7) * X)


@pytest.mark.parametrize("ghosts", [False, True])
def test_an_exception_ends_the_route(three, ghosts):
    route = Routing(choice=Gate((0,)))
    with pytest.raises(ZeroDivisionError), three.route([route, route] if ghosts else route):
        raise ZeroDivisionError

    assert gates(three) == [None]
    with pytest.raises(RoutingError):
        three(X)


def test_an_exception_inside_the_model_ends_the_route(three):
    with pytest.raises(TypeError):
        three("no tensor", Routing(choice=Gate((0, 1))))

    assert gates(three) == [None]


def test_ghost_batches_equal_separate_passes_with_their_own_statistics(batch_norm):
    x = torch.arange(20.0).reshape(10, 2) ** 2
    a, b = (sn.Architecture({"choice": name}) for name in "ab")
    routes = [Routing.hard(batch_norm.space, route) for route in (a, b, a)]

    with batch_norm.route(routes):
        output = batch_norm(x)

    parts = [nn.functional.batch_norm(p, None, None, training=True) for p in (x[:4], x[4:7], x[7:])]
    assert torch.allclose(output, torch.cat(parts))
    assert [int(norm.num_batches_tracked) for norm in batch_norm.model.options] == [2, 1]


def test_ghost_batches_split_every_tensor_and_repeat_what_is_none(times):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.choice = sn.Choice({"two": times(2), "three": times(3)})

        def forward(self, x, by, sign):
            return sign * by * self.choice(x)

    model = sn.SuperNet(Scaled())
    routes = [Routing.hard(model.space, sn.Architecture({"choice": o})) for o in ("two", "three")]
    by = torch.tensor([[10.0], [100.0]])

    output = model(X, by, -1, routing=routes)

    assert torch.equal(output, -by * X * torch.tensor([[2.0], [3.0]]))


def test_ghost_batches_join_each_of_several_outputs(times):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.choice = sn.Choice({"two": times(2), "three": times(3)})

        def forward(self, x):
            return self.choice(x), -x

    model = sn.SuperNet(Two())
    routes = [Routing.hard(model.space, sn.Architecture({"choice": o})) for o in ("two", "three")]
    first, second = model(X, routing=routes)

    assert torch.equal(first, X * torch.tensor([[2.0], [3.0]]))
    assert torch.equal(second, -X)


def test_a_route_inside_ghost_batches_is_for_the_whole_batch(batch_norm):
    a = sn.Architecture({"choice": "a"})
    with batch_norm.route([Routing(choice=Gate((1,))), Routing(choice=Gate((1,)))]):
        batch_norm(X.repeat(2, 1), a)
        assert [int(norm.num_batches_tracked) for norm in batch_norm.model.options] == [1, 0]
        batch_norm(X.repeat(2, 1))
    assert [int(norm.num_batches_tracked) for norm in batch_norm.model.options] == [1, 2]


def test_hard_routing_equals_one_hot_soft_routing(net):
    x = torch.randn(4, 1, 6, 6)
    architecture = net.space.sample(random.Random(3))
    one_hot = {}
    for decision in net.space.decisions:
        one_hot[decision.label] = torch.zeros(len(decision.options))
        one_hot[decision.label][list(decision.indices(architecture[decision.label]))] = 1
    net.eval()

    assert torch.allclose(net(x, architecture), net(x, Routing.soft(net.space, one_hot)), atol=1e-6)


def test_soft_weights_are_one_for_each_option(three):
    with pytest.raises(RoutingError, match=r"needs weights \[3\], not \[2\]"):
        Routing.soft(three.space, {"choice": torch.ones(2)})
