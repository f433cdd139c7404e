"""How scores rank the cells of NAS-Bench-201 instead of its different networks.

`python -m benchmarks.fidelity.cells RUN`, of a run that `benchmarks.fidelity.supernets` ranked. Many of
the 15,625 cells are the same network, most often a simple one, and count as often as they are. Printed
is Kendall's τ of each score over the networks that were ranked, each once, and over their cells.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
from scipy import stats

from supernet.net import SuperNet
from supernet.track.ranking import read_ranking
from supernet.zoo import NASBench201


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    ranking = read_ranking(parser.parse_args().run / "ranking.json")
    assert ranking is not None, "the run is not ranked"
    space = SuperNet(NASBench201(image=(1, 8, 8), channels=4, cells=1)).space
    times = Counter(space.canonical(one).key for one in space)
    cells = np.repeat(np.arange(len(ranking.keys)), [times[key] for key in ranking.keys])
    values = np.array(ranking.values)
    print(f"{len(values):,} networks, which are {len(cells):,} cells")
    for name, scores in ranking.scores.items():
        once, often = (
            float(stats.kendalltau(np.array(scores)[some], values[some]).statistic)
            for some in (np.arange(len(values)), cells)
        )
        print(f"  {name}: τ {once:.3f} over networks, {often:.3f} over cells")


if __name__ == "__main__":
    main()
