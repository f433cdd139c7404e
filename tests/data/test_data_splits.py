import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from supernet.data import Augment, Examples, Raw, Sealed, split_data
from supernet.errors import ConfigError, DataError


def make(counts, test=None, names=()):
    targets = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    inputs = torch.arange(float(len(targets))).view(-1, 1)
    train = Examples(inputs, targets, names)
    return Raw("mine", train, test and make(test, names=names).train, Augment(crop=1))


def numbers(examples):
    return examples.inputs.flatten().int().tolist()


def per_class(examples, classes):
    return examples.targets.bincount(minlength=classes).tolist()


def assert_shares(got, of, total):
    assert sum(got) == total
    for taken, count in zip(got, of, strict=True):
        assert abs(taken - total * count / sum(of)) < 1


# Ranges in which every class has its example in every split.
fractions = st.floats(0.1, 0.6)


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(
    counts=st.lists(st.integers(40, 60), min_size=2, max_size=5),
    search_fraction=fractions,
    test_fraction=fractions,
    limit=st.integers(100, 200) | st.none(),
    seed=st.integers(0, 2**40),
)
def test_shares_are_kept_to_less_than_one_example(
    counts, search_fraction, test_fraction, limit, seed
):
    classes, total = len(counts), sum(counts)
    raw = make(counts)
    splits = split_data(raw, seed, search_fraction, test_fraction, limit)
    test = splits.test.open("chosen")
    assert_shares(per_class(test, classes), counts, round(test_fraction * total))
    rest = [c - t for c, t in zip(counts, per_class(test, classes), strict=True)]
    pairs = zip(per_class(splits.train, classes), per_class(splits.search, classes), strict=True)
    used = [train + search for train, search in pairs]
    assert_shares(used, rest, min(limit or total, sum(rest)))
    search = per_class(splits.search, classes)
    assert_shares(search, used, round(search_fraction * sum(used)))
    assert min(*per_class(splits.train, classes), *search) > 0
    found = numbers(test) + numbers(splits.train) + numbers(splits.search)
    assert len(found) == len(set(found))


def test_limit_and_search_fraction_leave_the_test_split_alone():
    raw = make((40, 60))
    whole, limited = split_data(raw, 1), split_data(raw, 1, search_fraction=0.5, limit=20)
    assert numbers(limited.test.open("a")) == numbers(whole.test.open("a"))
    assert (len(limited.train), len(limited.search)) == (10, 10)


def own(train, search):
    """Return a set of a class each that has examples of its own to select with."""
    parts = make((train, search)).train
    chosen = (torch.arange(train), torch.arange(train, train + search))
    train, search = (parts.select(indices) for indices in chosen)
    return Raw("mine", train, search, Augment(), search)


@pytest.mark.parametrize("limit", [None, 2, 3, 5, 6, 11, 29, 100])
def test_examples_to_select_with_stay_apart_whatever_the_limit(limit):
    splits = split_data(own(20, 10), 1, search_fraction=0.9, limit=limit)
    train, search = numbers(splits.train), numbers(splits.search)
    assert len(train) + len(search) == min(limit or 30, 30)
    assert len(search) == max(1, min(limit or 30, 30) // 3)
    assert max(train) < 20 <= min(search)
    assert len(set(train)) == len(train)
    with pytest.raises(DataError, match="a limit of 1 leaves no examples to train"):
        split_data(own(20, 10), 1, limit=1)


def test_limit_leaves_an_official_test_split_whole():
    splits = split_data(make((40, 60), test=(30, 30)), 1, limit=20)
    assert len(splits.test) == 60
    assert len(splits.train) + len(splits.search) == 20


@pytest.mark.parametrize("limit", [80, 1000])
def test_a_limit_of_all_examples_or_more_changes_nothing(limit):
    raw = make((40, 60))
    assert numbers(split_data(raw, 1, limit=limit).train) == numbers(split_data(raw, 1).train)


def test_a_limit_may_keep_all_of_a_rare_class():
    splits = split_data(make((5, 20), test=(1, 1)), 1, limit=24)
    assert per_class(splits.train, 2)[0] + per_class(splits.search, 2)[0] == 5


@pytest.mark.parametrize("shape", [(50,), (50, 2)])
def test_regression_targets_are_split_at_random(shape):
    inputs = torch.arange(50.0).view(-1, 1)
    splits = split_data(Raw("mine", Examples(inputs, torch.rand(shape)), None, Augment()), 0)
    test = splits.test.open("chosen")
    assert (len(splits.train), len(splits.search), len(test)) == (32, 8, 10)
    found = numbers(test) + numbers(splits.train) + numbers(splits.search)
    assert sorted(found) == list(range(50))
    assert found != list(range(50))


def test_name_augmentation_and_class_names_go_along():
    splits = split_data(make((20, 20), names=("ant", "bee")), 0)
    assert splits.name == "mine"
    assert splits.augment == Augment(crop=1)
    assert splits.search.classes == splits.test.open("a").classes == ("ant", "bee")


@pytest.mark.parametrize("option", ["search_fraction", "test_fraction"])
@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 20, float("nan")])
def test_fractions_out_of_range_are_refused(option, value):
    with pytest.raises(ConfigError, match=f"{option} is {value}; give a part between 0 and 1"):
        split_data(make((20, 20)), 0, **{option: value})


