"""What a path may name, whose files may name code, and which commands import nothing."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from torch import nn
from torch.utils.data import Dataset

from supernet.cli import main
from supernet.code_checks import check_code
from supernet.errors import ConfigError
from supernet.files import write_text
from supernet.imports import leave_here, named_in, resolve
from supernet.origin import code_in
from supernet.parser import parse
from supernet.pipeline import open_run

MINE = """
import functools, os, pathlib, subprocess
import joblib
import torch
from torch import nn
import supernet as sn

pathlib.Path(__file__).with_suffix(".imported").touch()

class Net(nn.Module):
    def __init__(self, classes: int = 10):
        super().__init__()
        self.a = sn.Choice({"relu": nn.ReLU(), "tanh": nn.Tanh()})

    @classmethod
    def small(cls):
        return cls(2)

class NoNet: pass

def make():
    return Net()

made = functools.partial(Net, classes=3)
sneaky = functools.partial(os.system, "false")
cached = functools.lru_cache(os.system)
"""


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """Return an empty working directory that is not on the path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    leave_here()
    return tmp_path


@pytest.fixture
def mine(here) -> str:
    """Return the name of a module in the working directory, unlike that of any other test."""
    name = "mine_" + "".join(filter(str.isalnum, here.parent.name + here.name))
    (here / f"{name}.py").write_text(MINE)
    return name


def imported(folder: Path, name: str) -> bool:
    return (folder / f"{name}.imported").exists()


@pytest.mark.parametrize(
    "path",
    [
        "subprocess.call",
        "os:system",
        "os.path.os.system",
        "builtins.eval",
        "shutil:rmtree",
        "functools.partial",
        "antigravity.fly",
        "MINE:os.system",
        "MINE.subprocess.Popen",
        "MINE:sneaky",
        "MINE:cached",
        "MINE:joblib.load",
        "MINE:NoNet",
        "joblib.load",
        "torch.load",
        "torch.hub.load",
        "torch:hub.load_state_dict_from_url",
        "torch.utils.cpp_extension.load",
        "torch.utils.cpp_extension:subprocess.call",
        "torch.package.PackageImporter",
        "torch.nn.functional:importlib.import_module",
        "torch.nn.init.ones_",
        "torch.optim.SGD",
        "supernet.files.write_bytes",
    ],
)
def test_what_makes_no_model_is_not_accepted(mine, path):
    with pytest.raises(ConfigError, match=r"is not used|does not say|none of the kind"):
        resolve(path.replace("MINE", mine), nn.Module)
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("name", ["Net", "Net.small", "make", "made", "nn.Linear"])
def test_code_of_ones_own_is_accepted(mine, name):
    assert callable(resolve(f"{mine}:{name}", nn.Module))
    assert resolve("torch.utils.data:TensorDataset", Dataset).__name__ == "TensorDataset"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the parser says so, too
def test_arguments_are_made_of_nothing_else_either(mine, here):
    """Neither where an argument may be anything, nor where it is a function."""
    popen = '{"class_path": "subprocess.Popen", "init_args": {"args": ["touch", "made"]}}'
    piped = '{"class_path": "torch.utils.data.datapipes.map.SequenceWrapper"}'
    for options in (
        [f'--retrain.model={{"x": {popen}}}'],
        [f"--model={mine}.Net", f'--model.classes=[{{"deep": {popen}}}]'],
        ["--train.optimizer=subprocess.call"],
        ["--data=dataset", f"--data.train={mine}.make", f'--data.arguments={{"x": {popen}}}'],
        ["--data=dataset", '--data.arguments={"x": {"class_path": "joblib.Memory"}}'],
        ['--retrain.model={"x": {"class_path": "supernet.track.RunFolder"}}'],
        [f'--retrain.model={{"x": {piped}}}'],
    ):
        with pytest.raises(ConfigError):
            parse("supernet run", options)
    assert not (here / "made").exists()
    for function in (write_text, main):  # as an argument that is a function
        with pytest.raises(ConfigError, match="may be called with anything"):
            check_code({"init_args": [function]})


def test_a_local_module_hides_none_that_is_installed(here, mine):
    for name in ("numpy", "yaml", "random"):
        (here / f"{name}.py").write_text("Net = 1")
    with pytest.raises(ConfigError, match=r"yaml\.py is hidden by the installed yaml"):
        resolve("yaml:Net", nn.Module)
    with pytest.raises(ConfigError, match="a module of yours with that name needs another"):
        resolve("random:Net", nn.Module)
    assert str(here) not in sys.path  # nothing was found there
    resolve(f"{mine}:Net", nn.Module)
    assert sys.path[-1] == str(here)


