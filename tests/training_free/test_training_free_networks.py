"""What holds of every score: the model stays, draws are repeatable, empty networks are worst."""

import copy
import functools
import math
import random

import pytest
import torch
from torch import nn

from supernet import Choice, SuperNet, derive
from supernet.errors import ConfigError
from supernet.net.derive import reinitialise
from supernet.random import derive_seed
from supernet.task import Classification
from supernet.training_free import COMBINED, TRAINING_FREE, training_free_scores
from supernet.training_free.az_nas import log_ranks
from supernet.zoo import NASBench201

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
EMPTY = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"


@functools.cache
def supernet(affine=True):
    """Return a small supernet, traced once for all tests; none changes it."""
    torch.manual_seed(0)
    return SuperNet(NASBench201((1, 8, 8), 3, channels=8, cells=1, stages=2, affine=affine))


def network(cell=CELL, affine=True):
    return derive(supernet(affine), NASBench201.from_string(cell))


def drawn(n=6):
    torch.manual_seed(1)
    return [torch.randn(n, 1, 8, 8), torch.arange(n) % 3]


def architectures(count, seed=0):
    space, stream = supernet().space, random.Random(seed)
    return [space.sample(stream) for _ in range(count)]


@pytest.mark.parametrize("name", TRAINING_FREE)
def test_the_model_and_the_random_state_stay_as_they_are(name):
    model = network().train()
    model.head.eval()
    for parameter in model.classifier.parameters():
        parameter.grad = torch.ones_like(parameter)
    model.stem[0].weight.requires_grad_(False)
    before, held = copy.deepcopy(model), [parameter.grad for parameter in model.parameters()]
    batch, state = drawn(), torch.get_rng_state()
    given = [tensor.clone() for tensor in batch]
    TRAINING_FREE[name](model, batch)
    assert torch.equal(torch.get_rng_state(), state)
    for now, then in zip(batch, given, strict=True):
        assert torch.equal(now, then)
        assert not now.requires_grad
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, before.state_dict()[key]), key
    for now, then, grad in zip(model.parameters(), before.parameters(), held, strict=True):
        assert now.grad is grad
        assert now.requires_grad == then.requires_grad
    assert torch.equal(model.classifier.bias.grad, torch.ones(3))
    for now, then in zip(model.modules(), before.modules(), strict=True):
        assert now.training == then.training
        assert not now._forward_hooks
        assert not now._forward_pre_hooks


@pytest.mark.parametrize("name", TRAINING_FREE)
def test_a_score_is_a_function_of_the_network_the_batch_and_the_seed(name):
    model, batch = network(), drawn()
    first = TRAINING_FREE[name](model, batch, seed=1)
    torch.manual_seed(7)
    assert TRAINING_FREE[name](model, batch, seed=1) == first
    other = TRAINING_FREE[name](model, batch, seed=2)
    draws = {"zen", "vkdnw", "az_expressivity", "az_progressivity", "az_trainability"}
    assert (other != first) == (name in draws)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("name", TRAINING_FREE)
def test_a_network_without_a_path_is_the_worst(name, affine):
    batch = drawn()
    empty = TRAINING_FREE[name](network(EMPTY, affine), batch)
    assert math.isfinite(empty)
    if name == "grasp":
        assert empty == 0
    elif name != "az_progressivity":  # low: all entropy is lost in the first block
        assert empty < TRAINING_FREE[name](network(CELL, affine), batch)


class OneTensor(nn.Module):
    """A network whose weights are not trained, and whose modules have none."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(nn.ReLU(), nn.AvgPool2d(2), nn.Flatten())
        self.register_buffer("head", torch.ones(16, 3))

    def forward(self, x):
        return self.blocks(x) @ self.head


@pytest.mark.parametrize("name", TRAINING_FREE)
def test_a_network_without_parameters_has_a_score(name):
    assert math.isfinite(TRAINING_FREE[name](OneTensor(), drawn()))


@pytest.mark.parametrize("name", TRAINING_FREE)
def test_dropout_depends_on_the_seed_and_not_on_torchs_random_state(name):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(144, 3)
    )
    first = TRAINING_FREE[name](model, drawn())
    torch.manual_seed(5)
    assert TRAINING_FREE[name](model, drawn()) == first


def test_scores_of_many_are_those_of_each_network():
    net, some, batch = supernet(), architectures(2), drawn()
    names = [*TRAINING_FREE]
    found = training_free_scores(net, some, batch, names=names, seed=4)
    for number, one in enumerate(some):
        same = net.space.canonical(one)
        seed = derive_seed(4, "training free", same.key)
        model = reinitialise(derive(net, same), seed)
        for name in names:
            alone = TRAINING_FREE[name](model, batch, Classification(), seed)
            assert found[name][number] == pytest.approx(alone, rel=1e-5), name


def test_scores_depend_neither_on_the_weights_nor_on_the_order():
    some, batch, names = architectures(4), drawn(), ["snip", "az_trainability"]
    net, other = supernet(), copy.deepcopy(supernet())
    first = training_free_scores(net, some, batch, names=names)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(2)
    again = training_free_scores(other, some[::-1], batch, names=names)
    assert again == {name: values[::-1] for name, values in first.items()}
    assert training_free_scores(net, some, batch, names=names, seed=1) != first


def test_equal_networks_have_one_score():
    cells = (
        "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|nor_conv_1x1~2|",
        "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|",
    )
    same = [NASBench201.from_string(cell) for cell in cells]
    found = training_free_scores(supernet(), same, drawn(), names=["snip", "vkdnw"])
    assert all(one == other for one, other in found.values())


def test_combined_scores_are_the_logarithms_of_ranks_of_their_parts():
    net, some, batch = supernet(), architectures(4), drawn()
    parts = list(COMBINED["az_nas"])
    found = training_free_scores(net, some, batch, names=["az_nas", *parts])
    assert found["az_nas"] == log_ranks([found[part] for part in parts])
    assert list(training_free_scores(net, some, batch)) == ["az_nas"]


class Breaks(nn.Module):
    """Fails in the forward pass."""

    def forward(self, x):
        raise RuntimeError("this network does not run")


def breaking(*options):
    """Return a supernet of these options, and all its architectures."""
    known = {"relu": nn.ReLU(), "identity": nn.Identity(), "breaks": Breaks()}
    choice = Choice({name: known[name] for name in options}, label="op")
    net = SuperNet(nn.Sequential(nn.Conv2d(1, 2, 3), choice, nn.Flatten(), nn.Linear(72, 3)))
    return net, [net.space[i] for i in range(net.space.size)]


def test_a_network_that_fails_has_no_score_and_others_have_theirs():
    net, all_of_them = breaking("relu", "breaks", "identity")
    found = training_free_scores(net, all_of_them, drawn(), names=["snip", "naswot", "az_nas"])
    missing = {name: [math.isnan(value) for value in values] for name, values in found.items()}
    assert missing["snip"] == missing["az_nas"] == [False, True, False]
    assert missing["naswot"] == [False, True, True]  # one has no ReLU


def test_what_fails_for_all_networks_is_raised():
    net, all_of_them = breaking("breaks")
    with pytest.raises(RuntimeError, match="does not run"):
        training_free_scores(net, all_of_them, drawn(), names=["snip"])
    net, all_of_them = breaking("identity")
    with pytest.raises(ConfigError, match="naswot"):
        training_free_scores(net, all_of_them, drawn(), names=["naswot"])


def test_an_unknown_score_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'synflow'"):
        training_free_scores(supernet(), architectures(1), drawn(), names=["sinflow"])
