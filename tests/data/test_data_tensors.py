import numpy as np
import pytest
import torch
from data_cases import Pairs, make_images
from PIL import Image
from torch.utils.data import IterableDataset, TensorDataset

from supernet.data import Augment, Datasets, Tensors
from supernet.errors import DataError

IMAGES, LABELS = make_images((3, 4), (3, 4, 5))


def as_pillow(image):
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def as_array(image):
    return image.permute(1, 2, 0).numpy()


def load(*pairs, **options):
    return Datasets(Pairs(list(pairs)), **options).load()


@pytest.mark.parametrize("convert", [lambda image: image, as_pillow, as_array])
@pytest.mark.parametrize("label", [int, np.int32, torch.tensor])
def test_every_form_of_an_image_gives_the_same_tensor(convert, label):
    raw = load(*[(convert(i), label(int(t))) for i, t in zip(IMAGES, LABELS, strict=True)])
    assert torch.equal(raw.train.inputs, IMAGES)
    assert torch.equal(raw.train.targets, LABELS)


def test_grey_arrays_get_a_channel():
    raw = load((np.ones((4, 5), np.uint8), 0), (np.zeros((4, 5), np.uint8), 1))
    assert raw.train.inputs.shape == (2, 1, 4, 5)


def test_read_only_arrays_are_copied():
    image = np.ones((4, 5, 3), np.uint8)
    image.flags.writeable = False
    assert load((image, 0), (image, 1)).train.inputs.shape == (2, 3, 4, 5)


def test_a_torch_dataset_with_names_and_test_split():
    train, test = TensorDataset(IMAGES, LABELS), TensorDataset(IMAGES[2:4], LABELS[2:4])
    train.classes = ["ant", "bee"]
    raw = Datasets(train, test, name="insects", augment=Augment(flip=True)).load()
    assert raw.name == "insects"
    assert raw.train.classes == raw.test.classes == ("ant", "bee")
    assert torch.equal(raw.test.inputs, IMAGES[2:4])
    assert raw.augment == Augment(flip=True)
    assert Datasets(train).name == "TensorDataset"


def test_float_targets_are_for_regression():
    raw = load((torch.zeros(3), 0.5), (torch.ones(3), 1.5))
    assert raw.train.targets.tolist() == [0.5, 1.5]
    assert raw.train.classes == ()


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([IMAGES[0]], r"mine\[0\] is a Tensor, not a pair \(image, label\)"),
        ([(IMAGES[0], 0, 1)], r"mine\[0\] is a tuple, not a pair"),
        ([(IMAGES[0], 0), {"image": 1}], r"mine\[1\] is a dict, not a pair"),
        ([(IMAGES[0], 0), ("a.png", 1)], r"mine\[1\] cannot be used: the image is a str.*uint8"),
        ([(IMAGES[0], "cat")], r"mine\[0\] cannot be used.* and a number"),
        ([(IMAGES[0], None)], r"mine\[0\] cannot be used"),
        ([(np.zeros((3, 8, 8), np.uint8), 0)], r"mine\[0\].*\[3, 8, 8\]; move the channels last"),
        ([(np.zeros(8, np.uint8), 0)], r"mine\[0\].*its shape is \[8\]"),
        (
            [(IMAGES[0], 0), (IMAGES[1], 1), (IMAGES[2, :, :2], 1)],
            r"mine\[0\] is 5x4 pixels \(3 channels\), mine\[2\] is 5x2 pixels.* transform",
        ),
        ([(IMAGES[0], 0), (IMAGES[1, :1], 1)], r"mine\[1\] is 5x4 pixels \(1 channel\)"),
        ([(IMAGES[0], 0), (IMAGES[1].float(), 1)], r"mine\[1\] is torch.float32 \[3, 4, 5\]"),
        ([(IMAGES[0], 0), (IMAGES[1], 0.5)], "label 1 is torch.float32"),
        ([(IMAGES[0, 0], 0), (IMAGES[1, 0], 1)], r"mine: .*`\.unsqueeze\(1\)`"),
        ([], "mine: There are no examples"),
        ([(IMAGES[0], 0), (IMAGES[1], 9)], "mine: Class numbers go from 0 to 9 in 2 examples"),
        ([(IMAGES[0], -1), (IMAGES[1], 0)], "mine: Class numbers go from -1 to 0"),
    ],
)
def test_an_unusable_data_set_is_refused_with_the_example(pairs, message):
    with pytest.raises(DataError, match=message):
        load(*pairs, name="mine")


def test_a_data_set_without_length_is_refused():
    class Endless(IterableDataset):
        def __iter__(self):
            return iter([])

    with pytest.raises(DataError, match=r"Endless is gone through .* give it a __len__"):
        Datasets(Endless()).load()


def test_tensors_are_taken_as_they_are():
    raw = Tensors((IMAGES, LABELS.int()), (IMAGES[:2], LABELS[3:5])).load()
    assert raw.name == "tensors"
    assert torch.equal(raw.train.inputs, IMAGES)
    assert raw.train.targets.dtype == torch.int64
    assert raw.test.classes == ("0", "1")
    assert raw.augment == Augment()


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ((IMAGES, LABELS[:2]), "tensors: .*must have the same first dimension"),
        ((IMAGES, LABELS, LABELS), "not a tuple"),
        ((IMAGES.numpy(), LABELS), "with torch.as_tensor"),
        (IMAGES, "not a Tensor"),
        ((IMAGES.float() / 0, LABELS), "some inputs are infinite or not a number"),
        ((IMAGES, LABELS / 0), "some targets are infinite or not a number"),
    ],
)
def test_unusable_tensors_are_refused(pair, message):
    with pytest.raises(DataError, match=message):
        Tensors(pair).load()


def test_test_labels_beyond_the_classes_are_refused():
    with pytest.raises(DataError, match="from 0 to 5, but 2 classes"):
        Tensors((IMAGES, LABELS), (IMAGES[:2], torch.tensor([0, 5]))).load()


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((6, 8, 9, 3), torch.uint8), ((6, 8, 9, 3), torch.float32), ((6, 8, 8, 1), torch.float32)],
)
def test_images_with_channels_last_are_refused(shape, dtype):
    inputs, targets = torch.zeros(shape, dtype=dtype), torch.arange(6) % 2
    with pytest.raises(DataError, match=r"channels come before.*permute\(0, 3, 1, 2\)"):
        Tensors((inputs, targets)).load()
    pairs = TensorDataset(inputs.float(), targets)
    with pytest.raises(DataError, match="channels come before"):
        Datasets(pairs).load()
    Tensors((inputs.permute(0, 3, 1, 2), targets)).load()


@pytest.mark.parametrize("shape", [(6, 16, 3, 3), (6, 9, 128, 1), (6, 3, 8, 8), (6, 3, 5, 3)])
def test_features_that_have_channels_first_are_taken(shape):
    assert Tensors((torch.zeros(shape), torch.arange(6) % 2)).load().train.inputs.shape == shape
