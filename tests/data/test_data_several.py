"""Several inputs, by position or by name: what they may be, and that they stay together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from data_cases import Once, Pairs, make_images
from torch.utils.data import DataLoader

from supernet.data import (
    Augment,
    DataLoaders,
    Datasets,
    Examples,
    Items,
    Loader,
    Normalise,
    Several,
    Stored,
    Tensors,
    as_source,
    chunks,
    split_data,
)
from supernet.errors import DataError

IMAGES, LABELS = make_images((20, 25), (3, 6, 6))
COUNT = len(LABELS)
TOKENS = torch.arange(COUNT * 4).view(COUNT, 4)
MASK = TOKENS % 3 > 0
AGES = torch.linspace(0, 1, COUNT)
PARTS = {"image": IMAGES, "tokens": TOKENS, "mask": MASK, "age": AGES}


def items(kind):
    """Return the examples as a data set would give them, in one of the forms."""
    found = []
    for number in range(COUNT):
        parts = {name: part[number] for name, part in PARTS.items()}
        label = int(LABELS[number])
        if kind == "flat":
            found.append({**parts, "label": label})
        else:
            found.append((tuple(parts.values()) if kind == "tuple" else parts, label))
    return found


def given(kind):
    return tuple(PARTS.values()) if kind == "tuple" else PARTS


def values(inputs):
    return dict(enumerate(inputs)) if isinstance(inputs, tuple) else inputs


def same(found, kind):
    expected = values(given(kind))
    assert values(found).keys() == expected.keys()
    for name, part in values(found).items():
        assert part.dtype == expected[name].dtype
        assert torch.equal(part, expected[name])


@pytest.mark.parametrize("kind", ["tuple", "dict"])
def test_tensors_are_taken_as_they_are(kind):
    raw = as_source((given(kind), LABELS)).load()
    same(raw.train.tensor(), kind)
    arrays = as_source(
        ({name: part.numpy() for name, part in PARTS.items()}, LABELS.numpy())
    ).load()
    same(arrays.train.tensor(), "dict")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", ["tuple", "dict", "flat"])
def test_data_sets_give_the_same_in_memory_and_read_when_needed(kind, stream):
    raw = Datasets(Pairs(items(kind)), stream=stream).load()
    assert any(isinstance(part, Stored) for part in raw.train.inputs.parts) == stream
    same(raw.train.tensor(), "tuple" if kind == "tuple" else "dict")
    assert torch.equal(raw.train.targets, LABELS)
    for workers in (0, 2):
        read = raw.read_by(workers).train
        batch, tensors = Loader(read, 7, seed=3).batch(9), Tensors((given(kind), LABELS)).load()
        expected = Loader(tensors.train, 7, seed=3).batch(9)
        assert len(batch) == len(expected)
        for one, other in zip(batch, expected, strict=True):
            one, other = ([*v.values()] if isinstance(v, dict) else [v] for v in (one, other))
            assert all(map(torch.equal, one, other))


def test_what_can_only_be_gone_through_is_kept_on_disk():
    source = Once([], torch.zeros(0))
    source.pairs = items("dict")
    raw = Datasets(source, stream=True).load()
    same(raw.train.tensor(), "dict")


def collated(examples):
    """Collate dictionaries, whose tokens become others."""
    rows = torch.utils.data.default_collate(examples)
    return {**rows, "tokens": rows["tokens"] + 1}


def test_loaders_read_as_their_collate_fn_does():
    loader = DataLoader(Pairs(items("flat")), 5, collate_fn=collated)
    raw = as_source(loader).load()
    assert torch.equal(raw.train.tensor()["tokens"], TOKENS + 1)
    assert torch.equal(raw.train.tensor()["mask"], MASK)
    renamed = [{"y": one["label"], "tokens": one["tokens"]} for one in items("flat")]
    raw = DataLoaders(DataLoader(Pairs(renamed), 5), label="y").load()
    assert torch.equal(raw.train.tensor()["tokens"], TOKENS)


class Counting(Items):
    """Floats of which it is counted how often each is read."""

    shape, dtype = (2,), torch.float32

    def __init__(self):
        self.read_times = [0] * COUNT

    def __len__(self):
        return COUNT

    def read(self, number):
        self.read_times[number] += 1
        return torch.full((2,), float(number))

    def name(self, number):
        return f"item {number}"


def test_one_reading_delivers_all_inputs_and_others_may_lie_in_memory():
    raw = Datasets(Pairs(items("dict")), stream=True).load()
    pairs, calls = raw.train.inputs.parts[0].items, []
    read = pairs.read
    pairs.read = lambda number: calls.append(number) or read(number)
    raw.train.select(torch.arange(5)).tensor()
    assert calls == [0, 1, 2, 3, 4]
    counting = Counting()
    mixed = Several({"stored": Stored(counting), "tokens": TOKENS})
    batch = Loader(Examples(mixed, LABELS, ("a", "b")), 6, seed=1).batch(0)
    assert torch.equal(batch[0]["stored"][:, 0].long() * 4, batch[0]["tokens"][:, 0])
    assert sum(counting.read_times) == 6


def test_each_input_is_normalised_as_if_it_were_alone():
    examples = Tensors((PARTS, LABELS)).load().train
    normalise = Normalise.of(examples)
    alone = Normalise.of(Tensors((IMAGES, LABELS)).load().train)
    found = normalise(examples.tensor())
    assert torch.equal(found["image"], alone(IMAGES))
    assert (normalise.mean, normalise.std) == (alone.mean, alone.std)
    assert torch.equal(found["tokens"], TOKENS)
    assert found["mask"].dtype == torch.bool
    assert torch.equal(found["age"], AGES)
    turned = normalise(dict(reversed(PARTS.items())))
    assert all(torch.equal(turned[name], found[name]) for name in PARTS)
    with pytest.raises(DataError, match="inputs are 0, but those measured were 'image', 'tokens'"):
        normalise((IMAGES,))


def test_the_only_images_are_augmented_and_nothing_else():
    examples = Tensors((tuple(PARTS.values()), LABELS)).load().train
    plain = Loader(examples, 8, seed=2).batch(1)
    changed = Loader(examples, 8, seed=2, augment=Augment(flip=True, crop=2)).batch(1)
    assert not torch.equal(plain[0], changed[0])
    assert all(map(torch.equal, plain[1:], changed[1:]))
    alone = Tensors((IMAGES, LABELS)).load().train
    expected = Loader(alone, 8, seed=2, augment=Augment(flip=True, crop=2)).batch(1)
    assert torch.equal(changed[0], expected[0])


@pytest.mark.parametrize("parts", [(TOKENS, MASK), (IMAGES, IMAGES)])
def test_without_one_input_of_images_an_augmentation_is_refused(parts):
    examples = Tensors((parts, LABELS)).load().train
    Loader(examples, 8, seed=2, augment=Augment()).batch(0)
    with pytest.raises(DataError, match="not exactly one is uint8 images; leave it out"):
        Loader(examples, 8, seed=2, augment=Augment(flip=True)).batch(0)


def test_splits_and_chunks_keep_inputs_together():
    splits = split_data(Tensors((PARTS, LABELS)).load(), seed=0)
    batches = list(chunks(splits.search, 4, Normalise.of(splits.train)))
    assert sum(len(targets) for _, targets in batches) == len(splits.search)
    for inputs, _ in batches:
        first = inputs["tokens"][:, 0] // 4
        torch.testing.assert_close(inputs["age"], AGES[first])
        assert torch.equal(inputs["mask"], MASK[first])


def test_the_test_split_is_known_by_names_types_and_values():
    def identity(parts):
        return split_data(Tensors((parts, LABELS)).load(), seed=0).test.identity

    known = identity({"a": TOKENS, "b": MASK})
    assert known == identity({"a": TOKENS, "b": MASK})
    others = [{"a": TOKENS, "c": MASK}, {"a": TOKENS + 1, "b": MASK}, (TOKENS, MASK)]
    assert known not in map(identity, others)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "there is none; give a tensor for each input"),
        ((), "there is none"),
        (
            {"a": TOKENS, "b": MASK[:5]},
            r"same first dimension.* a torch.int64 \[45, 4\], b .*\[5, 4\]",
        ),
        ({"a": TOKENS, 3: MASK}, "names of arguments of the model's forward, but one is 3"),
        ({"a": TOKENS, "b c": MASK}, "one is 'b c'"),
        ({"a": TOKENS, "routing": MASK}, "one is 'routing'; .* other than routing and self"),
        ({"a": TOKENS, "b": {"c": MASK}}, "'b' is a dict, not a tensor .* none holds others"),
        ((TOKENS, [1, 2]), "'input 1' is a list, not a tensor"),
        ((TOKENS, torch.tensor(1.0)), "'input 1' is one number"),
        ({"a": TOKENS.int()}, r"'a' is torch.int32; possible are .*`\.long\(\)`"),
        ({"a": IMAGES[:, 0]}, r"'a' is uint8 \[45, 6, 6\], but uint8 inputs are images"),
        ({"a": TOKENS, "b": AGES / 0}, "some 'b' inputs are infinite or not a number"),
        ({"a": IMAGES.permute(0, 2, 3, 1)}, "'a' inputs .* look like images"),
        ({"a": TOKENS[:, :0]}, "There are no examples"),
        ({"a": TOKENS[:9]}, r"Inputs \(a torch.int64 \[9, 4\]\) and targets \[45\] must have"),
    ],
)
def test_what_cannot_be_inputs_is_refused(inputs, message):
    with pytest.raises(DataError, match=f"tensors: .*{message}"):
        Tensors((inputs, LABELS)).load()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda one: {**one, "age": one["age"] / 0},
            r"'age' of \S+ holds values that are infinite",
        ),
        (
            lambda one: {**one, "mask": one["mask"][:2]},
            r"'mask' of .* is torch.bool \[2\].*first example",
        ),
        (lambda one: {"image": one["image"]}, "has the inputs 'image', but the first example has"),
        (lambda one: {**one, "mask": {"x": one["mask"]}}, "one of several inputs is a dictionary"),
        (lambda one: one["image"], "one input|several inputs|has the inputs"),
    ],
)
def test_an_example_unlike_the_others_is_named(change, message, stream):
    found = [(inputs, label) for inputs, label in items("dict")]
    found[3] = change(found[3][0]), found[3][1]
    with pytest.raises(DataError, match=message):
        Datasets(Pairs(found), name="mine", stream=stream).load().train.tensor()


def test_a_dictionary_without_its_label_is_refused():
    with pytest.raises(
        DataError, match=r"mine\[0\] is a dict, not a pair .* tokens; .*'label'.*label="
    ):
        Datasets(Pairs([{"tokens": TOKENS[0]}]), name="mine").load()
    with pytest.raises(
        DataError, match=r"of several inputs make a pair \(\(first, second\), label\)"
    ):
        Datasets(Pairs([(TOKENS[0], MASK[0], 1)])).load()


def test_lists_and_numbers_of_dictionaries_become_tensors():
    rows = [
        {"ids": [1, 2, 3], "on": [True, False, True], "age": 0.5, "n": np.int64(3), "label": k}
        for k in (0, 1)
    ]
    found = Datasets(Pairs(rows)).load().train.tensor()
    kinds = {name: (one.dtype, tuple(one.shape)) for name, one in found.items()}
    assert kinds == {
        "ids": (torch.int64, (2, 3)),
        "on": (torch.bool, (2, 3)),
        "age": (torch.float32, (2,)),
        "n": (torch.int64, (2,)),
    }


@pytest.mark.parametrize("inputs", [{}, {"a": {"b": TOKENS}}, {"a": [1, 2]}])
def test_a_dictionary_is_inputs_whatever_it_holds(inputs):
    with pytest.raises(DataError, match=r"there is none|not a tensor"):
        as_source((inputs, LABELS)).load()


def test_tokens_alone_are_taken_by_their_name():
    examples = Tensors(({"tokens": TOKENS}, LABELS)).load().train
    assert torch.equal(Loader(examples, COUNT, seed=0).batch(0)[0]["tokens"].sort(0)[0], TOKENS)
    with pytest.raises(DataError, match=r"by the name of the model's argument.*'tokens'"):
        Tensors((TOKENS, LABELS)).load()
