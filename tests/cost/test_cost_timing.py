import time

import pytest
import torch

from supernet.cost.timing import device_name, timer_of, times, usable
from supernet.errors import ConfigError


def test_rounds_run_every_call_once_in_orders_of_their_own():
    ran, clock = [], iter(range(100))
    calls = [lambda i=i: ran.append((i, torch.is_inference_mode_enabled())) for i in range(4)]

    def timer(call):
        call()
        return next(clock)

    measured = times(calls, timer, warmup=2, repeats=5, seed=0)
    rounds = [[i for i, _ in ran[4 * r : 4 * r + 4]] for r in range(7)]

    assert len(ran) == 4 * 7
    assert all(inference for _, inference in ran)
    assert all(sorted(order) == [0, 1, 2, 3] for order in rounds)
    assert len(set(map(tuple, rounds))) > 3
    for row, order, start in zip(measured, rounds[2:], range(8, 28, 4), strict=True):
        assert [row[i] for i in order] == [1e3 * (start + k) for k in range(4)]


def test_orders_depend_on_the_seed():
    def order(seed):
        ran = []
        calls = [lambda i=i: ran.append(i) for i in range(6)]
        times(calls, lambda call: call() or 0.0, 0, 3, seed)
        return ran

    assert order(0) == order(0) != order(1)


def work():
    """Keep the processor busy for 20 ms of its time."""
    started = time.thread_time()
    while time.thread_time() - started < 0.02:
        pass


def test_one_thread_is_timed_without_the_turns_of_others(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    name, timer = timer_of(torch.device("cpu"))

    assert name == "thread"
    assert 0 <= timer(lambda: time.sleep(0.05)) < 0.05
    assert timer(work) >= 0.02


def test_several_threads_are_timed_by_the_time_that_passes(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    name, timer = timer_of(torch.device("cpu"))

    assert name == "wall"
    assert timer(lambda: time.sleep(0.05)) >= 0.05
    assert timer(work) >= 0.02


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_events_measure_seconds_on_the_device():
    device = torch.device("cuda", 0)
    _, timer = timer_of(device)
    x = torch.randn(4096, 4096, device=device)
    timer(lambda: x @ x)

    assert 0 < timer(lambda: x + 1) < timer(lambda: [x @ x for _ in range(50)]) < 60


def test_devices_are_named():
    assert device_name(usable("cpu"))


@pytest.mark.parametrize("device", ["nonsense", "cuda:99", "cpu:x"])
def test_devices_that_are_not_there(device):
    with pytest.raises(ConfigError, match=f"the device '{device}' cannot be used here"):
        usable(device)
