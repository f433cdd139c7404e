import copy
import io
import math
from itertools import pairwise
from random import Random

import pytest
import torch
from torch import nn

from supernet.choice import Choice
from supernet.data import Examples, Loader
from supernet.errors import ConfigError, DivergedError
from supernet.net import SuperNet
from supernet.strategies import DARTS, Alpha, TrainingContext
from supernet.strategies.guards import (
    BACK,
    EVALUATIONS,
    Adaptive,
    EarlyStop,
    dominant_eigenvalue,
    hessian,
)
from supernet.task import Classification
from supernet.train import Moment


def parameters(*sizes):
    return [nn.Parameter(torch.randn(size, dtype=torch.float64)) for size in sizes]


def test_second_derivatives_equal_those_of_torch():
    torch.manual_seed(0)
    alphas = parameters(3, 4, 2)
    matrix = torch.randn(9, 9, dtype=torch.float64)

    def loss(*alphas):
        x = torch.cat(alphas)
        return torch.tanh(x @ matrix @ x) + x.exp().sum()

    found = hessian(loss(*alphas), alphas)
    blocks = torch.autograd.functional.hessian(loss, tuple(alphas))
    expected = torch.cat([torch.cat(row, 1) for row in blocks])
    torch.testing.assert_close(found, expected)
    largest = torch.linalg.eigvalsh(expected)[-1].item()
    assert dominant_eigenvalue(loss(*alphas), alphas) == pytest.approx(largest)


def test_the_dominant_eigenvalue_is_the_largest_and_not_that_of_largest_size():
    (alpha,) = parameters(3)
    loss = (torch.tensor([-9.0, 1.0, 2.0]).double() * alpha * alpha).sum()
    assert dominant_eigenvalue(loss, [alpha]) == pytest.approx(4)


def test_parameters_that_the_loss_does_not_depend_on_have_no_curvature():
    used, unused = parameters(2, 3)
    assert torch.equal(
        hessian((used**2).sum(), [used, unused]),
        torch.diag(torch.tensor([2.0, 2, 0, 0, 0]).double()),
    )
    assert torch.equal(hessian(used.sum(), [used, unused]), torch.zeros(5, 5).double())
    assert torch.equal(hessian(torch.ones(()), [used, unused]), torch.zeros(5, 5).double())


def test_derivatives_that_are_not_finite_are_reported():
    (alpha,) = parameters(2)
    with pytest.raises(DivergedError, match="early_stop"):
        dominant_eigenvalue((alpha * alpha * math.inf).sum(), [alpha])


def stops_at(eigenvalues, ratio=1.3):
    """Return the number of the evaluation at which the search ends, from 1, or None."""
    guard = EarlyStop(ratio)
    return next((n for n, value in enumerate(eigenvalues, 1) if guard.note(value)), None)


def by_the_rule_of_the_code(eigenvalues, ratio):
    """Return the epochs, of 50, at which the code decides and that it goes back to, or None.

    It looks after epochs 0, 2, …; a mean over 5 counts for an epoch 4 before, and is compared with the
    one of 8 epochs before that, if this is epoch 10 or later.
    """
    values = dict(zip(range(0, 50, 2), eigenvalues, strict=False))
    for epoch in values:
        middle = epoch - 4
        if middle - 8 < 10:
            continue
        mean = {m: sum(values[m + d] for d in (-4, -2, 0, 2, 4)) / 5 for m in (middle, middle - 8)}
        if mean[middle] / mean[middle - 8] > ratio:
            return epoch, middle - 8
    return None


