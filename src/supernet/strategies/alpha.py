"""How architecture parameters α begin, and how they are moved."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from supernet.errors import ConfigError
from supernet.random import generator
from supernet.space import Decision

__all__ = ["Alpha"]


@dataclass(frozen=True)
class Alpha:
    """How the architecture's parameters α begin, and how Adam moves them.

    Attributes:
        learning_rate: learning rate of the Adam optimizer that moves α.
        betas: β₁ and β₂ of this optimizer: decay of the means of the gradient and of its square.
        weight_decay: weight decay of this optimizer.
        warmup: share of the steps before which α rests.
        spread: standard deviation of α at the start.
        mean: mean of α at the start; without weight decay it makes no difference to softmax.
        clip: largest norm of the gradient of all α together, to which a larger one is scaled down; null
            for none.
        early_stop: factor by which the dominant eigenvalue of the loss in α may grow before α goes
            back and rests, see `supernet.strategies.guards`; 1.3 in the paper, null for never.
        adapt: instead of that, the whole search goes back, and on with the weight decay of the weights
            multiplied by this; 3 in the paper, null for an end.
    """

    learning_rate: float = 3e-4
    betas: tuple[float, float] = (0.5, 0.999)
    weight_decay: float = 1e-3
    warmup: float = 0.0
    spread: float = 1e-3
    mean: float = 0.0
    clip: float | None = None
    early_stop: float | None = None
    adapt: float | None = None

    def __post_init__(self) -> None:
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"strategy.alpha.betas are in [0, 1), not {list(self.betas)}")
        numbers = self.weight_decay, self.spread
        if self.learning_rate <= 0 or min(numbers) < 0 or not 0 <= self.warmup < 1:
            raise ConfigError(
                f"of strategy.alpha, learning_rate {self.learning_rate} must be positive, weight_decay "
                f"{self.weight_decay} and spread {self.spread} not negative, and warmup {self.warmup} "
                "a share in [0, 1)"
            )
        if self.clip is not None and not self.clip > 0:
            raise ConfigError(
                f"strategy.alpha.clip is the largest norm of the gradient of α, above 0, or null for no "
                f"bound, not {self.clip}"
            )
        if self.adapt is not None and self.early_stop is None:
            raise ConfigError(
                "strategy.alpha.adapt says what is done where strategy.alpha.early_stop would end the "
                "search; give that a ratio too, such as 1.3"
            )

    def drawn(self, decision: Decision, seed: int) -> torch.Tensor:
        """Return how α of a decision begins, `[options]`."""
        noise = torch.randn(
            len(decision.options), generator=generator(seed, "alpha", decision.label)
        )
        return self.mean + self.spread * noise
