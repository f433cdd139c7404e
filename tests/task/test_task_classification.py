import warnings
from typing import NamedTuple

import numpy as np
import pytest
import torch
from figures_of import figures_of, in_parts
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from torch.nn import functional as F

from supernet.errors import ConfigError, DataError
from supernet.task import Classification


@pytest.fixture
def batch():
    random = torch.Generator().manual_seed(0)
    return torch.randn(7, 5, generator=random), torch.randint(4, (7,), generator=random)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Linear(5, 4)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_the_loss_is_the_formula(model, batch, smoothing):
    logs = torch.log(torch.softmax(model(batch[0]).double(), 1))
    target = torch.eye(4)[batch[1]] * (1 - smoothing) + smoothing / 4
    expected = -(target * logs).sum(1).mean()
    assert Classification(smoothing).loss(model, batch).item() == pytest.approx(expected.item())


def test_measures_are_per_example(model, batch):
    logits = model(batch[0])
    measures = Classification(0.3).measure(model, batch)
    assert measures.keys() == {"loss", "accuracy"}
    for index, (row, target) in enumerate(zip(logits, batch[1], strict=True)):
        expected = torch.logsumexp(row, 0) - row[target]
        assert measures["loss"][index].item() == pytest.approx(expected.item(), rel=1e-5)
        assert measures["accuracy"][index].item() == float(row.argmax() == target)
    assert 0 < measures["accuracy"].mean() < 1


def test_the_mean_of_the_measured_loss_is_the_loss(model, batch):
    task = Classification()
    mean = task.measure(model, batch)["loss"].mean()
    assert mean.item() == pytest.approx(task.loss(model, batch).item())


def test_smoothing_is_for_training_only(model, batch):
    plain, smooth = Classification(), Classification(0.5)
    assert smooth.loss(model, batch) != plain.loss(model, batch)
    assert torch.equal(smooth.measure(model, batch)["loss"], plain.measure(model, batch)["loss"])


class Auxiliary(nn.Module):
    """Returns more logits beside those of a model."""

    def __init__(self, model, *further):
        super().__init__()
        self.model, self.further = model, nn.ModuleList(further)

    def forward(self, x):
        return (self.model(x), *(other(x) for other in self.further))


@pytest.mark.parametrize("weight", [0.0, 0.4, 2.0])
def test_auxiliary_classifiers_are_weighed(model, batch, weight):
    others, task = [nn.Linear(5, 4), nn.Linear(5, 4)], Classification(0.1, auxiliary=weight)
    losses = [task.loss(one, batch).item() for one in (model, *others)]
    expected = losses[0] + weight * (losses[1] + losses[2])
    both = Auxiliary(model, *others)
    assert task.loss(both, batch).item() == pytest.approx(expected)
    for name, values in task.measure(both, batch).items():
        assert torch.equal(values, task.measure(model, batch)[name])


def test_auxiliary_classifiers_of_other_models_are_understood(batch):
    """Those of torchvision return named tuples, (logits, aux_logits), in training mode."""

    class Outputs(NamedTuple):
        logits: torch.Tensor
        aux_logits: torch.Tensor

    class Named(nn.Linear):
        def forward(self, x):
            return Outputs(super().forward(x), super().forward(x))

    named, task = Named(5, 4), Classification()
    once = F.cross_entropy(named(batch[0]).logits, batch[1]).item()
    assert task.loss(named, batch).item() == pytest.approx(1.4 * once)


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_impossible_weights_of_auxiliary_classifiers_are_refused(weight):
    with pytest.raises(ConfigError, match="auxiliary is the weight of a loss, at least 0, not"):
        Classification(auxiliary=weight)


class Returns(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, x):
        return self.value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "returned NoneType"),
        ((), "returned tuple"),
        ({"logits": torch.zeros(7, 4)}, "returned dict"),
        ((torch.zeros(7, 4), None), "returned NoneType"),
        ((torch.zeros(7, 4), torch.zeros(3, 4)), r"returned \[3, 4\]"),
    ],
)
def test_other_outputs_are_refused(batch, value, words):
    for call in (Classification().loss, Classification().measure):
        with pytest.raises(DataError, match=words):
            call(Returns(value), batch)


def test_gradients_reach_the_model(model, batch):
    Classification().loss(model, batch).backward()
    probabilities = torch.softmax(model(batch[0]).detach(), 1)
    expected = (probabilities - F.one_hot(batch[1], 4)).mean(0)
    torch.testing.assert_close(model.bias.grad, expected)


class Sum(nn.Module):
    def forward(self, first, second):
        return first + second


def test_all_tensors_but_the_last_are_inputs(batch):
    inputs, targets = batch
    task, pair = Classification(), (inputs[:, :4], inputs[:, 1:], targets)
    expected = F.cross_entropy(inputs[:, :4] + inputs[:, 1:], targets)
    assert task.loss(Sum(), pair) == expected
    assert task.measure(Sum(), pair)["loss"].shape == (7,)


@pytest.mark.parametrize("smoothing", [-0.1, 1.1, float("nan")])
def test_impossible_smoothing_is_refused(smoothing):
    with pytest.raises(ConfigError, match="label_smoothing"):
        Classification(smoothing)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda targets: F.one_hot(targets, 4), r"argmax\(1\)"),
        (lambda targets: targets[:, None], "squeeze"),
        (lambda targets: targets.float(), "torch.float32"),
    ],
)
def test_targets_of_another_shape_or_type_are_refused(model, batch, change, words):
    wrong = (batch[0], change(batch[1]))
    for call in (Classification().loss, Classification().measure):
        with pytest.raises(DataError, match=words):
            call(model, wrong)


