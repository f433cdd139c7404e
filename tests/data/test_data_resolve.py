import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from data_cases import Pairs, make_images, write_folder, write_idx
from jsonargparse import ArgumentParser

from supernet.data import (
    SOURCES,
    Characters,
    Datasets,
    DataSource,
    Digits,
    Docstrings,
    HuggingFace,
    Idx,
    ImageFolder,
    Prose,
    Table,
    Tensors,
    Text,
    as_source,
    csv_rows,
)
from supernet.data.resolve import hidden_by, is_path
from supernet.errors import DataError

IMAGES, LABELS = make_images((2, 2))


def test_folders_are_told_apart_by_their_content(tmp_path):
    (tmp_path / "idx").mkdir()
    write_idx(tmp_path / "idx", "train", IMAGES[:, 0], LABELS)
    write_folder(tmp_path / "images", "train", IMAGES, LABELS)
    assert isinstance(as_source(str(tmp_path / "idx")), Idx)
    source = as_source(tmp_path / "images")
    assert isinstance(source, ImageFolder)
    assert len(source.load().train) == 4


@pytest.mark.parametrize(
    ("name", "first", "kind"),
    [
        ("a.csv", "text,label", Text),
        ("a.TSV", "id\tlabel\ttext", Text),
        ("a.jsonl", "", Text),
        ("a.csv", "text,target", Table),
        ("a.CSV", '"label";b', Table),
        ("a.tsv", "", Table),
    ],
)
def test_files_are_told_by_their_ending_and_by_their_columns(tmp_path, name, first, kind):
    (tmp_path / name).write_text(f"\ufeff{first}\n1,2\n")
    source = as_source(tmp_path / name)
    assert type(source) is kind
    assert str(source.file) == str(tmp_path / name)


def test_the_columns_are_known_from_the_beginning_of_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_rows, "_BEGINNING", 20)
    (tmp_path / "a.csv").write_text("text,label\n" + '"' * 1001)
    assert isinstance(as_source(tmp_path / "a.csv"), Text)


class Frame:
    """What a data frame has of what is used."""

    columns = ("a", "target")

    def __getitem__(self, name):
        return pytest.fail("it is read before it is loaded")

    def to_numpy(self):
        return pytest.fail("it is read before it is loaded")


def test_data_frames_are_tables():
    assert isinstance(as_source(Frame()), Table)
    with pytest.raises(
        DataError, match=r"the targets are a column: .* Table\(frame, target=NAME\)"
    ):
        as_source((Frame(), [0, 1]))


def test_what_a_folder_holds_says_what_it_is(tmp_path):
    (tmp_path / "cat" / "inner").mkdir(parents=True)
    (tmp_path / "cat" / "inner" / "a.JPEG").write_bytes(b"")
    assert isinstance(as_source(tmp_path), ImageFolder)
    (tmp_path / "dataset_dict.json").write_text("{}")
    source = as_source(tmp_path)
    assert isinstance(source, HuggingFace)
    assert source.folder == str(tmp_path)


def test_an_empty_folder_train_is_one_of_images(tmp_path):
    (tmp_path / "train").mkdir()
    assert isinstance(as_source(tmp_path), ImageFolder)


def test_hidden_files_do_not_say_what_a_folder_is(tmp_path):
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "a.png").write_bytes(b"")
    (tmp_path / "a.txt").write_text("text")
    assert isinstance(as_source(tmp_path), Characters)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("./digits", True),
        ("data/flowers", True),
        ("~/flowers", True),
        ("mine.CSV", True),
        ("flowers", False),
        ("here", True),
        ("mine.Data", False),
        ("mine:Data", False),
    ],
)
def test_paths_are_what_is_written_as_one_or_is_there(text, path, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    assert is_path(text) is path


def test_what_a_short_name_hides_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert hidden_by(Digits()) is None
    (tmp_path / "digits").mkdir()
    assert "./digits" in hidden_by(Digits())
    assert hidden_by(Prose()) is None
    assert hidden_by(ImageFolder("digits")) is None


def test_text_to_be_continued_is_told_by_its_ending(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("text")
    for path in (tmp_path / "in" / "a.txt", str(tmp_path / "b.TXT"), tmp_path):
        source = as_source(path)
        assert isinstance(source, Characters)
        assert source.files == [Path(path)]


def test_objects_are_wrapped():
    digits = Digits()
    assert as_source(digits) is digits
    assert isinstance(as_source("digits"), Digits)
    assert isinstance(as_source("docstrings"), Docstrings)
    assert isinstance(as_source("prose"), Prose)
    assert isinstance(as_source(Pairs([(IMAGES[0], 0)])), Datasets)
    source = as_source((IMAGES, LABELS))
    assert isinstance(source, Tensors)
    assert torch.equal(source.load().train.inputs, IMAGES)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, "A int cannot be used"),
        (None, "A NoneType cannot be used"),
        (IMAGES, "A Tensor cannot be used"),
        ((IMAGES, 1), "A tuple cannot be used"),
    ],
)
def test_anything_else_is_refused_with_what_is_possible(data, message):
    with pytest.raises(
        DataError, match=f"{message}.*digits.*images.*IDX.*texts.*Dataset.*pair of tensors"
    ):
        as_source(data)


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no images, no texts .* no IDX files\. Possible are"):
        as_source(tmp_path)
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(DataError, match=r"no IDX files; give a file in it, such as .*a\.csv"):
        as_source(tmp_path)


def test_a_path_with_nothing_there_is_refused():
    with pytest.raises(
        DataError, match=r"no/such/folder is not a folder or file, seen from /.*check"
    ):
        as_source("no/such/folder")
    with pytest.raises(DataError, match=r"no\.csv cannot be read: No such file"):
        as_source("no.csv")


@pytest.mark.parametrize("name", ["a.npz", "a.zip", "a.parquet", "a"])
def test_other_files_are_refused_with_what_to_do(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"no file of data that can be read\. Unpack archives"):
        as_source(tmp_path / name)


@pytest.mark.parametrize("name", SOURCES)
def test_sources_can_be_configured_by_class_path(name, tmp_path):
    module, _, attribute = SOURCES[name].rpartition(".")
    kind = getattr(importlib.import_module(module), attribute)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(DataSource, "data")
    options = {
        "digits": [],
        "docstrings": ["--data.count=40"],
        "characters": ["--data.file=[a.txt, b.txt]", "--data.length=8"],
        "prose": ["--data.size=1000"],
        "table": ["--data.file=mine.csv", "--data.ignore=[a]", "--data.predict=classes"],
        "text": ["--data.file=mine.csv", "--data.label=class", "--data.least=1"],
        "dataset": ["--data.train=mine.Data", "--data.arguments={n: 3}"],
    }
    given = options.get(name, [f"--data.folder={tmp_path}"])
    arguments = parser.parse_args([f"--data={SOURCES[name]}", *given])
    assert type(parser.instantiate(arguments).data) is kind


def test_arrays_are_taken_like_tensors():
    inputs, targets = np.zeros((4, 2), np.float32), np.array([0, 1, 0, 1])
    raw = as_source((inputs, targets)).load()
    assert torch.equal(raw.train.inputs, torch.zeros(4, 2))
    assert raw.train.targets.tolist() == [0, 1, 0, 1]
