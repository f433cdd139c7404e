from collections import Counter
from itertools import pairwise
from random import Random

import pytest
import torch
from elastic_models import BATCH, MOMENT, made
from torch.nn import functional as F

from supernet.errors import ConfigError
from supernet.net import derive
from supernet.strategies import AlphaNet, Attentive, AttentiveNAS
from supernet.task import Classification


def observed(strategy, supernet, task=None, moment=MOMENT):
    """Return the architectures that a step trains."""
    seen = []
    options = {d.label: d.options for d in supernet.space.decisions}

    def note(routing):
        seen.append({k: options[k][g.options[0]] for k, g in routing.items()})

    with supernet.observed(note):
        strategy.backward(supernet, task or Classification(), BATCH, moment)
    return seen


def losses_of(supernet, architectures):
    """Return the loss of each as an ordinary network that is trained."""
    x, y = BATCH
    nets = [derive(supernet, one).train() for one in architectures]
    return [F.cross_entropy(net(x), y).item() for net in nets]


@pytest.mark.slow
@pytest.mark.parametrize("prefer", ["best", "worst"])
def test_of_each_group_the_preferred_architecture_is_chosen(prefer):
    strategy, supernet = made(AttentiveNAS, attention=Attentive(4, prefer))
    random = Random(1)
    groups = [[supernet.space.sample(random) for _ in range(4)] for _ in range(5)]
    chosen = strategy.attention.choose(groups, supernet, Classification(), BATCH)
    pick = min if prefer == "best" else max
    for one, group in zip(chosen, groups, strict=True):
        losses = losses_of(supernet, group)
        assert len(set(losses)) > 1
        assert one == group[losses.index(pick(losses))]


def test_choosing_leaves_no_trace():
    strategy, supernet = made(AttentiveNAS, dropout=0.5)
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    strategy.middle(supernet, Classification(), BATCH, MOMENT)
    after = supernet.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert all(parameter.grad is None for parameter in supernet.parameters())
    assert all(module.training for module in supernet.modules())
    assert all(choice.gate is None for choice in supernet.choices)


def test_the_ends_and_the_chosen_are_trained_and_nothing_else():
    strategy, supernet = made(AttentiveNAS, paths=5)
    middle = strategy.middle(supernet, Classification(), BATCH, MOMENT)
    smallest, largest = strategy._ends
    trained = observed(strategy, supernet)
    assert trained == [dict(one) for one in (largest, smallest, *middle)]
    assert len(middle) == 3


@pytest.mark.quick_with("None")
@pytest.mark.parametrize("limit", [None, 1e6, 0.05])
def test_gradients_are_the_mean_of_those_of_the_paths_within_the_limit(limit):
    """The limit is one of the sum's entries, as the authors' losses are summed."""
    strategy, supernet = made(AttentiveNAS, clip_value=limit)
    middle = strategy.middle(supernet, Classification(), BATCH, MOMENT)
    value = strategy.backward(supernet, Classification(), BATCH, MOMENT)
    found = [p.grad.clone() for p in supernet.parameters()]
    x, y = BATCH
    smallest, largest = strategy._ends
    teacher = supernet(x, largest)
    losses, seen = [F.cross_entropy(teacher, y)], [F.cross_entropy(teacher, y)]
    for one in (smallest, *middle):
        logits = supernet(x, one)
        seen.append(F.cross_entropy(logits, y))
        losses.append(-(teacher.detach().softmax(1) * logits.log_softmax(1)).sum(1).mean())
    assert value == pytest.approx(torch.stack(seen).mean().item())
    summed = torch.autograd.grad(sum(losses), list(supernet.parameters()))
    most = max(grad.abs().max().item() for grad in summed)
    assert 0.05 < most < 1e6
    for mine, right in zip(found, summed, strict=True):
        bound = float("inf") if limit is None else limit
        torch.testing.assert_close(mine, right.clamp(-bound, bound) / 4)


@pytest.mark.slow
def test_candidates_are_of_one_step_of_cost():
    strategy, supernet = made(AttentiveNAS, attention=Attentive(4, bins=8, tries=10_000))
    table = strategy._table
    low, high = map(table.cost, strategy._ends)
    width, random, steps = (high - low) / 8, Random(0), set()
    for _ in range(100):
        group = strategy.attention.draw(supernet.space, table, strategy._ends, random)
        first, *others = ((table.cost(one) - low) / width for one in group)
        step = min(int(first), 7)
        assert all(step <= other <= step + 1 for other in others)
        assert len(group) == 4
        steps.add(step)
    assert len(steps) > 4


@pytest.mark.slow
def test_a_cost_that_no_other_has_takes_the_closest():
    """With a step for each cost and few tries, candidates differ in cost, but not by much."""
    strategy, supernet = made(AttentiveNAS, attention=Attentive(2, bins=100_000, tries=60))
    table, random = strategy._table, Random(0)
    pairs = [
        strategy.attention.draw(supernet.space, table, strategy._ends, random) for _ in range(100)
    ]
    away = [abs(table.cost(a) - table.cost(b)) for a, b in pairs]
    unlike = [abs(table.cost(a) - table.cost(b)) for (a, _), (b, _) in pairwise(pairs)]
    assert 0 < sum(away) < 0.2 * sum(unlike)


@pytest.mark.slow
@pytest.mark.parametrize(("sampling", "share"), [("decisions", 1 / 2), ("architectures", 4 / 5)])
@pytest.mark.parametrize("place", [0, 1])
def test_what_a_candidate_alone_is_uniform_over(place, sampling, share):
    """Two operations, of which one holds an inner width of four sizes."""
    strategy, supernet = made(AttentiveNAS, attention=Attentive(2, bins=6))
    random, space, draws = Random(0), supernet.space, 6000
    found = Counter(
        strategy.attention.draw(space, strategy._table, strategy._ends, random, sampling)[place][
            "op"
        ]
        for _ in range(draws)
    )
    spread = (draws * share * (1 - share)) ** 0.5
    assert found["deep"] == pytest.approx(draws * share, abs=4 * spread)


def test_one_candidate_is_taken_without_a_look():
    strategy, supernet = made(AlphaNet)
    asked = []

    class Asked(Classification):
        def loss(self, model, batch):
            asked.append(torch.is_grad_enabled())
            return super().loss(model, batch)

    trained = observed(strategy, supernet, Asked())
    assert asked == [True] * 4
    random = MOMENT.stream("attentive")
    assert trained[2:] == [dict(supernet.space.sample(random, "decisions")) for _ in range(2)]


@pytest.mark.parametrize("limit", [0, -1.0, float("nan")])
def test_a_limit_that_is_none_is_refused(limit):
    with pytest.raises(ConfigError, match="clip_value is above 0, or null for no limit, not"):
        AttentiveNAS(clip_value=limit)


@pytest.mark.parametrize("wrong", [{"candidates": 0}, {"bins": 0}, {"tries": -1}])
def test_what_makes_no_sampling_is_refused(wrong):
    with pytest.raises(ConfigError, match=r"candidates .* bins .* tries .* at least 1"):
        Attentive(**wrong)


def test_a_space_of_one_cost_has_one_step():
    strategy, supernet = made(AttentiveNAS)
    one = strategy._ends[0]
    group = strategy.attention.draw(supernet.space, strategy._table, (one, one), Random(3))
    assert len(group) == 3
