"""Scoring with a supernet that was split: each candidate under the weights of its part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from supernet.evaluate.evaluator import Evaluator, Protocol, Score
from supernet.space import Architecture, Option

__all__ = ["PartsEvaluator"]


class PartsEvaluator:
    """Evaluators of the parts of a supernet, used as one.

    Args:
        label: the decision along which the supernet was split.
        parts: by option of the decision, the evaluator of its part.
    """

    def __init__(self, label: str, parts: Mapping[Option, Evaluator]) -> None:
        self._label = label
        self._parts = parts
        self._any = next(iter(parts.values()))

    @property
    def protocol(self) -> Protocol:
        """How candidates are scored, the same in all parts."""
        return self._any.protocol

    @property
    def images(self) -> int:
        """How many images a score is measured on."""
        return self._any.images

    @property
    def plain_because(self) -> str:
        """Why candidates of some part are scored one after the other, or empty."""
        return next((part.plain_because for part in self._parts.values() if part.plain_because), "")

    def scores(
        self, architectures: Sequence[Architecture]
    ) -> Iterator[tuple[Architecture, Score | Exception]]:
        """Yield each architecture with its measures, or with what was raised instead; part by part."""
        for option, part in self._parts.items():
            yield from part.scores([a for a in architectures if a[self._label] == option])
