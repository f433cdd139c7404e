"""What every source must do: load alike, split disjointly and serve batches."""

import pytest
import torch

from supernet.data import Loader, Normalise, Raw, split_data


def contents(examples):
    return [inputs.numpy().tobytes() for inputs in examples.inputs]


def parts(splits):
    return splits.train, splits.search, splits.test.open("chosen")


def official(raw):
    return [content for part in (raw.test, raw.search) if part for content in contents(part)]


@pytest.fixture(scope="session")
def raw(case):
    return case.source.load()


def test_shapes_types_and_numbers_are_those_announced(case, raw):
    assert isinstance(raw, Raw)
    assert raw.train.inputs.shape == (case.train, *case.shape)
    assert raw.train.inputs.dtype == case.dtype
    assert raw.train.targets.dtype == torch.int64
    assert (raw.test and len(raw.test)) == case.test
    assert (raw.search and len(raw.search)) == case.search
    if raw.train.targets.ndim == 1:
        assert len(raw.train.classes) == int(raw.train.targets.max()) + 1
    else:
        assert int(raw.train.targets.max()) < len(raw.train.words)


def test_every_load_is_the_same(case, raw):
    again = case.source.load()
    assert torch.equal(again.train.inputs, raw.train.inputs)
    assert torch.equal(again.train.targets, raw.train.targets)
    assert again.train.classes == raw.train.classes
    assert again.train.words == raw.train.words


def test_tokens_and_nothing_else_have_words(case, raw):
    words = raw.train.words
    assert bool(words) == (case.dtype == torch.int64)
    assert len(set(words)) == len(words)
    assert raw.test is None or raw.test.words == words
    for part in parts(split_data(raw, 3)):
        assert part.words == words
        assert not words or int(part.inputs.max()) < len(words)


def test_splits_are_disjoint_and_cover_everything(raw):
    found = [content for part in parts(split_data(raw, 3)) for content in contents(part)]
    assert len(set(found)) == len(found)
    assert sorted(found) == sorted(contents(raw.train) + official(raw))


def test_an_official_test_split_is_the_test_split(raw):
    splits = split_data(raw, 3)
    if raw.test is None:
        assert len(splits.test) == round(0.2 * len(raw.train))
    else:
        assert sorted(contents(splits.test.open("chosen"))) == sorted(contents(raw.test))


def test_examples_to_select_with_are_the_search_split(raw):
    splits = split_data(raw, 3)
    if raw.search is None:
        rest = len(splits.train) + len(splits.search)
        assert len(splits.search) == round(0.2 * rest)
    else:
        assert sorted(contents(splits.search)) == sorted(contents(raw.search))
        assert sorted(contents(splits.train)) == sorted(contents(raw.train))


def test_targets_stay_with_their_inputs(raw):
    known = {}
    for part in (raw.train, raw.search):
        if part is not None:
            known.update(zip(contents(part), part.targets.tolist(), strict=True))
    for part in (split_data(raw, 3).train, split_data(raw, 3).search):
        assert [known[content] for content in contents(part)] == part.targets.tolist()


def test_splits_are_a_function_of_the_seed(raw):
    first, same, other = (list(map(contents, parts(split_data(raw, seed)))) for seed in (3, 3, 4))
    assert first == same
    assert all(one != two for one, two in zip(first, other, strict=True))


def test_no_split_is_sorted_by_class(raw):
    for part in parts(split_data(raw, 3)):
        assert (part.targets.diff() < 0).any()


def test_an_epoch_serves_each_example_at_most_once(raw):
    examples = raw.train
    loader = Loader(examples, 16, seed=5, normalise=Normalise())
    # Known after the same conversion, so that a batch can be traced to its examples.
    known = {inputs.numpy().tobytes() for inputs in Normalise()(examples.inputs)}
    epoch = [loader.batch(step)[0] for step in range(loader.batches_per_epoch)]
    served = [inputs.numpy().tobytes() for batch in epoch for inputs in batch]
    assert loader.batches_per_epoch == len(examples) // 16
    assert len(served) == len(set(served)) == 16 * loader.batches_per_epoch
    assert set(served) <= known


def test_batches_do_not_depend_on_what_was_asked_before(raw):
    steps = [0, 7, 1, 30, 2, 200, 0]
    loader = Loader(raw.train, 16, 5, raw.augment)
    for step in steps:
        inputs, targets = loader.batch(step)
        fresh_inputs, fresh_targets = Loader(raw.train, 16, 5, raw.augment).batch(step)
        assert inputs.dtype == (torch.int64 if raw.train.words else torch.float32)
        assert torch.equal(inputs, fresh_inputs)
        assert torch.equal(targets, fresh_targets)
