"""A class of each pixel: loss and figures beside scikit-learn's, and what is refused."""

import numpy as np
import pytest
import torch
from figures_of import Given, figures_of, in_parts
from sklearn.metrics import accuracy_score, jaccard_score
from sklearn.utils.class_weight import compute_class_weight

from supernet.errors import ConfigError, DataError
from supernet.task import Segmentation


@pytest.fixture
def data():
    """Logits of 5 classes, of which the last occurs nowhere; some pixels, and one image, are ignored."""
    random = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 4, (12, 6, 5), generator=random)
    logits = torch.randn(12, 5, 6, 5, generator=random)
    logits += 1.5 * torch.nn.functional.one_hot(targets, 5).movedim(-1, 1)
    logits[:, 4] = -10
    targets[torch.rand(targets.shape, generator=random) < 0.2] = 255
    targets[3] = 255
    return logits, targets


def test_figures_are_those_of_scikit_learn_over_all_pixels(data):
    logits, targets = data
    found = figures_of(Segmentation(), logits, targets)
    known = targets != 255
    y, predicted = targets[known], logits.argmax(1)[known]
    assert found.keys() == {"loss", "accuracy", "mean_iou"}
    assert found["accuracy"] == pytest.approx(accuracy_score(y, predicted))
    assert found["mean_iou"] == pytest.approx(jaccard_score(y, predicted, average="macro"))
    # No mean over images: these have few pixels of a class, or none.
    each = [figures_of(Segmentation(), logits[i : i + 1], targets[i : i + 1]) for i in range(12)]
    assert abs(sum(one["mean_iou"] for one in each) / 12 - found["mean_iou"]) > 0.01


def test_what_is_predicted_on_ignored_pixels_does_not_count(data):
    logits, targets = data
    other = torch.where((targets == 255).unsqueeze(1), logits.roll(1, 1), logits)
    assert not torch.equal(other.argmax(1), logits.argmax(1))
    assert figures_of(Segmentation(), other, targets) == figures_of(Segmentation(), *data)


def test_without_an_ignored_class_all_pixels_count(data):
    logits, targets = data
    targets = targets.clamp(max=3)
    found = figures_of(Segmentation(ignore=None), logits, targets)
    expected = jaccard_score(targets.flatten(), logits.argmax(1).flatten(), average="macro")
    assert found["mean_iou"] == pytest.approx(expected)
    own = figures_of(Segmentation(ignore=3), logits, targets)
    kept = targets != 3
    y, predicted = targets[kept], logits.argmax(1)[kept]
    labels = sorted({*y.tolist(), *predicted.tolist()})
    expected = jaccard_score(y, predicted, average="macro", labels=labels)
    assert own["mean_iou"] == pytest.approx(expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_the_formula(data, smoothing):
    logits, targets = data
    weights = torch.tensor([1.0, 2.0, 0.5, 0.0, 3.0]).double()
    logs = torch.log_softmax(logits.double(), 1).movedim(1, -1)
    total = 0.0
    for image in range(12):
        for place in (targets[image] != 255).nonzero().tolist():
            row, target = logs[image][tuple(place)], targets[image][tuple(place)]
            total -= (1 - smoothing) * float(weights[target] * row[target])
            total -= smoothing / 5 * float((weights * row).sum())
    task = Segmentation(class_weights=weights.tolist(), label_smoothing=smoothing)
    assert task.loss(Given(), data).item() == pytest.approx(total / targets.numel(), rel=1e-5)
    whole, parts = in_parts(task, *data)
    assert whole == pytest.approx(parts)
    plain = Segmentation().loss(Given(), data).item()
    assert figures_of(task, *data)["loss"] == pytest.approx(plain)


def test_a_teacher_and_probabilities_are_of_each_pixel(data):
    logits, _ = data
    teacher = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))
    logs = torch.log_softmax(logits.double(), 1)
    expected = -(teacher.double().softmax(1) * logs).sum(1).mean().item()
    task = Segmentation()
    assert task.distance(logits, teacher).item() == pytest.approx(expected, rel=1e-5)
    found = task.log_probabilities(logits)
    assert found.shape == (12 * 6 * 5, 5)
    torch.testing.assert_close(found[7].double(), logs[0, :, 1, 2])


@pytest.mark.parametrize(
    ("targets", "logits", "words"),
    [
        (torch.zeros(3, dtype=torch.int64), (3, 5), ["int64 [3]", "classification"]),
        (torch.zeros(3, 1, 4, 4), (3, 5, 4, 4), ["squeeze(1)"]),
        (torch.zeros(3, 5, 4, 4), (3, 5, 4, 4), ["argmax(1)"]),
        (torch.zeros(3, 4, 4), (3, 5, 4, 4), ["float32", "targets.long()"]),
        (torch.zeros(3, 4, 4).long(), (3, 5), ["returned [3, 5]", "logits alone"]),
        (torch.zeros(3, 4, 4).long(), (3, 5, 2, 2), ["returned [3, 5, 2, 2]", "interpolate"]),
    ],
)
def test_other_shapes_are_refused(targets, logits, words):
    for call in (Segmentation().loss, Segmentation().measure):
        with pytest.raises(DataError) as caught:
            call(Given(), (torch.zeros(logits), targets))
        for word in ["segmentation", *words]:
            assert word in str(caught.value)


def test_negative_classes_are_refused_unless_they_are_ignored():
    targets = torch.tensor([[[0, -1]]])
    with pytest.raises(DataError, match=r"--task.ignore -1"):
        Segmentation().check_targets(targets)
    Segmentation(ignore=-1).check_targets(targets)


@pytest.mark.parametrize("arguments", [{"label_smoothing": 2}, {"class_weights": [0, 0]}])
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        Segmentation(**arguments)


def test_balanced_weights_count_the_pixels_that_are_not_ignored():
    targets = torch.tensor([[[0, 0, 2], [255, 0, 2]], [[0, 255, 0], [2, 0, 0]]])
    task = Segmentation(class_weights="balanced").of_targets(targets, 3)
    counted = targets[targets != 255].numpy()
    expected = compute_class_weight("balanced", classes=np.array([0, 2]), y=counted)
    assert task.class_weights == pytest.approx((expected[0], 0.0, expected[1]))
    with pytest.raises(ConfigError, match=r"no class number of each pixel"):
        Segmentation(class_weights="balanced").of_targets(torch.zeros(3, dtype=torch.int64), 1)


def test_models_need_an_output_for_each_class_that_is_not_ignored():
    targets = torch.tensor([[[0, 4, 255]]])
    assert Segmentation().outputs(targets) == 5
    assert Segmentation(ignore=4).outputs(targets) == 256
    assert Segmentation().outputs(torch.full((1, 2, 2), 255)) is None
    assert Segmentation().outputs(torch.zeros(3, 1, 4, 4)) is None
