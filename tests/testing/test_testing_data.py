"""Each promise of a data source is found broken where it is broken, and named."""

from __future__ import annotations

import dataclasses
import inspect

import pytest
import torch

from supernet.data import Augment, DataSource, Examples, Raw
from supernet.testing import check_data
from supernet.testing.data import PROMISES
from supernet.testing.promises import text


def examples(count, seed=0, classes=("a", "b")):
    draws = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (count, 1, 4, 4), generator=draws, dtype=torch.uint8)
    return Examples(images, torch.arange(count) % len(classes), classes)


@dataclasses.dataclass
class Source(DataSource):
    """Delivers what it is given, and that again or something else."""

    loads: list[Raw]

    def load(self):
        return self.loads[0] if len(self.loads) == 1 else self.loads.pop(0)


def raw(train, test=None, search=None):
    return Raw("mine", train, test, Augment(), search)


TRAIN, TEST = examples(90), examples(40, seed=1)
SORTED = Examples(TRAIN.inputs, torch.zeros(90), ())
WORDS = tuple("abc")
TOKENS = Examples(torch.randint(3, (90, 9)), torch.arange(90) % 2, ("x", "y"), (*WORDS, "c"))


@pytest.mark.parametrize(
    ("source", "promise"),
    [
        (Source([raw(TRAIN), raw(examples(90, seed=2))]), "Every load is the same.*train inputs"),
        (Source([raw(TRAIN, TEST), raw(TRAIN)]), "Every load is the same.*none in the second"),
        (Source([raw(TOKENS)]), "Tokens, and nothing else.*one several times"),
        (
            Source([raw(TRAIN, TRAIN.select(torch.arange(30)))]),
            "No example is in two.*both test and train. Seen: 30",
        ),
        (
            Source([raw(TRAIN, TEST, TEST.select(torch.arange(20)))]),
            "No example is in two.*both search and test. Seen: 20",
        ),
        (Source([raw(SORTED)]), "No split is sorted by class.*that they only rise"),
    ],
)
def test_what_is_broken_is_named(source, promise):
    with pytest.raises(AssertionError, match=f"Source breaks a promise. {promise}"):
        check_data(source)


class Listed(Source):
    """Is no data set at all."""

    def load(self):
        return [1, 2, 3]


def test_what_is_no_data_set_is_named():
    with pytest.raises(AssertionError, match=r"Listed breaks .*Expected: a Raw. Seen: list"):
        check_data(Listed([]))


BROKEN = {
    "missing": ("The splits together", "27 missing"),
    "other test": ("An official test split", "the official test examples"),
    "other search": ("Examples to select with", "the examples to select with"),
    "other targets": ("Targets stay with their inputs", "inputs with others"),
    "unseeded": ("Splits are a function of the seed", "for another seed"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_splits_that_are_wrong_are_named(fault, monkeypatch):
    """What splits the data is the library's own; here it goes wrong."""
    import supernet.testing.data as checks

    promise, seen = BROKEN[fault]
    real = checks.split_data

    def split(raw, seed):
        found = real(raw, 3 if fault == "unseeded" else seed)
        train, search, test = found.train, found.search, found.test.open("x")
        if fault == "missing":
            train = train.select(torch.arange(len(train) - 27))
        elif fault == "other test":
            train, test = swapped(train, test)
        elif fault == "other search":
            train, search = swapped(train, search)
        elif fault == "other targets":
            train = Examples(train.inputs, 1 - train.targets, train.classes)
        return Parts(train, search, test)

    monkeypatch.setattr(checks, "split_data", split)
    source = Source([raw(TRAIN, TEST, examples(40, seed=4))])
    with pytest.raises(AssertionError, match=f"Source breaks a promise. {promise}.*{seen}"):
        check_data(source)


def swapped(first, second):
    """Return both with one example exchanged."""
    one, other = first.inputs.clone(), second.inputs.clone()
    targets, others = first.targets.clone(), second.targets.clone()
    one[0], other[0] = second.inputs[0], first.inputs[0]
    targets[0], others[0] = second.targets[0], first.targets[0]
    return Examples(one, targets, first.classes), Examples(other, others, second.classes)


class Parts:
    """Splits whose test split is open."""

    def __init__(self, train, search, test):
        self.train, self.search, self.test = train, search, self
        self.opened = test

    def open(self, key):
        return self.opened


class Loading:
    """A loader whose batches depend on what was asked before, or hold an example twice."""

    def __init__(self, examples, size, seed, augment=None, normalise=None):
        self.examples, self.asked, self.batches_per_epoch = examples, 0, len(examples) // size

    def batch(self, step):
        self.asked += 1
        chosen = (torch.arange(16) + self.asked) % len(self.examples)
        part = self.examples.select(chosen)
        return part.inputs.float() / 255, part.targets


@pytest.mark.parametrize(
    ("kept", "seen"),
    [
        ("an_epoch_serves_each_example_once", "each example once"),
        ("batches_do_not_depend_on_what_was_asked_before", "the same batch of step 7"),
    ],
)
def test_batches_that_are_wrong_are_named(kept, seen, monkeypatch):
    import supernet.testing.data as checks

    monkeypatch.setattr(checks, "Loader", Loading)
    with pytest.raises(AssertionError, match=seen):
        getattr(checks, kept)(checks.DataCase(Source([raw(TRAIN)])))


def test_what_keeps_all_promises_passes():
    check_data(Source([raw(TRAIN, TEST, examples(40, seed=4))]))
    check_data(Source([raw(TRAIN)]))
    double = Examples(TRAIN.inputs.repeat(2, 1, 1, 1), TRAIN.targets.repeat(2), TRAIN.classes)
    check_data(Source([raw(double)]))  # an example may be there twice


def test_the_docstring_lists_all_promises():
    listed = " ".join(inspect.getdoc(check_data).split())
    assert all(f"* {text(kept)}" in listed for kept in PROMISES)
    assert listed.count("* ") == len(PROMISES)
