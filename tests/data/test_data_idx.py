import gzip
import struct

import pytest
import torch
from data_cases import make_images, write_idx

from supernet.data import Idx
from supernet.errors import DataError

IMAGES = "train-images-idx3-ubyte.gz"
LABELS = "train-labels-idx1-ubyte.gz"


@pytest.fixture
def folder(tmp_path):
    for split, counts in (("train", (3, 4)), ("t10k", (2, 2))):
        images, labels = make_images(counts, (1, 4, 5))
        write_idx(tmp_path, split, images[:, 0], labels)
    return tmp_path


def header(*numbers):
    return struct.pack(f">{len(numbers)}I", *numbers)


@pytest.mark.parametrize("compress", [True, False])
def test_pixels_and_labels_are_those_written(tmp_path, compress):
    images, labels = make_images((3, 4), (1, 4, 5))
    write_idx(tmp_path, "train", images[:, 0], labels, compress)
    raw = Idx(str(tmp_path), name="mine", flip=True).load()
    assert torch.equal(raw.train.inputs, images)
    assert torch.equal(raw.train.targets, labels)
    assert raw.train.classes == ("0", "1")
    assert raw.test is None
    assert raw.name == "mine"
    assert (raw.augment.flip, raw.augment.crop) == (True, 2)


def test_defaults_name_the_folder_and_do_not_flip(folder):
    raw = Idx(str(folder)).load()
    assert raw.name == folder.name
    assert not raw.augment.flip
    assert len(raw.test) == 4


def refused(folder, *words):
    with pytest.raises(DataError) as caught:
        Idx(str(folder)).load()
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("name", [IMAGES, LABELS, "t10k-labels-idx1-ubyte.gz"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    refused(folder, str(folder), name)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (IMAGES, header(0x803, 7, 4, 5) + bytes(139), ["140 values (7x4x5)", "holds 139"]),
        (IMAGES, header(0x803, 7, 4, 5) + bytes(141), ["140 values (7x4x5)", "holds 141"]),
        (IMAGES, header(0x803, 6, 4, 5) + bytes(120), ["6 images", LABELS, "7 labels"]),
        (IMAGES, header(0x801, 20) + bytes(20), ["0x00000801 instead of 0x00000803"]),
        (IMAGES, header(0xD03, 7, 4, 5), ["0x00000d03", "right name"]),
        (LABELS, header(0x803, 7, 1, 1) + bytes(7), ["0x00000803 instead of 0x00000801"]),
        (LABELS, header(0x801), ["ends within its header"]),
        (LABELS, b"", ["ends within its header"]),
        (LABELS, header(0x801, 7) + bytes([0, 0, 0, 0, 0, 0, 7]), ["from 0 to 7 in 7"]),
        ("t10k-labels-idx1-ubyte.gz", header(0x801, 4) + bytes([0, 0, 0, 2]), ["2 classes"]),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(folder, name, content, words):
    (folder / name).write_bytes(gzip.compress(content))
    refused(folder, str(folder / name), *words)


def flip_bits(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-9],
        lambda content: content[:3],
        lambda content: b"PK" + content[2:],
        flip_bits,
        lambda content: content[:10] + b"\x07" + content[11:],
        lambda content: content[:-8] + bytes(8),
    ],
    ids=["cut", "cut in header", "not gzip", "flipped bits", "no such block", "wrong checksum"],
)
def test_a_damaged_gzip_file_is_named(folder, damage):
    path = folder / IMAGES
    path.write_bytes(damage(path.read_bytes()))
    refused(folder, str(path), "cannot be read", "get this file again")


def test_files_without_images_are_refused(folder):
    (folder / IMAGES).write_bytes(gzip.compress(header(0x803, 0, 4, 5)))
    (folder / LABELS).write_bytes(gzip.compress(header(0x801, 0)))
    refused(folder, str(folder / LABELS), "no examples")
