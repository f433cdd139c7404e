"""Small data sets with a known content: every image is unique, so that it can be recognised."""

import csv
import gzip
import json
import random
import struct
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from supernet.data import (
    Characters,
    DataLoaders,
    Datasets,
    DataSource,
    Digits,
    Docstrings,
    Idx,
    ImageFolder,
    NamedDataset,
    Prose,
    Table,
    Tensors,
    Text,
)

TRAIN = (12, 25, 40)  # examples per class
TEST = (5, 6, 7)


def make_images(counts, shape=(1, 8, 8), first=0):
    """Return unique uint8 images [n, channels, height, width] and their classes [n]."""
    count = sum(counts)
    images = np.random.default_rng(first).integers(0, 256, (count, *shape), dtype=np.uint8)
    images[:, :, 0, 0] = (first + np.arange(count))[:, None] % 256
    return torch.from_numpy(images), torch.repeat_interleave(
        torch.arange(len(counts)), torch.tensor(counts)
    )


def write_idx(folder, split, images, labels, compress=True):
    """Write [n, height, width] images and [n] labels as an IDX pair."""
    for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
        values = np.asarray(values, dtype=np.uint8)
        content = struct.pack(f">{1 + values.ndim}I", 0x800 + values.ndim, *values.shape)
        content += values.tobytes()
        path = folder / f"{split}-{kind}-ubyte{'.gz' * compress}"
        path.write_bytes(gzip.compress(content) if compress else content)


def write_folder(folder, split, images, labels, names=("ant", "bee", "cat")):
    """Write [n, channels, height, width] images as PNG files."""
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / split / names[int(label)]
        path.mkdir(parents=True, exist_ok=True)
        pixels = image.permute(1, 2, 0).squeeze(2).numpy()
        Image.fromarray(pixels).save(path / f"{number:04d}.png")


def make_texts(counts, first=0):
    """Return unique texts, each a number in words, and their labels."""
    digits = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    numbers = range(first, first + sum(counts))
    texts = [" ".join(digits[int(digit)] for digit in f"{number:03}") for number in numbers]
    return texts, [f"label{k}" for k, count in enumerate(counts) for _ in range(count)]


