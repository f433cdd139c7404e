"""Several labels of an example: loss and figures beside scikit-learn's, and what is refused."""

import numpy as np
import pytest
import torch
from figures_of import Given, figures_of, in_parts
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, roc_auc_score
from torch import nn

from supernet.errors import ConfigError, DataError
from supernet.task import MultiLabel


@pytest.fixture
def data():
    """Logits that know a little of labels, of which some are rare."""
    random = torch.Generator().manual_seed(0)
    shares = torch.tensor([0.5, 0.3, 0.05, 0.8])
    targets = (torch.rand(120, 4, generator=random) < shares).float()
    return 3 * torch.randn(120, 4, generator=random) + 2 * targets - 1.5, targets


def binned(logits, bins):
    """Logits as the bins see them, in another way: by the edges of the bins."""
    return np.digitize((logits.double() / 4).sigmoid().numpy(), np.linspace(0, 1, bins + 1)[1:-1])


def test_figures_are_those_of_scikit_learn(data):
    logits, targets = data
    found = figures_of(MultiLabel(), logits, targets)
    y, predicted = targets.numpy(), (logits > 0).numpy()
    assert found["f1_micro"] == pytest.approx(f1_score(y, predicted, average="micro"))
    assert found["f1_macro"] == pytest.approx(f1_score(y, predicted, average="macro"))
    assert found["exact"] == pytest.approx(accuracy_score(y, predicted))
    scores = binned(logits, 200)
    assert found["auroc"] == pytest.approx(roc_auc_score(y, scores))
    assert found["average_precision"] == pytest.approx(average_precision_score(y, scores))
    assert found["auroc"] == pytest.approx(roc_auc_score(y, logits.numpy()), abs=2e-3)
    exact = average_precision_score(y, logits.numpy())
    assert found["average_precision"] == pytest.approx(exact, abs=5e-3)


def test_figures_do_not_depend_on_how_examples_are_cut_into_batches(data):
    one, other = figures_of(MultiLabel(), *data, 120), figures_of(MultiLabel(), *data, 11)
    assert one == pytest.approx(other, rel=1e-6)


def test_labels_that_nobody_has_are_left_out_of_means(data):
    logits, targets = data
    targets = targets.clone()
    targets[:, 2] = 0
    logits = logits.clone()
    logits[:, 2] = -1
    found = figures_of(MultiLabel(), logits, targets)
    kept = [0, 1, 3]
    y, predicted = targets[:, kept].numpy(), (logits[:, kept] > 0).numpy()
    assert found["f1_macro"] == pytest.approx(f1_score(y, predicted, average="macro"))
    scores = binned(logits[:, kept], 200)
    assert found["auroc"] == pytest.approx(roc_auc_score(y, scores))
    assert found["average_precision"] == pytest.approx(average_precision_score(y, scores))
    nothing = figures_of(MultiLabel(), logits, torch.zeros_like(targets))
    assert (nothing["auroc"], nothing["average_precision"]) == (0.5, 0)


def test_logits_beyond_all_bins_are_in_the_last():
    targets = torch.tensor([[0], [1], [1]])
    found = figures_of(MultiLabel(), torch.tensor([[-1e9], [1e9], [900.0]]), targets)
    assert (found["auroc"], found["average_precision"], found["exact"]) == (1, 1, 1)


def test_without_bins_nothing_is_ranked(data):
    found = figures_of(MultiLabel(bins=0), *data)
    assert found.keys() == {"loss", "exact", "f1_micro", "f1_macro"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_the_loss_is_the_formula(data, dtype):
    logits, targets = data
    chance = 1 / (1 + np.exp(-logits.double().numpy()))
    y, weights = targets.numpy(), np.array([1, 2.5, 10, 0])
    expected = -(weights * y * np.log(chance) + (1 - y) * np.log(1 - chance)).mean()
    batch = logits, targets.to(dtype)
    found = MultiLabel([1, 2.5, 10, 0]).loss(Given(), batch).item()
    assert found == pytest.approx(expected, rel=1e-5)
    plain = MultiLabel().loss(Given(), batch).item()
    assert figures_of(MultiLabel([1, 2.5, 10, 0]), *batch)["loss"] == pytest.approx(plain)
    whole, parts = in_parts(MultiLabel([1, 2.5, 10, 0]), *batch)
    assert whole == pytest.approx(parts)


def test_a_teacher_and_probabilities_are_of_each_label(data):
    logits, _ = data
    teacher = torch.randn(120, 4, generator=torch.Generator().manual_seed(1))
    task, chance, goal = MultiLabel(), logits.double().sigmoid(), teacher.double().sigmoid()
    expected = -(goal * chance.log() + (1 - goal) * (1 - chance).log()).mean()
    assert task.distance(logits, teacher).item() == pytest.approx(expected.item(), rel=1e-5)
    logs = task.log_probabilities(logits)
    assert logs.shape == (480, 2)
    torch.testing.assert_close(logs.exp()[:, 1].view(120, 4).double(), chance)
    torch.testing.assert_close(logs.exp().sum(1), torch.ones(480))


@pytest.mark.parametrize(
    ("targets", "model", "words"),
    [
        (torch.zeros(3, dtype=torch.int64), Given(), ["[3]", "task classification"]),
        (torch.zeros(3, 4, 4), Given(), ["[3, 4, 4]", "task segmentation"]),
        (torch.zeros(3, 4), Given(), ["[3, 4]", "returned [3, 2]", "--model.classes 4"]),
        (torch.zeros(3, 2), nn.Sequential(Given(), nn.Flatten(0)), ["returned [6]"]),
    ],
)
def test_other_shapes_are_refused(targets, model, words):
    for call in (MultiLabel().loss, MultiLabel().measure):
        with pytest.raises(DataError) as caught:
            call(model, (torch.zeros(3, 2), targets))
        for word in ["multilabel", *words]:
            assert word in str(caught.value)


def test_targets_that_are_neither_0_nor_1_are_refused():
    MultiLabel().check_targets(torch.tensor([[0, 1], [1, 1]]))
    with pytest.raises(DataError, match=r"from -1 to 1; give \(targets > 0\)"):
        MultiLabel().check_targets(torch.tensor([[-1, 1], [1, 1]]))


@pytest.mark.parametrize(
    "arguments",
    [
        {"bins": 1},
        {"bins": -1},
        {"positive_weights": [1, -1]},
        {"positive_weights": []},
        {"positive_weights": 2.0},
    ],
)
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        MultiLabel(**arguments)


def test_weights_of_other_labels_are_refused(data):
    with pytest.raises(DataError, match="positive_weights has 3 weights"):
        MultiLabel([1, 2, 3]).loss(Given(), data)


def test_models_need_an_output_for_each_label():
    assert MultiLabel().outputs(torch.zeros(5, 7)) == 7
    assert MultiLabel().outputs(torch.zeros(5)) is None
