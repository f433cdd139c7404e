from collections import Counter
from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from supernet.choice import Choice
from supernet.net import SuperNet
from supernet.space import OneOf, SearchSpace, SomeOf
from supernet.strategies import FairNAS
from supernet.strategies.fairnas import fair_paths
from supernet.task import Classification
from supernet.train import Moment

BATCH = torch.ones(2, 4), torch.tensor([0, 1])


def uses(space, seed):
    """Return how often each option occurs in the paths of one step."""
    counts = {d.label: Counter(dict.fromkeys(d.options, 0)) for d in space.decisions}
    for path in fair_paths(space, Random(seed)):
        space.validate(path)
        for label, value in path.items():
            counts[label].update(value if isinstance(value, tuple) else (value,))
    return counts


@given(options=st.integers(1, 7), decisions=st.integers(1, 6), seed=st.integers(0, 2**32))
def test_every_option_is_used_exactly_once_per_update(options, decisions, seed):
    space = SearchSpace([OneOf(str(i), range(options)) for i in range(decisions)])
    assert len(list(fair_paths(space, Random(seed)))) == options
    assert all(set(counts.values()) == {1} for counts in uses(space, seed).values())


@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=5), seed=st.integers(0, 2**32))
def test_options_of_smaller_decisions_are_used_equally_often_but_for_one(sizes, seed):
    space = SearchSpace([OneOf(str(i), range(size)) for i, size in enumerate(sizes)])
    for size, counts in zip(sizes, uses(space, seed).values(), strict=True):
        assert sum(counts.values()) == max(sizes)
        assert set(counts.values()) <= {max(sizes) // size, -(-max(sizes) // size)}


@given(
    options=st.integers(2, 7),
    bounds=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    seed=st.integers(0, 2**32),
)
def test_options_of_subsets_are_used_equally_often_but_for_one(options, bounds, seed):
    low, high = (min(bound, options) for bound in sorted(bounds))
    space = SearchSpace([SomeOf("some", range(options), low, high)])
    counts = uses(space, seed)["some"].values()
    assert max(counts) - min(counts) <= 1


def test_a_decision_inside_an_option_goes_on_with_its_permutation():
    space = SearchSpace(
        [OneOf("outer", "abc"), OneOf("inner", "xyz")], {"inner": [(("outer", "a"),)]}
    )
    inner = Counter()
    for seed in range(300):
        counts = uses(space, seed)
        assert set(counts["outer"].values()) == {1}
        inner += counts["inner"]
    assert sum(inner.values()) == 300
    assert min(inner.values()) > 70


def test_permutations_of_decisions_are_independent_and_uniform():
    space = SearchSpace([OneOf("first", "ab"), OneOf("second", "ab")])
    pairs = Counter()
    for seed in range(400):
        path = next(fair_paths(space, Random(seed)))
        pairs[path["first"], path["second"]] += 1
    assert len(pairs) == 4
    assert all(70 < count < 130 for count in pairs.values())


def test_gradients_add_up_before_the_optimizer_steps():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 4),
        Choice([nn.Linear(4, 4) for _ in range(3)], label="a"),
        Choice([nn.Linear(4, 2) for _ in range(3)], label="b"),
    )
    supernet, moment = SuperNet(model), Moment(2, 5, 7)
    loss = FairNAS().backward(supernet, Classification(), BATCH, moment)
    found = {name: parameter.grad.clone() for name, parameter in supernet.named_parameters()}
    supernet.zero_grad()
    losses = []
    for path in fair_paths(supernet.space, moment.stream("permutations")):
        losses.append(Classification().loss(lambda x, p=path: supernet(x, p), BATCH))
    torch.stack(losses).sum().backward()
    assert loss.item() == pytest.approx(sum(losses).item() / 3)
    for name, parameter in supernet.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad)
