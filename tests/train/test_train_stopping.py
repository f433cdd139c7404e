"""Early stopping: when a training ends, and with which weights."""

import copy

import pytest
import torch
from torch import nn

from supernet.task import Classification
from supernet.train import Checkpoint, Fit, Plain


class Interrupted(KeyboardInterrupt):
    """The process ends here."""


def make_model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(108, 8), nn.BatchNorm1d(8), nn.Linear(8, 4))


class Judged:
    """A training whose losses on held-out examples are given, and its model at each of them."""

    def __init__(self, losses, **options):
        self.model, self.losses, self.seen, self.records = make_model(), losses, [], []
        self.options = {
            "schedule": "constant",
            "warmup": 0.0,
            "clip": None,
            "log_every": 2,
        } | options

    def judge(self):
        self.seen.append(copy.deepcopy(self.model.state_dict()))
        return self.losses[len(self.seen) - 1]

    def start(self, loader, checkpoint=None, log=None):
        fit = Fit(
            steps=20,
            optimizer=lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
            checkpoint_seconds=0.0,
            seed=5,
            log=log or self.records.append,
            judge=self.judge,
            **self.options,
        )
        fit.run(self.model, Plain(), Classification(), loader, checkpoint)


@pytest.mark.parametrize(
    ("losses", "patience", "end", "best"),
    [
        ([5, 4, 3, 3, 4, 2, 1, 1, 1, 1], 2, 10, 2),
        ([5, 4, 3, 3, 4, 2, 1, 1, 1, 1], 3, 20, 6),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 0], 1, 4, 0),
        ([1, float("nan"), 0.5, float("nan"), float("nan"), 3, 3, 3, 3, 3], 2, 10, 2),
        ([9, 8, 7, 6, 5, 4, 3, 2, 1, 2], 1, 20, 8),
    ],
)
def test_it_ends_after_so_many_records_and_keeps_the_best(losses, patience, end, best, make_loader):
    run = Judged(losses, patience=patience)
    run.start(make_loader())
    assert [one["step"] for one in run.records] == list(range(2, end + 1, 2))
    assert [one["search_loss"] for one in run.records] == pytest.approx(
        losses[: end // 2], nan_ok=True
    )
    for name, value in run.model.state_dict().items():
        assert torch.equal(value, run.seen[best][name]), name


def test_records_of_the_warm_up_do_not_count(make_loader):
    run = Judged([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], patience=2, warmup=0.5)
    run.start(make_loader())
    assert [one["step"] for one in run.records] == [2, 4, 6, 8, 10, 12, 14]
    assert torch.equal(run.model[1].weight, run.seen[0]["1.weight"])


def test_without_patience_nobody_is_asked(make_loader):
    run = Judged([])
    run.start(make_loader())
    assert len(run.records) == 10
    assert not any("search_loss" in one for one in run.records)


def test_the_averaged_weights_are_judged_and_kept(make_loader):
    run, averaged = (
        Judged([3, 2, 1, 2, 3], patience=2),
        Judged([3, 2, 1, 2, 3], patience=2, ema=0.5),
    )
    run.start(make_loader())
    averaged.start(make_loader())
    assert not torch.equal(run.seen[0]["1.weight"], averaged.seen[0]["1.weight"])
    assert torch.equal(averaged.model[1].weight, averaged.seen[2]["1.weight"])


@pytest.mark.parametrize("ema", [None, 0.7])
@pytest.mark.parametrize("cut", [2, 6, 8, 10])
def test_cut_off_and_resumed_it_ends_alike(ema, cut, tmp_path, make_loader):
    losses = {2: 5, 4: 4, 6: 3, 8: 4, 10: 4}
    whole = Judged(list(losses.values()), patience=2, ema=ema)
    whole.start(make_loader(), Checkpoint(tmp_path / "whole.pt"))

    def log(record):
        if record["step"] == cut:
            raise Interrupted

    first = Judged(list(losses.values()), patience=2, ema=ema)
    checkpoint = Checkpoint(tmp_path / "cut.pt")
    with pytest.raises(Interrupted):
        first.start(make_loader(), checkpoint, log)
    again = Judged([losses[step] for step in losses if step >= cut], patience=2, ema=ema)
    again.start(make_loader(), checkpoint)
    assert checkpoint.path.read_bytes() == (tmp_path / "whole.pt").read_bytes()
    third = Judged([], patience=2, ema=ema)
    third.start(make_loader(), checkpoint)  # it is done: nothing is trained or judged
    assert third.records == []
    for name, value in third.model.state_dict().items():
        assert torch.equal(value, whole.model.state_dict()[name]), name
