"""What every data source must do: load alike, split disjointly and serve batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch

from supernet.data import (
    DataSource,
    Examples,
    Loader,
    Normalise,
    Raw,
    Several,
    Splits,
    Stored,
    split_data,
)
from supernet.data.several import Values, is_stored, parts_of
from supernet.modules.nested import tensors
from supernet.testing.promises import expect, promise

__all__ = ["PROMISES", "DataCase", "check_data"]

SEED = 3
BATCH = 16


@dataclass
class DataCase:
    """A source of data."""

    source: DataSource

    @property
    def name(self) -> str:
        """The class of the source."""
        return type(self.source).__name__

    @cached_property
    def raw(self) -> Raw:
        """What the source loads."""
        return self.source.load()

    def parts(self, seed: int = SEED) -> dict[str, Examples]:
        """Return the splits by name, the test split among them."""
        splits: Splits = split_data(self.raw, seed)
        test = splits.test.open("chosen")
        return {"train": splits.train, "search": splits.search, "test": test}

    @property
    def given(self) -> dict[str, Examples]:
        """What the source delivers, by what it is for."""
        found = {"train": self.raw.train, "search": self.raw.search, "test": self.raw.test}
        return {name: part for name, part in found.items() if part is not None}


def check_data(source: DataSource) -> None:
    """Check that a data source keeps what splits and batches rely on.

    * A source loads examples, and class numbers that its classes name.
    * Every load is the same.
    * Tokens, and nothing else, have words, which are different and the same in all splits.
    * No example is in two of the splits that the source delivers.
    * The splits together are what the source delivers.
    * An official test split is the test split; otherwise it is a fifth.
    * Examples to select with are the search split; otherwise it is a fifth of the rest.
    * Targets stay with their inputs.
    * Splits are a function of the seed.
    * No split is sorted by class.
    * An epoch serves each example at most once.
    * A batch does not depend on what was asked before.
    * Stored inputs are the same whatever reads them.
    * What stored inputs are known by is the same in every load, and other for other examples.

    Args:
        source: data source of 16 examples or more in its smallest split.

    Raises:
        AssertionError: a promise is broken; the message names it, what was expected and what was seen.
    """
    case = DataCase(source)
    for kept in PROMISES:
        kept(case)


def rows_of(values: Values) -> list[bytes]:
    """Return the bytes of each example's inputs."""
    parts = [tensor.cpu().contiguous().numpy() for tensor in tensors(values)]
    return [b"".join(row.tobytes() for row in rows) for rows in zip(*parts, strict=True)]


def contents(examples: Examples) -> list[bytes]:
    return rows_of(examples.tensor())


def alike(first: Values, second: Values) -> bool:
    """Return whether inputs are the same, bit for bit, and called the same."""
    if type(first) is not type(second):
        return False
    if isinstance(first, dict) and isinstance(second, dict) and first.keys() != second.keys():
        return False
    pairs = list(zip(tensors(first), tensors(second), strict=True))
    return all(
        one.dtype == other.dtype
        and one.shape == other.shape
        and torch.equal(*map(_bits, (one, other)))
        for one, other in pairs
    )


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    """Return the bytes of a tensor, of which those of NaN equal those of NaN."""
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def is_random(examples: Examples) -> bool:
    """Return whether inputs are others in each epoch, by transforms of the data's own."""
    inputs = examples.inputs
    return not isinstance(inputs, torch.Tensor) and not alike(
        inputs.fetch(), inputs.fetch((1, "other"))
    )


def pairs(examples: Examples) -> Counter[tuple[bytes, str]]:
    """Return how often each input comes with each target."""
    targets = map(str, examples.targets.tolist())
    return Counter(zip(contents(examples), targets, strict=True))


@promise
def it_loads_examples(case: DataCase) -> None:
    """A source loads examples, and class numbers that its classes name."""
    expect(isinstance(case.source, DataSource), "a DataSource", case.name)
    expect(isinstance(case.raw, Raw), "a Raw", type(case.raw).__name__)
    train = case.raw.train
    names = train.classes if train.targets.ndim == 1 else train.words
    if train.targets.dtype == torch.int64 and (train.targets.ndim == 1 or names):
        highest = int(train.targets.max())
        expect(highest < len(names), f"targets below {len(names)}, the number of names", highest)


