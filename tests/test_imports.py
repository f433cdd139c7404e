"""Import paths are written in two ways, and both are understood wherever one may be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from supernet.arguments import value_at
from supernet.classes import NAMED
from supernet.cli import main
from supernet.data import NamedDataset
from supernet.errors import ConfigError
from supernet.imports import named_in, resolve
from supernet.net.source import FromCallable
from supernet.parser import parse
from supernet.task import Classification
from supernet.zoo.converted import Converted

MINE = """
import torch
from torch import nn
from torch.utils.data import TensorDataset
from supernet.data import Digits
from supernet.loggers import Logger
from supernet.search import RandomSearch
from supernet.strategies import SPOS
from supernet.task import Classification
import supernet as sn

class Net(nn.Module):
    def __init__(self, classes: int = 10):
        super().__init__()
        self.a = sn.Choice({"relu": nn.ReLU(), "tanh": nn.Tanh()})
        self.head = nn.Linear(64, classes)

    def forward(self, x):
        return self.head(self.a(x).flatten(1))

class Plain(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 8, 3), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))

class Outer:
    class Inner(Net): pass

class Task(Classification): pass
class Strategy(SPOS): pass
class Searcher(RandomSearch): pass
class Data(Digits):
    def __init__(self, other: Digits | None = None):
        super().__init__()
class Optimizer(torch.optim.SGD): pass
class Log(Logger):
    def log(self, record, step): pass

def points() -> TensorDataset:
    return TensorDataset(torch.randn(30, 4), torch.arange(30) % 3)

def images() -> TensorDataset:
    return TensorDataset(torch.linspace(-1, 1, 60 * 64).reshape(60, 1, 8, 8), torch.arange(60) % 3)
