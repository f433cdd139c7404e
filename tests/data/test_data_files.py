"""Whatever is wrong with a file of data is said in one message that names it."""

from __future__ import annotations

import csv
import gzip
import json
import os
import struct
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from supernet.data import Characters, Idx, ImageFolder, Text, as_source
from supernet.data.files import files_in, open_regular
from supernet.data.text_tokens import Vocabulary, split_words
from supernet.errors import DataError


def images(folder: Path, shape=(6, 6, 3)) -> Path:
    """Write two classes of two images and return the folder of the first."""
    random = np.random.default_rng(1)
    for name in ("a", "b"):
        (folder / "train" / name).mkdir(parents=True)
        for number in range(2):
            pixels = random.integers(0, 256, shape, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "train" / name / f"{number}.png")
    return folder / "train" / "a"


def broken(path: Path, kind: str) -> str:
    """Put something that cannot be read at a path and return how the message calls it."""
    path.unlink(missing_ok=True)
    if kind == "folder":
        path.mkdir()
        return "Is a directory"
    if kind == "link":
        path.symlink_to(path.with_name("nowhere"))
        return "a link to .*nowhere"
    if kind == "pipe":
        os.mkfifo(path)
        return "a pipe"
    path.write_bytes(b"\0")
    path.chmod(0)
    return "permission denied"


@pytest.mark.parametrize("kind", ["folder", "link", "pipe", "locked"])
@pytest.mark.parametrize("reader", ["text", "characters", "idx", "image"])
def test_what_is_no_file_is_named(tmp_path, reader, kind):
    if kind == "locked" and os.geteuid() == 0:
        pytest.skip("root may read everything")
    if reader == "image" and kind == "folder":
        pytest.skip("a folder among images holds more of them")
    if reader == "image":
        path = images(tmp_path) / "1.png"
        source = ImageFolder(str(tmp_path))
    elif reader == "idx":
        path = tmp_path / "train-images-idx3-ubyte"
        source = Idx(str(tmp_path))
        (tmp_path / "train-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, 0))
    elif reader == "text":
        path, source = tmp_path / "a.csv", Text(str(tmp_path / "a.csv"))
    else:
        path, source = tmp_path / "a.txt", Characters([str(tmp_path / "a.txt")])
    words = "a.txt|folder holds no" if (reader, kind) == ("characters", "folder") else path.name
    cause = broken(path, kind)
    cause = "holds no files" if (reader, kind) == ("characters", "folder") else cause
    with pytest.raises(DataError, match=rf"({words}).*{cause}"):
        source.load()


def test_files_that_may_not_be_read_are_named(tmp_path, monkeypatch):
    """Whoever runs the tests, who may be root."""

    def denied(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "a.csv").touch()
    monkeypatch.setattr("builtins.open", denied)
    with (
        pytest.raises(DataError, match=r"a\.csv may not be read \(permission denied\)"),
        open_regular(tmp_path / "a.csv"),
    ):
        pass
    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(DataError, match="may not be read"):
        files_in(tmp_path)


def test_a_path_with_nul_is_no_path():
    for read in (
        lambda: as_source("a\0b"),
        lambda: Text("a\0b.csv").load(),
        lambda: Characters("a\0b.txt").load(),
        lambda: Idx("a\0b").load(),
        lambda: ImageFolder("a\0b").load(),
    ):
        with pytest.raises(DataError, match=r"'a.*b.*NUL"):
            read()


def test_links_to_folders_are_followed_once(tmp_path):
    (tmp_path / "real" / "inner").mkdir(parents=True)
    (tmp_path / "real" / "inner" / "x").touch()
    (tmp_path / "real" / ".hidden").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "inner" / "back").symlink_to(tmp_path / "real")
    assert files_in(tmp_path / "folder") == [tmp_path / "folder" / "link" / "inner" / "x"]


