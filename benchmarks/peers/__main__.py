"""Measure other tools beside this one: `python -m benchmarks.peers [nni] [optuna] [convertible]`.

All are measured unless some are named. What is not installed is left out, with a sentence. None of these
tools is needed by the library; where they ask for other versions of its dependencies, they can be put
beside it: `pip install --no-deps --target FOLDER nni`, with FOLDER on PYTHONPATH.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from benchmarks.peers import by_nni, by_optuna, convertible

PARTS: dict[str, Callable[[], None]] = {
    "convertible": convertible.main,
    "nni": by_nni.main,
    "optuna": by_optuna.main,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PARTS))
    names = parser.parse_args().names or list(PARTS)
    if unknown := [name for name in names if name not in PARTS]:
        parser.error(f"there is no {', '.join(unknown)}; possible: {', '.join(PARTS)}")
    for name in names:
        try:
            PARTS[name]()
        except ImportError as error:
            print(f"{name}: left out, since it cannot be imported ({error})")


if __name__ == "__main__":
    main()
