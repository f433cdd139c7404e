"""Conditions on an architecture without negation, as alternatives of literals.

A literal says that one of some options of a decision is chosen; it is an integer, with a bit for each
of these options. A term holds if all of its literals do, a condition if one of its terms does. The empty
term always holds, the condition without terms never.

Of decision a, one of x, y, z, the options have the bits 1, 2, 4, and of b, one of 3 and 5, the bits 8
and 16. "a is x or y, and b is 3" is then the condition of one term ((3, 8),): the literal 3 = 1 | 2 is
about a, the literal 8 about b. "a is x and b is 3, or a is y and b is 3", ((1, 8), (2, 8)), is
simplified to the same; with "or a is z and b is 3" the literal about a is 7, which always holds, so that
((8,),) is left.

Conditions are kept small. Where one would have too many terms, a weaker condition takes its place, one
that holds whenever the exact one does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Self

from supernet.space import Atom, OneOf, Option, Path, SearchSpace, Value

__all__ = ["ALWAYS", "NEVER", "Algebra", "Condition", "Term"]

Term = tuple[int, ...]
"""Literals, growing; of a decision with one answer there is one at most."""

TERMS = 128
"""Most terms of a condition."""

PATHS = 1024
"""Most paths that a condition is written out to."""


@dataclass(frozen=True, eq=False)
class Condition:
    """Terms, growing; an algebra makes equal ones the same object."""

    terms: tuple[Term, ...]

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


ALWAYS = Condition(((),))
NEVER = Condition(())


class Algebra:
    """Conditions on the architectures of a space, simplified by what its decisions are."""

    def __init__(self, space: SearchSpace) -> None:
        self._bits: dict[Atom, int] = {}
        self._atoms: list[Atom] = []
        self._whole: dict[int, int] = {}
        """By bit, the bits of all options of the decision."""
        self._single: dict[int, bool] = {}
        self._low: dict[int, int] = {}
        for decision in space.decisions:
            bits = [1 << (len(self._atoms) + i) for i in range(len(decision.options))]
            for bit, option in zip(bits, decision.options, strict=True):
                self._bits[decision.label, option] = bit
                self._atoms.append((decision.label, option))
                self._whole[bit] = sum(bits)
            self._single[sum(bits)] = isinstance(decision, OneOf)
            self._low[sum(bits)] = decision.low
        self._interned = {one.terms: one for one in (ALWAYS, NEVER)}
        self._either: dict[tuple[Condition, Condition], Condition] = {}
        self._both: dict[tuple[Condition, Condition], Condition] = {}

    def atom(self, label: str, option: Option) -> Condition:
        """Return the condition that an option is chosen."""
        bit = self._bits[label, option]
        if self._certain(bit):
            return ALWAYS
        return self._made([(bit,)])

    def either(self, one: Condition, other: Condition) -> Condition:
        """Return the condition that at least one of two holds."""
        if one is other or other is NEVER or one is ALWAYS:
            return one
        if one is NEVER or other is ALWAYS:
            return other
        key = (one, other)
        if key not in self._either:
            found = self._simplified((*one.terms, *other.terms))
            self._either[key] = self._made(found) if len(found) <= TERMS else ALWAYS
        return self._either[key]

    def both(self, one: Condition, other: Condition) -> Condition:
        """Return the condition that both hold, or the simpler one of them if that has too many terms."""
        if one is NEVER or other is NEVER:
            return NEVER
        if one is other or other is ALWAYS:
            return one
        if one is ALWAYS:
            return other
        key = (one, other)
        if key not in self._both:
            self._both[key] = self._conjunction(one, other)
        return self._both[key]

    def paths(self, condition: Condition) -> frozenset[Path]:
        """Return the alternatives with single options; if too many, one that always holds."""
        found: set[Path] = set()
        for term in condition.terms:
            for chosen in product(*map(self._options, term)):
                found.add(tuple(dict.fromkeys(chosen)))
                if len(found) > PATHS:
                    return frozenset([()])
        return frozenset(found)

    def holds(self, condition: Condition, architecture: Mapping[str, Value]) -> bool:
        """Return whether a condition holds for an architecture."""
        chosen = 0
        for label, value in architecture.items():
            for option in value if isinstance(value, tuple) else (value,):
                chosen |= self._bits[label, option]
        return any(all(literal & chosen for literal in term) for term in condition.terms)

    def _made(self, terms: Iterable[Term]) -> Condition:
        key = tuple(sorted(terms))
        return self._interned.setdefault(key, Condition(key))

    def _options(self, literal: int) -> list[Atom]:
        found = []
        while literal:
            found.append(self._atoms[(literal & -literal).bit_length() - 1])
            literal &= literal - 1
        return found

    def _decision(self, literal: int) -> int:
        """Return all options of the decision that a literal is about."""
        return self._whole[literal & -literal]

    def _certain(self, literal: int) -> bool:
        """Return whether every answer to the decision chooses one of the options."""
        whole = self._decision(literal)
        return (whole & ~literal).bit_count() < self._low[whole]

    def _conjunction(self, one: Condition, other: Condition) -> Condition:
        simpler = min(one, other, key=lambda condition: (len(condition.terms), condition.terms))
        if len(one.terms) * len(other.terms) > 4 * TERMS:
            return simpler
        joined = {self._joined(a, b) for a, b in product(one.terms, other.terms)} - {None}
        found: Iterable[Term] = [term for term in joined if term is not None]
        decisions = [{self._decision(n) for t in c.terms for n in t} for c in (one, other)]
        if decisions[0] & decisions[1]:
            found = self._simplified(found)
        found = list(found)
        return self._made(found) if len(found) <= TERMS else simpler

    def _joined(self, one: Term, other: Term) -> Term | None:
        """Return the term that both hold, or None if that cannot be."""
        literals: dict[int, int] = {}
        several: set[int] = set()
        for literal in (*one, *other):
            whole = self._decision(literal)
            if not self._single[whole]:
                several.add(literal)
                continue
            literals[whole] = literals.get(whole, literal) & literal
            if not literals[whole]:
                return None
        least = (n for n in several if not any(m != n and not m & ~n for m in several))
        return tuple(sorted((*literals.values(), *least)))

    def _simplified(self, terms: Iterable[Term]) -> tuple[Term, ...]:
        """Return fewer terms that say the same: those that differ in one decision only are one."""
        before: tuple[Term, ...] = ()
        now = self._absorbed(terms)
        while now != before:
            before = now
            now = self._absorbed(self._merged(now))
        return now

    def _merged(self, terms: tuple[Term, ...]) -> set[Term]:
        groups: dict[tuple[Term, int], list[Term]] = {}
        for term in terms:
            for place, literal in enumerate(term):
                rest = (*term[:place], *term[place + 1 :])
                groups.setdefault((rest, self._decision(literal)), []).append(term)
        found = set(terms)
        for (rest, _), members in groups.items():
            literal = 0
            for term in members:
                (only,) = set(term).difference(rest)
                literal |= only
            if self._certain(literal):
                found.add(rest)
            elif len(members) > 1:
                found.add(tuple(sorted((*rest, literal))))
        return found

    def _absorbed(self, terms: Iterable[Term]) -> tuple[Term, ...]:
        """Return the terms that imply no other, growing."""
        kept: list[tuple[int, Term]] = []
        for term in sorted(set(terms), key=lambda term: (len(term), term)):
            about = sum({self._decision(literal) for literal in term})
            if not any(not o & ~about and _implies(term, other) for o, other in kept):
                kept = [(o, k) for o, k in kept if o != about or not _implies(k, term)]
                kept.append((about, term))
        return tuple(sorted(term for _, term in kept))


def _implies(one: Term, other: Term) -> bool:
    """Return whether the first term holds only where the second does."""
    for wanted in other:
        for literal in one:
            if not literal & ~wanted:
                break
        else:
            return False
    return True