@promise
def every_load_is_the_same(case: DataCase) -> None:
    """Every load is the same."""
    again = case.source.load()
    for name, first in case.given.items():
        other = {"train": again.train, "search": again.search, "test": again.test}[name]
        expect(other is not None, f"{name} examples in every load", "none in the second")
        assert other is not None  # which `expect` ensures
        same = alike(first.tensor(), other.tensor())
        expect(same, f"the same {name} inputs", "others in the second load")
        same = torch.equal(first.targets, other.targets)
        expect(same, f"the same {name} targets", "others in the second load")
        expect(other.classes == first.classes, first.classes, other.classes)
        expect(other.words == first.words, f"the same words of {name}", "others in the second load")


@promise
def tokens_have_words(case: DataCase) -> None:
    """Tokens, and nothing else, have words, which are different and the same in all splits.

    Of several inputs those that are int64 may do without.
    """
    words, inputs = case.raw.train.words, case.raw.train.inputs
    tokens = sum(part.dtype == torch.int64 for part in parts_of(inputs)) == 1
    fit = bool(words) <= tokens if isinstance(inputs, Several) else bool(words) == tokens
    expect(fit, "words for tokens and for nothing else", f"{len(words)} words")
    expect(len(set(words)) == len(words), "different words", "one several times")
    for name, part in {**case.given, **case.parts()}.items():
        expect(part.words == words, "the words of the training examples", f"others in {name}")
        found = [one for one in tensors(part.tensor()) if one.dtype == torch.int64]
        highest = int(found[0].max()) if words else 0
        expect(not words or highest < len(words), f"tokens below {len(words)}", highest)


@promise
def what_is_delivered_is_disjoint(case: DataCase) -> None:
    """No example is in two of the splits that the source delivers."""
    given = {name: set(contents(part)) for name, part in case.given.items()}
    for first in given:
        for second in given:
            both = given[first] & given[second] if first < second else ()
            expect(not both, f"no example in both {first} and {second}", len(both))


@promise
def splits_cover_everything(case: DataCase) -> None:
    """The splits together are what the source delivers."""
    found, wanted = Counter[bytes](), Counter[bytes]()
    for part in case.parts().values():
        found.update(contents(part))
    for part in case.given.values():
        wanted.update(contents(part))
    missing, more = (wanted - found).total(), (found - wanted).total()
    expect(found == wanted, f"{wanted.total()} examples", f"{missing} missing and {more} more")


@promise
def the_test_split_is_the_official_one(case: DataCase) -> None:
    """An official test split is the test split; otherwise it is a fifth."""
    test, official = case.parts()["test"], case.raw.test
    if official is None:
        wanted = round(0.2 * len(case.raw.train))
        expect(len(test) == wanted, f"{wanted} examples", len(test))
    else:
        same = sorted(contents(test)) == sorted(contents(official))
        expect(same, "the official test examples", "others")


@promise
def the_search_split_is_the_one_delivered(case: DataCase) -> None:
    """Examples to select with are the search split; otherwise it is a fifth of the rest."""
    parts, own = case.parts(), case.raw.search
    if own is None:
        wanted = round(0.2 * (len(parts["train"]) + len(parts["search"])))
        expect(len(parts["search"]) == wanted, f"{wanted} examples", len(parts["search"]))
    else:
        same = sorted(contents(parts["search"])) == sorted(contents(own))
        expect(same, "the examples to select with", "others")
        if case.raw.test is not None:
            same = sorted(contents(parts["train"])) == sorted(contents(case.raw.train))
            expect(same, "all others to train with", "others")


@promise
def targets_stay_with_their_inputs(case: DataCase) -> None:
    """Targets stay with their inputs."""
    known, found = Counter[tuple[bytes, str]](), Counter[tuple[bytes, str]]()
    for part in case.given.values():
        known.update(pairs(part))
    for part in case.parts().values():
        found.update(pairs(part))
    apart = (found - known).total()
    expect(found == known, "each input with its target", f"{apart} inputs with others")


@promise
def splits_are_a_function_of_the_seed(case: DataCase) -> None:
    """Splits are a function of the seed."""
    first, same, other = (
        {name: contents(part) for name, part in case.parts(seed).items()}
        for seed in (SEED, SEED, SEED + 1)
    )
    expect(first == same, "the same splits for the same seed", "others")
    for name in first:
        expect(first[name] != other[name], f"another {name} split for another seed", "the same")


