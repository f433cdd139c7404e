import random
from collections import Counter
from dataclasses import replace

import pytest

from supernet.cost import Constraints, CostTable, Entry
from supernet.errors import ConstraintError, SupernetError
from supernet.search import Problem, Search, Searcher
from supernet.space import Architecture, OneOf, SearchSpace


def in_order(architecture):
    return Architecture(dict(zip(architecture, sorted(architecture.values()), strict=True)))


@pytest.mark.quick_with("2")
@pytest.mark.parametrize("length", [2, 40])
def test_samples_are_uniform(chain, make_problem, length):
    """In spaces that are shuffled and in those that are drawn from."""
    problem, counts, draws = make_problem(chain(length)), Counter(), 1800
    for seed in range(draws // 2):
        first, second = problem.sample(2, random.Random(seed))
        assert first != second
        counts.update([(a["op0"], a["op1"]) for a in (first, second)])
    expected = draws / 9
    assert len(counts) == 9
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_square < 32  # 8 degrees of freedom: exceeded by chance once in 10,000


@pytest.mark.parametrize("length", [4, 40])
def test_samples_leave_out_what_was_seen(chain, make_problem, length):
    problem = make_problem(chain(length))
    first = problem.sample(30, random.Random(0))
    seen = {architecture.key for architecture in first}
    again = problem.sample(30, random.Random(0), seen)
    assert len(again) == 30
    assert not seen & {architecture.key for architecture in again}


def test_samples_are_different_networks(chain, make_problem):
    problem = make_problem(chain(4, canonical=in_order))
    found = problem.sample(100, random.Random(0))
    assert len(found) == len({one.key for one in found}) == 15
    assert all(in_order(one) == one for one in found)


def first_in_order(architecture):
    """The first two decisions are interchangeable: 6 networks of 9 pairs."""
    first = sorted([architecture["op0"], architecture["op1"]])
    return Architecture({**architecture, "op0": first[0], "op1": first[1]})


@pytest.mark.quick_with("2-decisions", "2-architectures")
@pytest.mark.parametrize("sampling", ["decisions", "architectures"])
@pytest.mark.parametrize("length", [2, 40])
def test_networks_are_as_likely_however_many_ways_they_are_written(
    chain, make_problem, length, sampling
):
    problem = make_problem(chain(length, canonical=first_in_order))
    problem, counts = replace(problem, sampling=sampling), Counter()
    for seed in range(1_200):
        (found,) = problem.sample(1, random.Random(seed))
        counts[found["op0"] + found["op1"]] += 1
    assert counts.keys() == {"aa", "ab", "ac", "bb", "bc", "cc"}
    chi_square = sum((count - 200) ** 2 / 200 for count in counts.values())
    assert chi_square < 26  # 5 degrees of freedom: exceeded by chance once in 10,000


@pytest.mark.parametrize("length", [2, 40])
def test_forms_that_are_never_drawn_are_found_all_the_same(chain, make_problem, length):
    """A canonical form that is no architecture of the space, as its label says."""

    def named(architecture):
        return Architecture({"name": "".join(map(str, architecture.values()))})

    problem = make_problem(chain(length, canonical=named))
    assert len(problem.sample(5, random.Random(0))) == 5


def nested(length):
    """A last option below which there are `length` decisions more, each of three options."""
    inner = [OneOf(f"op{i}", "abc") for i in range(length)]
    conditions = {decision.label: [(("depth", 3),)] for decision in inner}
    return SearchSpace([OneOf("depth", (1, 2, 3)), *inner], conditions)


@pytest.mark.parametrize("length", [3, 30])
def test_what_draws_are_uniform_over(make_problem, length):
    """In a space that could be shuffled, and in a large one."""
    problem, counts = make_problem(nested(length)), Counter()
    for seed in range(900):
        (found,) = problem.sample(1, random.Random(seed))
        counts[found["depth"]] += 1
    assert sum((counts[depth] - 300) ** 2 / 300 for depth in (1, 2, 3)) < 18.5
    deep = replace(problem, sampling="architectures").sample(20, random.Random(0))
    assert sum(one["depth"] == 3 for one in deep) >= 18


@pytest.mark.slow
def test_all_of_a_small_space_are_found_however_unlikely(make_problem):
    problem = make_problem(nested(7))
    assert len(problem.sample(5_000, random.Random(0))) == 3**7 + 2


def test_no_more_than_asked_for(chain, make_problem):
    for length in (3, 40):
        problem = make_problem(chain(length))
        for count in (0, 1, 5):
            assert len(problem.sample(count, random.Random(0), {"x"})) == count


def test_a_seen_space_is_empty_and_no_error(chain, make_problem):
    problem = make_problem(chain(2))
    seen = {architecture.key for architecture in problem.space}
    assert problem.sample(3, random.Random(0), seen) == []


@pytest.mark.slow
def test_a_tight_bound_is_met_by_a_single_sample(chain, make_problem):
    """Of 3^20 architectures one in 2,000 has a cost of 8 or less."""
    problem = make_problem(chain(20), "cost <= 9")
    for seed in range(5):
        (found,) = problem.sample(1, random.Random(seed))
        assert sum("abc".index(str(value)) for value in found.values()) <= 9


def test_an_impossible_combination_is_an_error(chain, make_problem):
    problem = make_problem(chain(3), "cost <= 2", "cost >= 3")
    expected = r"cost <= 2 and cost >= 3: of 27 architectures 27 were tried \(none\)"
    with pytest.raises(ConstraintError, match=expected):
        problem.sample(1, random.Random(0))


def test_samples_are_drawn_no_longer_than_needed(chain, make_problem):
    asked = []

    def canonical(architecture):
        asked.append(architecture)
        return architecture

    problem = make_problem(chain(9, canonical=canonical))
    problem.sample(5, random.Random(0))
    assert len(asked) == 5


def test_draws_give_up(chain, make_problem):
    problem, calls = make_problem(chain(2)), []

    def propose():
        calls.append(1)
        return problem.space[0]

    assert problem.draw(propose, 3, set()) == [problem.space[0]]
    assert len(calls) == 300


def test_streams_depend_on_seed_and_purpose(chain, make_problem):
    space = chain(2)
    numbers = [
        make_problem(space, seed=seed).stream(*purpose).random()
        for seed in (0, 1)
        for purpose in (("generation", 0), ("generation", 1), ("random",))
    ]
    assert len(set(numbers)) == 6
    assert make_problem(space).stream("random").random() == numbers[2]


class Two(Searcher):
    """Two generations; what it was told is kept."""

    def __init__(self):
        self.told = []

    def generations(self, problem):
        for index in range(2):
            self.told.append((yield [problem.space[index], problem.space[index + 2]]))


def test_a_searcher_is_told_the_candidates_of_its_generation(chain, make_problem, run):
    searcher = Two()
    generations = run(searcher, make_problem(chain(2)), lambda architecture: 0.5)
    assert searcher.told == generations
    assert [len(generation) for generation in generations] == [2, 2]
    assert searcher.expected(make_problem(chain(2))) is None


def test_the_message_of_a_wrong_tell_counts(chain, make_problem, run):
    search = Search(Two(), make_problem(chain(2)))
    search.ask()
    with pytest.raises(SupernetError, match=r"2 were asked for and 0 told$"):
        search.tell([])
    (told, _) = run(Two(), make_problem(chain(2)), lambda architecture: 0.5)
    with pytest.raises(SupernetError, match=r"2 were asked for and 2 told, with other keys$"):
        search.tell(told[::-1])
    search.tell(told)
    assert len(search.ask()) == 2


def test_small_numbers_are_readable_in_messages():
    """A latency of 3.5 ms is not 4, and multiply-adds have all their digits."""
    space = SearchSpace([OneOf("op", "ab")])
    amounts = {"latency_ms": (3.25, 7.125), "macs": (12_345_678, 40_000_001)}
    tables = {
        quantity: CostTable(
            quantity,
            [
                Entry(frozenset([(("op", option),)]), amount)
                for option, amount in zip("ab", pair, strict=True)
            ],
        )
        for quantity, pair in amounts.items()
    }
    with pytest.raises(ConstraintError, match=r"from 3\.25 to 7\.125 in this space"):
        Constraints(["latency_ms <= 3"], tables, space)
    with pytest.raises(ConstraintError, match="from 12,345,678 to 40,000,001 in this space"):
        Constraints(["macs <= 3"], tables, space)
    one = Problem(space, Constraints(["latency_ms <= 3.5", "macs >= 2e7"], tables, space), 0)
    with pytest.raises(
        ConstraintError, match=r"latency_ms reaches from 3\.25 to 7\.125, .*7\.125;"
    ):
        one.sample(1, random.Random(0))
