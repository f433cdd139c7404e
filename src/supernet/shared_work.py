"""Work that ranks share out among them: whoever is free does the next piece, and all get every result.

Pieces are counted in the store of the ranks, so nobody waits for a slower one but at the end. A rank
does its piece alone (`supernet.ranks.alone`), to the bits of one process, and writes the result down in
the store; all read it there, between their own pieces, and go on in the order of the pieces. So all
ranks see the same results in the same order, whoever did what.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count as counted

from supernet.errors import RanksError
from supernet.ranks import (
    alone,
    bytes_of_all,
    bytes_of_first,
    explained,
    rank,
    ranks,
    store,
    timeout,
)

__all__ = ["Done", "agreed_order", "breathe", "leave", "send", "shared_out"]

PART = 4 * 2**20
"""The most bytes of one value: the store takes 8 MiB."""

BEAT = 0.5
"""Seconds between two looks at what others wrote, within a piece of work."""

Keep = Callable[[int, bytes], None]

_numbers = counted()
_exchange: _Exchange | None = None


@dataclass(frozen=True)
class Done:
    """A piece of work that is done.

    Attributes:
        rank: rank that did it.
        own: whether that is this one.
        content: result.
    """

    rank: int
    own: bool
    content: bytes


def shared_out(
    count: int, work: Callable[[int], bytes], keep: Keep = lambda number, content: None
) -> Iterator[Done]:
    """Yield the results of pieces of work, in the order of the pieces, each done by one of the ranks.

    All ranks call this with the same number of pieces, and go through all results.

    Args:
        count: number of pieces.
        work: function that does the piece of a number and returns its result. What it raises ends this
            rank, and so the others.
        keep: function that rank 0 calls with what another rank sends (see `send`) of the piece of a
            number, before that is done.

    Raises:
        RanksError: another rank ended, or is silent.
    """
    global _exchange
    if ranks() == 1:
        for number in range(count):
            yield Done(0, True, work(number))
        return
    exchange = _exchange = _Exchange(keep)
    shown = 0
    try:
        while (number := exchange.next()) < count:
            with alone():
                content = work(number)
            exchange.write("done", number, content)
            exchange.results[number] = Done(exchange.own, True, content)
            exchange.look()
            while shown in exchange.results:
                yield exchange.results.pop(shown)
                shown += 1
        for number in range(shown, count):
            exchange.wait_for(number)
            yield exchange.results.pop(number)
    finally:
        _exchange = None


def agreed_order(names: Sequence[str]) -> list[str]:
    """Return names in the order in which rank 0 has them.

    Raises:
        RanksError: another rank has other names, so that it has come to other results before.
    """
    if ranks() == 1:
        return list(names)
    mine = hashlib.blake2b(json.dumps(sorted(names)).encode(), digest_size=16).digest()
    every = bytes_of_all(mine)
    for number, one in enumerate(every):
        if one != every[0]:
            raise RanksError(
                f"process {number} is about to work on other networks than process 0, so that results "
                "before differed; is there code that draws random numbers of its own, or depends on "
                "the machine? Run the same command again: it goes on from what process 0 saved"
            )
    ordered: list[str] = json.loads(bytes_of_first(json.dumps(list(names)).encode()))
    return ordered


def breathe() -> None:
    """Show other ranks that a long piece of work goes on, and read what they wrote, twice a second.

    Raises:
        RanksError: another rank ended.
    """
    if _exchange is not None and time.monotonic() - _exchange.looked >= BEAT:
        _exchange.look()


def send(content: Callable[[], bytes]) -> None:
    """Have rank 0 keep what there is of the piece of work that is being done, if it can take it now.

    Args:
        content: function that returns what is given to `keep` there.
    """
    if _exchange is not None and _exchange.own:
        _exchange.send(content)


def leave(error: BaseException) -> None:
    """Tell other ranks, which may wait, that this one ends with an error that is its own."""
    if ranks() > 1 and not isinstance(error, RanksError):
        lines = str(error).strip().splitlines() or [""]
        with explained():
            store().set(
                "ended", f"process {rank()} of {ranks()}: {type(error).__name__}: {lines[0]}"
            )


class _Exchange:
    """What ranks write down for each other while they share out work.

    Args:
        keep: function that keeps what another rank sends, see `shared_out`.
    """

    def __init__(self, keep: Keep) -> None:
        self.own, self._ranks = rank(), ranks()
        self.results: dict[int, Done] = {}
        self.looked = 0.0
        self._keep, self._store = keep, store()
        self._name = f"work/{next(_numbers)}"
        self._number = self._read = self._written = 0
        self._sent = ""
        now = time.monotonic()
        self._heard = dict.fromkeys(set(range(self._ranks)) - {self.own}, (-1, now))
        self.look()

    def next(self) -> int:
        """Return the number of the next piece of work."""
        with explained():
            self._number = int(self._store.add(f"{self._name}/next", 1)) - 1
        return self._number

    def write(self, kind: str, number: int, content: bytes) -> str:
        """Write something of a piece of work for others; return where."""
        with explained():
            key, self._written = f"{self._name}/of{self.own}/{self._written}", self._written + 1
            parts = range(0, max(len(content), 1), PART)
            for part, start in enumerate(parts):
                self._store.set(f"{key}/{part}", content[start : start + PART])
            place = self._store.add(f"{self._name}/written", 1)
            header = json.dumps([kind, number, self.own, key, len(parts)])
            self._store.set(f"{self._name}/{place}", header)
        return key

    def send(self, content: Callable[[], bytes]) -> None:
        """Write something for rank 0 to keep, unless it has yet to read what was written before."""
        with explained():
            waiting = bool(self._sent) and self._store.check([f"{self._sent}/0"])
        if not waiting:
            self._sent = self.write("kept", self._number, content())

    def look(self) -> None:
        """Read what others wrote since, show that this rank works, and see whether others do."""
        self.looked = time.monotonic()
        with explained():
            self._store.add(f"alive/{self.own}", 1)
            if self._store.check(["ended"]):
                raise RanksError(_ended(self._store.get("ended").decode()))
            written = self._store.add(f"{self._name}/written", 0)
        while self._read < written:
            self._read += 1
            self._take()

    def wait_for(self, number: int) -> None:
        """Wait until a piece of work is done.

        Raises:
            RanksError: another rank ended, or is silent.
        """
        pause = 0.001
        while number not in self.results:
            self.look()
            if number not in self.results:
                self._check_alive()
                time.sleep(pause)
                pause = min(2 * pause, 0.05)

    def _take(self) -> None:
        with explained():
            header = json.loads(self._store.get(f"{self._name}/{self._read}"))
            kind, number, by, key, parts = header
            if by == self.own or (kind == "kept" and self.own):
                return
            content = b"".join(self._store.get(f"{key}/{part}") for part in range(parts))
            readers = 1 if kind == "kept" else self._ranks - 1
            if self._store.add(f"{key}/read", 1) == readers:
                for part in range(parts):
                    self._store.delete_key(f"{key}/{part}")
        if kind == "kept":
            self._keep(number, content)
        else:
            self.results[number] = Done(by, False, content)

    def _check_alive(self) -> None:
        now = time.monotonic()
        for other, (beats, since) in self._heard.items():
            with explained():
                found = self._store.add(f"alive/{other}", 0)
            if found != beats:
                self._heard[other] = found, now
            elif now - since > timeout().total_seconds():
                seconds = timeout().total_seconds()
                raise RanksError(_ended(f"process {other} is silent for {seconds:,.0f} seconds"))


def _ended(text: str) -> str:
    return (
        f"another process of the run ended or hangs ({text}). What was saved is intact: once what it "
        "says is mended, the same command goes on from there"
    )
