"""Scoring with a supernet that was split: each candidate under the weights of its part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from supernet.evaluate.evaluator import Evaluator, Score
from supernet.evaluate.protocol import Protocol
from supernet.evaluate.racing import DroppedCandidate
from supernet.space import Architecture, Option

__all__ = ["PartsEvaluator"]


class PartsEvaluator:
    """Evaluators of the parts of a supernet, used as one.

    Args:
        label: the decision along which the supernet was split.
        parts: evaluators of the parts, by the option of the decision that each part has.
        failed: errors by option, raised for architectures whose part could not be trained.
    """

    def __init__(
        self,
        label: str,
        parts: Mapping[Option, Evaluator],
        failed: Mapping[Option, Exception] | None = None,
    ) -> None:
        self._label = label
        self._parts = parts
        self._failed = failed or {}
        self._any = next(iter(parts.values()))

    @property
    def protocol(self) -> Protocol:
        """How candidates are scored, the same in all parts."""
        return self._any.protocol

    @property
    def batch_norm(self) -> str:
        """How statistics are chosen, see `Evaluator.batch_norm`."""
        return self._any.batch_norm

    @property
    def calibration_images(self) -> int:
        """How many training images recalibration uses."""
        return self._any.calibration_images

    @property
    def images(self) -> int:
        """How many images a score is measured on."""
        return self._any.images

    @property
    def plain_because(self) -> str:
        """Why candidates of some part are scored one after the other, or empty."""
        return next((part.plain_because for part in self._parts.values() if part.plain_because), "")

    @property
    def tuning_seconds(self) -> float:
        """Time that the tuning of candidates took so far, in all parts."""
        return sum(part.tuning_seconds for part in self._parts.values())

    def images_in(self, batches: int | None) -> int:
        """Return how many images the first batches hold."""
        return self._any.images_in(batches)

    def scores(
        self, architectures: Sequence[Architecture], batches: int | None = None
    ) -> Iterator[tuple[Architecture, Score | Exception]]:
        """Yield each architecture with its measures, or with what was raised instead; part by part."""
        yield from self._lost(architectures)
        for option, part in self._parts.items():
            yield from part.scores(self._of(architectures, option), batches)

    def order(
        self, architectures: Sequence[Architecture], batches: int | None = None
    ) -> list[Architecture]:
        """Return architectures in the order in which `scores` yields them."""
        found = [one for one, _ in self._lost(architectures)]
        for option, part in self._parts.items():
            found += part.order(self._of(architectures, option), batches)
        return found

    def race(
        self,
        architectures: Sequence[Architecture],
        keep: int,
        error: float = 0.05,
        by: str = "accuracy",
    ) -> Iterator[tuple[Architecture, Score | Exception | DroppedCandidate]]:
        """Race part by part: the best `keep` of all are among the best `keep` of the parts."""
        yield from self._lost(architectures)
        for option, part in self._parts.items():
            if mine := self._of(architectures, option):
                yield from part.race(mine, keep, error / len(self._parts), by)

    def _lost(
        self, architectures: Sequence[Architecture]
    ) -> Iterator[tuple[Architecture, Exception]]:
        for option, error in self._failed.items():
            yield from ((one, error) for one in self._of(architectures, option))

    def _of(self, architectures: Sequence[Architecture], option: Option) -> list[Architecture]:
        return [one for one in architectures if one[self._label] == option]