def write_csv(path, texts, labels, columns=("text", "label"), **options):
    """Write texts and labels with a first line that names the columns."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, **options).writerows([columns, *zip(texts, labels, strict=True)])


def write_lines(path, texts, labels):
    """Write texts and labels as JSON lines."""
    rows = [{"label": k, "text": text} for text, k in zip(texts, labels, strict=True)]
    path.write_text(
        "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8"
    )


class Pairs(Dataset):
    """A map-style data set of whatever it is given."""

    def __init__(self, pairs):
        self.pairs = pairs

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, number):
        return self.pairs[number]


@dataclass
class Case:
    """A source with what it must deliver."""

    source: DataSource
    train: int
    test: int | None
    shape: tuple[int, ...]
    dtype: torch.dtype = torch.uint8
    search: int | None = None


def _digits(folder):
    return Case(Digits(), 1797, None, (1, 8, 8))


def _lost_digits(folder):
    return Case(Digits(canvas=20, noise=0.5), 1797, None, (1, 20, 20))


def _idx(folder):
    for split, counts, first in (("train", TRAIN, 0), ("t10k", TEST, 100)):
        images, labels = make_images(counts, first=first)
        write_idx(folder, split, images[:, 0], labels)
    return Case(Idx(str(folder)), sum(TRAIN), sum(TEST), (1, 8, 8))


def _folder(folder):
    for split, counts, first in (("train", TRAIN, 0), ("test", TEST, 100)):
        write_folder(folder, split, *make_images(counts, (3, 8, 9), first))
    return Case(ImageFolder(str(folder)), sum(TRAIN), sum(TEST), (3, 8, 9))


def _grey_folder(folder):
    write_folder(folder, "train", *make_images(TRAIN))
    return Case(ImageFolder(str(folder)), sum(TRAIN), None, (1, 8, 8))


def _streamed_folder(folder):
    case = _folder(folder)
    return Case(ImageFolder(str(folder), stream=True), case.train, case.test, case.shape)


def _flat_folder(folder):
    write_folder(folder, "", *make_images(TRAIN, (3, 8, 9)))
    return Case(ImageFolder(str(folder)), sum(TRAIN), None, (3, 8, 9))


def _streamed_flat_folder(folder):
    case = _flat_folder(folder)
    return Case(ImageFolder(str(folder), stream=True), case.train, None, case.shape)


def _three_folders(folder):
    _folder(folder)
    write_folder(folder, "val", *make_images((9, 9, 9), (3, 8, 9), 200))
    return Case(ImageFolder(str(folder)), sum(TRAIN), sum(TEST), (3, 8, 9), search=27)


class Noisy(Dataset):
    """Images with noise that each of the three global random states has a part in."""

    def __init__(self, images, labels):
        self.images, self.targets = images, labels.tolist()

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        image = self.images[index].float() + torch.rand(())
        image += random.random() + np.random.rand()  # noqa: NPY002
        return image, self.targets[index]


class Once(IterableDataset):
    """Examples that can only be gone through."""

    def __init__(self, images, labels):
        self.pairs = list(zip(images, labels, strict=True))

    def __len__(self):
        return len(self.pairs)

    def __iter__(self):
        return iter(self.pairs)


def _streamed_noise(folder):
    train, test = Noisy(*make_images(TRAIN)), Noisy(*make_images(TEST, first=100))
    source = Datasets(train, test, stream=True)
    return Case(source, sum(TRAIN), sum(TEST), (1, 8, 8), torch.float32)


def _streamed_once(folder):
    return Case(Datasets(Once(*make_images(TRAIN)), stream=True), sum(TRAIN), None, (1, 8, 8))


def doubled(examples):
    """Collate examples, whose inputs become another."""
    inputs, labels = zip(*examples, strict=True)
    return 2 * torch.stack(inputs).float(), torch.tensor(labels)


def _loaders(folder):
    """Return loaders, with a data set to select with."""
    parts = [TensorDataset(*make_images(n, first=k)) for n, k in ((TRAIN, 0), (TEST, 100))]
    parts.append(TensorDataset(*make_images((8, 8, 9), first=200)))
    loaders = [DataLoader(part, 7, num_workers=1, collate_fn=doubled) for part in parts]
    source = DataLoaders(*loaders)
    return Case(source, sum(TRAIN), sum(TEST), (1, 8, 8), torch.float32, 25)


def _tensors(folder):
    train, test = make_images(TRAIN), make_images(TEST, first=100)
    return Case(Tensors(train, test), sum(TRAIN), sum(TEST), (1, 8, 8))


def _floats(folder):
    images, labels = make_images(TRAIN)
    source = Tensors((images.double().flatten(1) / 255, labels.int()))
    return Case(source, sum(TRAIN), None, (64,), torch.float64)


def several(counts, first=0):
    """Return images, tokens and masks by name, and labels."""
    images, labels = make_images(counts, first=first)
    tokens = torch.arange(4 * len(labels)).view(-1, 4) + 1000 * first
    return {"image": images, "tokens": tokens, "mask": tokens % 3 > 0}, labels


def _several(folder):
    (train, labels), (test, others) = several(TRAIN), several(TEST, first=100)
    source = Tensors((tuple(train.values()), labels), (tuple(test.values()), others))
    return Case(source, sum(TRAIN), sum(TEST), (1, 8, 8))


def _streamed_several(folder):
    parts, labels = several(TRAIN)
    rows = zip(*parts.values(), labels.tolist(), strict=True)
    flat = Pairs([dict(zip((*parts, "label"), row, strict=True)) for row in rows])
    return Case(Datasets(flat, stream=True), sum(TRAIN), None, (1, 8, 8))


def _dataset(folder):
    images, labels = make_images(TRAIN, (3, 8, 9))
    pairs = [(image.float(), int(label)) for image, label in zip(images, labels, strict=True)]
    return Case(Datasets(Pairs(pairs)), sum(TRAIN), None, (3, 8, 9), torch.float32)


def named_pairs(count, first=0):
    """Return a data set, as a function of a user's own would."""
    images, labels = make_images((count, count), first=first)
    return Pairs([(image, int(label)) for image, label in zip(images, labels, strict=True)])