@pytest.mark.parametrize("seed", range(6))
def test_the_search_ends_where_it_does_by_the_authors_rule(seed):
    random = Random(seed)
    eigenvalues = [1 + 0.05 * n * random.random() for n in range(25)]
    for ratio in (1.05, 1.1, 1.2, 1.3, 9.0):
        expected = by_the_rule_of_the_code(eigenvalues, ratio)
        found = stops_at(eigenvalues, ratio)
        assert found == (None if expected is None else expected[0] // 2 + 1)
        if expected is not None:
            assert (found - 1) - BACK == expected[1] // 2


def test_the_first_comparison_is_that_of_epoch_22():
    assert stops_at([1.5**n for n in range(30)]) == 12  # after epoch 22: evaluations from 0
    assert stops_at([1.0] * 30) is None


def test_the_search_ends_when_the_mean_has_grown_by_more_than_the_ratio():
    assert stops_at([1.1**n for n in range(30)], 1.1**4 - 0.01) == 12
    assert stops_at([1.1**n for n in range(30)], 1.1**4 + 0.01) is None
    # one of five jumps from 1 to 2.6: the mean grows by 1.32
    assert stops_at([*[1.0] * 12, 2.6]) == 13
    assert stops_at([*[1.0] * 12, 2.4, *[1.0] * 9]) is None


def test_a_negative_or_vanishing_mean_has_no_ratio():
    assert stops_at([*[-1.0] * 12, 5.0, 5.0]) is None
    assert stops_at([*[0.0] * 12, 5.0]) is None


@pytest.mark.parametrize("steps", [7, 25, 26, 100, 1000])
def test_it_looks_as_often_as_it_says_and_evenly(steps):
    guard = EarlyStop()
    due = [step for step in range(steps) if guard.due(Moment(step, steps, 0))]
    assert len(due) == min(EVALUATIONS, steps)
    assert due[0] == max(-(-steps // 50) - 1, 0)  # after the first of 50 epochs
    gaps = {after - before for before, after in pairwise(due)}
    assert gaps <= {steps // EVALUATIONS, -(-steps // EVALUATIONS), 1}


def test_a_ratio_that_would_always_stop_is_refused():
    with pytest.raises(ConfigError, match="early_stop is a factor of growth above 1"):
        EarlyStop(1.0)


class Growing(Adaptive):
    """A guard for which the eigenvalue has grown at given evaluations, counted as they are."""

    def __init__(self, *evaluations):
        super().__init__(1.3, 3.0)
        self.evaluations, self.count = evaluations, 0

    def note(self, eigenvalue):
        super().note(eigenvalue)
        self.count += 1
        return self.count in self.evaluations

    def state_dict(self):
        return {**super().state_dict(), "count": self.count}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.count = state["count"]


class Fixed(EarlyStop):
    """A guard that ends the search at a given evaluation."""

    def note(self, eigenvalue):
        self.eigenvalues.append(eigenvalue)
        return len(self.eigenvalues) == 9


@pytest.fixture
def search():
    torch.manual_seed(0)
    return Examples(torch.randn(64, 4), torch.randint(0, 2, (64,)), ("a", "b"))


def make(search, early_stop=None, guard=None):
    torch.manual_seed(1)
    supernet = SuperNet(
        nn.Sequential(
            nn.Linear(4, 4),
            Choice({"linear": nn.Linear(4, 4), "tanh": nn.Tanh(), "skip": nn.Identity()}),
            nn.Linear(4, 2),
        )
    ).train()
    strategy = DARTS(alpha=Alpha(learning_rate=0.05, early_stop=early_stop))
    strategy.guard = guard or strategy.guard
    strategy.prepare(
        supernet, TrainingContext(0, {}, search=Loader(search, 16, 0, purpose="search"))
    )
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.1, momentum=0.9, weight_decay=3e-4)
    strategy.start(optimizer)
    return strategy, supernet, optimizer


def run(parts, search, steps, total=50):
    """Train; return α after each step."""
    strategy, supernet, optimizer = parts
    loader, found = Loader(search, 16, 0), []
    for step in steps:
        strategy.backward(supernet, Classification(), loader.batch(step), Moment(step, total, 0))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        found.append(next(iter(strategy.alphas.values())).detach().clone())
    return found


def test_alpha_goes_back_six_evaluations_and_stays_while_weights_train_on(search):
    parts = make(search, guard=Fixed())
    strategy, supernet, _ = parts
    found = run(parts, search, range(50))
    free = run(make(search), search, range(50))
    # evaluations follow the first, third, ... step: the ninth the 17th, and the third the fifth
    assert all(torch.equal(a, b) for a, b in zip(found[:16], free[:16], strict=True))
    assert not torch.equal(free[4], free[5])
    assert all(torch.equal(alpha, free[4]) for alpha in found[16:])
    assert strategy.guard.stopped
    assert len(strategy.guard.eigenvalues) == 9
    before = [p.detach().clone() for p in supernet.parameters()]
    run(parts, search, [49])
    assert not any(torch.equal(a, b) for a, b in zip(before, supernet.parameters(), strict=True))


def test_the_end_of_the_search_is_said(search):
    parts = make(search, guard=Fixed())
    run(parts, search, range(16))
    assert not any("ended early" in warning for warning in parts[0].warnings())
    run(parts, search, [16])
    assert "ended early, at evaluation 9 of 25" in parts[0].warnings()[0]


def test_the_eigenvalue_is_that_of_the_loss_on_the_search_batch(search):
    parts = make(search, early_stop=1.3)
    strategy, supernet, _ = parts
    strategy.backward(supernet, Classification(), Loader(search, 16, 0).batch(0), Moment(0, 1, 0))
    (alpha,) = strategy.alphas.values()
    inputs, targets = Loader(search, 16, 0, purpose="search").batch(0)

    def loss(alpha):
        with supernet.route(strategy.soft({"1": alpha.softmax(0)})):
            return nn.functional.cross_entropy(supernet(inputs), targets)

    expected = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, alpha))[-1]
    assert strategy.metrics()["eigenvalue"] == pytest.approx(expected.item(), rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("kill", [13, 16, 17, 30])
def test_it_continues_from_its_state_to_the_same_bits(search, kill):
    whole = make(search, guard=Fixed())
    expected = run(whole, search, range(50))
    first = make(search, guard=Fixed())
    run(first, search, range(kill))
    second = make(search, guard=Fixed())
    for old, new in zip(first, second, strict=True):
        new.load_state_dict(old.state_dict())
    found = run(second, search, range(kill, 50))
    assert all(torch.equal(a, b) for a, b in zip(found, expected[kill:], strict=True))
    assert second[0].guard.eigenvalues == whole[0].guard.eigenvalues
    assert second[0].warnings() == whole[0].warnings() != []


def test_without_a_guard_nothing_of_it_is_stored(search):
    strategy = make(search)[0]
    assert "guard" not in strategy.state_dict()
    assert "eigenvalue" not in strategy.metrics()


def whole(parts):
    """Return the state of a search without what its guard has seen."""
    strategy, supernet, optimizer = parts
    state = {name: value for name, value in strategy.state_dict().items() if name != "guard"}
    return copy.deepcopy([state, dict(supernet.state_dict()), optimizer.state_dict()["state"]])


def same(one, other):
    """Return whether two states are equal to the bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def test_adaptively_the_whole_search_goes_back_and_on_with_more_decay(search):
    """From the ninth evaluation, in step 16, to the third, in step 4, and on as from there."""
    parts = make(search, guard=Growing(9))
    run(parts, search, range(16))
    run(parts, search, [16])
    strategy, _, optimizer = parts
    assert strategy.guard.times == 1
    assert [group["weight_decay"] for group in optimizer.param_groups] == [pytest.approx(9e-4)]
    assert len(strategy.guard.eigenvalues) == 3
    # the same by hand: four steps, α's move of the fifth, the decay, and the weights' move of step 16
    other = make(search, guard=Growing(99))
    run(other, search, range(4))
    with other[1].observed(None):
        batch = Loader(search, 16, 0)
        other[0].alpha_step(other[1], Classification(), batch.batch(4), Moment(4, 50, 0))
    other[2].param_groups[0]["weight_decay"] = 9e-4
    with other[1].route(other[0].weight_routing(other[1], Moment(16, 50, 0))):
        Classification().loss(other[1], batch.batch(16)).backward()
    other[2].step()
    other[2].zero_grad(set_to_none=True)
    assert same(whole(parts), whole(other))
    assert not strategy.alpha_rests(Moment(17, 50, 0))
    assert "1 times, and on with 3 times the weight decay" in strategy.warnings()[0]


def test_it_can_go_back_again_to_where_it_was(search):
    parts = make(search, guard=Growing(9, 15))
    run(parts, search, range(50))
    assert parts[0].guard.times == 2
    assert parts[2].param_groups[0]["weight_decay"] == pytest.approx(27e-4)


def test_a_growth_soon_after_going_back_is_waited_out(search):
    parts = make(search, guard=Growing(9, 12))
    run(parts, search, range(50))
    assert parts[0].guard.times == 1


def test_the_weight_decay_has_a_limit(search):
    guard = Adaptive(1.3, 3.0)
    parts = make(search, guard=guard)
    found = []
    for decay in (3e-4, 81e-4, 243e-4):
        parts[2].param_groups[0]["weight_decay"] = decay
        guard.reset()
        grown = [guard.note(1.5**n) for n in range(25)]
        found.append(any(grown))
    assert found == [True, True, False]


@pytest.mark.quick_with("16")
@pytest.mark.parametrize("kill", [13, 16, 17, 30])
def test_adaptively_it_continues_from_its_state_to_the_same_bits(search, kill):
    runs = [make(search, guard=Growing(9, 16)) for _ in range(3)]
    expected = run(runs[0], search, range(50))
    run(runs[1], search, range(kill))
    file = io.BytesIO()
    torch.save([part.state_dict() for part in runs[1]], file)
    file.seek(0)
    for state, new in zip(torch.load(file), runs[2], strict=True):
        new.load_state_dict(state)
    found = run(runs[2], search, range(kill, 50))
    assert all(torch.equal(a, b) for a, b in zip(found, expected[kill:], strict=True))
    assert same(whole(runs[0]), whole(runs[2]))
    assert runs[0][0].warnings() == runs[2][0].warnings() != []


def test_what_cannot_be_adapted_is_refused(search):
    with pytest.raises(ConfigError, match="give that a ratio too"):
        Alpha(adapt=3.0)
    with pytest.raises(ConfigError, match="a factor of the weight decay above 1"):
        DARTS(alpha=Alpha(early_stop=1.3, adapt=1.0))
    strategy, supernet, _ = make(search)
    strategy.guard = Adaptive()
    with pytest.raises(ConfigError, match=r"weight decay of train\.optimizer, which has none"):
        strategy.start(torch.optim.SGD(supernet.parameters(), lr=0.1))
    assert isinstance(DARTS(alpha=Alpha(early_stop=1.3, adapt=3.0)).guard, Adaptive)
