"""What every strategy must do, on small models of one's own and on a space of the zoo.

Strategies that learn the architecture change in every step. What is said of a step then holds of a
fresh strategy; and where the weights' gradients are compared, the architecture's parameters rest.
"""

import importlib
import io
import math
import random

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from supernet.choice import Choice, InputChoice, Routing
from supernet.cost import measure_costs
from supernet.data import Digits, Examples, Loader, Normalise
from supernet.elastic import SuperKernel
from supernet.errors import ConfigError, DivergedError, RoutingError
from supernet.strategies import (
    STRATEGIES,
    Alpha,
    AlphaNet,
    Attentive,
    CostPenalty,
    Coupled,
    SinglePath,
    Strategy,
    TrainingContext,
)
from supernet.task import Classification, Task
from supernet.train import Moment, digest
from supernet.zoo import Bender

EARLY = Alpha(1e-3, (0.0, 0.999), weight_decay=0.0)

CASES = {
    "alphanet": ("alphanet", {}),
    "alphanet that is attentive": ("alphanet", {"paths": 3, "attention": Attentive(2)}),
    "attentivenas": ("attentivenas", {}),
    "attentivenas of the worst": ("attentivenas", {"attention": Attentive(2, "worst")}),
    "bender": ("bender", {"vanish": 0.4, "ghost_size": 16}),
    "betadarts": ("betadarts", {}),
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

STEPS = 12


class Tiny(nn.Module):
    """Two choices of operations after a choice of inputs; every option that runs is used."""

    def __init__(self, outputs=10):
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.join = InputChoice({"fine": conv(8, 1), "coarse": conv(8, 1)}, pick=(1, 2))
        self.first = Choice({"conv3": conv(8, 3), "conv5": conv(8, 5), "skip": nn.Identity()})
        self.second = Choice({"conv3": conv(8, 3), "pool": nn.AvgPool2d(3, 1, 1)}, pick=(1, 2))
        self.head = nn.Linear(8, outputs)

    def forward(self, images):
        fine = self.stem(images)
        coarse = F.interpolate(F.avg_pool2d(fine, 2), scale_factor=2)
        return self.head(self.second(self.first(self.join([fine, coarse]))).mean((2, 3)))


def conv(channels, kernel):
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, 8, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(8),
    )


class Nested(nn.Module):
    """Decisions with one answer each: one lies in an option of another, two places share one."""

    def __init__(self, outputs=10):
        super().__init__()
        inner = Choice({"conv1": conv(8, 1), "conv3": conv(8, 3)}, label="inner")
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.outer = Choice({"deep": nn.Sequential(conv(8, 3), inner), "flat": conv(8, 5)})
        self.twice = nn.Sequential(
            *(Choice({"conv": conv(8, 3), "skip": nn.Identity()}, label="twice") for _ in "ab")
        )
        self.head = nn.Linear(8, outputs)

    def forward(self, images):
        return self.head(self.twice(self.outer(self.stem(images))).mean((2, 3)))


class Kernels(nn.Module):
    """Superkernels, one of which can be left out."""

    def __init__(self, outputs=10):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.layers = nn.Sequential(SuperKernel(4, 6, stride=2), SuperKernel(6, 6))
        self.head = nn.Linear(6, outputs)

    def forward(self, images):
        return self.head(self.layers(self.stem(images)).mean((2, 3)))


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


def marked(case, *model):
    """Return a case, left to the long tests if it is a variant of another or has the large model."""
    variant = case != CASES[case][0]
    large = "bender" in model and case not in ("bender", "darts", "spos")
    return pytest.param(case, *model, marks=[pytest.mark.slow] if variant or large else [])


def pytest_generate_tests(metafunc):
    if "make_supernet" in metafunc.fixturenames:
        metafunc.parametrize(("case", "model"), [marked(*pair) for pair in PAIRS])
    elif "make_strategy" in metafunc.fixturenames:
        metafunc.parametrize("case", [marked(case) for case in CASES])


@pytest.fixture
def make_strategy(case, digits):
    """Return a function that makes a strategy, ready for a supernet."""

    def make(supernet, optimizer=None, examples=None, seed=4):
        strategy = strategy_class(case)(**CASES[case][1])
        strategy.prepare(supernet, setting(supernet, examples or digits, seed))
        strategy.start(optimizer or torch.optim.SGD(supernet.parameters(), lr=0.05))
        return strategy

    return make


@pytest.fixture
def make_supernet(case, model):
    def make():
        torch.manual_seed(0)
        return built(case, MODELS[model]()).train()

    return make


def built(case, model):
    return strategy_class(case)(**CASES[case][1]).build(model)


