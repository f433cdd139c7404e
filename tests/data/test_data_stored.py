"""Inputs that are read when a batch needs them: the same bits, or an error that names the example."""

import os
import random
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from data_cases import Noisy, Once, Pairs, doubled, make_images, write_folder
from PIL import Image
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
)

from supernet.data import (
    Augment,
    DataLoaders,
    Datasets,
    Examples,
    ImageFolder,
    Items,
    Loader,
    Normalise,
    Stored,
    as_source,
    chunks,
    split_data,
)
from supernet.data import folder as folder_module
from supernet.data import normalise as normalise_module
from supernet.data.base import Raw
from supernet.errors import ConfigError, DataError, ReadingError
from supernet.evaluate.batches import Batches
from supernet.failures import OF_RUN, failure_kind

WORKERS = [0, pytest.param(2)]


@pytest.fixture
def folder(tmp_path):
    write_folder(tmp_path, "train", *make_images((20, 30, 25), (3, 8, 9)))
    write_folder(tmp_path, "test", *make_images((4, 5, 6), (3, 8, 9), first=100))
    return tmp_path


@pytest.mark.parametrize("size", [None, 6])
def test_a_streamed_folder_gives_the_batches_of_one_in_memory(folder, size):
    plain, streamed = (
        split_data(ImageFolder(str(folder), size, stream=stream).load().read_by(1), 3)
        for stream in (False, True)
    )
    normalise = Normalise.of(plain.train)
    assert Normalise.of(streamed.train) == normalise
    mine, other = (Loader(one.train, 8, 1, one.augment) for one in (plain, streamed))
    for step in (0, 1, 2, 3, 17, 200, 5):
        for one, same in zip(mine.batch(step), other.batch(step), strict=True):
            assert torch.equal(one, same)
    for one, same in zip(
        chunks(plain.search, 4, normalise), chunks(streamed.search, 4, normalise), strict=True
    ):
        assert torch.equal(one[0], same[0])
        assert torch.equal(one[1], same[1])
    tests = [one.test.open("key") for one in (plain, streamed)]
    assert torch.equal(tests[0].tensor(), tests[1].tensor())


def test_grey_images_become_colour_where_some_are(folder):
    Image.new("L", (9, 8), 7).save(folder / "train" / "ant" / "grey.png")
    raw = ImageFolder(str(folder), stream=True).load()
    assert torch.equal(raw.train.tensor(), ImageFolder(str(folder)).load().train.tensor())


def test_a_folder_that_would_not_fit_is_streamed(folder, monkeypatch):
    assert isinstance(ImageFolder(str(folder)).load().train.inputs, torch.Tensor)
    monkeypatch.setattr(folder_module, "_LARGEST", 3 * 8 * 9 * 90 - 1)
    assert isinstance(ImageFolder(str(folder)).load().train.inputs, Stored)
    assert isinstance(ImageFolder(str(folder), stream=False).load().train.inputs, torch.Tensor)


def test_of_many_stored_images_some_are_measured(folder, monkeypatch):
    monkeypatch.setattr(normalise_module, "_MEASURED", 3)
    images = make_images((20, 30, 25), (3, 8, 9))[0]
    wanted = Normalise.of(Examples(images[[0, 37, 74]], torch.zeros(3)))
    assert Normalise.of(ImageFolder(str(folder), stream=True).load().train) == wanted


def test_different_sizes_are_refused_before_anything_is_read(folder):
    Image.new("RGB", (12, 7)).save(folder / "train" / "cat" / "odd.png")
    with pytest.raises(DataError, match=r"9x8 pixels, .*odd\.png is 12x7 pixels\. Give `size`"):
        ImageFolder(str(folder), stream=True).load()
    ImageFolder(str(folder), size=5, stream=True).load()


