"""Guards against the collapse of relaxations: curvature in α, and when to stop because of it.

Zela, Elsken, Saikia, Marrakchi, Brox and Hutter, "Understanding and Robustifying Differentiable
Architecture Search" (ICLR 2020), "RobustDARTS": where the dominant eigenvalue of ∇²_α L_val grows, α
lies in a sharp minimum, and the step from the mixture to one architecture costs accuracy. So a run looks
at it 25 times, after epochs 0, 2, … 48 of 50. A mean over 5 evaluations counts for the middle one. When
it exceeds 1.3 times the mean of 4 evaluations ago, the search ends with the α of the evaluation that
this one counts for, 6 before the last. That lies after the first fifth of the run, so that means are
compared from epoch 22 on.

The paper's other remedies regularise the weights. "ADA", the adaptive one: instead of an end, the whole
search goes back to that evaluation, and goes on with three times the weight decay, at most 81 times the
usual 3e-4 (`Adaptive`). "L2": a larger weight decay from the beginning (`weight_decay` of the optimizer;
3e-4 times a power of 3). And paths of edges that are dropped with a rising probability (argument
`drop_path` of the space "darts"), with cutout.

Differences from the authors' code: an early stop ends the training too, which goes on here, with α at
rest, so that the schedule of the weights ends as it should; after a rollback it repeats the epochs, with
their learning rates, while here the steps are spent, and the schedule goes on; what was seen before the
rollback counts on there, here what came after the evaluation is forgotten; its second derivatives
contain the weight decay of α, which shifts all eigenvalues by 0.001; means that are not positive are not
compared here. Its script searches by second order, which is `strategy.order` 2; the curvature is that of
the first order there and here.

Shapes: all α together are one vector of n numbers; their second derivatives are `[n, n]`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from supernet.errors import ConfigError, DivergedError
from supernet.strategies.alpha import Alpha
from supernet.train import Moment

__all__ = ["Adaptive", "EarlyStop", "dominant_eigenvalue", "guard_of", "hessian"]

EVALUATIONS = 25
"""How often a run is looked at."""

FIRST = 5
"""First evaluation, from 0, whose α may be gone back to: that after epoch 10 of 50."""

WINDOW = 5
"""Evaluations that a mean is over."""

LAG = 4
"""Evaluations between the two means that are compared."""

BACK = LAG + WINDOW // 2
"""Evaluations from the middle of the earlier mean to the last one."""

MOST_DECAY = 243e-4
"""Weight decay that is not exceeded."""


def hessian(loss: torch.Tensor, parameters: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return all second derivatives of a scalar, `[n, n]`, by a backward pass for each row.

    Args:
        loss: a function of the parameters.
        parameters: n numbers in all; those that the loss does not depend on have rows of zeros.
    """
    zeros = [torch.zeros_like(p) for p in parameters]
    if not loss.requires_grad:
        return torch.zeros(2 * [sum(p.numel() for p in parameters)]).to(zeros[0])

    def derivatives(of: torch.Tensor) -> torch.Tensor:
        found = torch.autograd.grad(
            of, parameters, create_graph=of is loss, retain_graph=True, allow_unused=True
        )
        return torch.cat([z if g is None else g for g, z in zip(found, zeros, strict=True)])

    slopes = derivatives(loss)
    if not slopes.requires_grad:
        return torch.zeros(2 * [len(slopes)]).to(slopes)
    return torch.stack([derivatives(slope).detach() for slope in slopes])


def dominant_eigenvalue(loss: torch.Tensor, parameters: Sequence[torch.Tensor]) -> float:
    """Return the largest eigenvalue of a scalar's second derivatives.

    Exact, from the whole matrix: α has some hundred numbers, and an iteration would find the eigenvalue
    of largest size, which may be negative.

    Raises:
        DivergedError: a derivative is not finite.
    """
    matrix = hessian(loss, parameters).double()
    if not bool(torch.isfinite(matrix).all()):
        raise DivergedError(
            "the second derivatives of the loss in the architecture parameters are not finite; lower "
            "strategy.alpha.learning_rate or train.optimizer.lr, or give strategy.alpha.early_stop up"
        )
    return float(torch.linalg.eigvalsh((matrix + matrix.T) / 2)[-1])