def no_dataset():
    return {}


def _named(folder):
    path = f"{__name__}.named_pairs"
    source = NamedDataset(path, {"count": 30}, test=path, test_arguments={"count": 9, "first": 100})
    return Case(source, 60, 18, (1, 8, 8))


def _text(folder):
    write_csv(folder / "train.csv", *make_texts(TRAIN))
    write_csv(folder / "test.csv", *make_texts(TEST, first=100))
    source = Text(str(folder / "train.csv"), str(folder / "test.csv"), length=5)
    return Case(source, sum(TRAIN), sum(TEST), (5,), torch.int64)


def _json_lines(folder):
    write_lines(folder / "mine.jsonl", *make_texts(TRAIN))
    return Case(Text(str(folder / "mine.jsonl"), length=3), sum(TRAIN), None, (3,), torch.int64)


def make_rows(counts, first=0):
    """Return unique rows of numbers, texts and gaps, and their labels."""
    count = sum(counts)
    labels = [f"label{k}" for k, count in enumerate(counts) for _ in range(count)]
    return [
        [str(first + n), f"{n}.5" if n % 4 else "", ("red", "blue", "")[n % 3], label]
        for n, label in zip(range(count), labels, strict=True)
    ]


def write_table(path, rows, columns=("size", "age", "colour", "class"), **options):
    """Write rows with a first line that names the columns."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, **options).writerows([columns, *rows])
    return str(path)


def _table(folder):
    train = write_table(folder / "train.csv", make_rows(TRAIN))
    test = write_table(folder / "test.csv", make_rows(TEST, 100))
    return Case(Table(train, test=test), sum(TRAIN), sum(TEST), (5,), torch.float32)


def _divided_table(folder):
    parts = {"train": TRAIN, "val": (6, 6, 6), "test": TEST}
    rows = [
        [*row[:3], purpose, row[3]]
        for k, (purpose, counts) in enumerate(parts.items())
        for row in make_rows(counts, 100 * k)
    ]
    columns = ("size", "age", "colour", "split", "class")
    source = Table(write_table(folder / "a.csv", rows, columns), split="split", embed=True)
    return Case(source, sum(TRAIN), sum(TEST), (3,), torch.float32, 18)


def _docstrings(folder):
    source = Docstrings(count=20, length=48, vocabulary=10_000)
    return Case(source, 100, None, (48,), torch.int64)


def _characters(folder):
    texts, _ = make_texts((100, 100))
    (folder / "mine.txt").write_text("\n".join(texts))
    size = len("\n".join(texts))
    test, search = round(0.1 * size), round(0.2 * size)
    windows = [(part - 1) // 23 for part in (size - test - search, search, test)]
    source = Characters(str(folder / "mine.txt"), 23, search_fraction=0.2)
    return Case(source, windows[0], windows[2], (23,), torch.int64, windows[1])


def _prose(folder):
    return Case(Prose(20_000, 40), 15_999 // 40, 1999 // 40, (40,), torch.int64, 1999 // 40)


CASES = (
    _digits,
    _lost_digits,
    _idx,
    _folder,
    _grey_folder,
    _streamed_folder,
    _flat_folder,
    _streamed_flat_folder,
    _three_folders,
    _streamed_noise,
    _streamed_once,
    _loaders,
    _tensors,
    _floats,
    _several,
    _streamed_several,
    _dataset,
    _named,
    _text,
    _json_lines,
    _table,
    _divided_table,
    _docstrings,
    _characters,
    _prose,
)
