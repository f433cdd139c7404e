"""One of two ranks that share out work; started by `test_contract_queue.py`.

`python queue_worker.py FOLDER`; each rank writes what it saw into a file of its own.
"""

import json
import sys
import time
from datetime import timedelta
from pathlib import Path

import torch

from supernet import ranks
from supernet.errors import RanksError
from supernet.shared_work import agreed_order, breathe, leave, send, shared_out
from supernet.train.agreement import check_agreement

PIECES = 12
LARGE = 5 * 2**20


def said(action):
    try:
        action()
    except RanksError as error:
        return str(error)
    return None


def results(me):
    """Share out pieces, of which rank 1 takes long."""
    kept = []

    def work(number):
        assert ranks.ranks() == 1
        send(lambda: f"{number} by {me}".encode())
        time.sleep(0.2 if me else 0.01)
        return f"{number}".encode()

    done = list(shared_out(PIECES, work, lambda number, content: kept.append(content.decode())))
    assert ranks.ranks() == 2
    return {
        "contents": [one.content.decode() for one in done],
        "by": [one.rank for one in done],
        "own": [one.own for one in done],
        "kept": kept,
    }


def large(me):
    """Share out two pieces with results that take more than one value of the store."""
    made = [bytes([number]) * LARGE for number in range(2)]

    def work(number):
        time.sleep(0.3)  # so that each rank has one
        return made[number]

    found = list(shared_out(2, work))
    return [[one.rank for one in found], [one.content for one in found] == made]


class Net(torch.nn.Module):
    """Two layers and batch norm."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(3, 3)
        self.norm = torch.nn.BatchNorm1d(3)
        self.last = torch.nn.Linear(3, 3)


def agreement(me):
    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.norm.running_mean += me
    by = {"optimizer": optimizer}
    same = said(lambda: check_agreement(model, by, 7))
    mean = model.norm.running_mean.tolist()
    with torch.no_grad():
        model.norm.bias[1] += 1e-7 * me
    other_weight = said(lambda: check_agreement(model, by, 7))
    with torch.no_grad():
        model.norm.bias.zero_()
    optimizer.param_groups[0]["lr"] += me
    other_rate = said(lambda: check_agreement(model, by, 7))
    return {"same": same, "mean": mean, "weight": other_weight, "rate": other_rate}


def fails(me):
    """Share out a piece that ends rank 1, while rank 0 has a long one."""

    def work(number):
        if me:
            raise OSError("the disk is full")
        for _ in range(300):
            time.sleep(0.1)
            breathe()
        return b""

    try:
        list(shared_out(2, work))
    except OSError as error:
        leave(error)
        raise


def main():
    folder = Path(sys.argv[1])
    ranks.begin(timedelta(seconds=60))
    me = ranks.rank()
    found = {
        "results": results(me),
        "large": large(me),
        "order": agreed_order(["b", "a"] if me else ["a", "b"]),
        "other": said(lambda: agreed_order(["a", "b" if me else "c"])),
        "agreement": agreement(me),
    }
    try:
        fails(me)
    except (RanksError, OSError) as error:
        found["fails"] = f"{type(error).__name__}: {error}"
    (folder / f"{me}.json").write_text(json.dumps(found))
    if not me:  # the store is rank 0's
        while not (folder / "1.json").exists():
            time.sleep(0.01)
    ranks.end()


if __name__ == "__main__":
    main()
