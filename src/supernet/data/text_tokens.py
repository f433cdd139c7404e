"""From texts to tokens: words of a vocabulary, numbered."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from supernet.errors import ConfigError, DamagedFileError, DataError
from supernet.files import read_json, write_json
from supernet.strict_json import seal, unseal
from supernet.typed import typed

__all__ = ["PADDING", "UNKNOWN", "Vocabulary", "check_sizes", "split_words"]

PADDING, UNKNOWN = "<padding>", "<unknown>"
"""The words of the tokens 0 and 1; no text holds them, since their signs are words of their own."""

LONGEST = 2**24
"""Tokens of a text that a vocabulary may ask for."""

_JOINERS = "\u200c\u200d"
"""What stands within words of Indic and Arabic scripts, and between parts of one picture."""


@dataclass(frozen=True)
class Vocabulary:
    """How texts become tokens, and what the outputs of a model stand for.

    A run folder has it as `vocabulary.json`: texts are made into what `model.pt2` takes by
    `Vocabulary.read(path).tokens(texts)`.

    Attributes:
        words: words in the order of their tokens; the first is padding, the second any unknown
            word.
        length: tokens that each text is cut off at or padded to.
        classes: names, in the order of a model's outputs; empty if there are none.
    """

    words: tuple[str, ...]
    length: int
    classes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        texts: Iterable[str],
        size: int,
        length: int,
        least: int = 1,
        classes: tuple[str, ...] = (),
    ) -> Vocabulary:
        """Return the most frequent words of the first `length` words of each text.

        Words that are equally frequent come in alphabetical order, so the order of texts has no
        effect.

        Args:
            texts: texts to count words in, none that is known to be for the test.
            size: the most words, padding and unknown included.
            length: number of tokens of a text.
            least: number of times that a word must occur.
            classes: names of the classes.
        """
        counts = Counter(word for text in texts for word in split_words(text)[:length])
        frequent = [word for word, count in counts.items() if count >= least]
        ordered = sorted(frequent, key=lambda word: (-counts[word], word))
        return cls((PADDING, UNKNOWN, *ordered[: size - 2]), length, classes)

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Return int64 [texts, length]: cut off at the end, or padded there with 0; 1 is unknown."""
        numbers = {word: number for number, word in enumerate(self.words)}
        tokens = torch.zeros(len(texts), self.length, dtype=torch.int64)
        for row, text in zip(tokens, texts, strict=True):
            found = [numbers.get(word, 1) for word in split_words(text)[: self.length]]
            row[: len(found)] = torch.tensor(found, dtype=torch.int64)
        return tokens

    def write(self, path: str | Path) -> None:
        """Write the vocabulary as JSON, with a digest.

        Raises:
            StorageError: the file cannot be written.
        """
        write_json(Path(path), seal(asdict(self)))

    @classmethod
    def read(cls, path: str | Path) -> Vocabulary:
        """Return what `write` wrote; it is data alone, nothing of it is run.

        Raises:
            DataError: the file is missing, is no vocabulary, or was changed since it was written.
        """
        remedy = "take the vocabulary.json of a run folder"
        try:
            content = read_json(Path(path), dict[str, Any])
            found = typed(unseal(content), cls)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}; check the path.") from error
        except DamagedFileError as error:
            reason = error.__cause__ or error
            raise DataError(f"{path} is no vocabulary ({reason}); {remedy}.") from error
        except ValueError as error:
            raise DataError(
                f"{path} is no vocabulary, or a damaged one: {error}; {remedy}."
            ) from error
        words = len(found.words)
        if words < 2 or len(set(found.words)) < words or not 0 < found.length <= LONGEST:
            raise DataError(
                f"{path} is no vocabulary: it has {words} words, of which {len(set(found.words))} "
                f"are different, and texts of {found.length} tokens; {remedy}."
            )
        return found


def check_sizes(length: int, vocabulary: int, least: int = 1) -> None:
    """Check the sizes that a source of texts is given.

    Raises:
        ConfigError: there is no room for a token, or for a word besides padding and unknown ones.
    """
    if length < 1:
        raise ConfigError(f"length is {length}; give a number of tokens, for instance 64.")
    if vocabulary < 3:
        raise ConfigError(
            f"vocabulary is {vocabulary}, but padding and unknown words take 2; give at least 3."
        )
    if least < 1:
        raise ConfigError(f"least is {least}; give how often a word must occur, 1 or more.")


def split_words(text: str) -> list[str]:
    """Return the words of a text in lower case, and its other signs one by one.

    Letters and what is written above, below or beside them, such as vowel signs, are words together,
    however they are composed: the text is brought into Unicode's form NFC. Soft hyphens are left out.
    """
    plain = unicodedata.normalize("NFC", text.lower()).replace("\u00ad", "")
    return _words(max(plain, default="") > "\uffff").findall(plain)


@functools.cache
def _words(rare: bool) -> re.Pattern[str]:
    """Return what finds words and signs; "word characters" alone leave combining marks out.

    Args:
        rare: whether characters beyond U+FFFF count, which takes longer.
    """
    codes = [*range(0x300, 0x20000), *range(0xE0100, 0xE01F0)] if rare else [*range(0x300, 0x10000)]
    found = dict.fromkeys(code for code in codes if unicodedata.category(chr(code))[0] == "M")
    first = [code for code in found if code - 1 not in found]
    last = [code for code in found if code + 1 not in found]
    marks = "".join(f"{chr(one)}-{chr(other)}" for one, other in zip(first, last, strict=True))
    letters = rf"[\w{marks}][\w{marks}{_JOINERS}]*"
    sign = rf"[^\w\s{marks}][{marks}]*"
    return re.compile(rf"{letters}(?:['’]{letters})*|{sign}(?:\u200d{sign})*")
