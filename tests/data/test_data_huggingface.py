"""Data sets of Hugging Face, given or stored on disk; with the package `datasets` alone."""

import sys

import pytest
import torch
from data_cases import make_images
from PIL import Image

from supernet.data import HuggingFace, as_source
from supernet.errors import DataError
from supernet.testing import check_data


def test_without_the_package_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install \"supernet\[huggingface\]\""):
        HuggingFace(str(tmp_path)).load()


@pytest.fixture
def splits():
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"picture": datasets.Image(), "label": datasets.ClassLabel(names=["ant", "bee"])}
    )

    def table(counts, first):
        images, labels = make_images(counts, first=first)
        pictures = [Image.fromarray(image[0].numpy()) for image in images]
        rows = {"picture": pictures, "label": labels.tolist()}
        return datasets.Dataset.from_dict(rows, features=features)

    return datasets.DatasetDict(
        train=table((30, 40), 0), validation=table((10, 9), 80), test=table((8, 9), 120)
    )


def test_images_labels_and_classes_are_those_of_the_columns(splits, tmp_path):
    splits.save_to_disk(str(tmp_path / "mine"))
    for source in (as_source(splits), HuggingFace(str(tmp_path / "mine"))):
        raw = source.load()
        images, labels = make_images((30, 40))
        assert torch.equal(raw.train.tensor(), images)
        assert torch.equal(raw.train.targets, labels)
        assert raw.train.classes == ("ant", "bee")
        assert torch.equal(raw.search.tensor(), make_images((10, 9), first=80)[0])
        assert torch.equal(raw.test.tensor(), make_images((8, 9), first=120)[0])
        assert not raw.notes  # labels were read without the images
    assert raw.name == "mine"


def test_what_every_source_promises(splits):
    check_data(HuggingFace(splits))


def test_transforms_of_the_data_set_draw_anew_in_each_epoch(splits):
    def noisy(rows):
        return {**rows, "picture": [torch.rand(1, 4, 4) for _ in rows["picture"]]}

    raw = HuggingFace(splits["train"].with_transform(noisy), image="picture").load()
    assert raw.train.inputs.shape == (70, 1, 4, 4)
    assert torch.equal(raw.train.tensor(), raw.train.tensor())
    assert not torch.equal(raw.train.inputs.fetch((0, "epoch", 1)), raw.train.tensor())


@pytest.fixture
def tokenised():
    datasets = pytest.importorskip("datasets")
    rows = {
        "input_ids": [[n, n + 1, n + 2] for n in range(20)],
        "attention_mask": [[1, 1, n % 2] for n in range(20)],
        "age": [n / 10 for n in range(20)],
        "label": [n % 2 for n in range(20)],
    }
    return datasets.Dataset.from_dict(rows)


def test_without_images_all_columns_are_inputs_by_name(tokenised):
    raw = as_source(tokenised).load()
    found = raw.train.tensor()
    assert list(found) == ["input_ids", "attention_mask", "age"]
    assert found["input_ids"][7].tolist() == [7, 8, 9]
    assert found["attention_mask"].dtype == torch.int64
    assert found["age"].dtype == torch.float32
    assert raw.train.targets.tolist() == [0, 1] * 10
    some = HuggingFace(tokenised, inputs=["age", "input_ids"]).load().train
    assert list(some.tensor()) == ["age", "input_ids"]
    check_data(HuggingFace(tokenised, inputs=["input_ids"]))


def test_texts_and_unknown_columns_are_refused(tokenised):
    with pytest.raises(DataError, match=r"no column 'ids'; it has input_ids.*inputs=\.\.\."):
        HuggingFace(tokenised, inputs=["ids"]).load()
    rows = {**tokenised.to_dict(), "text": ["a"] * 20}
    texts = type(tokenised).from_dict(rows)
    with pytest.raises(DataError, match=r"texts in the column\(s\) text.* a tokenizer"):
        HuggingFace(texts).load()


def test_what_is_missing_is_named(splits, tmp_path):
    with pytest.raises(DataError, match=r"no column 'class'; it has picture, label.*label=\.\.\."):
        HuggingFace(splits, label="class").load()
    with pytest.raises(DataError, match="splits test but no split 'train'"):
        HuggingFace(type(splits)(test=splits["test"])).load()
    with pytest.raises(DataError, match="as a data set that save_to_disk wrote"):
        HuggingFace(str(tmp_path)).load()
