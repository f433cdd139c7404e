"""Guards against the collapse of relaxations: curvature in α, and when to stop because of it.

Zela, Elsken, Saikia, Marrakchi, Brox and Hutter, "Understanding and Robustifying Differentiable
Architecture Search" (ICLR 2020), "RobustDARTS": where the dominant eigenvalue of ∇²_α L_val grows, α
lies in a sharp minimum, and the step from the mixture to one architecture costs accuracy. So a run
looks at it 25 times, after epochs 0, 2, … 48 of 50. A mean over 5 evaluations counts for the middle one.
When it exceeds 1.3 times the mean of 4 evaluations ago, the search ends with the α of the evaluation that
this one counts for, 6 before the last. That lies after the first fifth of the run, so that means are
compared from epoch 22 on.

The paper's other remedies make the problem of the weights harder: a larger weight decay (`weight_decay` of
the optimizer; 81e-4 in most of its spaces, where DARTS has 3e-4), and paths that are dropped from the
mixture with a probability that rises to 0.2 (argument `drop_path` of the space "darts"), with cutout.

Differences from the authors' code: it ends the training too, which goes on here, with α at rest, so that
the schedule of the weights ends as it should; its second derivatives contain the weight decay of α, which
shifts all eigenvalues by 0.001; means that are not positive are not compared here. Its script searches by
second order, which is `strategy.order` 2; the curvature is that of the first order there and here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from supernet.errors import ConfigError, DivergedError
from supernet.train import Moment

__all__ = ["EarlyStop", "dominant_eigenvalue", "hessian"]

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
    """RobustDARTS's rule.

    Args:
        ratio: by what factor the smoothed eigenvalue may grow.

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
        self._earlier: list[list[torch.Tensor]] = []
        self.stopped = False

    def due(self, moment: Moment) -> bool:
        """Return whether to look after this step, as after one epoch of 50, three, and so on."""
        before, after = (
            (2 * EVALUATIONS * step + moment.steps) // (2 * moment.steps)
            for step in (moment.step, moment.step + 1)
        )
        return not self.stopped and before < after

    def look(
        self, loss: torch.Tensor, alphas: Mapping[str, torch.Tensor]
    ) -> list[torch.Tensor] | None:
        """Note the eigenvalue; return the α to go back to if the search ends here, else None.

        Args:
            loss: a function of α.
            alphas: the values of α now, by decision.
        """
        parameters = list(alphas.values())
        eigenvalue = dominant_eigenvalue(loss, parameters)
        self._earlier = [*self._earlier[-BACK:], [alpha.detach().clone() for alpha in parameters]]
        self.stopped = self.note(eigenvalue)
        return self._earlier[0] if self.stopped else None

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
            "earlier": [list(alphas) for alphas in self._earlier],
            "stopped": self.stopped,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.eigenvalues = list(state["eigenvalues"])
        self._earlier = [list(alphas) for alphas in state["earlier"]]
        self.stopped = bool(state["stopped"])
