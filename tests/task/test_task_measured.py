"""A measure is one value per example; a number that a mean over examples falsifies is refused."""

import pytest
import torch
from torch import nn

from supernet.data import Digits, Normalise, split_data
from supernet.errors import DataError
from supernet.evaluate import measure
from supernet.task import Classification, checked_measures


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
        (torch.full((6, 2), 0.25), ["'f1'", "shape [6, 2]", "value.flatten(1).mean(1)"]),
        (torch.ones(6, 1), ["'f1'", "shape [6, 1]"]),
        (torch.ones(5), ["'f1'", "shape [5]", "one value for each"]),
        (torch.ones(2, 6), ["'f1'", "shape [2, 6]", "one value for each"]),
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