def test_code_is_found_wherever_it_is_named(mine, here):
    written = f'{{"class_path": "\\u006d{mine[1:]}.Net"}}'
    for value in ({"a": [{"b": f"{mine}:Net"}]}, {f"{mine}.Net": 1}, written, f"'{written}'"):
        assert f"{mine}.Net" in set(code_in(value)), value
    (here / "data").mkdir()
    (here / "data" / "inner.py").touch()
    assert list(named_in("data.inner:Net")) == ["data.inner.Net"]
    harmless = [
        "data.csv",
        "email.csv",
        "runs/1.2",
        "macs <= 4.5e6",
        "torch.nn.ReLU",
        "a sentence.",
    ]
    assert list(code_in(harmless)) == []
    endless: list[object] = []
    endless.append(endless)
    assert list(code_in(endless)) == []
    assert not imported(here, mine)


@pytest.mark.slow
def test_a_folder_is_trusted_where_it_was_made(here, mine):
    """Not a copy, nor one that was changed; what is named in the command is the user's."""

    def opens(folder: Path, *options: str, trust: bool = False) -> None:
        with open_run(options, folder, trust=trust):
            pass

    made, copy = here / "runs" / "made", here / "runs" / "copy"
    opens(made, f"--model={mine}.Net")
    sys.modules.pop(mine)
    (here / f"{mine}.imported").unlink()
    shutil.copytree(made, copy)
    with pytest.raises(ConfigError, match=f"names code that would be run: {mine}.Net. .* --trust"):
        opens(copy)
    assert not imported(here, mine)
    opens(made)
    assert imported(here, mine)
    opens(copy, f"--model={mine}:Net")
    opens(copy)  # it was opened with what the user named
    config = copy / "config.yaml"
    config.write_text(config.read_text().replace(f"{mine}.Net", f"{mine}.make"))
    with pytest.raises(ConfigError, match=r"changed since.*\.make"):
        opens(copy)
    config.write_text(config.read_text().replace(f"{mine}.make", f"{mine}.Net"))
    shutil.move(made, here / "moved")
    with pytest.raises(ConfigError, match="another origin"):
        opens(here / "moved")
    opens(here / "moved", trust=True)
    opens(here / "moved")


def test_the_command_line_asks_and_is_told(here, mine, capsys):
    made, copy = here / "made", here / "copy"
    with open_run([f"--model={mine}.Net"], made):
        pass
    shutil.copytree(made, copy)
    assert main(["search", "--run", str(copy)]) == 2
    assert "another origin" in capsys.readouterr().err
    assert main(["search", "--run", str(copy), "--trust"]) == 2
    assert "no trained supernet" in capsys.readouterr().err
    for command in ("run", "export", "latency"):
        with contextlib.suppress(SystemExit):
            main([command, "--help"])
        assert "--trust" in capsys.readouterr().out


def test_the_environment_stays_on_the_path_within_it(tmp_path, monkeypatch):
    packages = tmp_path / "site-packages"
    packages.mkdir()
    monkeypatch.setattr(sys, "path", ["", str(packages), str(tmp_path)])
    monkeypatch.chdir(packages)
    leave_here()
    assert sys.path == [str(packages), str(tmp_path)]
    monkeypatch.chdir(tmp_path)
    leave_here()
    assert sys.path == [str(packages)]


@pytest.mark.slow
def test_a_folder_that_names_only_what_comes_along_needs_no_trust(
    here, tmp_path_factory, monkeypatch
):
    made = here / "made"
    with open_run(["--strategy=spos"], made):
        pass
    assert not made.joinpath("config.yaml").read_text().startswith("# made here")
    shutil.copytree(made, here / "copy")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("another")))
    with open_run([], here / "copy"):
        pass


@pytest.mark.slow
def test_without_a_place_for_the_key_only_code_that_is_named_is_run(here, mine, monkeypatch):
    (here / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(here / "file"))
    for options in ([f"--model={mine}.Net"], [f"--model={mine}.Net"]):
        with open_run(options, here / "run"):
            pass
    with pytest.raises(ConfigError, match="another origin"), open_run([], here / "run"):
        pass