@pytest.mark.parametrize("dotted", [True, False])
@pytest.mark.parametrize("unpacked", [True, False])
def test_idx_files_are_known_by_their_content(tmp_path, dotted, unpacked):
    """With a dot in the name; unpacked though named .gz; packed though named without."""
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 3, 2)
    labels = np.array([0, 1, 1, 0], dtype=np.uint8)
    for name, values in (("train-images-idx3-ubyte", pixels), ("train-labels-idx1-ubyte", labels)):
        header = struct.pack(f">{1 + values.ndim}I", 0x800 + values.ndim, *values.shape)
        content = header + values.tobytes()
        name = (name.replace("-idx", ".idx") if dotted else name) + ".gz" * unpacked
        (tmp_path / name).write_bytes(content if unpacked else gzip.compress(content))
    train = as_source(str(tmp_path)).load().train
    assert train.inputs[:, 0].tolist() == pixels.tolist()
    assert train.targets.tolist() == [0, 1, 1, 0]


def test_of_a_packed_file_no_more_is_read_than_its_header_announces(tmp_path, monkeypatch):
    header = struct.pack(">IIII", 0x803, 1, 2, 2)
    file = tmp_path / "train-images-idx3-ubyte.gz"
    file.write_bytes(gzip.compress(header + bytes(5_000_000)))
    read = []
    real = gzip.GzipFile.read
    monkeypatch.setattr(gzip.GzipFile, "read", lambda s, n: read.append(n) or real(s, n))
    (tmp_path / "train-labels-idx1-ubyte").touch()
    with pytest.raises(DataError, match=r"4 values \(1x2x2\), but holds 5 or more"):
        Idx(str(tmp_path)).load()
    assert read == [16, 4, 1]
    file.write_bytes(gzip.compress(struct.pack(">IIII", 0x803, *[2**32 - 1] * 3)))
    with pytest.raises(DataError, match=r"4294967295x4294967295.*but holds [\d]+ at most"):
        Idx(str(tmp_path)).load()
    whole = gzip.compress(header + bytes(range(4)))
    file.write_bytes(whole[:-6])
    with pytest.raises(DataError, match=r"ubyte\.gz cannot be read \(.*ended"):
        Idx(str(tmp_path)).load()


@pytest.mark.parametrize("turn", range(1, 9))
def test_pictures_are_upright(tmp_path, turn):
    """Each of the eight orientations, of a picture with a bright corner (EXIF 2.32, page 37)."""
    pixels = np.zeros((6, 6, 3), np.uint8)
    pixels[:3, :3] = 255  # top left, as it is stored
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(pixels).save(images(tmp_path) / "z.png", exif=exif)
    corner = {1: "tl", 2: "tr", 3: "br", 4: "bl", 5: "tl", 6: "tr", 7: "br", 8: "bl"}[turn]
    picture = ImageFolder(str(tmp_path)).load().train.inputs[2]
    half = {"t": slice(0, 3), "b": slice(3, 6), "l": slice(0, 3), "r": slice(3, 6)}
    assert picture[:, half[corner[0]], half[corner[1]]].min() == 255
    assert picture.sum() == pixels.sum()


def test_turned_pictures_are_turned_before_they_are_scaled(tmp_path):
    pixels = np.zeros((12, 6, 3), np.uint8)
    pixels[:6] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right: what is stored on top is seen on the right
    Image.fromarray(pixels).save(images(tmp_path) / "z.png", exif=exif)
    picture = ImageFolder(str(tmp_path), size=6).load().train.inputs[2].float()
    assert picture[:, :, :2].max() == 0
    assert picture[:, :, 4:].min() == 255


def test_damaged_orientation_is_none(tmp_path, monkeypatch):
    def fails(*_):
        raise struct.error("unpack requires a buffer")

    images(tmp_path)
    before = ImageFolder(str(tmp_path)).load().train.inputs
    monkeypatch.setattr(Image.Image, "getexif", fails)
    assert torch.equal(ImageFolder(str(tmp_path)).load().train.inputs, before)


