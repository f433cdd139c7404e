"""Guards against the collapse of relaxations: curvature in α, and when to stop because of it.

Zela, Elsken, Saikia, Marrakchi, Brox and Hutter, "Understanding and Robustifying Differentiable
Architecture Search" (ICLR 2020), "RobustDARTS": where the dominant eigenvalue of ∇²_α L_val grows, α
lies in a sharp minimum, and the step from the mixture to one architecture costs accuracy. So a run
looks at it 25 times (the paper: every 2 epochs of 50). When its mean over 5 evaluations exceeds 1.3
times the mean of 4 evaluations ago, the search ends with the α of then. Means of the first fifth of the
run are not compared.

Differences from the authors' code: it counts a mean for the middle of its evaluations, and so goes back
two more; it ends the training too, which goes on here, with α at rest, so that the schedule of the
weights ends as it should; and its second derivatives contain the weight decay of α, which shifts all
eigenvalues by 0.001.
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

FIRST = 0.2
"""Share of the run before which evaluations are not compared."""

WINDOW = 5
"""Evaluations that a mean is over."""

LAG = 4
"""Evaluations between the two means that are compared."""


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
        self._means: list[float | None] = []
        self._earlier: list[list[torch.Tensor]] = []
        self.stopped = False

    def due(self, moment: Moment) -> bool:
        """Return whether to look after this step."""
        before, after = moment.step * EVALUATIONS, (moment.step + 1) * EVALUATIONS
        return not self.stopped and before // moment.steps < after // moment.steps

    def look(
        self, loss: torch.Tensor, alphas: Mapping[str, torch.Tensor], progress: float
    ) -> list[torch.Tensor] | None:
        """Note the eigenvalue; return the α to go back to if the search ends here, else None.

        Args:
            loss: a function of α.
            alphas: the values of α now, by decision.
            progress: of the run, in 0–1.
        """
        parameters = list(alphas.values())
        eigenvalue = dominant_eigenvalue(loss, parameters)
        self._earlier = [*self._earlier[-LAG:], [alpha.detach().clone() for alpha in parameters]]
        self.stopped = self.note(eigenvalue, progress)
        return self._earlier[0] if self.stopped else None

    def note(self, eigenvalue: float, progress: float) -> bool:
        """Add an eigenvalue; return whether the smoothed one has grown too much."""
        self.eigenvalues.append(eigenvalue)
        recent = self.eigenvalues[-WINDOW:]
        comparable = len(recent) == WINDOW and progress >= FIRST
        self._means.append(sum(recent) / WINDOW if comparable else None)
        now, then = self._means[-1], self._means[-1 - LAG] if len(self._means) > LAG else None
        return now is not None and then is not None and then > 0 and now / then > self.ratio

    def warnings(self) -> list[str]:
        """Say that the search was ended."""
        if not self.stopped:
            return []
        return [
            f"the search of the architecture ended early, at evaluation {len(self.eigenvalues)} of "
            f"{EVALUATIONS}: within {LAG} evaluations the dominant eigenvalue of the loss in the "
            f"architecture parameters grew to more than {self.ratio:g} times what it was, which "
            "precedes collapse; what was learned is the architecture of then"
        ]

    def state_dict(self) -> dict[str, Any]:
        """Return all that was seen."""
        return {
            "eigenvalues": list(self.eigenvalues),
            "means": list(self._means),
            "earlier": [list(alphas) for alphas in self._earlier],
            "stopped": self.stopped,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.eigenvalues = list(state["eigenvalues"])
        self._means = list(state["means"])
        self._earlier = [list(alphas) for alphas in state["earlier"]]
        self.stopped = bool(state["stopped"])
