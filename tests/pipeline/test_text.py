"""From a file of texts to a programme that takes texts again."""

from __future__ import annotations

import csv
import json
import sys

import pytest
import torch
from torch import nn

import supernet as sn
from supernet.cli import main
from supernet.data import Text, Vocabulary
from supernet.errors import ConfigError, DataError, RunFolderError

OPTIONS = {
    "train.steps": 60,
    "train.batch_size": 16,
    "retrain.train.steps": 60,
    "retrain.train.batch_size": 16,
    "retrain.top": 1,
}


class Reader(nn.Module):
    """The mean of what is made of the words."""

    def __init__(self, vocabulary: int, classes: int, width: int = 8) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, width, padding_idx=0)
        self.layer = sn.Choice(
            {"skip": nn.Identity(), "relu": nn.Sequential(nn.Linear(width, width), nn.ReLU())},
            label="layer",
        )
        self.head = nn.Linear(width, classes)

    def forward(self, tokens):
        mask = (tokens != 0).unsqueeze(2)
        x = self.layer(self.words(tokens)) * mask
        return self.head(x.sum(1) / mask.sum(1).clamp(min=1))


def write(path, first, count):
    """Write texts whose label one of their words gives away."""
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["label", "text"])
        for n in range(first, first + count):
            good = n % 2 == 0
            rows.writerow(["good" if good else "bad", f"{'Fine' if good else 'Dull'} film, no {n}"])
    return path


@pytest.fixture
def file(tmp_path):
    return write(tmp_path / "reviews.csv", 0, 160)


def search(data, out, model=Reader, **options):
    return sn.run(
        model,
        data,
        strategy="spos",
        searcher="exhaustive",
        out=out,
        options={**OPTIONS, **options},
        progress=False,
    )


def test_texts_lead_to_a_programme_that_takes_texts(file, tmp_path):
    test = write(tmp_path / "test.csv", 1000, 40)
    data = Text(str(file), str(test), length=6)
    result = search(data, tmp_path / "run")
    assert result.metrics["data"]["test"] == 40
    assert result.metrics["test"]["chosen"]["accuracy"] > 0.9
    vocabulary = Vocabulary.read(tmp_path / "run/vocabulary.json")
    assert vocabulary.words == data.load().train.words
    assert (vocabulary.length, vocabulary.classes) == (6, ("bad", "good"))
    stored = data.load().test.inputs
    assert stored.dtype == torch.int64
    with open(test, newline="") as opened:
        texts = [row["text"] for row in csv.DictReader(opened)]
    assert torch.equal(vocabulary.tokens(texts), stored)
    program = torch.export.load(tmp_path / "run/model.pt2").module()
    for tokens in (stored, vocabulary.tokens(["A dull one", "fine", ""])):
        torch.testing.assert_close(program(tokens), result.model(result.normalise(tokens)))
    assert program(vocabulary.tokens(["A dull one", "fine"])).argmax(1).tolist() == [0, 1]
    takes = json.loads((tmp_path / "run/metrics.json").read_text())["retrain"]["program"]
    assert takes == {"dtype": "int64", "shape": ["batch", 6]}


@pytest.mark.slow
def test_the_command_line_searches_and_goes_on(file, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "reader", sys.modules[__name__])
    out = str(tmp_path / "run")
    options = [f"--{name}={value}" for name, value in OPTIONS.items()]
    model = ["--model", "reader.Reader", "--data", "text", f"--data.file={file}"]
    method = ["--strategy", "spos", "--search.searcher", "exhaustive"]
    assert main(["train", *model, *method, *options, "--run", out]) == 0
    written = Vocabulary.read(tmp_path / "run/vocabulary.json")
    for step in ("search", "retrain", "test", "report"):
        assert main([step, "--run", out]) == 0, capsys.readouterr().err
    assert Vocabulary.read(tmp_path / "run/vocabulary.json") == written
    assert written.length == 64
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    parts = (metrics["data"][part] for part in ("train", "search", "test"))
    assert sum(parts) == 160  # without a file of its own, the test is a part of the texts
    assert main(["run", *model, "--data.file=missing.csv", *method, "--out", out + "2"]) == 2
    assert "missing.csv cannot be read" in capsys.readouterr().err


@pytest.mark.slow
def test_texts_that_changed_are_noticed(file, tmp_path):
    short = {"train.steps": 2, "retrain.train.steps": 2}
    first = search(str(file), tmp_path / "run", **short)
    assert search(str(file), tmp_path / "run", **short).metrics == first.metrics
    write(file, 0, 158)
    with pytest.raises(RunFolderError, match="other data"):
        search(str(file), tmp_path / "run", **short)


@pytest.mark.slow
def test_what_does_not_fit_tokens_is_refused_before_training(file, tmp_path):
    with pytest.raises(DataError, match="Augmentation needs images"):
        search(str(file), tmp_path / "crop", **{"split.augment": {"crop": 1}})
    with pytest.raises(DataError, match=r"cannot be run on reviews \(inputs \[2, 64\]"):
        search(str(file), tmp_path / "float", nn.Sequential(sn.Choice([nn.Linear(64, 2)] * 2)))
    assert not (tmp_path / "float/vocabulary.json").exists()
    with pytest.raises(
        ConfigError, match=r"'vocabulary' \(the data gives \['classes', 'image'\]\)"
    ):
        search("digits", tmp_path / "digits")


@pytest.mark.slow
def test_images_have_no_vocabulary(tmp_path):
    model = nn.Sequential(nn.Flatten(), sn.Choice([nn.Linear(64, 10), nn.Linear(64, 10)]))
    search("digits", tmp_path / "run", model, **{"train.steps": 2, "retrain.train.steps": 2})
    assert not (tmp_path / "run/vocabulary.json").exists()
