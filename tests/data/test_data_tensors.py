import numpy as np
import pytest
import torch
from data_cases import Pairs, make_images
from PIL import Image
from torch.utils.data import IterableDataset, TensorDataset

from supernet.data import Augment, Datasets, Tensors, as_source
from supernet.errors import DataError, ReadingError

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
        ([(IMAGES[0], 1), (IMAGES[1], "cat")], r"mine\[1\] .*'cat' is a text, but .* are numbers"),
        ([(IMAGES[0], "cat"), (IMAGES[1], 1)], r"mine\[1\] .* 1 is a number, but .* are texts"),
        ([(IMAGES[0], b"cat")], r"mine\[0\] cannot be used.* and a number or the name"),
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
    pairs = TensorDataset(inputs, targets)
    for stream in (False, True):
        with pytest.raises(
            DataError, match=r"t\[0\].* come before .*\(image\)\.permute\(2, 0, 1\)"
        ):
            Datasets(pairs, stream=stream).load()
    Tensors((inputs.permute(0, 3, 1, 2), targets)).load()


@pytest.mark.parametrize("shape", [(6, 16, 3, 3), (6, 9, 128, 1), (6, 3, 8, 8), (6, 3, 5, 3)])
def test_features_that_have_channels_first_are_taken(shape):
    assert Tensors((torch.zeros(shape), torch.arange(6) % 2)).load().train.inputs.shape == shape


# Labels that are texts.

NAMES = ["dog", "cat", "cat", "dog", "emu", "cat", "dog"]
NUMBERS = [1, 0, 0, 1, 2, 0, 1]


class Listed(Pairs):
    """Examples whose labels are listed, too."""

    def __init__(self, pairs):
        super().__init__(pairs)
        self.targets = [label for _, label in pairs]


class Once(IterableDataset):
    def __init__(self, pairs):
        self.pairs = pairs

    def __len__(self):
        return len(self.pairs)

    def __iter__(self):
        return iter(self.pairs)


@pytest.mark.parametrize("kind", [list, tuple, np.array, lambda names: np.array(names, object)])
def test_targets_may_be_names_of_classes(kind):
    raw = as_source((IMAGES, kind(NAMES))).load()
    assert raw.train.classes == ("cat", "dog", "emu")
    assert raw.train.targets.tolist() == NUMBERS


def test_targets_may_be_a_list_of_numbers():
    assert as_source((IMAGES, NUMBERS)).load().train.targets.tolist() == NUMBERS
    floats = as_source((IMAGES, [0.5, *range(6)])).load().train
    assert floats.targets.tolist() == [0.5, *range(6)]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", [Pairs, Listed, Once])
def test_labels_may_be_names_of_classes(kind, stream):
    pairs = list(zip(IMAGES, NAMES, strict=True))
    raw = Datasets(kind(pairs), kind(pairs[1:3]), stream=stream).load()
    assert raw.train.classes == raw.test.classes == ("cat", "dog", "emu")
    assert raw.train.targets.tolist() == NUMBERS
    assert raw.test.targets.tolist() == [0, 0]
    assert torch.equal(raw.train.tensor(), IMAGES)


def test_labels_of_dictionaries_may_be_names():
    rows = [{"image": image, "label": name} for image, name in zip(IMAGES, NAMES, strict=True)]
    raw = Datasets(Pairs(rows)).load()
    assert raw.train.classes == ("cat", "dog", "emu")
    assert raw.train.inputs.names == ("image",)


def test_listed_labels_that_are_names_are_not_read_one_by_one():
    raw = Datasets(Listed(list(zip(IMAGES, NAMES, strict=True))), stream=True).load()
    assert raw.notes == ()


def test_classes_that_a_data_set_lists_keep_their_order():
    train = Pairs(list(zip(IMAGES, NAMES, strict=True)))
    train.classes = ["emu", "dog", "cow", "cat"]
    raw = Datasets(train).load()
    assert raw.train.classes == ("emu", "dog", "cow", "cat")
    assert raw.train.targets.tolist() == [1, 3, 3, 1, 0, 3, 1]


@pytest.mark.parametrize("stream", [False, True])
def test_names_that_only_the_test_has_are_refused(stream):
    train, test = ([(IMAGES[0], name) for name in names] for names in ("ab", "bc"))
    with pytest.raises(DataError, match=r"mine \(test\) has the label 'c', .* have a, b"):
        Datasets(Pairs(train), Pairs(test), "mine", stream=stream).load()


def test_a_label_that_changes_its_name_is_refused():
    class Fickle(Listed):
        def __getitem__(self, number):
            image, label = self.pairs[number]
            return image, label if number else self.first

    images = torch.cat([IMAGES, IMAGES[:1]])
    fickle = Fickle(list(zip(images, [*NAMES, "emu"], strict=True)))
    fickle.first = "dog"
    raw = Datasets(fickle, stream=True).load()
    fickle.first = "cow"
    with pytest.raises(ReadingError, match="has the label 'cow', but had 'dog' before"):
        raw.train.tensor()


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (IMAGES.float(), True),
        (IMAGES.float() / 255, False),
        (IMAGES.float() - 100, False),
        (IMAGES, False),
        (IMAGES.float().flatten(1), False),
    ],
)
def test_floats_on_the_scale_of_bytes_are_said(images, said):
    datasets = Datasets(TensorDataset(images, LABELS))
    for source in (Tensors((images, LABELS)), datasets):
        notes = source.load().notes
        assert len(notes) == said
        assert not said or "/255 brings them to 0-1" in notes[0]
