import itertools
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_spaces import decisions_with_conditions, naive_architectures, patient, spaces
from scipy.stats import chisquare

from supernet.errors import SpaceError
from supernet.space import Architecture, OneOf, Ordered, SearchSpace, SomeOf


@pytest.fixture
def nested():
    """Seven architectures: six with a=x (1 to 2 of three), one with a=y."""
    return SearchSpace(
        [OneOf("a", ["x", "y"]), SomeOf("b", ["p", "q", "r"], 1, 2)], {"b": [(("a", "x"),)]}
    )


@pytest.mark.slow
@patient
@given(decisions_with_conditions())
def test_enumeration_equals_the_definition(drawn):
    decisions, conditions = drawn
    expected = {Architecture(values) for values in naive_architectures(decisions, conditions)}

    space = SearchSpace(decisions, conditions)
    found = list(space)

    assert space.size == len(expected) == len(found)
    assert set(found) == expected
    assert [space[i] for i in range(space.size)] == found
    assert all(architecture in space for architecture in found)


@patient
@given(decisions_with_conditions(most=4))
def test_exactly_the_architectures_of_the_definition_are_valid(drawn):
    decisions, conditions = drawn
    space = SearchSpace(decisions, conditions)
    inside = {Architecture(values) for values in naive_architectures(decisions, conditions)}
    assignments = itertools.product(*[[None, *d.values()] for d in decisions])

    for values in itertools.islice(assignments, 300):
        labelled = zip([d.label for d in decisions], values, strict=True)
        architecture = Architecture(
            {label: value for label, value in labelled if value is not None}
        )
        assert (architecture in space) == (architecture in inside)


@pytest.mark.slow
@patient
@given(spaces(), st.integers(0, 2**32))
def test_random_moves_stay_in_the_space(space, seed):
    random = Random(seed)
    one, two = space.sample(random), space.sample(random)
    child = space.crossover(one, two, random)
    mutant = space.mutate(one, 0.5, random)

    for architecture in (one, two, child, mutant):
        space.validate(architecture)
    for label in child.keys() & (one.keys() | two.keys()):
        assert child[label] in {parent[label] for parent in (one, two) if label in parent}
    assert space.mutate(one, 0, random) == one
    assert space.crossover(one, one, random) == one


@patient
@given(spaces(), st.integers(0, 2**32))
def test_mutation_with_probability_one_changes_every_answer_that_can_change(space, seed):
    random = Random(seed)
    before = space.sample(random)
    after = space.mutate(before, 1, random)

    for label in before.keys() & after.keys():
        assert (after[label] != before[label]) == (space.decision(label).size > 1)


@patient
@given(spaces(), st.integers(0, 2**32))
def test_neighbours_are_valid_distinct_and_one_step_away(space, seed):
    here = space.sample(Random(seed))
    near = space.neighbours(here)

    assert len(near) == len(set(near))
    assert here not in near
    for neighbour in near:
        space.validate(neighbour)
        changed = {
            label for label in here.keys() & neighbour.keys() if here[label] != neighbour[label]
        }
        assert len(changed) == 1
        (label,) = changed
        assert neighbour[label] in space.decision(label).neighbours(here[label])
    steps = {(label, v) for label in here for v in space.decision(label).neighbours(here[label])}
    assert {(label, n[label]) for n in near for label in here.keys() & n.keys()} >= steps


def test_neighbour_relation_is_symmetric_without_conditions():
    space = SearchSpace([SomeOf("a", "pqr", 1, 2), Ordered("b", [1, 2, 4]), OneOf("c", "xyz")])
    near = {architecture: set(space.neighbours(architecture)) for architecture in space}

    assert all(one in near[two] for one in near for two in near[one])
    assert len(near[space[0]]) == sum(len(d.neighbours(next(d.values()))) for d in space.decisions)


def test_a_decision_that_a_neighbour_brings_takes_its_first_value(nested):
    assert nested.neighbours(Architecture({"a": "y"})) == [Architecture({"a": "x", "b": ("p",)})]


def test_samples_are_uniform_over_architectures_not_over_answers(nested):
    random = Random(0)
    drawn = [nested.sample(random) for _ in range(3500)]
    counts = [drawn.count(architecture) for architecture in nested]

    assert len(counts) == 7
    assert chisquare(counts).pvalue > 1e-3


def test_samples_depend_on_the_stream_alone(nested):
    first, second = Random(5), Random(5)

    assert [nested.sample(first) for _ in range(20)] == [nested.sample(second) for _ in range(20)]


def test_crossover_takes_both_parents_answers_equally_often():
    space, random = SearchSpace([OneOf("a", "xy"), OneOf("b", "xy")]), Random(0)
    one, two = Architecture({"a": "x", "b": "x"}), Architecture({"a": "y", "b": "y"})

    children = [space.crossover(one, two, random) for _ in range(400)]

    assert chisquare([children.count(architecture) for architecture in space]).pvalue > 1e-3


def test_crossover_takes_an_answer_that_one_parent_lacks_from_the_other(nested):
    one, two = Architecture({"a": "x", "b": ("q", "r")}), Architecture({"a": "y"})
    children = {nested.crossover(one, two, Random(seed)) for seed in range(20)}

    assert children == {one, two}


def test_mutation_rate_is_the_probability():
    space, random = SearchSpace([OneOf(f"d{i}", "abc") for i in range(1000)]), Random(0)
    before = space.sample(random)
    after = space.mutate(before, 0.3, random)

    changed = sum(before[label] != after[label] for label in space.labels)
    assert 240 < changed < 360  # four standard deviations of 14.5


