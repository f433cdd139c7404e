"""Averaged weights beside a plain computation of every step."""

import pytest
import torch
from torch import nn

from supernet.choice import Choice
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.strategies import SPOS
from supernet.task import Classification
from supernet.train import Fit

STEPS = 23


def make_model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SuperNet(
            nn.Sequential(
                nn.Flatten(),
                nn.Linear(108, 8),
                nn.BatchNorm1d(8),
                Choice({"a": nn.Linear(8, 8), "b": nn.Linear(8, 8), "skip": nn.Identity()}),
                nn.Linear(8, 4),
            ).double()
        )


def fit(model, loader, **changes):
    options = {"schedule": "constant", "warmup": 0.0, "clip": None, "log_every": 5}
    options |= {"steps": STEPS, "checkpoint_seconds": 1e9, "seed": 5, **changes}
    optimizer = changes.pop("optimizer", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9))
    Fit(optimizer=optimizer, **options).run(model, SPOS(), Classification(), loader)


def plain_averages(history, decay):
    """The average after each step, of all weights in every step; the first weights are `history[0]`."""
    averages = [history[0]]
    for t, now in enumerate(history[1:], 1):
        d = min(decay, (1 + t) / (10 + t))
        averages.append({name: d * averages[-1][name] + (1 - d) * now[name] for name in now})
    return averages


def parameters(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("decay", [0.05, 0.5, 0.9, 0.99])
def test_the_model_ends_as_the_average_of_all_steps(make_loader, decay):
    loader, model = make_loader(augment=None, double=True), make_model()
    history, shown = [parameters(model)], {}
    fit(model, loader, advance=lambda: history.append(parameters(model)))
    assert parameters(model).keys() == history[-1].keys()
    averages = plain_averages(history, decay)

    averaged, steps = make_model(), []

    def look(step):
        shown[step] = parameters(averaged)
        return {"seen": step}

    records = []
    calls = {"advance": lambda: steps.append(parameters(averaged)), "log": records.append}
    fit(averaged, loader, ema=decay, look=look, **calls)
    for name, value in parameters(averaged).items():
        torch.testing.assert_close(value, averages[-1][name], rtol=1e-12, atol=1e-12)
    # Training itself goes on from the weights, and who looks sees the average.
    for name in history[-1]:
        assert all(torch.equal(a[name], b[name]) for a, b in zip(steps, history[1:], strict=True))
        for step, values in shown.items():
            torch.testing.assert_close(values[name], averages[step][name], rtol=1e-12, atol=1e-12)
    assert sorted(shown) == [0, 5, 10, 15, 20, 23]
    assert [record["seen"] for record in records] == [5, 10, 15, 20, 23]
    # Batch norm keeps the statistics of the last step: they are no weights.
    assert torch.equal(
        model.state_dict()["model.2.running_mean"], averaged.state_dict()["model.2.running_mean"]
    )


def test_parameters_that_never_move_stay_as_they_are(make_loader):
    model = make_model()
    frozen = model.get_parameter("model.1.weight").requires_grad_(False)
    before = frozen.clone()
    fit(model, make_loader(augment=None, double=True), ema=0.9)
    assert torch.equal(frozen, before)


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.1, float("nan")])
def test_a_decay_out_of_range_is_refused(make_loader, decay):
    with pytest.raises(ConfigError, match=r"decay of a moving average, in \(0, 1\)"):
        fit(make_model(), make_loader(augment=None, double=True), ema=decay)