@pytest.mark.parametrize("content", [b"", b"no image"])
def test_what_is_no_image_is_named_before_anything_is_read(folder, content):
    (folder / "train" / "bee" / "0033.png").write_bytes(content)
    with pytest.raises(DataError, match=r"0033\.png cannot be used as an image"):
        ImageFolder(str(folder), stream=True).load()


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("damage", ["cut", "gone", "another size"])
def test_an_image_that_cannot_be_read_later_is_named(folder, workers, damage):
    raw = ImageFolder(str(folder), stream=True).load().read_by(workers)
    path = folder / "train" / "bee" / "0033.png"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:90])
    elif damage == "gone":
        path.unlink()
    else:
        Image.new("RGB", (30, 20)).save(path)
    loader = Loader(raw.train, 25, 1, normalise=Normalise())
    with pytest.raises(ReadingError, match=r"train/bee/0033\.png") as caught:
        list(map(loader.batch, range(3)))
    assert failure_kind(caught.value) in OF_RUN  # no candidate is to blame


def batches(source, workers, steps, seed=1):
    raw = source.load().read_by(workers)
    loader = Loader(raw.train, 8, seed)
    return [loader.batch(step)[0] for step in steps]


def test_random_transforms_draw_by_seed_epoch_and_example_alone():
    source = Datasets(Noisy(*make_images((20, 20))), stream=True)
    steps = range(7)  # more than one epoch of five
    state = torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002
    first = batches(source, 0, steps)
    assert torch.equal(torch.get_rng_state(), state[0])
    assert random.getstate() == state[1]
    assert (np.random.get_state()[1] == state[2][1]).all()  # noqa: NPY002
    torch.manual_seed(5)
    assert all(map(torch.equal, batches(source, 2, steps), first))
    assert all(map(torch.equal, batches(source, 1, [5, 6]), first[5:]))  # as after a restart
    assert not torch.equal(batches(source, 0, [0], seed=2)[0], first[0])
    raw = source.load()
    [one], [two] = (raw.train.select(torch.tensor([3])).tensor() for _ in range(2))
    assert torch.equal(one, two)  # what is scored is always the same
    large = Loader(raw.train, 40, 1)
    of_epochs = [large.batch(step)[0].flatten(1).mean(1).sort().values for step in (0, 1)]
    assert not torch.allclose(*of_epochs)  # and what is trained on is new in each epoch


def test_a_generator_of_a_data_set_of_its_own_is_refused():
    class Own(Noisy):
        draws = torch.Generator().manual_seed(1)

        def __getitem__(self, index):
            return self.images[index] + torch.rand((), generator=self.draws), self.targets[index]

    with pytest.raises(DataError, match=r"Own\[0\] is another input each time, .* torch\.rand"):
        Datasets(Own(*make_images((9, 9))), stream=True).load()


def test_labels_are_taken_from_where_they_are_listed():
    class Counting(Dataset):
        def __init__(self, listed):
            self.reads, self.images = 0, make_images((400, 400))[0]
            self.labels = torch.arange(800) % 2
            if listed:
                self.targets = self.labels.tolist()

        def __len__(self):
            return 800

        def __getitem__(self, index):
            self.reads += 1
            return self.images[index], int(self.labels[index])

    listed = Counting(True)
    raw = Datasets(Subset(listed, range(10, 800)), stream=True).load()
    assert torch.equal(raw.train.targets, listed.labels[10:])
    assert listed.reads < 80
    assert not raw.notes
    del (unlisted := Counting(False)).__dict__["labels"]
    unlisted.labels = None
    hidden = torch.arange(800) % 2
    unlisted.__class__.__getitem__ = lambda self, index: (self.images[index], int(hidden[index]))
    raw = Datasets(unlisted, stream=True).load()
    assert torch.equal(raw.train.targets, hidden)
    assert "read once for its label" in raw.notes[0]


def test_wrong_lists_of_labels_are_not_believed():
    images, labels = make_images((9, 9))
    wrong = TensorDataset(images, labels)
    wrong.targets = labels.flip(0)
    assert torch.equal(Datasets(wrong, stream=True).load().train.targets, labels)


