"""What every strategy must do, on a small model of one's own and on a space of the zoo."""

import importlib
import random

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from supernet.data import Digits, Normalise
from supernet.errors import RoutingError
from supernet.net import Choice, InputChoice, SuperNet
from supernet.strategies import STRATEGIES, Strategy
from supernet.task import Classification, Task
from supernet.train import Moment
from supernet.zoo import Bender

ARGUMENTS = {
    "bender": {"vanish": 0.4, "ghost_size": 16},
    "fairnas": {},
    "randomnas": {},
    "spos": {},
}
"""By strategy; one that is missing here fails."""

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


MODELS = {
    "tiny": Tiny,
    "bender": lambda: Bender((1, 8, 8), channels=4, groups=(1, 1), blocks=2, affine=True),
}


@pytest.fixture(params=STRATEGIES)
def make_strategy(request):
    module, _, name = STRATEGIES[request.param].rpartition(".")
    kind = getattr(importlib.import_module(module), name)
    return lambda: kind(**ARGUMENTS[request.param])


@pytest.fixture(params=MODELS)
def make_supernet(request):
    def make():
        torch.manual_seed(0)
        return SuperNet(MODELS[request.param]()).train()

    return make


@pytest.fixture(scope="module")
def digits():
    examples = Digits().load().train
    return Normalise.of(examples)(examples.inputs), examples.targets


@pytest.fixture
def batch(digits):
    return digits[0][:32], digits[1][:32]


def moments(seed=4):
    return [Moment(step, STEPS, seed) for step in range(STEPS)]


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


class Watch:
    """Records the modules that run, and those whose output a gradient comes back to."""

    def __init__(self, supernet):
        self.ran, self.reached = set(), set()
        for module in owners(supernet):
            module.register_forward_hook(self._after)

    def _after(self, module, _, output):
        self.ran.add(module)
        if output.requires_grad:
            output.register_hook(lambda _: self.reached.add(module))


def test_it_is_a_strategy(make_strategy):
    strategy = make_strategy()
    assert isinstance(strategy, Strategy)
    assert strategy.batch_norm in ("batch", "recalibrate")


def test_the_loss_is_a_finite_detached_scalar(make_strategy, make_supernet, batch):
    strategy, supernet = make_strategy(), make_supernet()
    for moment in moments():
        loss = strategy.backward(supernet, Classification(), batch, moment)
        assert loss.shape == ()
        assert loss.isfinite()
        assert not loss.requires_grad
        assert 0.5 < loss < 20  # a mean over the batch, near log 10 before training


def test_used_parameters_have_gradients_and_others_none(make_strategy, make_supernet, batch):
    strategy = make_strategy()
    for moment in moments():
        supernet = make_supernet()
        watch = Watch(supernet)
        strategy.backward(supernet, Classification(), batch, moment)
        assert watch.reached
        for module in owners(supernet):
            for parameter in module.parameters(recurse=False):
                assert (parameter.grad is not None) == (module in watch.reached)
                assert parameter.grad is None or module in watch.ran
                assert parameter.grad is None or parameter.grad.isfinite().all()


def test_every_parameter_is_used_sooner_or_later(make_strategy, make_supernet, batch):
    strategy, supernet = make_strategy(), make_supernet()
    for step in range(60):
        strategy.backward(supernet, Classification(), batch, Moment(step, 60, 4))
    assert [name for name, grad in gradients(supernet).items() if grad is None] == []


def test_unused_parameters_do_not_move(make_strategy, make_supernet, batch):
    strategy, supernet = make_strategy(), make_supernet()
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
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


