"""The examples run as they are, keep to their length, and are all listed."""

from __future__ import annotations

import ast
import json
import subprocess
import sys

import pytest

from doc_pages import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
LINES = 40
"""Lines of the user's own that an example has at most: without imports, docstrings and blank lines."""

LEAST = {"own_metric": 0.8, "own_model": 0.8, "table": 0.8, "compress": 0.8, "text": 0.4}
"""Test accuracies that each reaches by far, and guessing does not."""


def own_lines(source):
    """Return the number of lines that are neither blank, nor of an import or a docstring."""
    tree, apart = ast.parse(source), set()
    for node in ast.walk(tree):
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if text or isinstance(node, ast.Import | ast.ImportFrom):
            apart |= set(range(node.lineno, node.end_lineno + 1))
    lines = enumerate(source.splitlines(), 1)
    return sum(bool(line.strip()) and number not in apart for number, line in lines)


def test_lines_are_counted_without_what_everybody_writes():
    assert (
        own_lines('"""Says\n\nit."""\n\nimport a\nfrom b import (\n    c,\n)\n\nx = 1  # y\n') == 1
    )


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_short_and_listed(example):
    assert own_lines(example.read_text()) <= LINES
    assert f"(../examples/{example.name})" in (ROOT / "docs/examples.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs(example, tmp_path):
    command = [sys.executable, str(example), str(tmp_path / "folder" / "run")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    metrics = json.loads((tmp_path / "folder/run/metrics.json").read_text())
    assert metrics["test"]["chosen"]["accuracy"] > LEAST[example.stem]
