"""AlphaNet: Wang et al., "AlphaNet: Improved Training of Supernets with Alpha-Divergence" (ICML 2021).

The sandwich rule, but sub-networks learn from the largest by an α-divergence instead of the
cross-entropy. With its probabilities p, which pass no gradient, and those q of a sub-network,

    D_α(p ‖ q) = Σ q · f(p / q),   f(t) = (t^α - 1) / (α (α - 1)),   ∇D_α = -Σ q · ρ(p / q) · ∇ log q,
    ρ(t) = t f'(t) - f(t),   which is t^α / α but for a constant, that has no gradient.

D_1 is KL(p ‖ q), where missing what the teacher finds likely is dear; below 0 it is dear to find likely
what the teacher does not. For each example the larger of D at α_min and at α_max is taken. For
stability t^α is at most 5 in both formulas (of an α that is not 0 or 1), so ∇D is not the derivative of
the clipped D, as in the authors' code.

Architectures between the smallest and the largest are drawn at random, each number by itself; or as in
`attentivenas`, where `attention.candidates` is more than 1. Entries of the gradient are limited to 1, as
there: the authors found that often necessary. The averaged losses, and others, are those of `sandwich`.
"""

from __future__ import annotations

import torch

from supernet.errors import ConfigError
from supernet.space import Sampling
from supernet.strategies.attentivenas import Attentive, AttentiveNAS
from supernet.task import Task

__all__ = ["AlphaNet", "alpha_divergence"]

ALONE = Attentive(candidates=1)


class AlphaNet(AttentiveNAS):
    """The sandwich rule with distillation by the larger of two α-divergences.

    Args:
        paths: architectures of a step, the largest and the smallest included.
        quantity: the cost that says which architecture is the largest.
        attention: settings by which the architectures in between are chosen; one candidate is drawn
            without a look at others.
        alpha_min: the α of the first of the two divergences.
        alpha_max: the α of the second divergence; the larger of the two is what is learned from.
        clip: the largest importance weight (p / q)^α.
        sampling: set that draws are uniform over, see `Sandwich`.
        clip_value: the largest entry of the gradient of the losses' sum; None for no limit.

    Raises:
        ConfigError: there are fewer than two paths, or a number is out of range.
    """

    def __init__(
        self,
        paths: int = 4,
        quantity: str = "macs",
        attention: Attentive = ALONE,
        alpha_min: float = -1.0,
        alpha_max: float = 1.0,
        clip: float = 5.0,
        sampling: Sampling = "decisions",
        clip_value: float | None = 1.0,
    ) -> None:
        super().__init__(paths, quantity, attention, sampling, clip_value)
        if not alpha_min <= alpha_max or not clip > 0:
            raise ConfigError(
                f"of AlphaNet, alpha_min {alpha_min} must be at most alpha_max {alpha_max}, and clip "
                f"{clip} positive"
            )
        self.alphas = (float(alpha_min), float(alpha_max))
        self.clip = clip

    def distance(self, task: Task, outputs: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Return the mean over examples of the larger divergence from the largest's probabilities.

        Raises:
            ConfigError: the task knows no probabilities.
        """
        log_q, log_p = task.log_probabilities(outputs), task.log_probabilities(teacher)
        first, second = (alpha_divergence(log_q, log_p, alpha, self.clip) for alpha in self.alphas)
        return torch.maximum(first, second).mean()


def alpha_divergence(
    log_q: torch.Tensor, log_p: torch.Tensor, alpha: float, clip: float
) -> torch.Tensor:
    """Return `D_α(p ‖ q)`, `[n]`, with the gradient in log q that the module's first lines state.

    Args:
        log_q: logarithms of probabilities, `[n, classes]`.
        log_p: logarithms of the teacher's probabilities, `[n, classes]`.
        alpha: order α of the divergence, any number.
        clip: the largest `(p / q)^α`, where α is neither 0 nor 1.
    """
    with torch.no_grad():
        p, q, log_t = log_p.exp(), log_q.exp(), log_p - log_q
        if alpha == 1:  # q · t is p, also where q is too small for a number
            weight, value = p, p * log_t
        elif alpha == 0:
            weight, value = q * log_t, -q * log_t
        else:
            power = (alpha * log_t).exp().clamp(max=clip)
            weight, value = q * power / alpha, q * (power - 1) / (alpha * (alpha - 1))
    pull = -(weight * log_q).sum(1)
    return value.sum(1) + (pull - pull.detach())
