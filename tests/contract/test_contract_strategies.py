"""What every strategy must do (`supernet.testing`), on small models and on a space of the zoo."""

import importlib
import math
from functools import cache, partial

import pytest
import torch

from marks import slow_unless
from supernet.data import Digits
from supernet.errors import ConfigError, DivergedError
from supernet.strategies import (
    STRATEGIES,
    Alpha,
    AlphaNet,
    Attentive,
    CostPenalty,
    Coupled,
    Strategy,
)
from supernet.task import Task
from supernet.testing.models import Kernels, Nested, Tiny
from supernet.testing.strategies import PROMISES
from supernet.testing.strategy_case import StrategyCase, adam, trained
from supernet.testing.strategy_gradients import (
    a_task_of_two_passes_sees_one_network,
    the_shares_of_a_batch_weigh_the_same,
)
from supernet.testing.strategy_state import training_learns
from supernet.zoo import Bender

EARLY = Alpha(1e-3, (0.0, 0.999), weight_decay=0.0)

CASES = {
    "alphanet": ("alphanet", {}),
    "alphanet that is attentive": ("alphanet", {"paths": 3, "attention": Attentive(2)}),
    "attentivenas": ("attentivenas", {}),
    "attentivenas of the worst": ("attentivenas", {"attention": Attentive(2, "worst")}),
    "bender": ("bender", {"vanish": 0.4, "ghost_size": 16}),
    "betadarts": ("betadarts", {}),
    "blockwise": ("blockwise", {}),
    "cdarts": ("cdarts", {"cycles": 3}),
    "darts": ("darts", {}),
    "darts of second order": ("darts", {"order": 2}),
    "darts that is charged": (
        "darts",
        {"cost": CostPenalty("macs", form="log"), "rule": "strongest"},
    ),
    "dartsminus": ("dartsminus", {}),
    "dartspt": ("dartspt", {"batches": 1}),
    "drnas": ("drnas", {}),
    "drnas with divergence": ("drnas", {"divergence": 0.1}),
    "fairdarts": ("fairdarts", {}),
    "enas": ("enas", {}),
    "fairnas": ("fairnas", {}),
    "gdas": ("gdas", {}),
    "ghn": ("ghn", {"depth": 2, "hidden": 8}),
    "fbnet": ("fbnet", {"alpha": Alpha(1e-2)}),
    "ofa": ("ofa", {"lengths": (1, 3, 1, 1, 1, 1)}),
    "pdarts": ("pdarts", {"alpha": Alpha(6e-4)}),
    "pcdarts": ("pcdarts", {"alpha": Alpha(6e-4)}),
    "proxyless": ("proxyless", {"every": 1, "alpha": EARLY, "cost": CostPenalty("macs")}),
    "proxyless-rl": ("proxyless-rl", {"every": 1, "alpha": EARLY, "paths": 3}),
    "randomnas": ("randomnas", {}),
    "singlepath": ("singlepath", {}),
    "singlepath that begins undecided": (
        "singlepath",
        {"start": 0.9, "warmup": 0.5, "weight": 0.5},
    ),
    "smash": ("smash", {"depth": 2}),
    "snas": ("snas", {}),
    "sandwich": ("sandwich", {"paths": 3}),
    "sandwich by labels": ("sandwich", {"distil": False}),
    "spos": ("spos", {}),
}
"""The registered strategies with arguments, some with several; one that is missing here fails."""

MODELS = {
    "tiny": Tiny,
    "nested": Nested,
    "bender": lambda: Bender((1, 8, 8), channels=4, groups=(1,), blocks=2, affine=True),
    "kernels": Kernels,
}
ONE_ANSWER = {"nested", "kernels"}
"""Those all of whose decisions have one answer; some coupled strategies take no others."""


def strategy_class(case):
    module, _, name = STRATEGIES[CASES[case][0]].rpartition(".")
    return getattr(importlib.import_module(module), name)


def fits(case, model):
    if CASES[case][0] == "singlepath":
        return model == "kernels"
    if case == "dartsminus":  # adds to decisions with one answer that have a skip
        return model != "bender"
    return getattr(strategy_class(case), "several", True) or model in ONE_ANSWER


def coupled(case):
    return issubclass(strategy_class(case), Coupled)


def worth(case, model):
    """Return whether a pair shows more than others do: steps of coupled strategies are slow."""
    if model == "kernels":
        return CASES[case][0] in ("singlepath", "spos")
    return not coupled(case) or case == "darts" or model != "bender"


PAIRS = [(c, m) for c in CASES for m in MODELS if fits(c, m) and worth(c, m)]
REFUSED = [(case, model) for case in CASES for model in MODELS if not fits(case, model)]
SMALL = {case: next(model for model in MODELS if fits(case, model)) for case in CASES}
"""By strategy, the small model that it is tested on first."""