def test_mutation_draws_uniformly_among_the_other_values():
    space, random = SearchSpace([OneOf("a", "wxyz")]), Random(0)
    mutants = [space.mutate(Architecture({"a": "x"}), 1, random)["a"] for _ in range(900)]

    assert chisquare([mutants.count(value) for value in "wyz"]).pvalue > 1e-3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "'a' has no answer"),
        ({"a": "x"}, "'b' has no answer"),
        ({"a": "y", "b": ("p",)}, "'b' does not exist"),
        ({"a": "z"}, "'a' cannot be 'z'"),
        ({"a": "x", "b": ("p", "q", "r")}, "'b' cannot be"),
        ({"a": "y", "c": "x"}, "no decision 'c'"),
    ],
)
def test_validate_says_what_is_wrong(nested, values, message):
    with pytest.raises(SpaceError, match=message):
        nested.validate(Architecture(values))

    assert Architecture(values) not in nested


def test_things_that_are_no_architecture_are_not_in_the_space(nested):
    assert "x" not in nested
    assert None not in nested
    assert {"a": "y"} in nested  # any mapping of answers


@pytest.mark.parametrize("index", [-1, 7])
def test_indices_outside_are_refused(nested, index):
    with pytest.raises(IndexError, match=r"0\.\.6"):
        nested[index]


@pytest.mark.parametrize(
    ("decisions", "conditions", "message"),
    [
        ([], {}, "no decisions"),
        ([OneOf("a", "xy"), OneOf("a", "xy")], {}, "labels must differ"),
        ([OneOf("a", "xy")], {"b": [()]}, "'b', which is none of"),
        ([OneOf("a", "xy")], {"a": [(("b", "x"),)]}, "'b', which is none of"),
        ([OneOf("a", "xy"), OneOf("b", "xy")], {"b": [(("a", "z"),)]}, "option 'z' of 'a'"),
        ([OneOf("a", "xy")], {"a": [(("a", "x"),)]}, "circle"),
        (
            [OneOf("a", "xy"), OneOf("b", "xy")],
            {"a": [(("b", "x"),)], "b": [(("a", "x"),)]},
            r"circle: \['a', 'b'\]",
        ),
    ],
)
def test_contradicting_spaces_are_refused(decisions, conditions, message):
    with pytest.raises(SpaceError, match=message):
        SearchSpace(decisions, conditions)


def test_a_label_with_no_paths_always_exists():
    assert SearchSpace([OneOf("a", "xy")], {"a": []}).size == 2


def test_parents_come_first_and_otherwise_the_order_is_kept():
    space = SearchSpace(
        [OneOf("inner", "xy"), OneOf("outer", "xy"), OneOf("last", "xy")],
        {"inner": [(("outer", "x"),)]},
    )

    assert [decision.label for decision in space.decisions] == ["outer", "inner", "last"]
    assert space.conditions("inner") == ((("outer", "x"),),)
    assert space.conditions("last") == ((),)
    with pytest.raises(SpaceError, match="no decision 'other'"):
        space.conditions("other")


def test_a_huge_space_is_exact():
    space, random = SearchSpace([OneOf(f"d{i}", "abcd") for i in range(200)]), Random(0)
    last = {f"d{i}": "d" for i in range(200)}

    assert space.size == 4**200
    assert space[0] == Architecture({f"d{i}": "a" for i in range(200)})
    assert space[space.size - 1] == Architecture(last)
    assert len({space.sample(random) for _ in range(50)}) == 50


def test_a_huge_nested_space_is_exact():
    """Each of 100 layers has two architectures below option x, and option y."""
    decisions, conditions = [], {}
    for i in range(100):
        decisions += [OneOf(f"in{i}", "pq"), OneOf(f"out{i}", "xy")]
        conditions[f"in{i}"] = [((f"out{i}", "x"),)]
    space = SearchSpace(decisions, conditions)

    assert space.size == 3**100
    space.validate(space.sample(Random(0)))


def test_a_label_shared_below_many_parents_is_counted():
    """Of 2^60 answers one chooses no x; without forgetting, 2^60 states would be kept."""
    decisions = [OneOf(f"d{i}", "xy") for i in range(60)]
    conditions = {"shared": [((f"d{i}", "x"),) for i in range(60)]}
    space = SearchSpace([*decisions, OneOf("shared", "pqr")], conditions)

    assert space.size == (2**60 - 1) * 3 + 1
    nowhere = Architecture({f"d{i}": "y" for i in range(60)})
    assert nowhere in space


def test_only_options_that_can_still_matter_are_remembered():
    """Of 40 paths to a label all but one are ruled out by the first answer."""
    decisions = [OneOf("which", range(40)), *[OneOf(f"d{i}", "xy") for i in range(40)]]
    conditions = {"inner": [(("which", i), (f"d{i}", "x")) for i in range(40)]}
    space = SearchSpace([*decisions, OneOf("inner", "pqr")], conditions)

    assert space.size == 40 * 2**39 * (3 + 1)


def test_canonical_is_the_identity_unless_given():
    decisions = [OneOf("a", "xy")]
    architecture = Architecture({"a": "y"})

    assert SearchSpace(decisions).canonical(architecture) is architecture
    always_x = SearchSpace(decisions, canonical=lambda _: Architecture({"a": "x"}))
    assert always_x.canonical(architecture) == Architecture({"a": "x"})


def test_a_label_that_was_misspelt_is_named():
    space = SearchSpace([OneOf("block0.inputs", ("a", "b"))])
    with pytest.raises(SpaceError, match=r"did you mean 'block0\.inputs'\?"):
        space.decision("block0.input")