class EarlyStop:
    """RobustDARTS's rule, by which a search ends before its curvature in α grows too much.

    Args:
        ratio: factor by which the smoothed eigenvalue may grow.

    Raises:
        ConfigError: the ratio is not above 1.
    """

    def __init__(self, ratio: float = 1.3) -> None:
        if not ratio > 1:
            raise ConfigError(
                f"strategy.alpha.early_stop is a factor of growth above 1, such as 1.3, not {ratio}"
            )
        self.ratio = ratio
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        self.eigenvalues: list[float] = []
        self._earlier: list[Any] = []
        self.stopped = False

    def start(self, optimizer: Optimizer) -> None:
        """Learn which optimizer moves the weights; called before the first step."""

    def due(self, moment: Moment) -> bool:
        """Return whether to look after this step, as after one epoch of 50, three, and so on."""
        before, after = (
            (2 * EVALUATIONS * step + moment.steps) // (2 * moment.steps)
            for step in (moment.step, moment.step + 1)
        )
        return not self.stopped and before < after

    def remember(self, model: nn.Module, state: Mapping[str, Any]) -> Any:
        """Return a copy of what this rule may go back to.

        Args:
            model: the supernet.
            state: state of the strategy.
        """
        return copy.deepcopy(state["alphas"])

    def restore(self, model: nn.Module, back: Any) -> dict[str, Any]:
        """Return what was remembered of the strategy's state."""
        return {"alphas": back}

    def look(self, loss: torch.Tensor, alphas: Sequence[torch.Tensor], now: Any) -> Any:
        """Note the eigenvalue; return what to go back to if it has grown too much, else None.

        Args:
            loss: function of α that returns the loss, a scalar.
            alphas: the vectors α, one per decision, that the eigenvalue is taken in.
            now: copy that `remember` returns now; it may still be what the rule goes back to after
                `BACK` evaluations more.
        """
        self._earlier = [*self._earlier[-BACK:], now]
        grown = self.note(dominant_eigenvalue(loss, alphas))
        if not grown or len(self._earlier) <= BACK:
            return None
        back = self._earlier[0]
        self.react()
        return back

    def react(self) -> None:
        """End the search."""
        self.stopped = True

    def note(self, eigenvalue: float) -> bool:
        """Add an eigenvalue; return whether the smoothed one has grown too much."""
        self.eigenvalues.append(eigenvalue)
        if len(self.eigenvalues) <= FIRST + BACK:
            return False
        now = sum(self.eigenvalues[-WINDOW:]) / WINDOW
        then = sum(self.eigenvalues[-WINDOW - LAG : -LAG]) / WINDOW
        return then > 0 and now / then > self.ratio

    def warnings(self) -> list[str]:
        """Say that the search was ended."""
        if not self.stopped:
            return []
        return [
            f"the search of the architecture ended early, at evaluation {len(self.eigenvalues)} of "
            f"{EVALUATIONS}: within {LAG} evaluations the dominant eigenvalue of the loss in the "
            f"architecture parameters grew to more than {self.ratio:g} times what it was, which "
            f"precedes collapse; what was learned is the architecture of {BACK} evaluations before"
        ]

    def state_dict(self) -> dict[str, Any]:
        """Return all that was seen."""
        return {
            "eigenvalues": list(self.eigenvalues),
            "earlier": list(self._earlier),
            "stopped": self.stopped,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.eigenvalues = list(state["eigenvalues"])
        self._earlier = list(state["earlier"])
        self.stopped = bool(state["stopped"])


class Adaptive(EarlyStop):
    """RobustDARTS's adaptive rule: the search goes back, and on with more weight decay.

    The weights and the state of all optimizers are remembered for as many evaluations as it goes back,
    so that checkpoints are some `2 · (BACK + 1)` times as large.

    Args:
        ratio: factor by which the smoothed eigenvalue may grow.
        factor: factor that the weight decay is multiplied by.

    Raises:
        ConfigError: a number is not above 1.
    """

    def __init__(self, ratio: float = 1.3, factor: float = 3.0) -> None:
        super().__init__(ratio)
        if not factor > 1:
            raise ConfigError(
                f"strategy.alpha.adapt is a factor of the weight decay above 1, such as 3, not {factor}"
            )
        self.factor = factor
        self._optimizer: Optimizer | None = None

    def reset(self) -> None:
        """Forget what was seen."""
        super().reset()
        self.times = 0
        """How often the search went back."""

    def start(self, optimizer: Optimizer) -> None:
        """Learn the optimizer whose weight decay is multiplied.

        Raises:
            ConfigError: it has none.
        """
        self._optimizer = optimizer
        if not self._decay():
            raise ConfigError(
                "strategy.alpha.adapt multiplies the weight decay of train.optimizer, which has none; "
                "give it one, such as 3e-4"
            )

    def remember(self, model: nn.Module, state: Mapping[str, Any]) -> Any:
        """Return a copy of the strategy, the weights and their optimizer."""
        assert self._optimizer is not None
        whole = {
            "strategy": {name: value for name, value in state.items() if name != "guard"},
            "model": model.state_dict(),
            "weights": self._optimizer.state_dict(),
        }
        return copy.deepcopy(whole)

    def restore(self, model: nn.Module, back: Any) -> dict[str, Any]:
        """Put back weights and optimizer, with more decay; return the strategy's state of then."""
        assert self._optimizer is not None
        groups = self._optimizer.param_groups
        now = [(group["lr"], self.factor * group["weight_decay"]) for group in groups]
        back = copy.deepcopy(back)  # it may be gone back to again
        model.load_state_dict(back["model"])
        self._optimizer.load_state_dict(back["weights"])
        for group, (rate, decay) in zip(self._optimizer.param_groups, now, strict=True):
            group["lr"], group["weight_decay"] = rate, decay
        strategy: dict[str, Any] = back["strategy"]
        return strategy

    def note(self, eigenvalue: float) -> bool:
        """Add an eigenvalue; return whether the smoothed one has grown, and more decay is possible."""
        return super().note(eigenvalue) and self._decay() * self.factor < 1.001 * MOST_DECAY

    def _decay(self) -> float:
        """Return the largest weight decay of a group."""
        groups = [] if self._optimizer is None else self._optimizer.param_groups
        return max((float(group.get("weight_decay", 0.0)) for group in groups), default=0.0)

    def react(self) -> None:
        """Forget what came after the evaluation that the search goes back to."""
        self.eigenvalues = self.eigenvalues[:-BACK]
        self._earlier = self._earlier[:1]
        self.times += 1

    def warnings(self) -> list[str]:
        """Say how often the search went back."""
        if not self.times:
            return []
        return [
            f"the search went back {BACK} evaluations of {EVALUATIONS}, {self.times} times, and on "
            f"with {self.factor**self.times:g} times the weight decay: the dominant eigenvalue of the "
            f"loss in the architecture parameters had grown to more than {self.ratio:g} times what it "
            "was, which precedes collapse"
        ]

    def state_dict(self) -> dict[str, Any]:
        """Return all that was seen."""
        return {**super().state_dict(), "times": self.times}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        super().load_state_dict(state)
        self.times = int(state["times"])


def guard_of(alpha: Alpha, method: str, *, smooth: bool) -> EarlyStop | None:
    """Return the guard that the options of α ask for, if any.

    Args:
        alpha: how α is learned.
        method: name of the method, for the message.
        smooth: whether its loss is a smooth function of α.

    Raises:
        ConfigError: it is not, so that its curvature says nothing.
    """
    if alpha.early_stop is None:
        return None
    if not smooth:
        raise ConfigError(
            f"strategy.alpha.early_stop looks at the curvature of the loss in α, but {method} draws "
            "what runs; use it with darts or another mixture"
        )
    if alpha.adapt is None:
        return EarlyStop(alpha.early_stop)
    return Adaptive(alpha.early_stop, alpha.adapt)
