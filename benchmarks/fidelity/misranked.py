"""What a supernet's scores get wrong: `python -m benchmarks.fidelity.misranked RUN`.

RUN is the folder of a run whose ranking was compared with a truth (`supernet rank`). Printed is, for
each option, the correlation of how often a network has it with the ranks of what networks are worth, of
their scores, and of the difference of the two: above 0 where the scores like the option too much.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np
from scipy import stats

from supernet.track.ranking import read_ranking


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--score", default="-loss")
    given = parser.parse_args()
    ranking = read_ranking(given.run / "ranking.json", [])
    assert ranking is not None, "the run has no ranking.json: call `supernet rank` first"
    answers = architectures(given.run / "candidates.db")
    counts = [Counter(map(str, answers[key].values())) for key in ranking.keys]
    worth = stats.rankdata(ranking.values)
    scores = stats.rankdata(ranking.scores[given.score])
    for option in sorted(set().union(*counts)):
        often = np.array([count[option] for count in counts])
        if np.ptp(often):
            of = (np.corrcoef(often, one)[0, 1] for one in (worth, scores, scores - worth))
            print(f"{option}: {', '.join(f'{one:+.2f}' for one in of)}")


def architectures(path: Path) -> dict[str, dict[str, object]]:
    """Return the answers of all candidates by their keys."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as store:
        rows = store.execute("SELECT key, architecture FROM candidates")
        return {key: json.loads(text) for key, text in rows}


if __name__ == "__main__":
    main()
