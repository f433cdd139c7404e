"""Amounts that all wait for one thing, such as that a part of the network is read at all.

Whether it holds may be known late, and until then every answer that such an amount also depends on
would have to be remembered. So it is guessed first, as a decision of its own, and amounts depend on the
guess. In the search for an extreme a wrong guess costs more than everything else, so that it is never
the best.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from supernet.cost.entry import Entry
from supernet.space import Atom, Decision, OneOf, Path

__all__ = ["GuessedAmounts"]

GUESSES = 6
"""Most guesses; the number of states may double with each."""


class GuessedAmounts:
    """Amounts with guesses before them, for the smallest (sign 1) or the largest (sign -1) sum.

    Attributes:
        decisions: decisions that the guesses are, one for each.
        watched: paths by number; one path of a number must hold for it to count. Amounts come
            first.
        amounts: amount of each of the first numbers.
        paid: guesses that cost as much as a wrong one.
        events: share of a wrong guess's cost that is added if it happens, by further number.
    """

    def __init__(self, entries: Sequence[Entry], sign: int) -> None:
        waiting: defaultdict[frozenset[Path], list[int]] = defaultdict(list)
        common: list[frozenset[Atom]] = []
        for index, entry in enumerate(entries):
            sets = [frozenset(path) for path in entry.paths]
            common.append(frozenset.intersection(*sets))
            rest = frozenset(tuple(a for a in p if a not in common[-1]) for p in entry.paths)
            if common[-1] and len(rest) > 1:
                waiting[rest].append(index)
        # Of the entries {(a=x, c=1), (a=x, d=1)} and {(b=y, c=1), (b=y, d=1)} the atoms a=x and b=y are
        # common; both wait for the same rest, "c=1 or d=1". Without a guess a state remembers a and b up
        # to c and d. With one they are {(guess=1, a=x)} and {(guess=1, b=y)}, and are over with b.
        most = sorted(waiting, key=lambda rest: (-len(waiting[rest]), min(waiting[rest])))
        guessed = most[:GUESSES]
        self.amounts = [entry.amount for entry in entries]
        self.watched: dict[int, frozenset[Path]] = {
            index: entry.paths for index, entry in enumerate(entries)
        }
        self.decisions: list[Decision] = []
        self.paid: list[Atom] = []
        self.events: dict[int, int] = {}
        for number, rest in enumerate(guessed):
            label = f"\0{number}"  # no label of a choice
            self.decisions.append(OneOf(label, (0, 1)))
            for index in waiting[rest]:
                self.watched[index] = frozenset([((label, 1), *sorted(common[index], key=repr))])
            # For the smallest sum it is wrong to guess that nothing counts which does. For the
            # largest it is wrong to guess the opposite: that is paid for, and given back if right.
            event = len(entries) + number
            self.watched[event] = frozenset(((label, int(sign < 0)), *path) for path in rest)
            self.events[event] = sign
            if sign < 0:
                self.paid.append((label, 1))
