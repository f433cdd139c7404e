import pickle
import random

import pytest
import torch
from torch import nn

import supernet as sn
from supernet.choice import ChoiceModule
from supernet.cost import count_params
from supernet.errors import SpaceError
from supernet.net import reinitialise
from supernet.zoo import Bender

SHAPES = {"8x8 grey": (1, 8, 8), "28x28 grey": (1, 28, 28), "32x32 colour": (3, 32, 32)}


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def bender(image=(1, 8, 8)):
    torch.manual_seed(0)
    return sn.SuperNet(Bender(image, 10, channels=2, groups=(1, 1), blocks=3, affine=True))


def architectures(space, count, seed=0):
    stream = random.Random(seed)
    return [space.sample(stream) for _ in range(count)]


@pytest.mark.quick_with("False-8x8 grey")
@pytest.mark.parametrize("image", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("training", [True, False])
def test_derived_bender_networks_equal_the_supernet(image, training):
    supernet = bender(image).train(training)
    x = torch.randn(4, *image)
    for architecture in architectures(supernet.space, 4):
        derived = sn.derive(supernet, architecture)
        derived_before = {n: b.clone() for n, b in derived.named_buffers()}
        assert torch.allclose(derived(x), supernet(x, architecture), atol=1e-5)
        buffers_changed = not same(dict(derived.named_buffers()), derived_before)
        assert buffers_changed == training


def test_derived_networks_update_the_same_statistics(net):
    architecture = sn.Architecture({"a": "conv1", "b": ("conv3", "pool"), "join": ("a", "b")})
    derived, x = sn.derive(net, architecture), torch.randn(8, 1, 6, 6)

    derived(x)
    net(x, architecture)

    pairs = [
        (derived.stem, net.model.stem),
        (derived.a, net.model.a.options[1]),
        (derived.b.terms[0], net.model.b.options[0]),
    ]
    for one, two in pairs:
        assert torch.equal(one[1].running_mean, two[1].running_mean)
        assert int(one[1].num_batches_tracked) == 1
    derived.eval()
    net.eval()
    assert torch.allclose(derived(x), net(x, architecture), atol=1e-6)


def test_only_chosen_options_are_in_it(net):
    conv3, conv1, norm = 4 * 4 * 9 + 4, 4 * 4 + 4, 2 * 4
    fixed = (1 * 4 * 9 + 4) + norm + (4 * 3 + 3)

    smallest = sn.derive(net, sn.Architecture({"a": "skip", "b": ("pool",), "join": ("b",)}))
    larger = sn.derive(
        net, sn.Architecture({"a": "conv1", "b": ("conv3", "pool"), "join": ("stem", "b")})
    )

    assert count_params(smallest) == fixed
    assert count_params(larger) == fixed + 2 * (conv1 + norm) + conv3 + norm
    assert isinstance(smallest.a, nn.Identity)
    assert not any(isinstance(module, ChoiceModule) for module in larger.modules())


def test_nested_choices_are_replaced_inside_out(nested):
    x = torch.tensor([1.0])
    for architecture in nested.space:
        derived = sn.derive(nested, architecture)
        assert torch.equal(derived(x), nested(x, architecture))
        assert count_params(derived) == (1 if architecture["outer"] == "flat" else 2)


def test_training_it_leaves_the_supernet_bit_identical(net, snapshot):
    before = snapshot(net)
    architecture = net.space.sample(random.Random(0))
    derived = sn.derive(net, architecture)
    optimizer = torch.optim.SGD(derived.parameters(), lr=0.1)

    derived(torch.randn(8, 1, 6, 6)).square().mean().backward()
    optimizer.step()

    assert same(dict(net.state_dict()), before)
    assert all(parameter.grad is None for parameter in net.parameters())
    storage = {p.untyped_storage().data_ptr() for p in (*net.parameters(), *net.buffers())}
    assert storage.isdisjoint(p.untyped_storage().data_ptr() for p in derived.parameters())


def test_deriving_leaves_the_supernet_usable(net):
    x, architecture = torch.randn(4, 1, 6, 6), net.space.sample(random.Random(0))
    net.eval()
    before = net(x, architecture)
    sn.derive(net, architecture)

    assert torch.equal(net(x, architecture), before)


def test_tied_modules_stay_tied(times):
    tied = times(3)
    model = nn.Sequential(
        sn.Choice({"tied": nn.Sequential(tied), "other": times(5)}),
        sn.Choice({"tied": nn.Sequential(tied), "other": times(7)}),
        tied,
    )
    supernet, x = sn.SuperNet(model), torch.tensor([1.0])

    both = sn.derive(supernet, sn.Architecture({"0": "tied", "1": "tied"}))
    none = sn.derive(supernet, sn.Architecture({"0": "other", "1": "other"}))

    assert both[0][0] is both[1][0] is both[2]
    assert both[2] is not tied
    assert (both(x).item(), none(x).item()) == (27, 5 * 7 * 3)
    assert (count_params(both), count_params(none)) == (1, 3)


def test_tied_weights_of_different_modules_stay_tied():
    one, two = nn.Linear(2, 2), nn.Linear(2, 2)
    two.weight = one.weight
    supernet = sn.SuperNet(nn.Sequential(one, sn.Choice([two, nn.Identity()])))

    derived = sn.derive(supernet, sn.Architecture({"1": "0"}))

    assert derived[0].weight is derived[1].weight
    assert derived[0].weight is not one.weight


def test_one_choice_used_twice_becomes_one_module(times):
    shared = sn.Choice({"x": times(2), "y": times(3)})
    supernet = sn.SuperNet(nn.Sequential(shared, shared))

    derived = sn.derive(supernet, sn.Architecture({"0": "y"}))

    assert derived[0] is derived[1]
    assert derived(torch.tensor(1.0)) == 9


def test_a_root_choice_becomes_its_option(times):
    supernet = sn.SuperNet(sn.Choice({"x": times(2), "y": times(3)}))

    derived = sn.derive(supernet, sn.Architecture({"choice": "y"}))

    assert type(derived) is times
    assert derived(torch.tensor(1.0)) == 3


def test_architectures_of_other_spaces_are_refused(nested):
    with pytest.raises(SpaceError, match="has no answer"):
        sn.derive(nested, sn.Architecture({"outer": "deep"}))
    with pytest.raises(SpaceError, match="does not exist"):
        sn.derive(nested, sn.Architecture({"outer": "flat", "outer.deep.0": "p"}))


def test_weights_travel_between_derived_networks():
    supernet = bender()
    (architecture,) = architectures(supernet.space, 1)
    one, two = sn.derive(supernet, architecture), sn.derive(supernet, architecture)
    reinitialise(two, 1)
    assert not same(one.state_dict(), two.state_dict())

    two.load_state_dict(one.state_dict())

    x = torch.randn(2, 1, 8, 8)
    assert torch.equal(one(x), two(x))


@pytest.mark.slow
def test_derived_networks_can_be_pickled():
    supernet = bender().eval()
    x = torch.randn(2, 1, 8, 8)
    for architecture in architectures(supernet.space, 2):
        derived = sn.derive(supernet, architecture)
        assert torch.equal(pickle.loads(pickle.dumps(derived))(x), derived(x))


def test_reinitialise_depends_on_the_seed_alone(snapshot):
    model = bender().model
    first = snapshot(reinitialise(model, 1))
    torch.manual_seed(99)
    torch.randn(7)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.zero_()

    assert same(snapshot(reinitialise(model, 1)), first)
    other = snapshot(reinitialise(model, 2))
    for name in ("stem.0.weight", "classifier.weight", "classifier.bias"):
        assert not torch.equal(other[name], first[name])


def test_reinitialise_leaves_the_random_state_alone():
    model = nn.Linear(3, 3)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    reinitialise(model, 1)

    assert torch.equal(torch.rand(3), expected)


def test_reinitialise_resets_batch_norm():
    norm = nn.BatchNorm2d(3)
    norm(torch.randn(4, 3, 2, 2))
    with torch.no_grad():
        norm.weight.fill_(7)
    reinitialise(norm, 0)

    assert same(dict(norm.state_dict()), dict(nn.BatchNorm2d(3).state_dict()))


def test_an_outer_module_overrules_the_draws_of_inner_ones():
    """Attention sets the bias of its output projection to zero, which on its own is random."""
    attention = reinitialise(nn.MultiheadAttention(4, 2), 0)

    assert torch.count_nonzero(attention.out_proj.bias) == 0
    assert torch.count_nonzero(attention.out_proj.weight) == 16


def test_modules_that_cannot_be_reinitialised_are_named(nested):
    with pytest.raises(SpaceError, match=r"Times 'outer\.options.*reset_parameters"):
        reinitialise(nested.model, 0)


@pytest.mark.parametrize("given", [["conv3"], "conv3", None, 3])
def test_what_is_no_dictionary_of_answers_is_named(given):
    with pytest.raises(SpaceError, match="a dictionary of answers"):
        sn.derive(bender(), given)
    with pytest.raises(SpaceError, match=r"from <class .*Bender"):
        sn.derive(Bender, {})