def test_the_result_is_a_function_of_seed_and_step(make_strategy, make_supernet, batch):
    def run(order, seed=4):
        strategy, supernet, found = make_strategy(), make_supernet(), {}
        for step in order:
            torch.manual_seed(step)
            random.seed(step)
            moment = Moment(step, STEPS, seed)
            loss = strategy.backward(supernet, Classification(), batch, moment)
            found[step] = {**gradients(supernet), "loss": loss}
        return found

    expected = run(range(STEPS))
    for other in (run(range(STEPS)), run(reversed(range(STEPS))), run([3])):
        assert all(same(other[step], expected[step]) for step in other)
    another = run(range(STEPS), seed=5)
    assert not all(same(another[step], expected[step]) for step in expected)
    assert not all(same(expected[step], expected[STEPS - 1]) for step in range(STEPS - 1))


def test_gradients_are_added_to_those_that_are_there(make_strategy, make_supernet, batch):
    strategy, supernet = make_strategy(), make_supernet()
    moment = moments()[-1]
    strategy.backward(supernet, Classification(), batch, moment)
    once = gradients(supernet)
    for _ in range(2):
        strategy.backward(supernet, Classification(), batch, moment)
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
    strategy, supernet = make_strategy(), make_supernet()
    strategy.backward(supernet, Classification(), batch, moments()[3])
    with pytest.raises(KeyError, match="the user's task"):
        strategy.backward(supernet, Failing(), batch, moments()[4])
    assert all(choice.gate is None for choice in supernet.choices)
    with pytest.raises(RoutingError):
        supernet(batch[0])
    assert all(module.training for module in supernet.modules())


def train(strategy, supernet, task, inputs, targets, steps=100):
    """Train through the first tenth of a long run; return the mean loss at its start and end."""
    optimizer = torch.optim.Adam(supernet.parameters(), lr=0.03)
    losses = []
    for step in range(steps):
        part = slice(32 * (step % 50), 32 * (step % 50) + 32)
        moment = Moment(step, 10 * steps, 4)
        losses.append(strategy.backward(supernet, task, (inputs[part], targets[part]), moment))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return torch.stack(losses[:10]).mean(), torch.stack(losses[-10:]).mean()


def test_training_learns(make_strategy, make_supernet, digits):
    first, last = train(make_strategy(), make_supernet(), Classification(), *digits)
    assert last < 0.9 * first


class Consistency(Classification):
    """Two passes of one loss, which see the same network: their outputs are equal."""

    def loss(self, model, batch):
        inputs, targets = batch
        first, second = model(inputs), model(inputs)
        self.difference = (first - second).abs().max()
        return F.cross_entropy(first, targets) + F.cross_entropy(second, targets)


def test_a_task_of_two_passes_sees_one_network(make_strategy, make_supernet, batch):
    strategy, supernet, task = make_strategy(), make_supernet(), Consistency()
    for moment in moments():
        double = strategy.backward(supernet, task, batch, moment)
        assert task.difference == 0
        twice = gradients(supernet)
        single = strategy.backward(supernet, Classification(), batch, moment)
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


def test_a_regression_task_learns(make_strategy, digits):
    torch.manual_seed(0)
    images, _ = digits
    balance = 5 * (images[..., :4] - images[..., 4:]).mean((1, 2, 3))
    supernet = SuperNet(Tiny(outputs=1))
    first, last = train(make_strategy(), supernet, Balance(), images, balance)
    assert last < 0.8 * first


def test_the_shares_of_a_batch_weigh_the_same(make_strategy, make_supernet, digits):
    """A batch whose size no ghost batch divides; the loss stays the mean over all images."""
    strategy, supernet = make_strategy(), make_supernet()
    batch = digits[0][:37], digits[1][:37]

    class Seen(Classification):
        def __init__(self):
            super().__init__()
            self.losses = []

        def loss(self, model, batch):
            logits = model(batch[0])
            picked = logits.detach().double().log_softmax(1)[torch.arange(37), batch[1]]
            self.losses.append(-picked.mean().item())
            return F.cross_entropy(logits, batch[1])

    for moment in moments():
        task = Seen()
        loss = strategy.backward(supernet, task, batch, moment)
        mean = sum(task.losses) / len(task.losses)
        assert loss.item() == pytest.approx(mean, rel=1e-4)