@promise
def no_split_is_sorted_by_class(case: DataCase) -> None:
    """No split is sorted by class."""
    for name, part in case.parts().items():
        mixed = (part.targets.diff() < 0).any()
        expect(mixed, f"targets of {name} in any order", "that they only rise")


@promise
def an_epoch_serves_each_example_once(case: DataCase) -> None:
    """An epoch serves each example at most once."""
    examples = case.raw.train
    loader = Loader(examples, BATCH, seed=5, normalise=Normalise())
    # Known after the same conversion, so that a batch can be traced to its examples.
    known = Counter(rows_of(Normalise()(examples.tensor())))
    batches, wanted = loader.batches_per_epoch, len(examples) // BATCH
    expect(batches == wanted, f"{wanted} batches", batches)
    epoch = [loader.batch(step)[:-1] for step in range(batches)]
    served = Counter(row for inputs in epoch for row in rows_of(inputs))
    expect(served.total() == BATCH * batches, f"{BATCH * batches} examples", served.total())
    if is_random(examples):  # an input cannot be traced, but its target can
        targets = [one for step in range(batches) for one in loader.batch(step)[-1]]
        served = Counter(str(one.tolist()).encode() for one in targets)
        known = Counter(str(target.tolist()).encode() for target in examples.targets)
    expect(served <= known, "each example once", f"{(served - known).total()} more")


@promise
def batches_do_not_depend_on_what_was_asked_before(case: DataCase) -> None:
    """A batch does not depend on what was asked before."""
    raw = case.raw
    kept = (torch.int64, torch.bool)
    kinds = [
        part.dtype if part.dtype in kept else torch.float32 for part in parts_of(raw.train.inputs)
    ]
    loader = Loader(raw.train, BATCH, 5, raw.augment)
    for step in (0, 7, 1, 30, 2, 200, 0):
        batch = loader.batch(step)
        found = [tensor.dtype for tensor in tensors(batch[:-1])]
        expect(found == kinds, f"inputs of {kinds}", found)
        same = alike(batch, Loader(raw.train, BATCH, 5, raw.augment).batch(step))
        expect(same, f"the same batch of step {step} from a new loader", "another")


@promise
def stored_inputs_are_the_same_whatever_reads_them(case: DataCase) -> None:
    """Stored inputs are the same whatever reads them."""
    raw = case.raw
    if not is_stored(raw.train.inputs):
        return
    steps = (0, 1, 2, 7, 3, 300)
    alone = Loader(raw.read_by(0).train, BATCH, 5, raw.augment)
    wanted = [alone.batch(step) for step in steps]
    state = torch.get_rng_state()
    for workers in (0, 1, 2):
        loader = Loader(raw.read_by(workers).train, BATCH, 5, raw.augment)
        for step, batch in zip(steps, wanted, strict=True):
            same = alike(loader.batch(step), batch)
            expect(same, f"the same batch of step {step} from {workers} processes", "another")
    same = torch.equal(torch.get_rng_state(), state)
    expect(same, "the random state of torch as it was", "another after reading")


@promise
def stored_inputs_are_known_again(case: DataCase) -> None:
    """What stored inputs are known by is the same in every load, and other for other examples."""
    both = case.raw.train.inputs, case.source.load().train.inputs
    for first, again in zip(*map(parts_of, both), strict=True):
        if isinstance(first, Stored) and isinstance(again, Stored):
            _is_known_again(first, again)


def _is_known_again(first: Stored, again: Stored) -> None:
    expect(first.identity == again.identity, "the same identity in every load", "another")
    fewer = first.select(torch.arange(len(first) - 1))
    turned = first.select(torch.arange(len(first)).flip(0))
    expect(first.identity != fewer.identity, "another identity of fewer examples", "the same")
    expect(first.identity != turned.identity, "another identity of another order", "the same")


PROMISES: tuple[Callable[[DataCase], None], ...] = (
    it_loads_examples,
    every_load_is_the_same,
    tokens_have_words,
    what_is_delivered_is_disjoint,
    splits_cover_everything,
    the_test_split_is_the_official_one,
    the_search_split_is_the_one_delivered,
    targets_stay_with_their_inputs,
    splits_are_a_function_of_the_seed,
    no_split_is_sorted_by_class,
    an_epoch_serves_each_example_once,
    batches_do_not_depend_on_what_was_asked_before,
    stored_inputs_are_the_same_whatever_reads_them,
    stored_inputs_are_known_again,
)
"""In the order in which they are checked."""
