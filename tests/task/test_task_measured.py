"""A measure is values per example, and what is reported a number of their means over all examples."""

import pytest
import torch
from torch import nn

from supernet.data import Digits, Normalise, split_data
from supernet.errors import CodeError, DataError
from supernet.evaluate import measure
from supernet.task import Classification, MultiLabel, batch_figures, checked_measures, in_precision


class Returning(Classification):
    """Measures what it was given, beside the loss."""

    def __init__(self, **given):
        super().__init__()
        self.given = given

    def measure(self, model, batch):
        return {**super().measure(model, batch), **self.given}


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return torch.randn(6, 5), torch.arange(6) % 3


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.tensor(0.5), ["'f1'", "[6]", "shape []", "number of a whole batch"]),
        (torch.ones(5), ["'f1'", "shape [5]", "the values of each"]),
        (torch.ones(2, 6), ["'f1'", "shape [2, 6]", "the values of each"]),
        (0.5, ["'f1'", "is float"]),
        ([0.5] * 6, ["'f1'", "is list"]),
        (torch.ones(6, dtype=torch.int64), ["'f1'", "torch.int64", "value.float()"]),
        (torch.ones(6, dtype=torch.bool), ["'f1'", "torch.bool"]),
        (torch.ones(6, device="meta"), ["'f1'", "on cpu", "on meta"]),
    ],
)
def test_what_is_no_value_per_example_is_refused(value, words, batch):
    with pytest.raises(DataError) as caught:
        checked_measures(Returning(f1=value), nn.Linear(5, 3), batch)
    for word in ["Returning", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize("shape", [(6, 1), (6, 2), (6, 2, 3)])
def test_a_measure_that_no_figure_is_made_of_is_refused(shape, batch):
    task = Returning(f1=torch.full(shape, 0.25))
    measures = checked_measures(task, nn.Linear(5, 3), batch)
    with pytest.raises(DataError) as caught:
        batch_figures(task, [measures])
    tail = ", ".join(map(str, shape[1:]))
    for word in ["'f1' of Returning", f"[batch, {tail}]", "figures(means)", "flatten(1).mean(1)"]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        (lambda means: {**means, "f1": means["f1"][0].item()}, ["'f1'", "is float", "item()"]),
        (lambda means: {**means, "f1": means["f1"] * 2}, ["'f1'", "shape [2]", "one number"]),
        (lambda means: {"f1": means["f1"][0]}, ["'loss' among them", "['f1']"]),
        (lambda means: means["loss"], ["'loss' among them", "Tensor"]),
    ],
)
def test_figures_that_are_no_numbers_are_refused(figures, words, batch):
    class Wrong(Returning):
        def figures(self, means):
            return figures(means)

    task = Wrong(f1=torch.full((6, 2), 0.25))
    with pytest.raises(DataError) as caught:
        batch_figures(task, [checked_measures(task, nn.Linear(5, 3), batch)])
    for word in ["Wrong", *words]:
        assert word in str(caught.value)


def test_what_figures_raise_is_said_with_its_line(batch):
    class Wrong(Returning):
        def figures(self, means):
            return {**means, "f1": means["f2"]}

    with pytest.raises(CodeError, match=r"Wrong\.figures\(means\).*'f2'"):
        batch_figures(Wrong(), [checked_measures(Wrong(), nn.Linear(5, 3), batch)])


def test_a_loss_of_several_numbers_is_refused(batch):
    task = Returning(loss=torch.ones(6, 2))
    with pytest.raises(DataError, match=r"'loss' of Returning .*\[6\].*\[6, 2\]"):
        checked_measures(task, nn.Linear(5, 3), batch)


def test_the_loss_is_needed(batch):
    class Bare(Classification):
        def measure(self, model, batch):
            return {"accuracy": super().measure(model, batch)["accuracy"]}

    class Number(Classification):
        def measure(self, model, batch):
            return 3.0

    with pytest.raises(DataError, match=r"'loss' is needed .* returned \['accuracy'\]"):
        checked_measures(Bare(), nn.Linear(5, 3), batch)
    with pytest.raises(DataError, match="returned float"):
        checked_measures(Number(), nn.Linear(5, 3), batch)


def test_what_is_right_passes_as_it_is(batch):
    model, value = nn.Linear(5, 3), torch.rand(6)
    found = checked_measures(Returning(margin=value), model, batch)
    assert list(found) == ["loss", "accuracy", "margin"]
    assert found["margin"] is value


def test_networks_are_not_measured_with_such_a_task():
    splits = split_data(Digits().load(), 0)
    normalise = Normalise.of(splits.train)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    good = measure(model, Returning(), splits.search, normalise, 100)
    assert set(good) == {"loss", "accuracy"}
    with pytest.raises(DataError, match="the measure 'f1'"):
        measure(model, Returning(f1=torch.tensor(0.5)), splits.search, normalise, 100)


class Doubled(Classification):
    lower_is_better = ("twice",)

    def figures(self, means):
        return {**means, "twice": 2 * means["accuracy"]}


def test_a_task_of_half_the_precision_has_the_figures_of_the_task(batch):
    model, task = nn.Linear(5, 3), in_precision(Doubled(), "bfloat16")
    figures = batch_figures(task, [checked_measures(task, model, batch)])
    assert figures.keys() == {"loss", "accuracy", "twice"}
    assert figures["twice"] == 2 * figures["accuracy"]
    assert tuple(task.lower_is_better) == ("twice",)


def test_figures_of_batches_are_those_of_their_mean(batch):
    task, model = MultiLabel(bins=0), nn.Linear(5, 3)
    inputs, targets = batch[0], (torch.arange(18).view(6, 3) % 4 == 0).float()
    parts = [
        checked_measures(task, model, (inputs[i], targets[i])) for i in (slice(3), slice(3, 6))
    ]
    whole = batch_figures(task, [checked_measures(task, model, (inputs, targets))])
    for name, value in batch_figures(task, parts).items():
        torch.testing.assert_close(value, whole[name])
