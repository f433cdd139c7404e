"""What is promised of the loss and the gradients of a step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from supernet.choice import Routing
from supernet.net import SuperNet
from supernet.task import Batch, Classification
from supernet.testing.promises import expect, promise, stirred
from supernet.testing.strategy_case import (
    SEED,
    STEPS,
    FirstSteps,
    Gradients,
    StrategyCase,
    gradients,
    learns,
    moments,
)
from supernet.train import Moment

__all__ = [
    "a_step_is_a_function_of_seed_and_step",
    "a_task_of_two_passes_sees_one_network",
    "every_parameter_is_used_sooner_or_later",
    "gradients_are_added",
    "the_loss_is_a_finite_detached_scalar",
    "the_shares_of_a_batch_weigh_the_same",
    "unused_parameters_do_not_move",
    "used_parameters_have_gradients_and_others_none",
]


def owners(supernet: nn.Module) -> list[nn.Module]:
    """Return the modules that hold parameters of their own."""
    return [module for module in supernet.modules() if list(module.parameters(recurse=False))]


def replaced(supernet: SuperNet) -> set[nn.Parameter]:
    """Return the parameters that are never used, since others are generated in their place."""
    return set(supernet.generated(Routing.masked(supernet.space, {})))


@promise
def the_loss_is_a_finite_detached_scalar(case: StrategyCase) -> None:
    """The loss of a step is a finite, detached scalar, the mean over the batch."""
    guess = math.log(len(case.examples.classes))  # the loss of a network that knows nothing
    for loss in case.first_steps.losses:
        expect(loss.shape == (), "a scalar", f"a loss of shape {list(loss.shape)}")
        expect(not loss.requires_grad, "a detached loss", "one that requires a gradient")
        low, high = guess / 4.6, guess * 8.6
        near = loss.isfinite() and (low < loss < high or not case.make().of_task)
        expect(near, f"a loss between {low:.3g} and {high:.3g} before training", loss.item())


class Watch(Classification):
    """Records the modules that run on a batch, and those whose output a gradient comes back to."""

    def __init__(self, supernet: SuperNet, batch: Batch) -> None:
        super().__init__()
        self.batch, self.on = batch, False
        self.ran: set[nn.Module] = set()
        self.reached: set[nn.Module] = set()
        for module in owners(supernet):
            module.register_forward_hook(self._after)

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        self.on = batch is self.batch
        return super().loss(model, batch)

    def _after(self, module: nn.Module, _: object, output: torch.Tensor) -> None:
        if self.on:
            self.ran.add(module)
            if output.requires_grad:
                output.register_hook(lambda _: self.reached.add(module))  # type: ignore[no-untyped-call]


@promise
def used_parameters_have_gradients_and_others_none(case: StrategyCase) -> None:
    """Parameters that a step uses have finite gradients, and all others the gradient None."""
    for moment in moments()[::2]:
        supernet, batch = case.supernet(), case.batch
        watch = Watch(supernet, batch)
        case.strategy(supernet).backward(supernet, watch, batch, moment)
        expect(watch.reached, "gradients", f"none in step {moment.step}")
        unused = replaced(supernet)
        names = {parameter: name for name, parameter in supernet.named_parameters()}
        for module in owners(supernet):
            for parameter in module.parameters(recurse=False):
                reached = module in watch.reached and parameter not in unused
                where = f"{names[parameter]} in step {moment.step}"
                if parameter.grad is None:
                    expect(not reached, f"a gradient of {where}, which is used", None)
                    continue
                expect(
                    reached and module in watch.ran,
                    f"None for {where}, which is not used",
                    f"a gradient of norm {float(parameter.grad.norm()):.3g}",
                )
                finite = parameter.grad.isfinite().all()
                expect(finite, f"finite gradients of {where}", "others")


@promise
def every_parameter_is_used_sooner_or_later(case: StrategyCase) -> None:
    """Every parameter has a gradient sooner or later."""
    if not case.make().of_task:
        return
    supernet, steps = case.supernet(), 60
    strategy, generated = case.strategy(supernet), replaced(supernet)
    never = [""]
    for step in range(steps):
        strategy.backward(supernet, Classification(), case.batch, Moment(step, steps, SEED))
        named = supernet.named_parameters()
        never = [name for name, p in named if p.grad is None and p not in generated]
        if not never:
            break
    expect(not never, f"gradients of all parameters after {steps} steps", f"none of {never}")
    made = [n for n, p in supernet.named_parameters() if p.grad is not None and p in generated]
    expect(not made, "None for parameters that others are generated for", f"gradients of {made}")


@promise
def unused_parameters_do_not_move(case: StrategyCase) -> None:
    """A step moves no parameter itself, and what the optimizer moves is what has a gradient."""
    supernet = case.supernet()
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    strategy = case.strategy(supernet, optimizer)
    for parameter in supernet.parameters():  # momentum that would move every parameter
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    for moment in moments()[::2]:
        before = {name: value.detach().clone() for name, value in supernet.named_parameters()}
        strategy.backward(supernet, Classification(), case.batch, moment)
        used = {name for name, value in supernet.named_parameters() if value.grad is not None}
        stirred_ones = _moved(supernet, before)
        expect(
            not stirred_ones, "weights as they were before the step", f"others of {stirred_ones}"
        )
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        moved = _moved(supernet, before)
        expect(moved == used, f"that {sorted(used)} move", f"that {sorted(moved)} do")


def _moved(supernet: SuperNet, before: dict[str, torch.Tensor]) -> set[str]:
    named = supernet.named_parameters()
    return {name for name, value in named if not torch.equal(value, before[name])}


@promise
def a_step_is_a_function_of_seed_and_step(case: StrategyCase) -> None:
    """A step is a function of weights, seed and step, not of the global random states."""

    def of_steps(found: FirstSteps, order: Iterable[int]) -> dict[int, Gradients]:
        taken = zip(order, found.gradients, found.losses, strict=True)
        return {step: {**left, "loss": loss} for step, left, loss in taken}

    def run(order: Sequence[int], seed: int = SEED, state: int = 0) -> dict[int, Gradients]:
        return of_steps(case.steps_of(order, seed, state), order)

    expected, few = of_steps(case.first_steps, range(STEPS)), range(STEPS // 3)
    _compare(expected, run(few, state=77), "under another global random state")
    if not learns(case.make()):
        _compare(expected, run([STEPS - 1, 6, 3]), "when the steps come in another order")
        _compare(expected, run([3]), "when it is the first step that is taken")
    another = run(
        range(STEPS), seed=SEED + 1
    )  # all: of few options the same may be drawn now and then
    other = [step for step in another if not _same(another[step], expected[step])]
    expect(other, "other gradients for another seed", "the same in every step")
    other = [step for step in expected if not _same(expected[step], expected[STEPS - 1])]
    expect(other, "gradients that differ from step to step", "the same in every step")


def _compare(expected: dict[int, Gradients], seen: dict[int, Gradients], when: str) -> None:
    for step, found in seen.items():
        expect(_same(found, expected[step]), f"the same gradients in step {step} {when}", "others")


def _same(first: Gradients, second: Gradients) -> bool:
    return first.keys() == second.keys() and all(
        (one is None and other is None)
        or (one is not None and other is not None and torch.equal(one, other))
        for one, other in ((first[name], second[name]) for name in first)
    )


@promise
def gradients_are_added(case: StrategyCase) -> None:
    """Gradients are added to those that are there."""
    supernet, moment = case.supernet(), moments()[-1]

    def add() -> None:
        with stirred(0):  # what depends on the global states breaks another promise
            case.resting(supernet).backward(supernet, Classification(), case.batch, moment)

    add()
    once = gradients(supernet)
    add()
    add()
    _twice(gradients(supernet), once)


def _twice(seen: Gradients, once: Gradients, **tolerance: float) -> None:
    """Raise unless gradients are two times those of one pass."""
    for name, grad in seen.items():
        single = once[name]
        expect((grad is None) == (single is None), f"{name} to be used in both", "only one")
        if grad is not None and single is not None:
            _close(grad, 2 * single, f"twice the gradient of {name}", **tolerance)


def _close(seen: torch.Tensor, wanted: torch.Tensor, what: str, **tolerance: float) -> None:
    try:
        torch.testing.assert_close(seen, wanted, **tolerance)  # type: ignore[arg-type]
    except AssertionError as error:
        expect(False, what, error)


class TwoPasses(Classification):
    """Two passes of one loss, which see the same network: their outputs are equal."""

    difference = 0.0

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        inputs, targets = batch
        first, second = model(inputs), model(inputs)
        self.difference = (first - second).detach().abs().max().item()
        return F.cross_entropy(first, targets) + F.cross_entropy(second, targets)


@promise
def a_task_of_two_passes_sees_one_network(case: StrategyCase) -> None:
    """A task that runs the model twice sees one network."""
    supernet, task = case.supernet(), TwoPasses()
    strategy = case.strategy(supernet)
    for moment in moments()[::4]:
        strategy.backward(supernet, task, case.batch, moment)
        expect(task.difference == 0, "equal outputs", f"a difference of {task.difference}")
        gradients(supernet)
        double = case.resting(supernet).backward(supernet, task, case.batch, moment)
        expect(task.difference == 0, "equal outputs", f"a difference of {task.difference}")
        twice = gradients(supernet)
        same_step = case.resting(supernet)
        single = same_step.backward(supernet, Classification(), case.batch, moment)
        _close(double, 2 * single, "twice the loss of one pass")
        _twice(twice, gradients(supernet), rtol=1e-3, atol=1e-5)


class Seen(Classification):
    """Records the mean loss over the batch of every pass that has gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[float] = []

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        logits = model(batch[0])
        if torch.is_grad_enabled():  # unless it is a look ahead, or a teacher
            scores = logits.detach().double().log_softmax(1)
            self.losses.append(-scores[torch.arange(len(scores)), batch[1]].mean().item())
        return F.cross_entropy(logits, batch[1])


@promise
def the_shares_of_a_batch_weigh_the_same(case: StrategyCase) -> None:
    """The loss is the mean over all examples, however a strategy divides the batch."""
    if not case.make().of_task:
        return
    supernet = case.supernet()
    strategy = case.resting(supernet)
    batch = case.inputs[:37], case.examples.targets[:37]  # a size that no ghost batch divides
    for moment in moments()[::2]:
        task = Seen()
        loss = strategy.backward(supernet, task, batch, moment).item()
        mean = sum(task.losses) / len(task.losses)
        expect(math.isclose(loss, mean, rel_tol=1e-4), f"the loss {mean:.6g}", f"{loss:.6g}")