def setting(supernet, examples, seed=4):
    """Return what a run tells; the search split is the last 200 examples."""
    inputs, targets = (tensor[-200:] for tensor in examples)
    loader = Loader(Examples(inputs, targets), 16, seed, purpose="search")
    return TrainingContext(seed, measure_costs(supernet, inputs[:1]), search=loader)


@pytest.fixture(scope="module")
def digits():
    examples = Digits().load().train
    return Normalise.of(examples)(examples.inputs), examples.targets


@pytest.fixture
def batch(digits):
    return digits[0][:32], digits[1][:32]


def moments(seed=4):
    return [Moment(step, STEPS, seed) for step in range(STEPS)]


def learns(case):
    return strategy_class(case).learned is not Strategy.learned


def resting(strategy):
    """Return the strategy; it learns no architecture any more."""
    if isinstance(strategy, Coupled):
        strategy.rests = lambda moment: True
    if isinstance(strategy, SinglePath):  # its cost is a function of the weights
        strategy.weight = 0.0
    return strategy


def gradients(supernet):
    found = {name: parameter.grad for name, parameter in supernet.named_parameters()}
    supernet.zero_grad(set_to_none=True)
    return found


def same(first, second):
    return first.keys() == second.keys() and all(
        (first[name] is None and second[name] is None)
        or (
            first[name] is not None
            and second[name] is not None
            and torch.equal(first[name], second[name])
        )
        for name in first
    )


def owners(supernet):
    """Return the modules that hold parameters of their own."""
    return [module for module in supernet.modules() if list(module.parameters(recurse=False))]


def replaced(supernet):
    """Return the parameters that are never used, since others are generated in their place."""
    return set(supernet.generated(Routing.masked(supernet.space, {})))


class Watch(Classification):
    """Records the modules that run on a batch, and those whose output a gradient comes back to."""

    def __init__(self, supernet, batch):
        super().__init__()
        self.batch, self.on = batch, False
        self.ran, self.reached = set(), set()
        for module in owners(supernet):
            module.register_forward_hook(self._after)

    def loss(self, model, batch):
        self.on = batch is self.batch
        return super().loss(model, batch)

    def _after(self, module, _, output):
        if self.on:
            self.ran.add(module)
            if output.requires_grad:
                output.register_hook(lambda _: self.reached.add(module))


def test_every_strategy_is_tested():
    assert {name for name, _ in CASES.values()} == set(STRATEGIES)


@pytest.mark.parametrize("case", CASES)
def test_it_is_a_strategy(case):
    strategy = strategy_class(case)(**CASES[case][1])
    assert isinstance(strategy, Strategy)
    assert strategy.batch_norm in ("batch", "recalibrate")


@pytest.mark.parametrize(("case", "model"), REFUSED)
def test_spaces_that_do_not_fit_are_refused(case, model, digits):
    supernet = built(case, MODELS[model]())
    with pytest.raises(ConfigError, match=r"cannot relax decision '|no decision has an option"):
        strategy_class(case)(**CASES[case][1]).prepare(supernet, setting(supernet, digits))


def test_the_loss_is_a_finite_detached_scalar(make_strategy, make_supernet, batch):
    supernet = make_supernet()
    strategy = make_strategy(supernet)
    for moment in moments():
        loss = strategy.backward(supernet, Classification(), batch, moment)
        assert loss.shape == ()
        assert loss.isfinite()
        assert not loss.requires_grad
        assert 0.5 < loss < 20  # a mean over the batch, near log 10 before training


def test_used_parameters_have_gradients_and_others_none(make_strategy, make_supernet, batch):
    for moment in moments():
        supernet = make_supernet()
        watch = Watch(supernet, batch)
        make_strategy(supernet).backward(supernet, watch, batch, moment)
        assert watch.reached
        unused = replaced(supernet)
        for module in owners(supernet):
            for parameter in module.parameters(recurse=False):
                reached = module in watch.reached and parameter not in unused
                assert (parameter.grad is not None) == reached
                assert parameter.grad is None or module in watch.ran
                assert parameter.grad is None or parameter.grad.isfinite().all()


def test_every_parameter_is_used_sooner_or_later(make_strategy, make_supernet, batch):
    supernet = make_supernet()
    strategy = make_strategy(supernet)
    for step in range(60):
        strategy.backward(supernet, Classification(), batch, Moment(step, 60, 4))
    unused = {p for p in supernet.parameters() if p.grad is None}
    assert unused == replaced(supernet)