def test_outputs_that_are_no_logits_are_refused(batch):
    with pytest.raises(DataError, match=r"returned \[7, 5, 1\]"):
        Classification().loss(nn.Unflatten(1, (5, 1)), batch)


def test_further_outputs_that_are_no_logits_of_the_same_classes_are_refused():
    class TwoHeads(nn.Module):
        def forward(self, x):
            return x[:, :3], x

    batch = torch.randn(4, 8), torch.tensor([0, 1, 2, 0])
    with pytest.raises(DataError, match=r"returned \[4, 3\], \[4, 8\]"):
        Classification().loss(TwoHeads(), batch)


def test_probabilities_are_those_of_the_softmax(model, batch):
    logits = model(batch[0])
    found = Classification(0.2).log_probabilities(logits)
    expected = logits.double().exp() / logits.double().exp().sum(1, keepdim=True)
    torch.testing.assert_close(found.exp().double(), expected)


@pytest.mark.parametrize(
    ("targets", "right", "wrong"),
    [
        ([[1, 1, 0], [0, 0, 0]], "the task multilabel", "argmax"),
        ([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]], "the task multilabel", "argmax"),
        ([[1, 0, 0], [0, 1, 0]], r"argmax\(1\)", "squeeze"),
        ([[2], [0]], r"squeeze\(1\)", "argmax"),
        ([0.5, 1.5], "the task regression", "argmax"),
        ([[[0, 1]], [[1, 1]]], "the task segmentation", "argmax"),
    ],
)
def test_advice_fits_the_targets(targets, right, wrong):
    with pytest.raises(DataError, match=right) as caught:
        Classification().measure(nn.Linear(3, 3), (torch.zeros(2, 3), torch.tensor(targets)))
    assert wrong not in str(caught.value)


def test_figures_by_class_are_those_of_scikit_learn():
    random = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 4, (90,), generator=random).clamp(max=2)
    logits = torch.randn(90, 5, generator=random)
    logits[range(90), targets] += 1
    logits[:, 4] = -10  # occurs nowhere; 3 is predicted only
    found = figures_of(Classification(by_class=True), logits, targets)
    predicted = logits.argmax(1)
    assert found["accuracy"] == pytest.approx(accuracy_score(targets, predicted))
    assert found["f1"] == pytest.approx(f1_score(targets, predicted, average="macro"))
    with warnings.catch_warnings(action="ignore"):  # of the class that is predicted only
        expected = balanced_accuracy_score(targets, predicted)
    assert found["balanced_accuracy"] == pytest.approx(expected)
    assert figures_of(Classification(), logits, targets).keys() == {"loss", "accuracy"}


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_weighted_loss_is_the_formula(model, batch, smoothing):
    weights = torch.tensor([1.0, 2.0, 0.0, 0.5]).double()
    logs = torch.log(torch.softmax(model(batch[0]).double(), 1))
    target = torch.eye(4)[batch[1]] * (1 - smoothing) + smoothing / 4
    expected = -(weights * target * logs).sum(1).mean().item()
    task = Classification(smoothing, class_weights=weights.tolist())
    assert task.loss(model, batch).item() == pytest.approx(expected, rel=1e-5)
    plain = Classification().measure(model, batch)["loss"]
    assert torch.equal(task.measure(model, batch)["loss"], plain)


def test_the_weighted_loss_is_the_mean_of_its_parts():
    random = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(12, 3, generator=random), torch.arange(12) % 3
    whole, parts = in_parts(Classification(class_weights=[1, 5, 0.1]), logits, targets.sort()[0])
    assert whole == pytest.approx(parts)


def test_weights_of_other_classes_are_refused(model, batch):
    with pytest.raises(DataError, match=r"class_weights has 3 weights.*of 4"):
        Classification(class_weights=[1, 2, 3]).loss(model, batch)
    with pytest.raises(ConfigError, match="class_weights"):
        Classification(class_weights=[1, float("nan")])


def test_balanced_weights_are_those_of_scikit_learn(model, batch):
    targets = torch.tensor([0, 0, 0, 3, 1, 1, 3, 0])
    task = Classification(class_weights="balanced").of_targets(targets, 4)
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=targets.numpy())
    assert task.class_weights == pytest.approx((expected[0], expected[1], 0.0, expected[2]))
    same = Classification(class_weights=task.class_weights)
    assert task.loss(model, batch) == same.loss(model, batch)
    assert task.loss(model, batch) != Classification().loss(model, batch)


def test_balanced_weights_ask_for_the_targets_and_for_classes(model, batch):
    task = Classification(class_weights="balanced")
    with pytest.raises(ConfigError, match=r"task\.of_targets\(targets, classes\)"):
        task.loss(model, batch)
    with pytest.raises(ConfigError, match=r"'balanced' counts.*float32 \[8, 3\].*multilabel"):
        task.of_targets(torch.ones(8, 3), None)
    with pytest.raises(ConfigError, match=r"list of numbers.*'balance'"):
        Classification(class_weights="balance")
    assert Classification().of_targets(torch.ones(8, 3), None).class_weights is None
