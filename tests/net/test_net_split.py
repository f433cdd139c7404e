import pytest
import torch
from torch import nn

import supernet as sn
from supernet.errors import SpaceError
from supernet.net import derive, split_supernet


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.join = sn.InputChoice({"a": nn.Linear(4, 4), "b": nn.Linear(4, 4)}, label="join")
        inner = sn.Choice({"x": nn.Linear(4, 4), "y": nn.Tanh()})
        self.op = sn.Choice({"plain": nn.Linear(4, 4), "nested": inner})
        self.twice = sn.Choice({"p": nn.Linear(4, 4), "q": nn.Linear(4, 4)}, label="twice")
        self.again = sn.Choice({"p": nn.Linear(4, 4), "q": nn.Linear(4, 4)}, label="twice")
        self.some = sn.Choice([nn.Linear(4, 4), nn.ReLU()], pick=(1, 2), label="some")

    def forward(self, x):
        return self.some(self.again(self.twice(self.op(self.join([x, -x])))))


@pytest.fixture
def whole():
    torch.manual_seed(0)
    return sn.SuperNet(Net()).eval()


X = torch.randn(3, 4)


@pytest.mark.parametrize("label", ["join", "op", "twice"])
def test_the_parts_are_the_whole_cut_by_one_decision(whole, label):
    options = whole.space.decision(label).options
    parts = [split_supernet(whole, label, option) for option in options]
    assert sum(part.space.size for part in parts) == whole.space.size
    for option, part in zip(options, parts, strict=True):
        for architecture in part.space:
            assert architecture in whole.space
            assert architecture[label] == option
            assert torch.equal(part(X, architecture), whole(X, architecture))
            derived = derive(part, architecture)
            torch.testing.assert_close(derived(X), whole(X, architecture))


def test_a_part_has_weights_of_its_own_and_no_other_options(whole):
    before = {name: value.clone() for name, value in whole.state_dict().items()}
    part = split_supernet(whole, "twice", "p")
    held = sum(parameter.numel() for parameter in whole.parameters())
    assert sum(parameter.numel() for parameter in part.parameters()) == held - 2 * 20
    with torch.no_grad():
        for parameter in part.parameters():
            parameter.zero_()
    assert all(torch.equal(before[name], value) for name, value in whole.state_dict().items())
    assert whole.space.decision("twice").options == ("p", "q")
    assert whole(X, next(iter(whole.space))).shape == X.shape


def test_what_cannot_be_split_is_refused(whole):
    with pytest.raises(SpaceError, match="no decision 'other'"):
        split_supernet(whole, "other", "p")
    with pytest.raises(SpaceError, match=r"'z'|has the options"):
        split_supernet(whole, "twice", "z")
    with pytest.raises(SpaceError, match="with one answer"):
        split_supernet(whole, "some", "0")
    with pytest.raises(SpaceError, match="inside an option"):
        split_supernet(whole, "op.nested", "x")