def test_unused_parameters_do_not_move(make_strategy, make_supernet, batch):
    supernet = make_supernet()
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    strategy = make_strategy(supernet, optimizer)
    for parameter in supernet.parameters():  # momentum that would move every parameter
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    for moment in moments():
        before = {name: value.detach().clone() for name, value in supernet.named_parameters()}
        strategy.backward(supernet, Classification(), batch, moment)
        used = {name for name, value in supernet.named_parameters() if value.grad is not None}
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        moved = {
            name
            for name, value in supernet.named_parameters()
            if not torch.equal(value, before[name])
        }
        assert moved == used


def test_the_result_is_a_function_of_seed_and_step(case, make_strategy, make_supernet, batch):
    def run(order, seed=4, state=0):
        supernet, found = make_supernet(), {}
        strategy = make_strategy(supernet, seed=seed)
        for step in order:
            torch.manual_seed(state + step)
            random.seed(state + step)
            moment = Moment(step, STEPS, seed)
            loss = strategy.backward(supernet, Classification(), batch, moment)
            found[step] = {**gradients(supernet), "loss": loss}
        return found

    expected = run(range(STEPS))
    others = [run(range(STEPS), state=77)]
    if not learns(case):
        others += [run(reversed(range(STEPS))), run([3])]
    for other in others:
        assert all(same(other[step], expected[step]) for step in other)
    another = run(range(STEPS), seed=5)
    assert not all(same(another[step], expected[step]) for step in expected)
    assert not all(same(expected[step], expected[STEPS - 1]) for step in range(STEPS - 1))


def test_gradients_are_added_to_those_that_are_there(make_strategy, make_supernet, batch):
    supernet, moment = make_supernet(), moments()[-1]
    resting(make_strategy(supernet)).backward(supernet, Classification(), batch, moment)
    once = gradients(supernet)
    for _ in range(2):
        resting(make_strategy(supernet)).backward(supernet, Classification(), batch, moment)
    for name, grad in gradients(supernet).items():
        assert (grad is None) == (once[name] is None)
        if grad is not None:
            torch.testing.assert_close(grad, 2 * once[name])


class Failing(Task):
    def loss(self, model, batch):
        model(batch[0])
        raise KeyError("the user's task")

    def measure(self, model, batch):
        raise NotImplementedError


def test_no_route_outlives_the_step(make_strategy, make_supernet, batch):
    supernet = make_supernet()
    strategy = make_strategy(supernet)
    strategy.backward(supernet, Classification(), batch, moments()[3])
    for learner in (strategy, resting(strategy)):
        with pytest.raises(KeyError, match="the user's task"):
            learner.backward(supernet, Failing(), batch, moments()[4])
        assert all(choice.gate is None for choice in supernet.choices)
        with pytest.raises(RoutingError):
            supernet(batch[0])
        assert all(module.training for module in supernet.modules())
        assert all(getattr(module, "track_running_stats", True) for module in supernet.modules())