@pytest.mark.slow
def test_configurations_of_ones_own_and_of_others(here, mine, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("received")
    written = yaml.safe_dump({"model": f"{mine}:Net"})
    (here / "configs").mkdir()
    for folder in (here, here / "configs", elsewhere):
        (folder / "c.yaml").write_text(written)

    def model(*options: str, trust: bool = False) -> str:
        return parse("supernet run", options, trust=trust)[1]["model"]["class_path"]

    with pytest.raises(ConfigError, match=f"{elsewhere}.*another origin.*{mine}.Net"):
        model(f"--config={elsewhere / 'c.yaml'}")
    assert not imported(here, mine)
    assert model("--config=c.yaml") == model("--config=configs/c.yaml") == f"{mine}.Net"
    assert model(f"--config={elsewhere / 'c.yaml'}", trust=True) == f"{mine}.Net"
    assert model(f"--config={elsewhere / 'c.yaml'}", f"--model={mine}.Net") == f"{mine}.Net"
    received = here / "received"
    received.mkdir()
    (received / "brought.py").write_text(MINE)
    (received / "c.yaml").write_text("model: received.brought.Net")
    with pytest.raises(ConfigError, match=r"another origin.*received\.brought\.Net"):
        model("--config=received/c.yaml")
    (received / "configs").mkdir()
    (received / "configs" / "c.yaml").write_text("model: received.brought.Net")
    with pytest.raises(ConfigError, match=r"another origin.*received\.brought\.Net"):
        model("--config=received/configs/c.yaml")
    assert not imported(received, "brought")


def test_a_logger_is_code_as_any_other(here, mine, tmp_path_factory):
    received = tmp_path_factory.mktemp("received") / "c.yaml"
    received.write_text(yaml.safe_dump({"logger": {"class_path": f"{mine}.NoNet"}}))
    with pytest.raises(ConfigError, match=rf"another origin .* would be run: {mine}\.NoNet"):
        parse("supernet run", [f"--config={received}"])
    assert not imported(here, mine)
    with pytest.raises(ConfigError, match=r"none of the kind that is needed: .*Logger"):
        parse("supernet run", [f"--config={received}"], trust=True)


@pytest.mark.parametrize("name", ["hid-den", "1hidden", "hidde\u0301n", "hid den"])
def test_a_path_that_is_no_name_hides_no_code(here, name):
    received = here / "received"
    received.mkdir()
    (received / f"{name}.py").write_text(MINE)
    for path in (f"received.{name}.Net", f"received.{name}:Net"):
        (received / "c.yaml").write_text(yaml.safe_dump({"model": path}))
        with pytest.raises(ConfigError, match=r"another origin|no names of Python"):
            parse("supernet run", ["--config=received/c.yaml"])
    assert not imported(received, name)


def test_nothing_of_pythons_own_is_imported_by_the_parser(here):
    inner = {"class_path": "this.X"}
    for written in ({"split": {"augment": inner}}, {"split": yaml.safe_dump({"augment": inner})}):
        (here / "c.yaml").write_text(yaml.safe_dump(written))
        with pytest.raises(ConfigError, match=r"this\.X.*Python's own"):
            parse("supernet run", ["--config=c.yaml"])
    assert "this" not in sys.modules


def test_files_are_read_at_one_door(here):
    """The parser of options would read others, which nothing looked at."""
    (here / "other.yaml").write_text("searcher: supernet.search.RandomSearch")
    (here / "c.yaml").write_text("search: other.yaml")
    (here / "d.yaml").write_text("config: c.yaml")
    for given, words in (
        ("--search=other.yaml", "search is a group of options, not 'other.yaml'"),
        ("--config=c.yaml", "search is a group of options"),
        ("--config=d.yaml", "names another one"),
    ):
        with pytest.raises(ConfigError, match=words):
            parse("supernet run", [given])


HOSTILE = (
    *("PIL", "numpy", "torch", "yaml", "rich", "pandas", "matplotlib", "IPython", "onnx", "scipy"),
    *("random", "json", "argparse", "typing", "sqlite3", "html", "statistics", "csv", "site"),
)


@pytest.mark.slow
@pytest.mark.parametrize("start", ["module", "command"])
def test_commands_that_only_read_import_nothing_from_here(tmp_path, start):
    """Nor do others before they were told to; `contextlib` and the like come before `-m` does."""
    made, run = tmp_path / "made", tmp_path / "run"
    run.mkdir()
    for name in (*HOSTILE, "mine"):
        (run / f"{name}.py").write_text(f"open({str(made)!r}, 'a').write({name!r} + ' ')")
    (run / "config.yaml").write_text("model: {class_path: mine.Net}\n")
    (run / "metrics.json").write_text("{}")
    script = tmp_path / "supernet"  # as installers write it
    script.write_text("import sys; from supernet.cli import main; sys.exit(main())")
    python = [sys.executable, *(["-m", "supernet"] if start == "module" else [str(script)])]
    for command, code in (
        (["report", "--run", "."], 0),
        (["run", "--help"], 0),
        (["run", "--out", "."], 2),
        (["run", "--train.optimizer", "os.system", "--out", "other"], 2),
    ):
        done = subprocess.run([*python, *command], cwd=run, capture_output=True, text=True)
        assert done.returncode == code, (command, done.stderr)
        assert not made.exists(), (command, made.read_text())
