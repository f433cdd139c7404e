import pytest

from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.search import Exhaustive, Search
from supernet.space import Architecture, OneOf, SearchSpace
from supernet.zoo import Bender


def keys(generations):
    return [candidate.key for generation in generations for candidate in generation]


def test_every_network_once_in_the_order_of_the_space(chain, make_problem, run):
    space = chain(4)
    generations = run(Exhaustive(batch=10), make_problem(space), lambda architecture: 0.0)
    assert keys(generations) == [architecture.key for architecture in space]
    assert [len(generation) for generation in generations] == [10] * 8 + [1]


def test_equal_networks_once_also_across_generations(chain, make_problem, run):
    def canonical(architecture):
        return Architecture(dict(zip(architecture, sorted(architecture.values()), strict=True)))

    for batch in (1, 4, 1000):
        problem = make_problem(chain(5, canonical=canonical))
        found = keys(run(Exhaustive(batch=batch), problem, lambda architecture: 0.0))
        expected = {canonical(architecture).key for architecture in problem.space}
        assert len(found) == 21
        assert set(found) == expected


@pytest.mark.slow
def test_the_zoo_space_is_covered(make_problem, run):
    """Two blocks of the same cell: those that do not read each other may swap."""
    space = SuperNet(Bender((1, 4, 4), channels=1, groups=(1,), blocks=2)).space
    found = keys(run(Exhaustive(), make_problem(space), lambda architecture: 0.0))
    inputs, operations = 3, 28
    independent = inputs * operations
    dependent = independent * 4 * operations
    assert len(found) == len(set(found)) == independent * (independent + 1) // 2 + dependent


def test_nested_decisions_are_covered(make_problem, run):
    decisions = [OneOf("kind", ["conv", "skip"]), OneOf("kernel", ["3", "5", "7"])]
    space = SearchSpace(decisions, {"kernel": [(("kind", "conv"),)]})
    assert len(keys(run(Exhaustive(), make_problem(space), lambda architecture: 0.0))) == 4


def test_bounds_are_kept(chain, make_problem, run):
    problem = make_problem(chain(4), "cost <= 2")
    found = keys(run(Exhaustive(batch=3), problem, lambda architecture: 0.0))
    expected = [
        architecture.key
        for architecture in problem.space
        if sum("abc".index(str(value)) for value in architecture.values()) <= 2
    ]
    assert found == expected
    assert len(found) == 15


def test_a_space_beyond_the_limit_is_refused(chain, make_problem):
    searcher = Exhaustive(limit=80)
    with pytest.raises(ConfigError, match="81 architectures, more than the limit of 80"):
        Search(searcher, make_problem(chain(4))).ask()
    assert len(Search(Exhaustive(limit=81), make_problem(chain(4))).ask()) == 81


@pytest.mark.parametrize("numbers", [(0, 1), (1, 0), (10, -1)])
def test_impossible_numbers_are_refused(numbers):
    with pytest.raises(ConfigError, match="at least 1"):
        Exhaustive(*numbers)
