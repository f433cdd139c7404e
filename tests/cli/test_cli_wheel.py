"""The wheel holds the package and works in an environment and a folder of its own."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from supernet.shipped import shipped

ROOT = Path(__file__).parents[2]
LEAST = 77
"""The setuptools that the project is built by, see pyproject.toml."""

pytestmark = pytest.mark.slow


def run(*command, cwd):
    """Run a command, without settings of Python that lead to the repository; return what it printed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Return a wheel of the repository, built without a network."""
    try:
        found = version("setuptools")
    except PackageNotFoundError:
        found = "0"
    if int(found.partition(".")[0]) < LEAST:
        pytest.skip(f"wheels are built by setuptools {LEAST} or newer, and {found} is installed")
    folder, source = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("source")
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("src", "tests", "benchmarks", "examples"):  # building leaves files in its source
        shutil.copytree(ROOT / name, source / name, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    run(*pip, "--no-index", "--wheel-dir", folder, source, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Return the programs of an environment that has the wheel, and sees what it depends on."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    python = next(folder.glob("bin/python*"))
    (site,) = folder.glob("lib/python*/site-packages")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps"]
    run(*pip, "--no-index", wheel, cwd=folder)
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder / "bin"


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    sources = {str(f.relative_to(ROOT / "src")) for f in (ROOT / "src").rglob("*.py")}
    inside = {name for name in names if ".dist-info/" not in name}
    configs = {str(f.relative_to(ROOT / "src")) for f in shipped().values()}
    assert len(configs) > 50
    steps = ("run", "train", "search", "retrain", "test")
    helps = {f"supernet/commands/helps/{step}.txt" for step in steps}
    assert inside == sources | configs | helps | {"supernet/py.typed"}


def test_the_commands_and_a_short_run_work_away_from_the_repository(installed, tmp_path):
    where = "import supernet; print(supernet.__file__, supernet.__version__)"
    path, number = run(installed / "python", "-c", where, cwd=tmp_path).split()
    package = Path(path).parent
    assert package.is_relative_to(installed.parent)
    assert (package / "py.typed").exists()
    assert (package.parent / f"supernet-{number}.dist-info").exists()
    assert "usage: supernet" in run(installed / "supernet", "--help", cwd=tmp_path)
    assert "betadarts" in run(installed / "supernet", "zoo", cwd=tmp_path)
    assert "digits/spos" in run(installed / "supernet", "configs", cwd=tmp_path)
    options = ["--model.channels=4", "--model.cells=1", "--strategy=spos", "--train.steps=3"]
    options += ["--retrain.train.steps=3", "--retrain.top=1", "--search.searcher.count=3"]
    command = [installed / "supernet", "run", "--model=nasbench201", "--data=digits"]
    run(*command, *options, "--search.searcher=random", "--out=run", cwd=tmp_path)
    assert (tmp_path / "run/report.html").exists()
    assert (tmp_path / "run/model.pt2").exists()
