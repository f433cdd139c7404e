"""Constraints on figures of a task, as "accuracy >= 0.9": they are known once a network was scored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from supernet.cost.constraint import Constraint, number_text, read_constraint
from supernet.errors import ConstraintError
from supernet.evaluate.candidate import Candidate

__all__ = ["FigureBounds"]


@dataclass(frozen=True)
class FigureBounds:
    """Bounds on figures that must all hold.

    Attributes:
        texts: bounds as they were written.
        bounds: the bounds that the texts say, one for each.
    """

    texts: tuple[str, ...] = ()
    bounds: tuple[Constraint, ...] = ()

    @classmethod
    def of(cls, texts: Iterable[str]) -> FigureBounds:
        """Read bounds; a percentage is a share of 1, so that "accuracy >= 90%" is 0.9.

        Raises:
            ConstraintError: a text cannot be read.
        """
        texts, bounds = tuple(texts), []
        for text in texts:
            name, sense, number, percent = read_constraint(text)
            bounds.append(Constraint(name, sense, number / 100 if percent else number))
        return cls(texts, tuple(bounds))

    def hold(self, score: Mapping[str, float | None]) -> bool:
        """Return whether a score satisfies all bounds; one without the figure does not."""
        return all(
            (value := score.get(bound.quantity)) is not None and bound.holds(value)
            for bound in self.bounds
        )

    def kept(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Return the candidates that satisfy all bounds, in their order; of none, none.

        Raises:
            ConstraintError: none of those that are given does.
        """
        found = [one for one in candidates if self.hold(one.scores)]
        if candidates and not found:
            raise ConstraintError(
                f"none of the {len(candidates):,} candidates that were scored on all examples satisfies "
                f"{' and '.join(self.texts)}: {self.missed([one.scores for one in candidates])}. Relax "
                "the bound, or search for longer or train the supernet for longer; what was scored stays"
            )
        return found

    def missed(self, scores: Sequence[Mapping[str, float | None]]) -> str:
        """Say which bounds no score keeps to, and what is the best that was reached."""
        parts = []
        for bound in self.bounds:
            values = [one[bound.quantity] for one in scores if bound.quantity in one]
            known = [value for value in values if value is not None]
            best = (min if bound.sense == "<=" else max)(known, default=None)
            if best is None:
                parts.append(f"none of them has the figure {bound.quantity}")
            elif not bound.holds(best):
                end = "lowest" if bound.sense == "<=" else "highest"
                parts.append(f"the {end} {bound.quantity} reached is {number_text(best)}")
        return "; ".join(parts) or "some keep to each bound, but none to all of them"
