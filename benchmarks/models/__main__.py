"""Convert many models and print what became of each, with totals.

Each model is built, converted and checked in a process of its own, with a time limit, so that none
ends the others. Words on the command line select models whose name holds one of them.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections import Counter
from multiprocessing.connection import Connection

import torch

from benchmarks.models import of_timm, of_torch, of_transformers, own
from benchmarks.models.check import Outcome, checked

LIMIT = 300.0
"""Seconds that a model may take."""

SOURCES = {
    "own": own.MODELS,
    "torch": of_torch.MODELS,
    "timm": of_timm.MODELS,
    "transformers": of_transformers.MODELS,
}


def main(words: list[str]) -> None:
    torch.set_num_threads(1)
    totals: Counter[str] = Counter()
    for source, models in SOURCES.items():
        for name in models:
            if words and not any(word in f"{source} {name}" for word in words):
                continue
            start = time.perf_counter()
            found = _apart(source, name)
            spent = time.perf_counter() - start
            print(f"{found.kind:<9} {source} {name}  {spent:.0f} s  {found.detail}", flush=True)
            totals[found.kind] += 1
    print(f"{totals.total()} models: " + ", ".join(f"{n} {kind}" for kind, n in totals.items()))


def _apart(source: str, name: str) -> Outcome:
    """Return what becomes of a model in a process of its own."""
    context = multiprocessing.get_context("fork")
    mine, other = context.Pipe(duplex=False)
    process = context.Process(target=_tell, args=(other, source, name))
    process.start()
    other.close()
    try:
        if not mine.poll(LIMIT):
            return Outcome("traceback", f"took longer than {LIMIT:.0f} s")
        return Outcome(*mine.recv())
    except EOFError:
        return Outcome("traceback", f"the process ended with {process.exitcode}")
    finally:
        process.kill()
        process.join()


def _tell(pipe: Connection, source: str, name: str) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.dup2(nowhere, sys.stderr.fileno())  # PyTorch prints programmes that it cannot trace
    try:
        found = checked(SOURCES[source][name])
    except ImportError as error:
        pipe.send(("left out", f"cannot be imported: {error}"))
    else:
        pipe.send(tuple(found))


if __name__ == "__main__":
    main(sys.argv[1:])
