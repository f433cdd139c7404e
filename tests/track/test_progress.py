"""Bars on a terminal, silence and plain lines elsewhere, nothing left over."""

import re
import threading

import pytest

from supernet.track.progress import Progress


def plain(text):
    return re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", text)


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


@pytest.fixture
def clock(monkeypatch):
    """A time that the test moves."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def test_without_a_terminal_a_line_comes_every_five_seconds(capsys, clock):
    with Progress() as progress:
        task = progress.task("training [1]", 40)
        for step in range(1, 41):
            clock[0] += 1
            task.advance(loss=1 / step)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 8
    assert lines[1] == "training [1]: 10 of 40, 1/s, 30.0 s left, loss 0.1"


def test_a_task_that_begins_is_not_late(capsys, clock):
    with Progress() as progress:
        for name in "ab":
            clock[0] += 4
            progress.task(name, 10).advance()
    assert capsys.readouterr().err == ""


def test_neither_bars_nor_lines_where_none_are_wanted(capsys, clock):
    with Progress(enabled=False) as progress:
        task = progress.task("training", 40)
        clock[0] += 60
        task.advance()
        progress.say("said")
    assert capsys.readouterr().err == "said\n"


def test_finished_bars_make_room(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("LINES", "12")
    with Progress(enabled=True) as progress:
        for number in range(30):
            progress.task(f"network {number}", 1).advance()
    shown = plain(capsys.readouterr().err).splitlines()[-6:]
    assert [line.split("━")[0].strip() for line in shown] == [f"network {n}" for n in range(24, 30)]


def test_without_a_terminal_only_said_lines_are_printed(capsys):
    with Progress() as progress:
        task = progress.task("training", 3)
        progress.say("resuming at [step] 20")
        task.advance(3, loss=0.5)
    captured = capsys.readouterr()
    assert captured.err == "resuming at [step] 20\n"
    assert captured.out == ""


def test_a_bar_shows_steps_metrics_and_rate(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    with Progress(enabled=True) as progress:
        task = progress.task("training [supernet]", 4)
        for loss in (2.0, 1.0, 0.5, 0.25):
            task.advance(loss=loss)
    captured = capsys.readouterr()
    last = plain(captured.err).strip().splitlines()[-1]
    assert "training [supernet]" in last
    assert "4/4" in last
    assert re.search(r"\d/s", last)
    assert "loss 0.25" in last
    assert captured.out == ""


def test_a_full_bar_is_shown_at_once(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    with Progress(enabled=True) as progress:
        task = progress.task("training", 2)
        task.advance()
        task.advance()
        assert "2/2" in plain(capsys.readouterr().err)


def test_advance_counts_several_at_once(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    with Progress(enabled=True) as progress:
        progress.task("images", 100).advance(64)
    assert " 64/100" in plain(capsys.readouterr().err)


def test_a_line_is_said_above_the_bar_as_it_is(capsys):
    with Progress(enabled=True) as progress:
        progress.task("training", 3)
        progress.say("a [bold] line " + "x" * 200)
    assert "a [bold] line " + "x" * 200 + "\n" in plain(capsys.readouterr().err)


def test_an_exception_passes_and_gives_the_terminal_back(capsys):
    def work():
        with Progress(enabled=True) as progress:
            progress.task("training", 3).advance()
            raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        work()
    shown = capsys.readouterr().err
    # The cursor is hidden while bars are drawn, and must be visible afterwards.
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def test_no_thread_draws(capsys):
    before = threading.active_count()
    with Progress(enabled=True) as progress:
        progress.task("training", 3).advance()
        assert threading.active_count() == before
    capsys.readouterr()
