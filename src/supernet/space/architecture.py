"""An architecture: an immutable answer to every reachable decision of a space."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from supernet.errors import SpaceError
from supernet.reading import shown
from supernet.space.decision import Option, Value, is_option
from supernet.strict_json import parse_json
from supernet.typed import MisfitError

__all__ = ["Architecture"]


class Architecture(Mapping[str, Value]):
    """A mapping from decision labels to answers; hashable, comparable, written as JSON.

    >>> one = Architecture({"layer": "conv3", "inputs": ["a", "b"]})
    >>> one.to_json()
    '{"inputs":["a","b"],"layer":"conv3"}'
    >>> Architecture.from_json(one.to_json()) == one
    True

    Args:
        values: option of each decision by its label, or several as a list or tuple.

    Raises:
        SpaceError: a label is not a string or an answer is neither an option nor several.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        if not isinstance(values, Mapping):
            raise SpaceError(
                f"an architecture is a mapping from labels to answers, not {shown(values)}"
            )
        self._values: dict[str, Value] = {
            label: _frozen(label, value) for label, value in values.items()
        }

    @classmethod
    def from_json(cls, text: str) -> Architecture:
        """Return the architecture that `to_json` wrote.

        Raises:
            SpaceError: the text is not a JSON object of labels and answers.
        """
        if not isinstance(text, str | bytes):
            raise SpaceError(f"an architecture is read from a text of JSON, not {shown(text)}")
        try:
            return cls(parse_json(text, dict[str, Any]))
        except MisfitError as error:
            raise SpaceError(
                f"an architecture is an object of labels and answers, not {shown(text)}"
            ) from error
        except SpaceError:
            raise
        except ValueError as error:
            raise SpaceError(
                f"this is no architecture, since it is not JSON ({error}): {shown(text)}"
            ) from error

    def to_json(self) -> str:
        """Return the canonical JSON: sorted labels, no spaces; equal architectures, equal text."""
        return json.dumps(self._values, sort_keys=True, separators=(",", ":"))

    @cached_property
    def key(self) -> str:
        """Sixteen hexadecimal digits that depend on the answers only, equal in every process."""
        return hashlib.blake2b(self.to_json().encode(), digest_size=8).hexdigest()

    def __getitem__(self, label: str) -> Value:
        return self._values[label]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Architecture):
            return self._values == other._values
        return NotImplemented

    def __repr__(self) -> str:
        return f"Architecture({self._values!r})"


def _frozen(label: object, value: Any) -> Value:
    if not isinstance(label, str):
        raise SpaceError(f"a label is a string, not {label!r}")
    # Plain types first: asking an abstract class takes ten times as long.
    single = isinstance(value, str | int | float)
    several = not single and isinstance(value, (list, tuple, Sequence))
    answers = tuple(value) if several else (value,)
    if not all(map(is_option, answers)):
        raise SpaceError(
            f"the answer to {label!r} must be an option or a list of options, not {value!r}"
        )
    return tuple(map(_one_form, answers)) if several else _one_form(answers[0])


def _one_form(option: Option) -> Option:
    """Return 2 for 2.0, since equal answers must have equal JSON."""
    return int(option) if isinstance(option, float) and option.is_integer() else option
