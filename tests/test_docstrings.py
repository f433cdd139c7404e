"""Docstrings are read by someone who has not read the file."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "src"

ENTRY = re.compile(r"^    ([\w*, ]+): (.*)")
"""A line of `Args:` or `Attributes:`, in a docstring without its indent."""

NOUNLESS = re.compile(
    r"(of|as|by|see|that|those|what|which|who|when|is|are|it|its|their|likewise)\b"
)
"""Beginnings of a line that leaves out what the argument is: "rate: of Adam"."""


def entries(docstring):
    """Yield (name, text) of the first lines of arguments and attributes."""
    within = False
    for line in docstring.splitlines():
        if line and not line.startswith(" "):
            within = line in {"Args:", "Attributes:"}
        elif within and (found := ENTRY.match(line)):
            yield found.groups()


def documented(tree):
    """Yield every class and function with a docstring, and that."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield node, docstring


def nounless(source):
    """Return the lines of arguments and attributes in a source that lack their noun."""
    return [
        f"{node.name}, {name}: {text}"
        for node, docstring in documented(ast.parse(source))
        for name, text in entries(docstring)
        if NOUNLESS.match(text)
    ]


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("rate: of Adam.", True),
        ("seed: what draws depend on.", True),
        ("alpha: see `Coupled`.", True),
        ("rate: learning rate of the Adam optimizer.", False),
        ("shuffle: whether the order is drawn.", False),
        ("offset: number that is added.", False),
    ],
)
def test_a_line_without_a_noun_is_found(line, wrong):
    source = f'def f(x):\n    """Do it.\n\n    Args:\n        {line}\n    """\n'
    assert bool(nounless(source)) == wrong


def test_arguments_and_attributes_are_said_with_their_nouns():
    found = {
        str(path.relative_to(SOURCES)): lines
        for path in sorted(SOURCES.rglob("*.py"))
        if (lines := nounless(path.read_text()))
    }
    assert not found