def test_images_of_all_modes_are_used_or_refused_by_name(tmp_path):
    folder = images(tmp_path)
    palette = Image.new("P", (6, 6), 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    palette.save(folder / "clear.png", transparency=b"\x00\x80")
    Image.new("CMYK", (6, 6), (0, 255, 255, 0)).save(folder / "print.jpg", quality=95)
    frames = [Image.new("RGB", (6, 6), colour) for colour in ("blue", "white")]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    train = ImageFolder(str(tmp_path)).load().train.inputs.float()
    clear, moving, paper = (train[number].mean((1, 2)).tolist() for number in (2, 3, 4))
    assert clear == [10, 200, 30]
    assert moving == [0, 0, 255]
    assert paper[0] > 200 > 60 > max(paper[1:])  # no cyan, full magenta and yellow: red
    Image.fromarray(np.zeros((6, 6), np.uint16)).save(folder / "deep.png")
    with pytest.raises(DataError, match=r"deep\.png .*more than 8 bits; save the image with 8"):
        ImageFolder(str(tmp_path)).load()
    (folder / "deep.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"deep\.png cannot be used.*: it is none\. Get the file"):
        ImageFolder(str(tmp_path)).load()


@pytest.mark.parametrize("most", [20, 30])
def test_an_image_of_too_many_pixels_is_refused(tmp_path, monkeypatch, most):
    """Where Pillow only warns, and where it refuses, which is from twice its limit on."""
    folder = images(tmp_path, (4, 4, 3))
    Image.new("RGB", (9, 5)).save(folder / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
    with pytest.raises(DataError, match=r"bomb\.png .*45 pixels.*Scale it down"):
        ImageFolder(str(tmp_path)).load()


ROWS = [(f"a short text {number}", "xy"[number % 2]) for number in range(6)]


def table(path: Path, rows, encoding: str = "utf-8") -> Text:
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return Text(str(path), least=1)


def test_cells_may_be_long(tmp_path):
    """Longer than the 131,072 characters that Python's reader takes, and its limit stays."""
    long = "chapter " * 20_000
    limit = csv.field_size_limit()
    found = table(tmp_path / "a.csv", [*ROWS, (long, "x")]).load().train
    lines = [json.dumps({"text": text, "label": label}) for text, label in [*ROWS, (long, "x")]]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    same = Text(str(tmp_path / "a.jsonl"), least=1).load().train
    assert found.words == same.words
    assert torch.equal(found.inputs, same.inputs)
    assert found.inputs[6].unique().numel() == 1
    assert csv.field_size_limit() == limit
    (tmp_path / "a.csv").write_text('text,label\n"open,x\n')
    with pytest.raises(DataError, match="this is no CSV"):
        Text(str(tmp_path / "a.csv")).load()
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks_say_the_encoding(tmp_path, encoding):
    rows = [*ROWS, ("naïve", "x")]
    found = table(tmp_path / "a.csv", rows, encoding).load().train
    assert "naïve" in found.words
    assert found.words == table(tmp_path / "b.csv", rows).load().train.words
    (tmp_path / "a.txt").write_text("naïve " * 500, encoding=encoding)
    assert set(Characters(str(tmp_path / "a.txt")).load().train.words[1:]) == set("naïve ")


def test_utf16_without_a_mark_and_other_nuls_are_told(tmp_path):
    file = tmp_path / "a.csv"
    table(file, ROWS, "utf-16-le")
    with pytest.raises(DataError, match=r"a\.csv, line 1: .* NUL.*utf-16-le"):
        Text(str(file)).load()
    assert len(Text(str(file), encoding="utf-16-le", least=1).load().train) == 6
    file.write_text("text,label\na,x\nb\0,y\n")
    with pytest.raises(DataError, match=r"a\.csv, line 3: .* NUL"):
        Text(str(file)).load()


@pytest.mark.parametrize(
    "text", ["यह अच्छी फिल्म", "ভৌতিক গল্প পড়তে", "ఇది మంచి సినిమా", "كِتَابٌ جَدِيدٌ", "สวัสดี", "می‌خواهم", "𑀅𑀓𑁆 𑀔"]
)
def test_marks_belong_to_their_words(text):
    assert split_words(text) == text.split()


def test_words_are_the_same_however_they_are_composed():
    for word in ("café", "Ångström", "Việt", "한글"):
        both = {form: unicodedata.normalize(form, word) for form in ("NFC", "NFD")}
        assert both["NFC"] != both["NFD"]
        assert split_words(both["NFC"]) == split_words(both["NFD"]) == [both["NFC"].lower()]
    assert split_words("co\u00adoperate, ‘don’t’ ❤️ 👩‍👧!") == [
        *("cooperate", ",", "‘", "don’t", "’", "❤️", "👩‍👧", "!")
    ]
    vocabulary = Vocabulary.of(["cafe\u0301 cafe\u0301"], 9, 2)
    assert vocabulary.tokens(["caf\u00e9 tea"]).tolist() == [[2, 1]]
