"""Each promise of a strategy is found broken where it is broken, and named."""

from __future__ import annotations

import inspect
import random

import pytest
import torch

from supernet.data import Digits
from supernet.space import Architecture
from supernet.strategies import DARTS, SPOS
from supernet.testing import check_strategy
from supernet.testing.models import Nested
from supernet.testing.promises import text
from supernet.testing.strategies import PROMISES
from supernet.testing.strategy_case import StrategyCase
from supernet.testing.strategy_gradients import a_task_of_two_passes_sees_one_network
from supernet.train import Moment


class Detached(SPOS):
    def backward(self, model, task, batch, moment):
        super().backward(model, task, batch, moment)
        with model.route(self.draw(model.space, moment.stream("path"))):
            return task.loss(model, batch)


class Summed(SPOS):
    """Returns a sum over the batch."""

    def backward(self, model, task, batch, moment):
        return super().backward(model, task, batch, moment) * len(batch[0])


class Filling(SPOS):
    """Gives a gradient to options that are not used."""

    def backward(self, model, task, batch, moment):
        loss = super().backward(model, task, batch, moment)
        for parameter in model.parameters():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        return loss


class One(SPOS):
    """Trains one of two architectures only."""

    def draw(self, space, random):
        return space[random.randrange(2)]


class Moving(SPOS):
    """Moves a weight by itself."""

    def backward(self, model, task, batch, moment):
        loss = super().backward(model, task, batch, moment)
        with torch.no_grad():
            next(model.parameters()).mul_(0.99)
        return loss


class Drawing(SPOS):
    """Draws from the global random state."""

    def draw(self, space, _):
        return space.sample(random)


class Counting(SPOS):
    """Draws by the steps that it saw, not by the step that it is told."""

    seen = 0

    def backward(self, model, task, batch, moment):
        self.seen += 1
        return super().backward(model, task, batch, Moment(self.seen, moment.steps, moment.seed))


class Unseeded(SPOS):
    """Draws the same for every seed."""

    def backward(self, model, task, batch, moment):
        return super().backward(model, task, batch, Moment(moment.step, moment.steps, 0))


class Overwriting(SPOS):
    """Forgets the gradients that were there."""

    def backward(self, model, task, batch, moment):
        model.zero_grad(set_to_none=True)
        return super().backward(model, task, batch, moment)


class Leaving(SPOS):
    """Leaves its route behind when a task fails."""

    def backward(self, model, task, batch, moment):
        self.route = model.route(self.draw(model.space, moment.stream("path")))
        self.route.__enter__()
        loss = task.loss(model, batch)
        loss.backward()
        self.route.__exit__(None, None, None)
        return loss.detach()


class Halved(SPOS):
    """Weighs two shares of a batch alike, whatever their sizes."""

    def backward(self, model, task, batch, moment):
        loss = super().backward(model, task, batch, moment)
        return loss * (1.01 if len(batch[0]) % 2 else 1.0)


class Forgetting(SPOS):
    """Learns a number that its state lacks."""

    weight = 1.0

    def backward(self, model, task, batch, moment):
        loss = super().backward(model, task, batch, moment)
        self.weight = 0.9 * self.weight + 0.1 * loss.item()
        return loss

    def metrics(self):
        return {"weight": self.weight}


class Stateful(Forgetting):
    """Has a state that only pickle reads."""

    def state_dict(self):
        return {"strategy": self.draw}


class Strange(SPOS):
    """Learns an architecture of another space."""

    def learned(self, supernet):
        return [Architecture({"other": "option"})]


class Endless(SPOS):
    """Has a metric that is no number."""

    def metrics(self):
        return {"entropy": float("nan")}


class Raising(SPOS):
    """Is wrong in a way that no promise speaks of."""

    def backward(self, model, task, batch, moment):
        return super().backward(model, task, batch, moment)[3]