FULL = {"darts", "spos"}
"""Strategies that the quick tests check with all models but the space of the zoo, and with which a small
one is to learn: one that draws, one that weighs."""


FAMILIES = {
    "bender",
    "blockwise",
    "darts",
    "enas",
    "ofa",
    "proxyless",
    "sandwich",
    "singlepath",
    "smash",
    "spos",
}
"""Strategies whose steps are their own; those of others are made of the parts of these."""

OF_FAMILIES = {a_task_of_two_passes_sees_one_network, the_shares_of_a_batch_weigh_the_same}
"""Promises that the quick tests ask of `FAMILIES` alone: a step keeps them by how it runs the model."""


def asked():
    """Yield each promise with each pair, quick with a strategy's small model and all of `FULL`."""
    for case, model in PAIRS:
        small, variant = model == SMALL[case], case != CASES[case][0]
        for kept in PROMISES:
            full = case in FULL and model != "bender"
            quick = (small and full) if kept is training_learns else (small or full)
            quick = quick and (kept not in OF_FAMILIES or case in FAMILIES)
            name = f"{kept.__name__}-{case}-{model}"
            yield slow_unless(quick and not variant, kept, case, model, id=name)


@cache
def digits():
    return Digits().load().train


@cache
def strategy_case(case, model):
    """Return a strategy with a model, and what is measured of it once."""
    make = partial(strategy_class(case), **CASES[case][1])
    return StrategyCase(make, MODELS[model], digits(), optimizer(case))


def optimizer(case):
    if CASES[case][1].get("order") == 2:
        return partial(torch.optim.SGD, lr=0.05, momentum=0.9)
    return adam


def test_every_strategy_is_tested():
    tested = {name for name, _ in CASES.values()}
    assert tested == set(STRATEGIES), "CASES has a line for every strategy that is registered"


@pytest.mark.parametrize("case", CASES)
def test_it_is_a_strategy(case):
    strategy = strategy_class(case)(**CASES[case][1])
    assert isinstance(strategy, Strategy)
    assert strategy.batch_norm in ("batch", "recalibrate")


@pytest.mark.parametrize(("kept", "case", "model"), [*asked()])
def test_what_is_promised(kept, case, model):
    kept(strategy_case(case, model))


@pytest.mark.parametrize(("case", "model"), REFUSED)
def test_spaces_that_do_not_fit_are_refused(case, model):
    of_pair = strategy_case(case, model)
    with pytest.raises(ConfigError, match=r"cannot relax decision '|no decision has an option"):
        of_pair.strategy(of_pair.supernet())


QUICK_REGRESSION = {"alphanet", "spos"}
"""Strategies with which the quick tests see a regression task through: one refuses it, one learns it."""


class Balance(Task):
    """Regression: how much more ink the left half of an image has."""

    def loss(self, model, batch):
        return self.measure(model, batch)["loss"].mean()

    def measure(self, model, batch):
        inputs, targets = batch
        return {"loss": (model(inputs).squeeze(1) - targets) ** 2}


def balanced(case, steps):
    """Train a regression for a while; return the mean loss at the start and at the end."""
    model = partial(MODELS[SMALL[case]], outputs=1)
    of_pair = StrategyCase(strategy_case(case, SMALL[case]).make, model, digits(), optimizer(case))
    images = of_pair.inputs
    balance = 5 * (images[..., :4] - images[..., 4:]).mean((1, 2, 3))
    return trained(of_pair, Balance(), balance, steps)


OF_TASK = [case for case in CASES if strategy_class(case).of_task]


@pytest.mark.parametrize("case", [slow_unless(case in QUICK_REGRESSION, case) for case in OF_TASK])
def test_a_regression_task_learns(case):
    if issubclass(strategy_class(case), AlphaNet):
        with pytest.raises(ConfigError, match="compares probabilities of classes, but Balance"):
            balanced(case, 100)
        return
    first, last = balanced(case, 100)
    assert last < 0.8 * first


@pytest.mark.parametrize(
    "case", [n for n in CASES if n in STRATEGIES and n not in QUICK_REGRESSION]
)
def test_a_regression_task_trains(case):
    """A few steps of what the long tests see through."""
    assert all(map(math.isfinite, balanced(case, 3)))


@pytest.mark.parametrize(("case", "model"), [pair for pair in PAIRS if coupled(pair[0])])
def test_architecture_parameters_that_are_not_finite_are_reported(case, model):
    of_pair = strategy_case(case, model)
    for value in (math.nan, math.inf):
        strategy = of_pair.strategy(of_pair.supernet())
        label = list(strategy.alphas)[-1]
        with torch.no_grad():
            strategy.alphas[label][0] = value
        with pytest.raises(DivergedError, match=f"{label!r}"):
            strategy.metrics()