def test_a_limit_that_is_no_number_of_examples_is_refused():
    with pytest.raises(ConfigError, match="limit is 0; give a number of examples"):
        split_data(make((20, 20)), 0, limit=0)


@pytest.mark.parametrize(
    ("raw", "limit", "message"),
    [
        (make((30,)), None, "mine has the class 0 only; .* two or more"),
        (make((30,), test=(5,), names=("ant",)), None, "mine has the class ant only"),
        (make((2, 30), names=("ant", "bee")), None, r"ant \(2\)\. Add examples of such classes"),
        (make((2, 2, 2)), None, "too few examples to have each of 3 classes in every split"),
        (make((30, 30), names=("ant", "bee", "cat")), None, r"cat \(0\)"),
        (make((30, 0, 30)), None, r"class 1 \(0\)"),
        (make((30,) * 8), 7, "7 of .* are for limit, not enough of class 7 .* raise the limit"),
        (make((1, 1)), None, "0 of 2 examples are for test, which leaves a split empty"),
        (make((10, 10), test=(5, 5)), 2, "0 of 2 examples are for search"),
    ],
)
def test_too_few_examples_are_refused(raw, limit, message):
    with pytest.raises(DataError, match=message):
        split_data(raw, 0, limit=limit)


def test_a_class_used_up_by_one_split_is_refused():
    with pytest.raises(DataError, match=r"38 of 42 are for search, not enough of class 0 \(2\)"):
        split_data(make((2, 40), test=(1, 1)), 0, search_fraction=0.9)


def test_the_test_split_is_read_once():
    examples = make((3, 3)).train
    sealed = Sealed(examples)
    assert len(sealed) == 6
    assert sealed.open("first") is examples
    assert len(sealed) == 6
    with pytest.raises(DataError, match=r"read once, and was read for first.*not second too"):
        sealed.open("second")
    with pytest.raises(DataError, match="read once"):
        sealed.open("first")


def test_no_architecture_no_test_split():
    sealed = Sealed(make((3, 3)).train)
    with pytest.raises(DataError, match="give its key"):
        sealed.open("")
    assert len(sealed.open("chosen")) == 6  # a refusal does not use up the one time


def test_there_is_no_other_way_to_the_test_examples():
    splits = split_data(make((20, 20)), 0)
    public = [name for name in dir(splits.test) if not name.startswith("_")]
    assert public == ["identity", "open"]  # a hash, and the examples
    assert "tensor" not in repr(splits.test)
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(DataError, match="cannot be copied"):
            attempt(splits.test)
    with pytest.raises(TypeError):
        iter(splits.test)
    with pytest.raises(TypeError):
        splits.test[0]


def test_fractions_that_are_not_used_are_named():
    def examples(count):
        return Examples(torch.zeros(count, 2), torch.arange(count) % 2, ("a", "b"))

    own = Raw("own", examples(40), examples(10), Augment(), search=examples(10))
    assert split_data(own, 0).notes == ()
    assert [note.split()[0] for note in split_data(own, 0, 0.3, 0.1).notes] == [
        "split.search_fraction",
        "split.test_fraction",
    ]
    assert split_data(Raw("none", examples(40), None, Augment()), 0, 0.3, 0.1).notes == ()


def test_a_test_split_is_known_again_without_being_opened():
    def sealed(shift=0.0, classes=("a", "b")):
        return Sealed(Examples(torch.ones(4, 2) + shift, torch.tensor([0, 1, 0, 1]), classes))

    assert sealed().identity == sealed().identity
    assert len({sealed().identity, sealed(1).identity, sealed(0, ("a", "c")).identity}) == 3
    opened = sealed()
    opened.open("key")
    with pytest.raises(DataError, match="identity before"):
        _ = opened.identity
