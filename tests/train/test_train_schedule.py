import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from supernet.errors import ConfigError
from supernet.train import Moment, Schedule

KINDS = ["cosine", "linear", "constant"]
UNIT = st.floats(0, 1)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("cosine", [1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2, 0]),
        ("linear", [1, 0.75, 0.5, 0.25, 0]),
        ("constant", [1, 1, 1, 1, 1]),
    ],
)
def test_the_decay_is_the_formula(kind, expected):
    factors = [Schedule(kind, 0.0).factor(i / 4) for i in range(5)]
    assert factors == pytest.approx(expected)
    after_warmup = [Schedule(kind, 0.2).factor(0.2 + 0.8 * i / 4) for i in range(5)]
    assert after_warmup == pytest.approx(expected)


def test_cosine_is_that_of_pytorch():
    steps = 20
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps - 1)
    for step in range(steps):
        ours = Schedule("cosine", 0.0).factor(Moment(step, steps, 0).progress)
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
        optimizer.step()
        schedule.step()


def test_the_lowest_rate_is_that_of_pytorch():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.025)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50, eta_min=0.001)
    ours = Schedule("cosine", 0.0, 0.04)
    for epoch in range(50):
        rate = optimizer.param_groups[0]["lr"]
        assert 0.025 * ours.factor(epoch / 50) == pytest.approx(rate)
        optimizer.step()
        theirs.step()
    assert ours.factor(1.0) == pytest.approx(0.04)
    assert Schedule("linear", 0.0, 0.2).factor(0.5) == pytest.approx(0.6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_decay_from_a_peak_of_its_own(kind):
    schedule = Schedule(kind, 0.5, 0.1)
    assert schedule.fall(0.0, 0.3) == pytest.approx(0.3)
    assert schedule.fall(1.0, 0.3) == pytest.approx(0.3 if kind == "constant" else 0.1)


@given(kind=st.sampled_from(KINDS), warmup=UNIT, progress=UNIT)
def test_every_factor_lies_between_zero_and_one(kind, warmup, progress):
    assert 0 <= Schedule(kind, warmup).factor(progress) <= 1 + 1e-12


@given(kind=st.sampled_from(KINDS), warmup=st.floats(0.01, 1), share=st.floats(0, 0.99))
def test_the_warmup_rises_linearly_from_above_zero_to_one(kind, warmup, share):
    start = Schedule(kind, warmup).factor(0.0)
    here = Schedule(kind, warmup).factor(share * warmup)
    assert 0 < start < 1
    assert here == pytest.approx(start + share * (1 - start))
    assert Schedule(kind, warmup).factor(warmup) == pytest.approx(1)


def test_progress_runs_from_zero_to_one():
    assert [Moment(step, 5, 0).progress for step in range(5)] == [0, 0.25, 0.5, 0.75, 1]
    assert Moment(0, 1, 0).progress == 0


def test_draws_depend_on_seed_step_and_purpose_only():
    def draws(step=3, steps=10, seed=1, purpose="path"):
        moment = Moment(step, steps, seed)
        return moment.stream(purpose).random(), moment.torch_seed()

    assert draws() == draws()
    assert draws(steps=99) == draws()
    for other in (draws(step=4), draws(seed=2)):
        assert other[0] != draws()[0]
        assert other[1] != draws()[1]
    assert draws(purpose="mask")[0] != draws()[0]


def test_a_schedule_may_be_a_function():
    schedule = Schedule(lambda passed: (1 - passed) ** 0.9, 0.2, 0.1)
    assert schedule.factor(0.2) == pytest.approx(1)
    assert schedule.factor(0.6) == pytest.approx(0.1 + 0.9 * 0.5**0.9)
    assert schedule.fall(0.25, 0.4) == pytest.approx(0.1 + 0.3 * 0.75**0.9)


@pytest.mark.parametrize("returned", [-0.1, math.nan, math.inf, None, "1"])
def test_a_function_that_returns_no_factor_is_refused(returned):
    with pytest.raises(ConfigError, match=r"a number of 0 or more, but at 0\.500"):
        Schedule(lambda passed: returned).factor(0.5)
