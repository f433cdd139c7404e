"""English prose that every installation has: what Python packages say of their own functions."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import re
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

from supernet.data.augment import Augment
from supernet.data.base import DataSource, Examples, Raw
from supernet.data.text_tokens import Vocabulary, check_sizes, split_words
from supernet.errors import ConfigError, DataError

__all__ = ["PACKAGES", "Docstrings", "prose"]

PACKAGES = ("numpy", "python", "scipy", "sklearn", "torch")
"""The classes; "python" is the standard library, the others are packages that supernet requires."""

_LEAST = 8  # words of a text
_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)  # of templates, for instance
_LARGE = 400_000  # bytes of a file; those above hold generated code
_LEFT_OUT = {"dist-packages", "site-packages", "test", "tests", "testing"}
_NO_PROSE = re.compile(
    r">>>|---|===|::|[:@](param|type|return)|^(args|arguments|parameters)\b", re.I
)
_ROLE = re.compile(r":[\w:]+:(?=`)")
_NAMES = re.compile(
    r"(?<!\w)\S*(numpy|scipy|sklearn|scikit|torch|python|\bnp\.|\bsp\.)[^\s,;)]*", re.I
)


class Docstrings(DataSource):
    """Docstrings of five installed packages, labelled with the package: real prose, no download.

    The first paragraphs of the docstrings of modules, classes and functions, read from source files
    without running them: numpy, scipy, scikit-learn, torch and the standard library, `count` different
    texts of each. Names of the packages are taken out. The texts are the same at every call on one
    installation; other versions of Python or of a package give other texts.

    There is no official test split: a share of the texts is divided off for the test, and their words
    (not their labels) are part of the vocabulary.

    Args:
        count: the most texts of each package.
        length: tokens that each text is cut off at or padded to.
        vocabulary: the most words, the most frequent ones of all texts; others are unknown.

    Raises:
        ConfigError: a number is too small.
    """

    def __init__(self, count: int = 800, length: int = 32, vocabulary: int = 4_000) -> None:
        check_sizes(length, vocabulary)
        if count < 1:
            raise ConfigError(f"count is {count}; give a number of texts of each package.")
        self.count = count
        self.length = length
        self.vocabulary = vocabulary

    def load(self) -> Raw:
        """Return tokens, int64 [n, length], without official test split.

        Raises:
            DataError: the source files of a package are not installed, or cannot be read.
        """
        taken: dict[str, int] = {}
        for label, package in enumerate(PACKAGES):
            before = len(taken)
            for text in prose(package):
                # Only what is seen of a text counts. One that two packages have is the first one's.
                taken.setdefault(" ".join(split_words(text)[: self.length]), label)
                if len(taken) - before == self.count:
                    break
            if len(taken) == before:
                raise DataError(
                    f"the source files of {package} hold no docstrings here (stripped, or packed in an "
                    "archive); use another data set."
                )
        texts = list(taken)
        vocabulary = Vocabulary.of(texts, self.vocabulary, self.length)
        targets = torch.tensor(list(taken.values()))
        tokens = vocabulary.tokens(texts)
        return Raw(
            "docstrings", Examples(tokens, targets, PACKAGES, vocabulary.words), None, Augment()
        )


def prose(package: str) -> Iterator[str]:
    """Yield the prose of an installed package's docstrings, without names and markup, unshortened.

    Raises:
        DataError: its source files are not installed, or cannot be read.
    """
    return _texts(_root(package))


def _root(package: str) -> Path:
    """Return the folder of a package, without importing it."""
    if package == "python":
        return Path(sysconfig.get_path("stdlib"))
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # a stand-in that something put in its place
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise DataError(f"the package {package} is not installed; use another data set.")
    return Path(spec.submodule_search_locations[0])


def _texts(root: Path) -> Iterator[str]:
    """Yield the prose of all docstrings below a folder, file by file in an order without meaning."""
    files = [path.relative_to(root) for path in root.rglob("*.py")]
    files = [path for path in files if not _LEFT_OUT & set(path.parts)]
    for path in sorted(files, key=lambda path: hashlib.sha256(path.as_posix().encode()).digest()):
        try:
            source = (root / path).read_bytes()
        except OSError as error:
            raise DataError(
                f"{root / path} cannot be read: {error.strerror}; use another data set."
            ) from error
        if len(source) <= _LARGE:
            yield from _docstrings(source)


def _docstrings(source: bytes) -> Iterator[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the style of others' files
            tree = ast.parse(source)
    except _UNREADABLE:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = _prose(ast.get_docstring(node) or "")
            if len(text.split()) >= _LEAST:
                yield text


def _prose(docstring: str) -> str:
    """Return the first paragraphs, up to the first that is no prose, without names and markup."""
    prose: list[str] = []
    for paragraph in docstring.split("\n\n"):
        if _NO_PROSE.search(paragraph):
            break
        prose.append(paragraph)
    text = _NAMES.sub(" ", _ROLE.sub("", " ".join(prose)))
    return " ".join(text.replace("`", " ").replace("*", " ").split())
