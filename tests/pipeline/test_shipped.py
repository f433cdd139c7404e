"""Shipped configurations, at sizes that a test can afford, train what they say they train."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from marks import slow_unless
from supernet.data import Characters, Text
from supernet.parser import parse
from supernet.pipeline import execute, open_run
from supernet.pipeline.train import check_inputs, check_options
from supernet.shipped import shipped, shipped_path

FILES = list(shipped().values())

IMAGES = {"cifar10": (3, 32, 32), "digits": (1, 8, 8), "fashion-mnist": (1, 28, 28)}
"""By data set, the shape of its images."""

SMALLER = {
    "DARTS": {"cells": 3, "channels": 12, "nodes": 2},
    "Proxyless": {"stem": 4, "first": 4, "widths": [4, 4, 4, 4, 4, 4], "features": 8},
    "SinglePath": {"stem": 4, "first": 4, "widths": [4, 4, 4, 4, 4, 4], "features": 8},
    "NASBench201": {"channels": 2, "cells": 1},
    "Bender": {"channels": 2},
}
"""By class of model, arguments of a small one; what is not given here stays as configured."""


def smaller(file):
    """Return the arguments of the command line that make a configuration small."""
    _, plain = parse("supernet run", ["--config", str(file)])
    name = plain["model"]["class_path"].rpartition(".")[2]
    few = SMALLER.get(name, {}) if file.parent.name == "cifar10" else {}
    alone = plain["retrain"]["model"]
    changes = {
        **{f"model.{argument}": value for argument, value in few.items()},
        "train.steps": 2,
        "train.batch_size": 8,
        "retrain.train.steps": 2,
        "retrain.train.batch_size": 8,
        "retrain.model": {**alone, **{k: v for k, v in few.items() if k in alone}},
        "split.limit": "null",
        "evaluate.batch_size": 8,
    }
    found = [f"--{name}={value}" for name, value in changes.items()]
    return ["--config", str(file), *found]


def texts(folder):
    """Return a source of texts of five classes."""
    lines = [f"word{n} of class {n % 5},{n % 5}" for n in range(120)]
    (folder / "texts.csv").write_text("\n".join(["text,label", *lines]))
    return Text(str(folder / "texts.csv"), length=8)


def story(folder):
    """Return a source of text to be continued."""
    (folder / "story.txt").write_text("".join(f"word {n} of many. " for n in range(80)))
    return Characters(str(folder / "story.txt"), length=8)


TEXTS = {"gpt": story, "textnas": texts}
"""By configuration, what makes its data."""


def pictures(shape):
    random = torch.Generator().manual_seed(0)
    images = torch.randint(256, (120, *shape), dtype=torch.uint8, generator=random)
    return images, torch.arange(120) % 10


@cache
def parsed(file):
    return parse("supernet run", ["--config", str(file)])


@pytest.mark.slow_with(
    "cifar10/bender",
    "digits/cdarts",
    "cifar10/betadarts",
    "cifar10/cdarts",
    "cifar10/proxyless",
    "cifar10/drnas",
)
@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_shipped_configurations_can_be_read(file):
    """Every option is known and of its type."""
    config, plain = parsed(file)
    assert config.seed == plain["seed"] == 0


EACH = {"digits/spos", "digits/converted", "digits/pdarts", "text/gpt", "text/textnas"}
"""One configuration of each kind, which the quick tests build."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "file",
    [
        slow_unless(name in EACH, file, id=name)
        for file in FILES
        for name in [f"{file.parent.name}/{file.stem}"]
    ],
)
def test_shipped_configurations_fit_their_data(file, tmp_path):
    """Model, strategy, optimizers, augmentation and the network that is trained alone can be made."""
    kind = file.parent.name
    data = TEXTS[file.stem](tmp_path) if kind == "text" else pictures(IMAGES[kind])
    with open_run(
        smaller(file), tmp_path / "run", objects={"data": data}, progress=False
    ) as opened:
        check_inputs(opened.run, opened.inputs)
        check_options(opened.run, opened.inputs, opened.costs)


METHODS = (
    "betadarts cdarts darts darts2 dartsminus dartspt drnas fairdarts fbnet gdas "
    "gdas-cells pcdarts pdarts proxyless singlepath snas"
)

PAPERS = [shipped_path(f"cifar10/{name}") for name in METHODS.split()]
"""With the schedules of the papers."""


@pytest.mark.slow_with("snas", "proxyless")
@pytest.mark.parametrize("file", PAPERS, ids=lambda file: file.stem)
def test_schedules_of_the_papers_are_whole_epochs_of_cifar10(file):
    _, plain = parsed(file)
    images = round(50_000 * (1 - plain["split"]["search_fraction"]))
    for options in (plain["train"], plain["retrain"]["train"]):
        epoch = images // options["batch_size"]
        assert options["log_every"] == epoch
        assert options["steps"] % epoch == 0
    if plain["model"]["class_path"].endswith("DARTS"):
        alone = {**plain["model"]["init_args"], **plain["retrain"]["model"]}
        assert (alone["cells"], alone["channels"], alone["partial"]) == (20, 36, 1)
        assert alone["affine"]
        assert alone["auxiliary"]
        assert alone["drop_path"] >= 0.2
        assert plain["retrain"]["augment"] == {"flip": True, "crop": 4, "cutout": 16}
        assert plain["retrain"]["train"]["steps"] == 600 * epoch


@pytest.mark.slow
@pytest.mark.parametrize("file", PAPERS, ids=lambda file: file.stem)
def test_schedules_of_the_papers_run(file, tmp_path):
    data = pictures(IMAGES["cifar10"])
    with open_run(
        smaller(file), tmp_path / "run", objects={"data": data}, progress=False
    ) as opened:
        execute(opened, ["train", "search", "retrain"])
        assert opened.run.folder.metrics.retrain.chosen
