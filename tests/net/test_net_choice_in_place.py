"""An option that changes its input in place under the other options is refused."""

import pytest
import torch
from torch import nn

import supernet as sn
from supernet.choice import Choice
from supernet.errors import SpaceError
from supernet.net.symbolic import is_pure


def build(**options):
    return sn.SuperNet(nn.Sequential(sn.Choice(options, pick=(1, 2), label="mix")))


@pytest.mark.parametrize("order", [("relu", "skip"), ("skip", "relu")])
@pytest.mark.parametrize("gradient", [True, False])
def test_in_place_beside_another_option(order, gradient):
    """Also after the other one, whose output may be the input itself."""
    modules = {"relu": nn.ReLU(inplace=True), "skip": nn.Identity()}
    net = build(**{name: modules[name] for name in order})
    x = torch.randn(2, 3)
    with (
        torch.set_grad_enabled(gradient),
        pytest.raises(
            SpaceError, match=r"choice mix .* option 'relu' .* in place, .*inplace=False"
        ),
    ):
        net(x, sn.Architecture({"mix": order}))
    assert net.model[0].gate is None


def test_in_place_on_a_view_of_the_input():
    class Half(nn.Module):
        def forward(self, x):
            x[:, :1].mul_(2)
            return x + 0

    net = build(half=Half(), skip=nn.Identity())
    with pytest.raises(SpaceError, match="'half'"):
        net(torch.randn(2, 3), sn.Architecture({"mix": ("half", "skip")}))


def test_alone_it_may_do_so():
    net = build(relu=nn.ReLU(inplace=True), skip=nn.Identity())
    x = torch.randn(2, 3)
    expected = x.relu()
    assert torch.equal(net(x, sn.Architecture({"mix": ("relu",)})), expected)


def test_on_values_of_its_own_it_may_do_so():
    net = build(a=nn.Sequential(nn.Linear(3, 3), nn.ReLU(inplace=True)), skip=nn.Identity())
    x = torch.randn(2, 3)
    both = net(x, sn.Architecture({"mix": ("a", "skip")}))
    assert torch.equal(both, net.model[0].options[0](x) + x)


def test_inference_tensors_do_not_count_changes():
    net = build(a=nn.ReLU(), skip=nn.Identity())
    with torch.inference_mode():
        x = torch.randn(2, 3)
        both = net(x, sn.Architecture({"mix": ("a", "skip")}))
        assert torch.equal(both, x.relu() + x)


def test_an_input_choice_runs_its_options_on_different_inputs():
    join = sn.InputChoice({"a": nn.ReLU(inplace=True), "b": nn.Identity()}, (1, 2), label="join")
    join.set_gate(sn.choice.Gate((0, 1)))
    x, y = torch.randn(2, 3), torch.randn(2, 3)
    expected = x.relu() + y
    assert torch.equal(join([x, y]), expected)


def test_an_input_choice_given_one_tensor_twice_refuses_it():
    join = sn.InputChoice({"a": nn.ReLU(inplace=True), "b": nn.Identity()}, (1, 2), label="join")
    join.set_gate(sn.choice.Gate((0, 1)))
    x = torch.randn(2, 3)
    with pytest.raises(SpaceError, match="in place"):
        join([x, x])


class Around(nn.Module):
    """A module that is no sequence, with a choice within."""

    def __init__(self, option):
        super().__init__()
        self.choice = Choice({"one": option, "other": nn.Linear(3, 3)}, label="within")

    def forward(self, x):
        return 2 * self.choice(x)


def test_a_module_is_as_pure_as_the_options_within_it():
    assert is_pure(Around(nn.Tanh()))
    assert not is_pure(Around(nn.ReLU(inplace=True)))
    assert not is_pure(nn.Sequential(nn.Linear(3, 3), Around(nn.ReLU(inplace=True))))
