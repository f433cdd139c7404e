"""Nothing in the sources runs what a file holds; what looks like it is listed with the reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "src" / "supernet"

MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "subprocess"}
"""Modules with which files and texts can be run, whatever is called."""

BUILTINS = {"eval", "exec", "compile", "__import__"}

METHODS = {
    *("system", "popen", "import_module", "exec_module", "run_module", "run_path"),
    *("load_extension", "enable_load_extension", "unsafe_load", "full_load", "read_pickle"),
}

LOADERS = {"torch", "np", "numpy", "yaml"}
"""Whose `load` runs what a file holds, unless it is told otherwise."""

ALLOWED = {
    ("parser.py", "yaml.load"): "of what the parser wrote just before, by the safe loader",
    ("testing/strategy_state.py", "pickle"): "the error that torch.load raises with weights_only",
    ("__init__.py", "importlib.import_module"): "modules of supernet, by names in the same file",
    ("imports.py", "importlib.import_module"): "the one door for import paths, see docs/trust.md",
    (
        "fidelity/nasbench201_table.py",
        "pickle",
    ): "read without classes and functions: all are refused",
    ("net/export.py", "importlib.import_module"): "onnxruntime, by its name",
    ("track/notebook.py", "importlib.import_module"): "IPython, by its name",
    ("loggers/base.py", "importlib.import_module"): "the package of a logger, by its name there",
    ("loggers/tensorboard.py", "importlib.import_module"): "PyTorch's, by its name",
    ("net/export.py", "torch.export.load"): "of bytes that were made just before",
    (
        "pipeline/bytecode.py",
        "importlib.import_module",
    ): "what code that ran already imports itself",
}


def suspicious(source: str) -> Iterator[str]:
    """Yield what in a source can run what it is given."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").partition(".")[0] in MODULES:
                yield str(node.module)
        elif isinstance(node, ast.Call) and is_dangerous(node):
            yield ast.unparse(node.func)


def is_dangerous(node: ast.Call) -> bool:
    told = {one.arg: getattr(one.value, "value", None) for one in node.keywords}
    whole = ast.unparse(node.func)
    first, last = whole.partition(".")[0], whole.rpartition(".")[2]
    if told.get("allow_pickle") or told.get("weights_only") is False:
        return True
    if last == "load" and first in LOADERS:
        return whole not in ("np.load", "numpy.load") and told.get("weights_only") is not True
    return last in METHODS or whole in BUILTINS


@pytest.mark.slow
def test_sources_run_nothing_that_a_file_holds():
    files = sorted(SOURCES.rglob("*.py"))
    assert len(files) > 150
    found = {
        (file.relative_to(SOURCES).as_posix(), name)
        for file in files
        for name in suspicious(file.read_text())
    }
    assert found == ALLOWED.keys()


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import pickle", "pickle"),
        ("from subprocess import run", "subprocess"),
        ("torch.load(p)", "torch.load"),
        ("torch.load(p, weights_only=False)", "torch.load"),
        ("np.load(p, allow_pickle=True)", "np.load"),
        ("yaml.load(text, Loader=yaml.Loader)", "yaml.load"),
        ("torch.export.load(p)", "torch.export.load"),
        ("eval(text)", "eval"),
        ("os.system(text)", "os.system"),
    ],
)
def test_each_is_seen(source, name):
    assert list(suspicious(source)) == [name]


def test_what_reads_data_only_is_not():
    safe = (
        "torch.load(p, weights_only=True); np.load(p); yaml.safe_load(t); net.eval(); re.compile(t)"
    )
    assert list(suspicious(safe)) == []
