"""The loss of a language model is its formula, and means over texts are means over characters."""

import math
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from supernet.data import Examples, Normalise
from supernet.errors import DataError
from supernet.evaluate import measure
from supernet.task import Classification, LanguageModel

WORDS = tuple("abcde")


class Bigram(nn.Module):
    """Logits of the next token from the last one alone."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(5, 5)

    def forward(self, tokens):
        return self.table(tokens)


@pytest.fixture
def batch():
    random = torch.Generator().manual_seed(1)
    return tuple(torch.randint(5, (7, 6), generator=random) for _ in range(2))


def losses(model, batch):
    """Return the negative logarithm of each target's probability, one by one."""
    logs = torch.log(torch.softmax(model(batch[0]).double(), 2))
    return [
        [-logs[row, place, batch[1][row, place]].item() for place in range(batch[1].shape[1])]
        for row in range(len(batch[1]))
    ]


def test_the_loss_is_the_mean_over_all_characters(batch):
    model = Bigram()
    expected = torch.tensor(losses(model, batch)).mean().item()
    assert LanguageModel().loss(model, batch).item() == pytest.approx(expected, rel=1e-6)


def test_measures_are_means_over_the_characters_of_a_text(batch):
    model, logits = Bigram(), Bigram()(batch[0])
    found = LanguageModel().measure(model, batch)
    assert found.keys() == {"loss", "bits_per_character", "correct"}
    for row, each in enumerate(losses(model, batch)):
        mean = sum(each) / len(each)
        assert found["loss"][row].item() == pytest.approx(mean, rel=1e-5)
        assert found["bits_per_character"][row].item() == pytest.approx(
            mean / math.log(2), rel=1e-5
        )
        right = [int(logits[row, t].argmax()) == int(batch[1][row, t]) for t in range(6)]
        assert found["correct"][row].item() == pytest.approx(sum(right) / 6)
    assert 0 < found["correct"].mean() < 1


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 100])
def test_batches_of_different_sizes_give_the_mean_over_all_characters(batch, size):
    model = Bigram()
    whole = measure(model, LanguageModel(), Examples(*batch, words=WORDS), Normalise(), size)
    assert whole["loss"] == pytest.approx(LanguageModel().loss(model, batch).item(), rel=1e-6)
    bits = torch.tensor(losses(model, batch)).mean().item() / math.log(2)
    assert whole["bits_per_character"] == pytest.approx(bits, rel=1e-6)


def test_the_distance_is_the_cross_entropy_with_the_teacher(batch):
    task, outputs = LanguageModel(), Bigram()(batch[0])
    teacher = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(2))
    logs, p = outputs.double().log_softmax(2), teacher.double().softmax(2)
    expected = -(p * logs).sum(2).mean().item()
    assert task.distance(outputs, teacher).item() == pytest.approx(expected, rel=1e-5)
    certain = 1e4 * F.one_hot(batch[1], 5).float()
    assert task.distance(outputs, certain).item() == pytest.approx(
        task.loss(Bigram(), batch).item(), rel=1e-5
    )


def test_probabilities_are_those_of_each_character(batch):
    outputs = Bigram()(batch[0])
    logs = LanguageModel().log_probabilities(outputs)
    assert logs.shape == (42, 5)
    torch.testing.assert_close(logs.exp().view(7, 6, 5), outputs.softmax(2))


@pytest.mark.parametrize(
    "change",
    [
        lambda targets: targets[:, 0],
        lambda targets: targets.float(),
        lambda targets: F.one_hot(targets, 5),
    ],
)
def test_other_targets_are_refused(batch, change):
    wrong = (batch[0], change(batch[1]))
    for call in (LanguageModel().loss, LanguageModel().measure):
        with pytest.raises(DataError, match=r"next tokens, int64 \[batch, length\].*`characters`"):
            call(Bigram(), wrong)


@pytest.mark.parametrize(
    ("head", "returned"),
    [
        (lambda x: x[:, -1], r"\[7, 5\]"),
        (lambda x: x[:, :-1], r"\[7, 5, 5\]"),
        (lambda x: x.transpose(0, 1), r"\[6, 7, 5\]"),
        (lambda x: (x,), "tuple"),
    ],
)
def test_other_outputs_are_refused(batch, head, returned):
    class Net(Bigram):
        def forward(self, tokens):
            return head(super().forward(tokens))

    with pytest.raises(DataError, match=f"logits .batch, length, vocabulary.*{returned}"):
        LanguageModel().loss(Net(), batch)


def test_classification_of_such_data_says_which_task_is_meant(batch):
    with pytest.raises(DataError, match=r"supernet\.task\.LanguageModel"):
        Classification().loss(Bigram(), batch)


def test_logits_of_an_object_are_what_the_task_reads():
    @dataclass
    class Output:
        logits: torch.Tensor
        past: object = None

    class Wrapped(nn.Module):
        def forward(self, tokens):
            return Output(nn.functional.one_hot(tokens, 5).float())

    class Plain(nn.Module):
        def forward(self, tokens):
            return nn.functional.one_hot(tokens, 5).float()

    tokens = torch.tensor([[0, 1, 2], [3, 4, 0]])
    batch = (tokens, tokens.flip(1))
    task = LanguageModel()
    torch.testing.assert_close(task.loss(Wrapped(), batch), task.loss(Plain(), batch))
    for name, value in task.measure(Wrapped(), batch).items():
        torch.testing.assert_close(value, task.measure(Plain(), batch)[name])
