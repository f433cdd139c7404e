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
    Idx,
    ImageFolder,
    Prose,
    Tensors,
    Text,
    as_source,
)
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


def test_files_of_texts_are_told_by_their_ending(tmp_path):
    for name in ("a.csv", "a.TSV", "a.jsonl"):
        source = as_source(tmp_path / name)
        assert isinstance(source, Text)
        assert source.file == tmp_path / name


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
        ("no/such/folder", "no/such/folder is not a folder"),
    ],
)
def test_anything_else_is_refused_with_what_is_possible(data, message):
    with pytest.raises(
        DataError, match=f"{message}.*digits.*images.*IDX.*texts.*Dataset.*pair of tensors"
    ):
        as_source(data)


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"neither IDX files nor a folder train\. Possible are"):
        as_source(tmp_path)


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
