import copy
import dataclasses
import math

import pytest
import torch
from sklearn.metrics import f1_score
from torch import nn

from supernet.choice import Choice
from supernet.data import Digits, Loader, Normalise, split_data
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.strategies import ENAS, ProxylessRL, TrainingContext
from supernet.task import Classification, Preference
from supernet.train import Moment


class Net(nn.Module):
    """One option per choice carries the image on, the others lose it."""

    def __init__(self):
        super().__init__()
        self.first = Choice({"keep": nn.Linear(64, 16), "lose": Lose(16)})
        self.second = Choice({"keep": nn.Identity(), "lose": Lose(16)})
        self.norm = nn.BatchNorm1d(16)
        self.head = nn.Linear(16, 10)

    def forward(self, images):
        return self.head(self.norm(self.second(self.first(images.flatten(1)))))


class Lose(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.constant = nn.Parameter(torch.zeros(width))

    def forward(self, x):
        return self.constant.expand(len(x), -1) + 0 * x[:, : len(self.constant)]


@pytest.fixture
def splits():
    return split_data(Digits().load(), seed=0)


def setting(splits, seed=1):
    normalise = Normalise.of(splits.train)
    return TrainingContext(seed, {}, search=Loader(splits.search, 64, seed, normalise=normalise))


def train(strategy, supernet, splits, steps, start=0):
    loader = Loader(splits.train, 64, 1, normalise=Normalise.of(splits.train))
    optimizer = torch.optim.Adam(supernet.parameters(), 0.01)
    for step in range(start, steps):
        strategy.backward(supernet, Classification(), loader.batch(step), Moment(step, steps, 1))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def make(seed=0):
    torch.manual_seed(seed)
    return SuperNet(Net()).train()


SHORT = {"interval": 10, "updates": 5, "architectures": 6, "candidates": 20}


@pytest.mark.slow
def test_the_controller_comes_to_draw_what_scores_well(splits):
    strategy, supernet = ENAS(**SHORT, learning_rate=0.05), make()
    strategy.prepare(supernet, setting(splits))
    assert len(strategy.learned(supernet)) == 4  # uniform at first: all of the space
    train(strategy, supernet, splits, 100)
    drawn = strategy.learned(supernet)
    assert dict(drawn[0]) == {"first": "keep", "second": "keep"}
    assert strategy.metrics()["reward"] > 0.5


def test_rewards_are_accuracies_with_batch_statistics_and_record_nothing(splits):
    strategy, supernet = ENAS(**SHORT), make()
    strategy.prepare(supernet, setting(splits))
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    batch = setting(splits).search.batch(0)
    architecture = supernet.space[0]
    reward = strategy.reward(supernet, Classification(), architecture, [batch])
    with torch.no_grad():
        logits = supernet(batch[0], architecture)  # in training mode: batch statistics too
    assert reward == pytest.approx((logits.argmax(1) == batch[1]).float().mean().item())
    assert all(module.training for module in supernet.modules())
    supernet.load_state_dict(before)
    strategy.reward(supernet, Classification(), architecture, [batch])
    assert all(torch.equal(before[name], value) for name, value in supernet.state_dict().items())


def test_several_batches_are_averaged(splits):
    strategy, supernet = ENAS(**SHORT), make()
    strategy.prepare(supernet, setting(splits))
    batches = [setting(splits).search.batch(i) for i in range(3)]
    each = [strategy.reward(supernet, Classification(), supernet.space[0], [b]) for b in batches]
    together = strategy.reward(supernet, Classification(), supernet.space[0], batches)
    assert together == pytest.approx(sum(each) / 3)


class Plain(Classification):
    """A task without accuracy."""

    def measure(self, model, batch):
        return {"loss": super().measure(model, batch)["loss"]}


def test_without_accuracy_the_reward_is_minus_the_loss(splits):
    strategy, supernet = ENAS(**SHORT), make()
    strategy.prepare(supernet, setting(splits))
    batch = setting(splits).search.batch(0)
    reward = strategy.reward(supernet, Plain(), supernet.space[0], [batch])
    assert -4 < reward < -1


class Wrong(Classification):
    lower_is_better = ("wrong",)

    def figures(self, means):
        return {**means, "wrong": (1 - means["accuracy"]).sqrt()}


@pytest.mark.parametrize("kind", [ENAS, ProxylessRL])
@pytest.mark.parametrize("by", ["loss", "accuracy", "f1", "wrong", "unknown"])
def test_rewards_are_the_figure_that_the_run_ranks_by(splits, kind, by):
    strategy, supernet = kind(), make()
    task = Classification(by_class=True) if by == "f1" else Wrong()
    better = Preference(by, task.lower_is_better)
    strategy.prepare(supernet, dataclasses.replace(setting(splits), preference=better))
    batch, architecture = setting(splits).search.batch(0), supernet.space[0]
    given = [batch] if kind is ENAS else batch
    order = (architecture, given) if kind is ENAS else (given, architecture)
    with torch.no_grad():
        reward = float(strategy.reward(supernet, task, *order))
        logits, targets = supernet(batch[0], architecture), batch[1]
    right = float((logits.argmax(1) == targets).float().mean())
    lower = math.exp if kind is ProxylessRL else float
    expected = {
        "f1": f1_score(targets, logits.argmax(1), average="macro"),
        "wrong": lower(-math.sqrt(1 - right)),
        "unknown": lower(-float(torch.nn.functional.cross_entropy(logits, targets))),
    }
    assert reward == pytest.approx(expected.get(by, right), rel=1e-5)


def test_a_run_continues_from_its_state_to_the_same_bits(splits):
    whole, net = ENAS(**SHORT), make()
    whole.prepare(net, setting(splits))
    train(whole, net, splits, 15)
    state, weights = copy.deepcopy((whole.state_dict(), net.state_dict()))
    again, other = ENAS(**SHORT), make(7)
    again.prepare(other, setting(splits))
    again.load_state_dict(state)
    other.load_state_dict(weights)
    for strategy, supernet in ((whole, net), (again, other)):
        loader = Loader(splits.train, 64, 1, normalise=Normalise.of(splits.train))
        for step in range(15, 25):
            moment = Moment(step, 25, 1)
            strategy.backward(supernet, Classification(), loader.batch(step), moment)
            supernet.zero_grad(set_to_none=True)
    assert whole.learned(net) == again.learned(other)
    pairs = zip(
        whole.state_dict()["controller"].values(),
        again.state_dict()["controller"].values(),
        strict=True,
    )
    assert all(torch.equal(one, two) for one, two in pairs)


@pytest.mark.parametrize("name", ["interval", "updates", "architectures", "candidates"])
def test_numbers_must_be_positive(name):
    with pytest.raises(ConfigError, match="at least 1"):
        ENAS(**{name: 0})


def test_there_must_be_a_search_split():
    with pytest.raises(ConfigError, match="search split"):
        ENAS().prepare(make(), TrainingContext(0, {}))
