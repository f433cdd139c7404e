"""Data by its path, from the command line, a file of options, and Python."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
from PIL import Image

import supernet as sn
from supernet.data import Digits, HuggingFace, ImageFolder, Table
from supernet.errors import ConfigError, DataError
from supernet.parser import parse


@pytest.fixture
def images(tmp_path, monkeypatch) -> Path:
    """Return a folder of images in the working directory that is called as a ready data set is."""
    monkeypatch.chdir(tmp_path)
    for number in range(40):
        folder = tmp_path / "digits" / ("ant", "bee")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = torch.randint(0, 256, (8, 8), generator=torch.Generator().manual_seed(number))
        Image.fromarray(pixels.to(torch.uint8).numpy()).save(folder / f"{number}.png")
    return tmp_path / "digits"


@pytest.fixture
def table(tmp_path, monkeypatch) -> Path:
    """Return a table in the working directory, with gaps and texts."""
    monkeypatch.chdir(tmp_path)
    with open(tmp_path / "beetles.csv", "w", newline="") as file:
        rows = csv.writer(file, delimiter=";")
        rows.writerow(["size", "age", "colour", "kind"])
        for n in range(80):
            rows.writerow(
                [f"{n % 7},5", n if n % 5 else "", ("red", "blue")[n % 3 > 0], "uv"[n % 2]]
            )
    return tmp_path / "beetles.csv"


def data(*arguments):
    return parse("supernet run", arguments)[0].data


@pytest.mark.parametrize("given", ["./digits", "{}"])
def test_a_path_is_data(images, given):
    source = data("--data", given.format(images), "--data.size", "6")
    assert isinstance(source, ImageFolder)
    assert source.folder.resolve() == images
    assert source.size == 6


def test_a_short_name_is_none(images):
    assert isinstance(data("--data", "digits"), Digits)
    assert isinstance(data("--data", "Digits"), Digits)


def test_a_path_in_a_file_of_options(images, tmp_path):
    (tmp_path / "a.yaml").write_text("data: ./digits\n")
    source = data("--config", "a.yaml", "--data.stream", "true")
    assert isinstance(source, ImageFolder)
    assert source.stream


def test_what_is_written_down_is_read_again_as_the_same(images):
    _, plain = parse("supernet run", ["--data", "./digits"])
    assert plain["data"]["class_path"] == "supernet.data.ImageFolder"
    again = parse("supernet run", ["--data.size", "6"], plain)[0].data
    assert isinstance(again, ImageFolder)
    assert (again.folder, again.size) == (Path("digits"), 6)


def test_another_path_takes_none_of_the_options_before(images, table):
    source = data("--data", "./digits", "--data.size", "6", "--data", "beetles.csv")
    assert isinstance(source, Table)
    source = data("--data", "beetles.csv", "--data.target", "kind", "--data.ignore", "[size, age]")
    assert (source.target, source.ignore) == ("kind", ("size", "age"))


def test_a_path_is_no_class_path(images):
    with pytest.raises(ConfigError, match="cannot be imported"):
        data("--data", '{"class_path": "./digits"}')
    with pytest.raises(ConfigError, match="cannot be imported"):
        data("--data.class_path", "./digits")


def test_a_folder_of_hugging_face_is_known(tmp_path):
    (tmp_path / "dataset_dict.json").write_text("{}")
    assert isinstance(data("--data", str(tmp_path)), HuggingFace)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (["--data", "no/where"], DataError, "no/where is not a folder or file, seen from /"),
        (["--data", "none.csv"], DataError, "none.csv cannot be read: No such file"),
        (
            ["--data", "nowhere"],
            ConfigError,
            "'nowhere' is unknown; .* the path of a folder or file",
        ),
        (["--data", "table"], ConfigError, "data table needs --data.file VALUE"),
        (["--data", "folder"], ConfigError, r"VALUE; folder in this folder is --data \./folder"),
    ],
)
def test_what_is_no_data_is_said_at_once(given, error, message, tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        data(*given)


SHORT = {
    "train.steps": 20,
    "retrain.train.steps": 5,
    "retrain.top": 1,
    "search.searcher.count": 4,
    "train.batch_size": 16,
    "retrain.train.batch_size": 16,
}


@pytest.mark.slow
def test_a_table_from_the_command_line_to_a_programme(table, call):
    short = [f"--{name}={value}" for name, value in SHORT.items()]
    given = ["--model=mlp", "--model.widths=[4, 8]", "--data=beetles.csv", "--data.target=kind"]
    code, _, err = call("run", "--strategy=spos", "--search.searcher=random", *given, *short)
    assert code == 0, err
    assert "values are missing in 'age'" in err
    found = json.loads(Path("runs/default/metrics.json").read_text())["data"]
    assert (found["name"], found["test"], found["classes"]) == ("beetles", 16, 2)
    assert len(found["mean"]) == 5
    program = torch.export.load("runs/default/model.pt2").module()
    Path("new.csv").write_text("age,size,colour\n,3.5,green\n")
    logits = program(Table("beetles.csv", "kind").inputs("new.csv"))
    assert logits.shape == (1, 2)
    assert logits.isfinite().all()


@pytest.mark.slow
def test_from_python_options_hold_for_a_path(images, tmp_path, capsys):
    arguments = {"strategy": "spos", "searcher": "random", "progress": False}
    sizes = {"model.channels": 2, "model.blocks": 2, "model.groups": [1]}
    for given in (Path("digits"), "./digits"):
        result = sn.run(
            "bender", given, out="a", options={**SHORT, **sizes, "data.size": 6}, **arguments
        )
        assert result.metrics["data"]["train"] == 26
        assert result.normalise(torch.zeros(1, 1, 6, 6, dtype=torch.uint8)).shape == (1, 1, 6, 6)
    assert "train: done before" in capsys.readouterr().err


@pytest.mark.slow
def test_what_a_short_name_hides_is_said(images, tiny, call):
    code, _, err = call("train", "--out", "a", *tiny)
    assert code == 0
    assert "digits: this is the ready data set; digits in the working directory is given as" in err


@pytest.mark.parametrize(
    "model", ["bender", "spos", "ofa", "nasbench201", "nasbench-macro", "darts"]
)
def test_a_space_of_images_is_not_for_rows(model, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{n},{n % 3},{'ab'[n % 2]}\n" for n in range(60))
    (tmp_path / "rows.csv").write_text(f"x,y,kind\n{rows}")
    code, _, said = call("train", "--data", "rows.csv", "--data.target", "kind", "--model", model)
    assert code == 2
    assert "is for images [channels, height, width]" in said
    assert "--model mlp" in said
