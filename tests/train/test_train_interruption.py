"""A first interruption waits for a checkpoint, a second one does not."""

import os
import signal
import threading

import pytest
import torch
from torch import nn

from supernet.task import Classification
from supernet.train import Checkpoint, Fit, Plain


def make_model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(108, 8), nn.BatchNorm1d(8), nn.Linear(8, 4))


def train(loader, checkpoint, at=(), model=None, mark=lambda part: None):
    """Train 20 steps with a record every fifth; interrupt after some of them."""
    model, done = model or make_model(), [0]

    def advance():
        done[0] += 1
        for _ in range(list(at).count(done[0])):
            os.kill(os.getpid(), signal.SIGINT)

    fit = Fit(
        steps=20,
        optimizer=lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
        schedule="cosine",
        warmup=0.0,
        clip=None,
        log_every=5,
        checkpoint_seconds=1e9,
        seed=5,
        advance=advance,
        mark=mark,
    )
    try:
        fit.run(model, Plain(), Classification(), loader, checkpoint)
    finally:
        model.steps = done[0]
    return model


@pytest.fixture(autouse=True)
def the_handler_is_given_back():
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("step", [1, 4, 7, 15])
def test_the_next_record_is_saved_and_continued_to_the_same_bits(
    step, make_loader, tmp_path, capfd
):
    whole = train(make_loader(), Checkpoint(tmp_path / "whole.pt"))
    checkpoint, model = Checkpoint(tmp_path / "cut.pt"), make_model()
    with pytest.raises(KeyboardInterrupt):
        train(make_loader(), checkpoint, [step], model)
    assert model.steps == -(-step // 5) * 5
    assert checkpoint.trained()["step"] == model.steps
    assert "again to end at once" in capfd.readouterr().err
    again = train(make_loader(), checkpoint)
    assert again.steps == 20 - model.steps
    assert checkpoint.path.read_bytes() == (tmp_path / "whole.pt").read_bytes()
    assert all(
        torch.equal(a, b)
        for a, b in zip(again.state_dict().values(), whole.state_dict().values(), strict=True)
    )


def test_a_second_interruption_ends_at_once(make_loader, tmp_path):
    checkpoint, model = Checkpoint(tmp_path / "cut.pt"), make_model()
    with pytest.raises(KeyboardInterrupt):
        train(make_loader(), checkpoint, [6, 7], model)
    assert model.steps == 7
    assert checkpoint.trained() is None


def test_what_is_not_saved_is_not_waited_for(make_loader):
    model = make_model()
    with pytest.raises(KeyboardInterrupt):
        train(make_loader(), None, [6], model)
    assert model.steps == 6


def test_an_interruption_in_the_last_steps_ends_it_when_it_is_done(make_loader, tmp_path):
    checkpoint, model = Checkpoint(tmp_path / "cut.pt"), make_model()
    with pytest.raises(KeyboardInterrupt):
        train(make_loader(), checkpoint, [18], model)
    assert checkpoint.trained()["step"] == 20
    assert train(make_loader(), checkpoint).steps == 0


def test_none_is_lost_while_the_last_checkpoint_is_written(make_loader, tmp_path):
    checkpoint, model = Checkpoint(tmp_path / "cut.pt"), make_model()

    def mark(part):
        if part == "checkpoint":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(make_loader(), checkpoint, model=model, mark=mark)
    assert checkpoint.trained()["step"] == 20


def test_who_handles_the_signal_goes_on_to(make_loader, tmp_path):
    seen = []
    before = signal.signal(signal.SIGINT, lambda *given: seen.append(1))
    try:
        train(make_loader(), Checkpoint(tmp_path / "cut.pt"), [3])
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [1]


def test_other_threads_train_as_well(make_loader, tmp_path):
    found = []
    thread = threading.Thread(
        target=lambda: found.append(train(make_loader(), Checkpoint(tmp_path / "a.pt")))
    )
    thread.start()
    thread.join()
    assert found[0].steps == 20