class Late(SPOS):
    """Notices something in the ninth step, and forgets it when it is restored."""

    noticed = 0.0

    def backward(self, model, task, batch, moment):
        self.noticed = 1.0 if moment.step == 8 else self.noticed
        return super().backward(model, task, batch, moment)

    def metrics(self):
        return {"noticed": self.noticed}


class Unlearned(DARTS):
    """Mixes options by weights that no gradient reaches."""

    def routing(self, model, moment):
        noise = 1.0 + moment.stream("noise").random()
        return self.soft({label: noise * p.detach() for label, p in self.probabilities().items()})


class Uphill(SPOS):
    """Goes up the gradient."""

    def backward(self, model, task, batch, moment):
        before = {name: parameter.grad for name, parameter in model.named_parameters()}
        model.zero_grad(set_to_none=True)
        loss = super().backward(model, task, batch, moment)
        for name, parameter in model.named_parameters():
            kept, own = before[name], parameter.grad
            if kept is None or own is None:
                parameter.grad = kept if own is None else -own
            else:
                parameter.grad = kept - own
        return loss


FAULTS = {
    Detached: ("The loss of a step", "requires a gradient"),
    Summed: ("The loss of a step", "a loss between"),
    Filling: ("Parameters that a step uses", "None for .* not used.*a gradient of norm 0"),
    One: ("Every parameter has a gradient sooner", "after 60 steps. Seen: none of"),
    Moving: ("A step moves no parameter itself", "others of {'model.stem.weight'}"),
    Drawing: ("A step is a function", "under another global random state"),
    Counting: ("A step is a function", "in another order"),
    Unseeded: ("A step is a function", "for another seed"),
    Overwriting: ("Gradients are added", "twice the gradient of"),
    Leaving: ("No route outlives the step", "gates of [0-9] choices"),
    Halved: ("The loss is the mean over all examples", "the loss "),
    Forgetting: ("continues to the same bits", "the metrics {'weight'"),
    Stateful: ("continues to the same bits", "a state of tensors and plain values"),
    Strange: ("What it learned lies in the space", "architectures of the space"),
    Endless: ("What it learned lies in the space", "the metric 'entropy'. Seen: nan"),
    Late: ("continues to the same bits", "the metrics .* before step 9"),
    Raising: ("The loss of a step", "It raised IndexError: "),
    Unlearned: ("Architecture parameters, where it learns any, follow", "on other targets"),
    Uphill: ("Training with it lowers the loss", "after 100 steps"),
}


@pytest.mark.quick_with("Detached", "Summed", "Filling")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_what_is_broken_is_named(fault):
    promise, seen = FAULTS[fault]
    with pytest.raises(
        AssertionError, match=f"{fault.__name__} breaks a promise. .*{promise}"
    ) as at:
        check_strategy(fault)
    at.match(f"(?s){seen}")


class Later(SPOS):
    """Runs another network in the second pass of a task."""

    def backward(self, model, task, batch, moment):
        passes = []

        def other(inputs):
            passes.append(inputs)
            return model(inputs, model.space[len(passes) - 1])

        loss = task.loss(other, batch)
        loss.backward()
        return loss.detach()


def test_passes_of_one_task_that_differ_are_named():
    case = StrategyCase(Later, Nested, Digits().load().train)
    with pytest.raises(
        AssertionError, match=r"Later breaks .* one network. Expected: equal outputs"
    ):
        a_task_of_two_passes_sees_one_network(case)


def test_what_keeps_all_promises_passes():
    check_strategy(SPOS(), Nested())


def test_what_is_no_strategy_is_refused():
    with pytest.raises(TypeError, match=r"a Strategy is checked, .* not a str"):
        check_strategy("spos")
    with pytest.raises(TypeError, match="a Module is checked"):
        check_strategy(SPOS, 3)


def test_the_docstring_lists_all_promises():
    listed = " ".join(inspect.getdoc(check_strategy).split())
    assert all(f"* {text(kept)}" in listed for kept in PROMISES)
    assert listed.count("* ") == len(PROMISES)