@pytest.mark.parametrize("workers", WORKERS)
def test_a_label_that_changes_is_noticed(workers):
    images, labels = make_images((9, 9))
    dataset = Pairs([(image, int(label)) for image, label in zip(images, labels, strict=True)])
    raw = Datasets(dataset, name="mine", stream=True).load().read_by(workers)
    dataset.pairs.reverse()
    with pytest.raises(ReadingError, match=r"mine\[\d+\] has the label [01], but had [01] before"):
        Loader(raw.train, 18, 1)


class Odd(Noisy):
    """Fails in its own way at one example, once `kind` is set."""

    kind = None

    def __getitem__(self, index):
        image, label = self.images[index], self.targets[index]
        if index == 11:
            if self.kind == "raises":
                raise KeyError("my column")
            if self.kind == "shape":
                return image[:, :4], label
            if self.kind == "type":
                return image.float(), label
            if self.kind == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
        return image, label


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("raises", r"Odd\[11\]: KeyError: 'my column' in Odd\.__getitem__"),
        (
            "shape",
            r"Odd\[11\] is torch\.uint8 \[1, 4, 8\], but the first example is .* \[1, 8, 8\]",
        ),
        ("type", r"Odd\[11\] is torch\.float32"),
    ],
)
def test_an_example_that_fails_is_named(workers, kind, message):
    dataset = Odd(*make_images((20, 20)))
    raw = Datasets(dataset, stream=True).load().read_by(workers)
    loader = Loader(raw.train, 10, 1, normalise=Normalise())
    dataset.kind = kind  # before processes are forked
    with pytest.raises(ReadingError, match=message):
        list(map(loader.batch, range(4)))


def test_values_that_are_no_numbers_are_named():
    images = make_images((9, 9))[0].float()
    images[1, 0, 0, 0] = torch.inf  # not among those that are looked at
    raw = Datasets(TensorDataset(images, torch.arange(18) % 2), stream=True).load()
    with pytest.raises(ReadingError, match=r"TensorDataset\[1\] holds values that are infinite"):
        raw.train.tensor()


@pytest.mark.parametrize("by", ["itself", "another"])
def test_a_process_that_is_killed_is_an_error_and_no_hang(by):
    dataset = Odd(*make_images((20, 20)))
    raw = Datasets(dataset, stream=True).load().read_by(2)
    loader = Loader(raw.train, 10, 1, normalise=Normalise())
    if by == "itself":
        dataset.kind = "kill"
    else:
        loader.batch(0)
        [process, *_] = raw.train.inputs.pool._executor._processes.values()
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    with pytest.raises(ReadingError, match=r"one of the 2 process\(es\) .* ended from outside"):
        list(map(loader.batch, range(200)))


