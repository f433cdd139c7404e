import re

import pytest
import torch

from supernet.data import Augment, Examples, Raw, Several
from supernet.errors import DataError

IMAGES = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
LABELS = torch.tensor([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("inputs", "targets", "classes", "message"),
    [
        (IMAGES, LABELS[:3], (), r"\[4, 1, 2, 2\] and targets \[3\] must have the same"),
        (IMAGES, torch.tensor(1), (), "must have the same first dimension"),
        (IMAGES[:0], LABELS[:0], (), "no examples .* check where the data comes from"),
        (IMAGES.long(), LABELS, (), r"torch.int64; possible are .*`\.float\(\)`"),
        (IMAGES[:, 0], LABELS, (), r"\[4, 2, 2\]. Add a channel with `\.unsqueeze\(1\)`"),
        (IMAGES, LABELS.int(), (), r"torch.int32; .* `\.long\(\)`"),
        (IMAGES, LABELS, ("a",), "from 0 to 1, but 1 classes .* renumber"),
        (IMAGES, LABELS - 1, ("a", "b"), "from -1 to 0, but 2 classes"),
        (IMAGES, LABELS.float(), ("a", "b"), "Targets are torch.float32"),
    ],
)
def test_examples_that_do_not_fit_together_are_refused(inputs, targets, classes, message):
    with pytest.raises(DataError, match=message):
        Examples(inputs, targets, classes)


def test_selected_examples_are_copies_in_the_order_asked_for():
    inputs = torch.arange(4.0).view(4, 1)
    chosen = Examples(inputs, LABELS, ("a", "b")).select(torch.tensor([3, 0]))
    inputs.zero_()
    assert chosen.inputs.flatten().tolist() == [3, 0]
    assert chosen.targets.tolist() == [1, 0]
    assert chosen.classes == ("a", "b")


def test_examples_move_together():
    moved = Examples(IMAGES, LABELS, ("a", "b")).to("cpu")
    assert len(moved) == 4
    assert moved.classes == ("a", "b")


@pytest.mark.parametrize(
    ("test", "difference"),
    [
        (Examples(IMAGES[:, :, :1], LABELS, ("a", "b")), "[1, 1, 2]"),
        (Examples(IMAGES.float(), LABELS, ("a", "b")), "torch.float32 [1, 2, 2]"),
        (Examples(IMAGES, LABELS, ("a", "c")), "a, c"),
        (Examples(IMAGES, LABELS.float()), "torch.float32 targets"),
    ],
)
def test_a_test_split_of_another_kind_is_refused(test, difference):
    message = f"mine: training examples.*{re.escape(difference)}"
    with pytest.raises(DataError, match=message):
        Raw("mine", Examples(IMAGES, LABELS, ("a", "b")), test, Augment())
    with pytest.raises(DataError, match=f"search examples.*{re.escape(difference)}"):
        Raw("mine", Examples(IMAGES, LABELS, ("a", "b")), None, Augment(), test)


def test_splits_are_standardised_alike():
    train, test = (Examples(torch.ones(4, 2), LABELS, ("a", "b"), scaled=n) for n in (2, 1))
    with pytest.raises(DataError, match=r"2 features of the training .* 1 of the test examples"):
        Raw("mine", train, test, Augment())


def test_what_examples_are_is_kept_by_their_parts():
    categories = torch.tensor([[0], [1], [2], [1]])
    inputs = Several({"numbers": torch.ones(4, 2), "categories": categories})
    whole = Examples(inputs, LABELS, ("a", "b"), ("<unknown>", "x", "y"), 2)
    for part in (whole.select(torch.tensor([2, 3])), whole.to("cpu")):
        assert (part.classes, part.words, part.scaled) == (("a", "b"), whole.words, 2)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ((torch.zeros(4, 1).long(), torch.zeros(4, 1).long()), "but 2 of several inputs are"),
        ((torch.zeros(4, 1),), "but 0 of several inputs are"),
        ((torch.full((4, 1), 2),), "numbered 0 to 1"),
    ],
)
def test_words_are_those_of_the_only_tokens(tokens, message):
    with pytest.raises(DataError, match=message):
        Examples(Several((IMAGES, *tokens)), LABELS, ("a", "b"), ("x", "y"))
