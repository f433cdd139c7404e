from collections import Counter

import pytest
import torch
from torch import nn

from supernet.choice import Choice
from supernet.cost import measure_costs
from supernet.net import SuperNet, derive
from supernet.strategies import SPOS, TrainingContext
from supernet.task import Classification
from supernet.train import Moment


class Path(nn.Module):
    """A nested choice, that counts the paths which run."""

    def __init__(self):
        super().__init__()
        inner = Choice({"x": nn.Linear(4, 4), "y": nn.Linear(4, 4)}, label="inner")
        self.outer = Choice({"plain": nn.Linear(4, 4), "nested": inner}, label="outer")
        self.pair = Choice([nn.Linear(4, 3) for _ in range(3)], pick=(1, 2), label="pair")
        self.counts = Counter()

    def forward(self, inputs):
        if not isinstance(self.outer, Choice):
            return self.pair(self.outer(inputs))
        outer = self.outer.gate.options
        inner = self.outer.options[1].gate.options if outer == (1,) else None
        self.counts[outer, inner, self.pair.gate.options] += 1
        return self.pair(self.outer(inputs))


BATCH = torch.ones(2, 4), torch.tensor([0, 1])


@pytest.mark.slow
@pytest.mark.parametrize("sampling", ["decisions", "architectures"])
def test_what_paths_are_uniform_over(sampling):
    """Of two outer options, the second holds two inner ones; beside them 6 pairs."""
    model = Path()
    supernet, draws = SuperNet(model), 3600
    for step in range(draws):
        SPOS(sampling).backward(supernet, Classification(), BATCH, Moment(step, draws, 1))
    assert supernet.space.size == len(model.counts) == 3 * 6
    share = {"decisions": {(0,): 1 / 2, (1,): 1 / 4}, "architectures": {(0,): 1 / 3, (1,): 1 / 3}}
    chi_square = sum(
        (count - expected) ** 2 / expected
        for (outer, _, _), count in model.counts.items()
        for expected in [draws * share[sampling][outer] / 6]
    )
    assert chi_square < 48  # 17 degrees of freedom: exceeded by chance once in 10,000


def test_paths_within_a_cost_are_drawn_by_their_decisions():
    """All but the pairs of two cost as much: half of what is drawn is plain, and not a third."""
    supernet, draws = SuperNet(Path()), 2000
    strategy = SPOS("cost", bins=1, low=1.0, high=1e9)
    strategy.prepare(supernet, TrainingContext(0, measure_costs(supernet, torch.ones(1, 4))))
    random = Moment(0, 1, 5).stream("path")
    plain = sum(strategy.draw(supernet.space, random)["outer"] == "plain" for _ in range(draws))
    assert abs(plain - draws / 2) < 4 * (draws / 4) ** 0.5


def test_one_path_runs_per_step_and_only_it_has_gradients():
    for step in range(20):
        model = Path()
        SPOS().backward(SuperNet(model), Classification(), BATCH, Moment(step, 20, 1))
        (((outer, inner, pair), runs),) = model.counts.items()
        assert runs == 1
        used = [pair.count(i) for i in range(3)]
        assert [option.weight.grad is not None for option in model.pair.options] == used
        plain, nested = model.outer.options
        assert (plain.weight.grad is not None) == (outer == (0,))
        grads = [option.weight.grad is not None for option in nested.options]
        assert grads == [inner == (0,), inner == (1,)]


def test_loss_and_gradients_are_those_of_the_derived_network():
    for step in range(8):
        moment = Moment(step, 8, 1)
        supernet = SuperNet(Path())
        derived = derive(supernet, supernet.space.sample(moment.stream("path"), "decisions"))
        loss = SPOS().backward(supernet, Classification(), BATCH, moment)
        expected = Classification().loss(derived, BATCH)
        expected.backward()
        ours = [p.grad for p in supernet.parameters() if p.grad is not None]
        theirs = [p.grad for p in derived.parameters()]
        assert loss == expected.detach()
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_the_path_depends_on_seed_and_step_only():
    def paths(seed, steps):
        model = Path()
        supernet = SuperNet(model)
        seen = []
        for step in steps:
            model.counts.clear()
            SPOS().backward(supernet, Classification(), BATCH, Moment(step, 50, seed))
            seen.append(next(iter(model.counts)))
        return seen

    forward = paths(1, range(20))
    torch.manual_seed(99)
    assert paths(1, reversed(range(20))) == forward[::-1]
    assert paths(2, range(20)) != forward
    assert len(set(forward)) > 5


def test_candidates_are_scored_with_statistics_of_their_own():
    assert SPOS().batch_norm == "recalibrate"


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_the_loss_is_the_tasks(label_smoothing):
    supernet, task = SuperNet(Path()), Classification(label_smoothing)
    moment = Moment(3, 10, 1)
    loss = SPOS().backward(supernet, task, BATCH, moment)
    with supernet.route(supernet.space.sample(moment.stream("path"), "decisions")):
        assert loss == task.loss(supernet, BATCH)