def test_an_iterable_data_set_is_gone_through_once(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    images, labels = make_images((20, 30))
    for stream in (False, True):
        raw = Datasets(Once(images, labels), stream=stream).load()
        assert torch.equal(raw.train.tensor(), images)
        assert torch.equal(raw.train.targets, labels)
    assert not list(tmp_path.iterdir())  # the file has no name


@pytest.mark.parametrize("stream", [False, True])
def test_an_iterable_data_set_says_where_it_ends(stream):
    class Endless(IterableDataset):
        def __iter__(self):
            while True:
                yield torch.zeros(3), 0

    class Short(Once):
        def __len__(self):
            return 30

    with pytest.raises(DataError, match=r"Endless is gone through .* give it a __len__"):
        Datasets(Endless(), stream=stream).load()
    with pytest.raises(DataError, match="Short ended after 18 examples, but its length is 30"):
        Datasets(Short(*make_images((9, 9))), stream=stream).load()


def test_a_loader_is_read_with_its_collate_function():
    images, labels = make_images((20, 20))
    loader = DataLoader(TensorDataset(images, labels), 4, collate_fn=doubled, num_workers=1)
    raw = as_source(loader).load()
    assert raw.workers == 1
    assert torch.equal(raw.train.tensor(), 2.0 * images)
    assert not raw.notes
    weighted = DataLoader(loader.dataset, 4, sampler=WeightedRandomSampler([1.0] * 40, 40))
    assert "WeightedRandomSampler" in DataLoaders(weighted).load().notes[0]
    mixing = DataLoader(loader.dataset, 4, collate_fn=lambda examples: examples)
    with pytest.raises(DataError, match=r"\[0\]: of a list of one example, collate_fn must make"):
        DataLoaders(mixing).load()


def test_what_cannot_be_streamed_is_refused(folder):
    with pytest.raises(ConfigError, match="collate is used with stream=True only"):
        Datasets(Pairs([]), collate=doubled)
    with pytest.raises(DataError, match="mine: There are no examples"):
        Datasets(Pairs([]), name="mine", stream=True).load()
    tokens = TensorDataset(torch.zeros(4, 3, dtype=torch.int64), torch.arange(4) % 2)
    with pytest.raises(DataError, match=r"torch\.int64"):
        Datasets(tokens, stream=True).load()


def test_what_data_are_known_by_changes_with_them(folder):
    def identity():
        raw = ImageFolder(str(folder), stream=True).load()
        return raw.train.inputs.identity

    first = identity()
    assert identity() == first
    path = folder / "train" / "bee" / "0033.png"
    path.rename(path.with_name("0033a.png"))
    assert identity() != first
    path.with_name("0033a.png").rename(path)
    assert identity() == first
    path.write_bytes(path.read_bytes() + b"\0")
    assert identity() != first


def test_processes_end_with_the_one_that_started_them(tmp_path):
    """However it ended: otherwise they would wait for work forever."""
    code = """
import os, signal, sys
import torch
from torch.utils.data import TensorDataset
from supernet.data import Datasets, Loader
images = TensorDataset(torch.rand(40, 3), torch.arange(40) % 2)
raw = Datasets(images, stream=True).load().read_by(2)
Loader(raw.train, 8, 1).batch(0)
print(*raw.train.inputs.pool._executor._processes, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    workers = [int(one) for one in done.stdout.split()]
    assert len(workers) == 2, done.stderr
    until = time.monotonic() + 30
    while any(os.path.exists(f"/proc/{one}") for one in workers) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(os.path.exists(f"/proc/{one}") for one in workers)


class Large(Items):
    """Images of nominally 8 GB, each of its number alone."""

    shape, dtype = (3, 128, 128), torch.uint8

    def __len__(self):
        return 170_000

    def read(self, number):
        return torch.full(self.shape, number % 251, dtype=torch.uint8)

    def name(self, number):
        return f"large[{number}]"


def grown():
    """Return by how many MB this process grew while it read."""
    targets = torch.arange(len(Large())) % 10
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    examples = Examples(Stored(Large()), targets, tuple("0123456789"))
    raw = Raw("large", examples, None, Augment()).read_by(2)
    splits = split_data(raw, 0)
    normalise = Normalise.of(splits.train)
    loader = Loader(splits.train, 32, 0, normalise=normalise)
    inputs = [loader.batch(step) for step in range(8)][-1][0]
    assert inputs.shape == (32, *Large.shape)
    evaluated = Batches(splits.search, 64, normalise)
    assert sum(map(evaluated.size, range(len(evaluated)))) == len(splits.search)
    for number in (0, 1, len(evaluated) - 1):
        evaluated[number]
    assert splits.test.identity
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (after - before) / 1024


def test_memory_stays_bounded_by_the_batches_that_are_read_ahead():
    """By these and by what is measured of a few, not by the 8 GB of all images."""
    code = "from test_data_stored import grown; print(grown())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])},
    )
    assert float(done.stdout) < 400