def train(strategy, supernet, optimizer, task, inputs, targets, steps=100):
    """Train through the first tenth of a long run; return the mean loss at its start and end."""
    losses = []
    for step in range(steps):
        part = slice(32 * (step % 40), 32 * (step % 40) + 32)
        moment = Moment(step, 10 * steps, 4)
        losses.append(strategy.backward(supernet, task, (inputs[part], targets[part]), moment))
        nn.utils.clip_grad_norm_(supernet.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return torch.stack(losses[:10]).mean(), torch.stack(losses[-10:]).mean()


def make_optimizer(case, supernet):
    if CASES[case][1].get("order") == 2:
        return torch.optim.SGD(supernet.parameters(), lr=0.05, momentum=0.9)
    return torch.optim.Adam(supernet.parameters(), lr=0.03)


def test_training_learns(case, make_strategy, make_supernet, digits):
    supernet = make_supernet()
    optimizer = make_optimizer(case, supernet)
    strategy = make_strategy(supernet, optimizer)
    first, last = train(strategy, supernet, optimizer, Classification(), *digits)
    assert last < 0.9 * first


class Consistency(Classification):
    """Two passes of one loss, which see the same network: their outputs are equal."""

    def loss(self, model, batch):
        inputs, targets = batch
        first, second = model(inputs), model(inputs)
        self.difference = (first - second).abs().max()
        return F.cross_entropy(first, targets) + F.cross_entropy(second, targets)


def test_a_task_of_two_passes_sees_one_network(make_strategy, make_supernet, batch):
    supernet, task = make_supernet(), Consistency()
    strategy = make_strategy(supernet)
    for moment in moments():
        strategy.backward(supernet, task, batch, moment)
        assert task.difference == 0
        gradients(supernet)
        double = resting(make_strategy(supernet)).backward(supernet, task, batch, moment)
        assert task.difference == 0
        twice = gradients(supernet)
        same_step = resting(make_strategy(supernet))
        single = same_step.backward(supernet, Classification(), batch, moment)
        torch.testing.assert_close(double, 2 * single)
        for name, grad in gradients(supernet).items():
            assert (grad is None) == (twice[name] is None)
            if grad is not None:
                torch.testing.assert_close(twice[name], 2 * grad, rtol=1e-3, atol=1e-5)


class Balance(Task):
    """Regression: how much more ink the left half of an image has."""

    def loss(self, model, batch):
        return self.measure(model, batch)["loss"].mean()

    def measure(self, model, batch):
        inputs, targets = batch
        return {"loss": (model(inputs).squeeze(1) - targets) ** 2}


def test_a_regression_task_learns(case, make_strategy, digits):
    torch.manual_seed(0)
    images, _ = digits
    balance = 5 * (images[..., :4] - images[..., 4:]).mean((1, 2, 3))
    supernet = built(case, MODELS[next(m for m in MODELS if fits(case, m))](outputs=1))
    optimizer = make_optimizer(case, supernet)
    strategy = make_strategy(supernet, optimizer, (images, balance))
    if isinstance(strategy, AlphaNet):
        with pytest.raises(ConfigError, match="compares probabilities of classes, but Balance"):
            train(strategy, supernet, optimizer, Balance(), images, balance)
        return
    first, last = train(strategy, supernet, optimizer, Balance(), images, balance)
    assert last < 0.8 * first


def test_the_shares_of_a_batch_weigh_the_same(make_strategy, make_supernet, digits):
    """A batch whose size no ghost batch divides; the loss stays the mean over all images."""
    supernet = make_supernet()
    strategy = resting(make_strategy(supernet))
    batch = digits[0][:37], digits[1][:37]

    class Seen(Classification):
        def __init__(self):
            super().__init__()
            self.losses = []

        def loss(self, model, batch):
            logits = model(batch[0])
            if not torch.is_grad_enabled():  # a look ahead, or a teacher
                return F.cross_entropy(logits, batch[1])
            picked = logits.detach().double().log_softmax(1)[torch.arange(37), batch[1]]
            self.losses.append(-picked.mean().item())
            return F.cross_entropy(logits, batch[1])

    for moment in moments():
        task = Seen()
        loss = strategy.backward(supernet, task, batch, moment)
        mean = sum(task.losses) / len(task.losses)
        assert loss.item() == pytest.approx(mean, rel=1e-4)


def test_it_continues_from_its_state_to_the_same_bits(case, make_strategy, make_supernet, batch):
    def run(strategy, supernet, optimizer, steps):
        for step in steps:
            moment = Moment(step, STEPS, 4)
            losses.append(strategy.backward(supernet, Classification(), batch, moment))
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    losses, results = [], []
    supernet = make_supernet()
    optimizer = make_optimizer(case, supernet)
    strategy = make_strategy(supernet, optimizer)
    run(strategy, supernet, optimizer, range(STEPS // 2))
    file = io.BytesIO()
    parts = strategy, supernet, optimizer
    torch.save([part.state_dict() for part in parts], file)
    for again in (False, True):
        if again:
            file.seek(0)
            supernet = make_supernet()
            optimizer = make_optimizer(case, supernet)
            strategy = make_strategy(supernet, optimizer)
            parts = strategy, supernet, optimizer
            for part, state in zip(parts, torch.load(file, weights_only=True), strict=True):
                part.load_state_dict(state)
        losses.clear()
        run(strategy, supernet, optimizer, range(STEPS // 2, STEPS))
        states = [digest(part.state_dict()) for part in parts]
        learned = strategy.learned(supernet)
        results.append(([loss.item() for loss in losses], states, strategy.metrics(), learned))
    assert results[0] == results[1]


def test_what_it_learned_is_in_the_space_and_its_metrics_are_numbers(
    case, make_strategy, make_supernet, batch
):
    supernet = make_supernet()
    strategy = make_strategy(supernet)
    for moment in moments():
        strategy.backward(supernet, Classification(), batch, moment)
    learned = strategy.learned(supernet)
    assert bool(learned) == learns(case)
    assert all(architecture in supernet.space for architecture in learned)
    assert all(math.isfinite(value) for value in strategy.metrics().values())
    assert all(isinstance(text, str) for text in strategy.warnings())


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(("case", "model"), [pair for pair in PAIRS if coupled(pair[0])])
def test_architecture_parameters_that_are_not_finite_are_reported(value, case, model, digits):
    supernet = built(case, MODELS[model]())
    strategy = strategy_class(case)(**CASES[case][1])
    strategy.prepare(supernet, setting(supernet, digits))
    label = list(strategy.alphas)[-1]
    with torch.no_grad():
        strategy.alphas[label][0] = value
    with pytest.raises(DivergedError, match=f"{label!r}"):
        strategy.metrics()
