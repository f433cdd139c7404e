"""Text to be continued: windows of its characters, each with the characters that come next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from supernet.data.augment import Augment
from supernet.data.base import DataSource, Examples, Raw
from supernet.data.encoding import check_encoding, decoded
from supernet.data.files import files_in, reading
from supernet.data.text_docstrings import PACKAGES, prose
from supernet.data.text_tokens import UNKNOWN, Vocabulary
from supernet.errors import ConfigError, DataError

__all__ = ["Alphabet", "Characters", "Prose"]

_SUFFIX = ".txt"


@dataclass(frozen=True)
class Alphabet:
    """How text becomes tokens, one for each character, and text again.

    `Alphabet.read(path)` of a run folder's `vocabulary.json` is that of its models.

    Attributes:
        words: characters in the order of their tokens: first that of unknown ones, then the others
            in the order of their code points.
    """

    words: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Alphabet:
        """Return the alphabet of all characters that a text has."""
        return cls((UNKNOWN, *sorted(set(text))))

    @classmethod
    def read(cls, path: str | Path) -> Alphabet:
        """Return the alphabet of a `vocabulary.json`.

        Raises:
            DataError: the file is missing, is no vocabulary, or one of words.
        """
        words = Vocabulary.read(path).words
        if words[0] != UNKNOWN or any(len(word) != 1 for word in words[1:]):
            raise DataError(f"{path} holds words, not characters; read it with Vocabulary.read.")
        return cls(words)

    def tokens(self, text: str) -> Tensor:
        """Return int64 [characters]; 0 is a character that the alphabet lacks."""
        known = np.array([ord(word) for word in self.words[1:]])
        codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32).astype(np.int64)
        places = np.searchsorted(known, codes).clip(max=len(known) - 1)
        return torch.from_numpy(np.where(known[places] == codes, places + 1, 0))

    def text(self, tokens: Tensor) -> str:
        """Return the text of tokens [characters]; an unknown character is written as U+FFFD."""
        return "".join(self.words[token] if token else "\ufffd" for token in tokens.tolist())


class ContinuedText(DataSource):
    """What sources of text to be continued have in common.

    The text is cut into three stretches: its beginning to train with, what follows to select with, its
    end for the test. Each is cut into windows that do not overlap, with the next character of each of
    their characters as targets; a rest shorter than a window is left out. So no split has a character
    at a place that another has. The alphabet is that of the first stretch.

    Args:
        length: characters of a window.
        search_fraction: part of the text to select with; `split.search_fraction` is not used.
        test_fraction: part of the text for the test; `split.test_fraction` is not used.

    Raises:
        ConfigError: the length is not positive, or the fractions are not parts of a whole.
    """

    def __init__(self, length: int, search_fraction: float, test_fraction: float) -> None:
        if length < 1:
            raise ConfigError(f"length is {length}; give a number of characters, for instance 64.")
        rest = 1 - search_fraction - test_fraction
        if min(search_fraction, test_fraction, rest) <= 0:
            raise ConfigError(
                f"search_fraction {search_fraction} and test_fraction {test_fraction} must be positive "
                "and leave something to train with; give for instance 0.1 and 0.1."
            )
        self.length = length
        self.search_fraction = search_fraction
        self.test_fraction = test_fraction

    def _cut(self, name: str, text: str) -> Raw:
        """Return the splits of a text.

        Raises:
            DataError: the text is empty, or a stretch shorter than a window and the character after it.
        """
        if not text.strip():
            raise DataError(f"{name}: the text is empty; give files that hold some.")
        first = round((1 - self.search_fraction - self.test_fraction) * len(text))
        second = round((1 - self.test_fraction) * len(text))
        stretches = {"train": text[:first], "search": text[first:second], "test": text[second:]}
        for purpose, stretch in stretches.items():
            if len(stretch) <= self.length:
                raise DataError(
                    f"{name}: of {len(text)} characters, {len(stretch)} are for {purpose}, too few for "
                    f"one window of {self.length} and the character after it; give a longer text, a "
                    "smaller `length` or other fractions."
                )
        alphabet = Alphabet.of(stretches["train"])
        train, search, test = (self._windows(alphabet, part) for part in stretches.values())
        return Raw(name, train, test, Augment(), search)

    def _windows(self, alphabet: Alphabet, text: str) -> Examples:
        tokens = alphabet.tokens(text)
        size = (len(tokens) - 1) // self.length * self.length
        inputs, targets = (
            part.view(-1, self.length) for part in (tokens[:size], tokens[1:][:size])
        )
        return Examples(inputs, targets.clone(), words=alphabet.words)


class Characters(ContinuedText):
    """Text files to be continued character by character: one, several, or a folder of them.

    Several are one text, in the order that is given or else that of their names. Its beginning is
    there to train with, what follows to select with, its end for the test. Each part is cut into
    windows that do not overlap. Characters that the first part lacks are one unknown character.

    Args:
        file: text files, or a folder whose `.txt` files are taken, those in folders within it too.
        length: characters of a window.
        search_fraction: part of the text to select with; `split.search_fraction` is not used.
        test_fraction: part of the text for the test; `split.test_fraction` is not used.
        encoding: encoding of the files, such as "utf-8".
        name: name of the data set; by default that of the first file, or of the folder.

    Raises:
        ConfigError: no file is named, the encoding is unknown, the length is not positive, or the
            fractions are not parts of a whole.
    """

    def __init__(
        self,
        file: list[str] | str,
        length: int = 64,
        search_fraction: float = 0.1,
        test_fraction: float = 0.1,
        encoding: str = "utf-8",
        name: str | None = None,
    ) -> None:
        super().__init__(length, search_fraction, test_fraction)
        check_encoding(encoding)
        self.files = [Path(one) for one in ([file] if isinstance(file, str) else file)]
        if not self.files:
            raise ConfigError("file names no file; give text files, or a folder of them.")
        self.encoding = encoding
        self.name = name or self.files[0].stem

    def load(self) -> Raw:
        """Return tokens, int64 [n, length], and those that come next, of the same shape.

        Raises:
            DataError: a file is missing or not of the encoding, a folder has no texts, or there is too
                little text for a window of each part.
        """
        texts = (decoded(path, self.encoding) for file in self.files for path in _paths(file))
        return self._cut(self.name, "\n".join(texts))


class Prose(ContinuedText):
    """Docstrings of five installed packages as one text to be continued: real prose, no download.

    The texts of `docstrings`, unshortened, one a line, in turn one of each package; none comes twice.
    The text is the same at every call on one installation; other versions of Python or of a package
    give another.

    Args:
        size: the most characters.
        length: characters of a window.
        search_fraction: part of the text to select with; `split.search_fraction` is not used.
        test_fraction: part of the text for the test; `split.test_fraction` is not used.

    Raises:
        ConfigError: the length is not positive, or the fractions are not parts of a whole.
    """

    def __init__(
        self,
        size: int = 500_000,
        length: int = 64,
        search_fraction: float = 0.1,
        test_fraction: float = 0.1,
    ) -> None:
        super().__init__(length, search_fraction, test_fraction)
        self.size = size

    def load(self) -> Raw:
        """Return tokens, int64 [n, length], and those that come next, of the same shape.

        Raises:
            DataError: the source files of a package are not installed or cannot be read, or `size` is
                too small for a window of each part.
        """
        lines: dict[str, None] = {}
        size = 0
        for text in _in_turn([prose(package) for package in PACKAGES]):
            if text.isprintable() and text not in lines:
                lines[text] = None
                size += len(text) + 1
                if size > self.size:
                    break
        return self._cut("prose", "\n".join(lines)[: self.size])


def _paths(file: Path) -> Sequence[Path]:
    with reading(file, "check the path"):
        if not file.is_dir():
            return [file]
    if not (found := [one for one in files_in(file) if one.suffix.lower() == _SUFFIX]):
        raise DataError(f"{file} holds no files {_SUFFIX}; name the files one by one.")
    return found


def _in_turn(sources: Sequence[Iterator[str]]) -> Iterator[str]:
    """Yield the first of each source, then the second of each that has more, and so on."""
    for row in zip_longest(*sources):
        yield from (text for text in row if text is not None)