"""


@pytest.fixture
def mine(tmp_path, monkeypatch) -> str:
    """Return the name of a module in the working directory."""
    name = "mine_" + "".join(filter(str.isalnum, tmp_path.name))
    (tmp_path / f"{name}.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    return name


@pytest.mark.slow
@pytest.mark.parametrize("sign", [".", ":"])
def test_both_ways_name_the_same(mine, sign, tmp_path):
    def path(name: str) -> str:
        return f"{mine}{sign}{name}"

    options = {
        "model": "Net",
        "task": "Task",
        "strategy": "Strategy",
        "data": "Data",
        "search.searcher": "Searcher",
        "train.optimizer": "Optimizer",
    }
    given = [f"--{option}={path(name)}" for option, name in options.items()]
    config, plain = parse("supernet run", [*given, "--train.optimizer.lr=0.1"])
    assert plain["model"]["class_path"] == f"{mine}.Net"
    assert type(config.task).__name__ == "Task"
    assert plain["retrain"]["train"]["optimizer"]["class_path"] == f"{mine}.Optimizer"
    file = tmp_path / "c.yaml"
    lines = [f"{name}: {path(options[name])}" for name in ("model", "task", "strategy", "data")]
    file.write_text("\n".join(lines) + f"\nsearch: {{searcher: '{path('Searcher')}'}}\n")
    written = parse("supernet run", [f"--config={file}"])[1]
    same = ("model", "task", "strategy", "data", "search")
    assert all(written[name] == plain[name] for name in same)
    together = [
        f'--search={{"searcher": "{path("Searcher")}"}}',
        f'--train={{"optimizer": {{"class_path": "{path("Optimizer")}", "init_args": {{"lr": 0.2}}}}}}',
    ]
    grouped = parse("supernet run", together)[1]
    assert grouped["search"] == plain["search"]
    assert grouped["retrain"]["train"]["optimizer"]["class_path"] == f"{mine}.Optimizer"
    assert grouped["retrain"]["train"]["optimizer"]["init_args"]["lr"] == 0.2
    assert resolve(path("Net")) is FromCallable.named(path("Net"), {}).make
    assert len(NamedDataset(path("points")).load().train) == 30
    assert resolve(path("Outer.Inner")).__name__ == "Inner"
    assert parse("supernet run", [f"--model={path('Outer.Inner')}"])[1]["model"]["class_path"] == (
        f"{mine}.Outer.Inner"
    )
    assert Converted(image=(1, 8, 8), model=path("Plain")) is not None


KINDS_OF_MINE = {
    "model": "Net",
    "task": "Task",
    "strategy": "Strategy",
    "data": "Data",
    "searcher": "Searcher",
    "optimizer": "Optimizer",
    "logger": "Log",
}


@pytest.mark.slow
@pytest.mark.parametrize("option", NAMED)
def test_every_option_that_names_a_class_is_given_in_both_ways_in_every_form(mine, option):
    name = KINDS_OF_MINE[option.rpartition(".")[2]]

    def written(path: str) -> list[str]:
        options = {"class_path": path}
        for part in reversed(option.split(".")):
            options = {part: options}
        Path("c.yaml").write_text(yaml.safe_dump(options))
        return [
            f"--{option}={path}",
            f"--{option}.class_path={path}",
            f'--{option}={{"class_path": "{path}"}}',
            "--config=c.yaml",
        ]

    for with_dot, with_colon in zip(
        written(f"{mine}.{name}"), written(f"{mine}:{name}"), strict=True
    ):
        plain = parse("supernet run", [with_dot])[1]
        assert value_at(plain, option)["class_path"] == f"{mine}.{name}"
        assert parse("supernet run", [with_colon])[1] == plain


def test_a_class_within_an_argument_is_given_in_both_ways(mine):
    inner = '{{"other": {{"class_path": "{}{}Data"}}}}'
    given = [
        f'--data={{"class_path": "{mine}.Data", "init_args": {inner.format(mine, sign)}}}'
        for sign in ".:"
    ]
    with_dot, with_colon = (parse("supernet run", [one])[1]["data"] for one in given)
    assert with_dot == with_colon
    assert with_dot["init_args"]["other"]["class_path"] == f"{mine}.Data"


@pytest.mark.parametrize(
    ("option", "short", "argument", "name"),
    [
        ("model", "converted", "model", "Plain"),
        ("data", "dataset", "train", "points"),
        ("data", "dataset", "test", "points"),
    ],
)
def test_an_argument_that_is_an_import_path_is_the_same_in_both_ways(
    mine, option, short, argument, name
):
    given = {"model": f"{mine}.Plain"} if short == "converted" else {"train": f"{mine}.points"}
    found = []
    for sign in ".:":
        given[argument] = f"{mine}{sign}{name}"
        options = [f"--{option}.{one}={path}" for one, path in given.items()]
        found.append(parse("supernet run", [f"--{option}={short}", *options])[1])
    assert found[0] == found[1]
    assert found[0][option]["init_args"][argument] == f"{mine}.{name}"


@pytest.mark.quick_with(":-.")
@pytest.mark.parametrize(("before", "now"), [(":", "."), (".", ":")])
def test_a_run_goes_on_where_a_path_is_written_in_the_other_way(mine, capsys, before, now):
    def train(sign: str, steps: int = 2) -> str:
        options = [
            f"--model={mine}{sign}Net",
            "--data=dataset",
            f"--data.train={mine}{sign}images",
            "--strategy=spos",
            f"--train.steps={steps}",
        ]
        code = main(["train", "--out=run", *options])
        said = capsys.readouterr().err
        assert code == (0 if steps == 2 else 2), said
        return said

    train(before)
    assert "train: done before" in train(now)
    assert "train.steps: 2 and 3" in train(now, steps=3)


@pytest.mark.parametrize("path", ["{}{}Outer{}Inner", "{}{}Nothing"])
def test_both_ways_end_in_the_same_thing_or_the_same_message(mine, path):
    def outcome(*signs: str) -> object:
        try:
            return resolve(path.format(mine, *signs))
        except ConfigError as error:
            return str(error).replace(":", ".")

    assert outcome(".", ".") == outcome(":", ".") == outcome(".", ":")


@pytest.mark.slow
def test_doctor_and_run_know_the_same_names(mine, capsys):
    for sign in (".", ":"):
        assert main(["doctor", f"{mine}{sign}Net", "--shape", "1,8,8"]) == 0
        options = [
            "--train.steps=2",
            "--retrain.train.steps=1",
            "--retrain.top=1",
            "--split.limit=99",
        ]
        out = Path("runs") / str(ord(sign))
        assert main(["run", "--model", f"{mine}{sign}Net", "--out", str(out), *options]) == 0
        assert "chosen" in json.loads((out / "metrics.json").read_text())["test"]


@pytest.mark.parametrize("path", ["Net", "no.such.Net", "no:Net", "supernet.task:Nothing", ""])
def test_what_cannot_be_imported_is_named(path):
    with pytest.raises(ConfigError, match="cannot be imported"):
        resolve(path)
    assert resolve("supernet.task:Classification") is Classification


@pytest.mark.parametrize("sign", ["x", "é", "é.", "1"])
def test_import_paths_are_looked_for_in_one_pass(sign):
    """However long a text is; looking back from each place of it would take hours."""
    assert list(named_in(sign * 300_000)) == []
    assert list(named_in(f"{sign * 9} pytest:mark pytest.mark")) == ["pytest.mark"] * 2


def test_a_name_without_a_module_is_no_short_name(capsys):
    assert main(["doctor", "nosuch", "--shape", "4"]) == 2
    said = capsys.readouterr().err
    assert "there is no space 'nosuch'" in said
    assert "a class or function of your own as package.module:name" in said


def test_what_a_module_lacks_is_told_from_a_wrong_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "needy_module.py").write_text("import package_that_is_nowhere\n")
    with pytest.raises(ConfigError, match="since it imports package_that_is_nowhere, which is not"):
        resolve("needy_module.Net")
    with pytest.raises(ConfigError, match=r"No module named 'needy_modul'\. Write package\.module"):
        resolve("needy_modul.Net")
