"""SNAS: Xie, Zheng, Liu and Lin, "SNAS: Stochastic Neural Architecture Search" (ICLR 2019).

The weights of a mixed operation are a draw from the concrete distribution,

    z = softmax((log p + G) / λ),   p = softmax(α),   G_o = -log(-log U_o),   U_o ~ Uniform(0, 1),

which the gradient passes through. One level: the weights and α learn from the same training batch, by
one backward pass; the search split only scores what was found. λ falls linearly, and with it z comes
closer to one-hot. The resource term is E[cost], linear in p. As in the authors' code α begins around 1
(which matters to its weight decay alone), the norm of its gradient is bounded by 10, and every
decision takes its strongest option, `none` included; cells keep all their edges (argument `edges` of
the space "darts", whose default are DARTS's two).

Differences from the authors' code: it keeps λ = 1 unless told to let it fall, to 0.03, as its README
does and as is done here. For one GPU it moves α by SGD without decay, for several by Adam as here. It
charges resources by adding w · ln R, or estimates them by a policy gradient, where the cost here is
`CostPenalty`. It drops whole edges in the search, with the same probability throughout, which are
options of the space here (`drop_path`, `drop_path_rises`). It searches on all training images, and draws
for each cell anew if told to.
"""

from __future__ import annotations

import torch

from supernet.choice import Routing
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.random import generator
from supernet.strategies.alpha import Alpha
from supernet.strategies.cost_penalty import CostPenalty
from supernet.strategies.coupled import Coupled
from supernet.strategies.derivation import RuleName
from supernet.task import Batch, Task
from supernet.train import Moment, backward

__all__ = ["SNAS", "check_temperatures", "concrete"]


class SNAS(Coupled):
    """Concrete relaxation, with weights and α trained together.

    Args:
        alpha: how α begins and how Adam moves it, see `Coupled`.
        temperature: λ at the first step.
        last_temperature: λ at the last step.
        rule: name of the rule that derives an architecture from α, see `supernet.strategies.derivation`.
        cost: expected cost that joins the loss of α, see `Coupled`.

    Raises:
        ConfigError: a temperature is not positive, or see `Coupled`.
    """

    two_level = False
    smooth = False

    def __init__(
        self,
        alpha: Alpha = Alpha(spread=0.01, mean=1.0, clip=10.0),
        temperature: float = 1.0,
        last_temperature: float = 0.03,
        rule: RuleName = "strongest",
        cost: CostPenalty | None = None,
    ) -> None:
        super().__init__(alpha, rule, cost)
        check_temperatures(temperature, last_temperature)
        self.temperatures = temperature, last_temperature

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Add the gradients of the weights, and move α by its own from the same pass."""
        if self.alpha_rests(moment):
            return super().backward(model, task, batch, moment)
        with model.route(self.routing(model, moment)):
            loss = task.loss(model, batch)
        backward(self.alpha_loss(loss, moment))
        self.move_alpha(tuple(alpha.grad for alpha in self.alphas.values()))
        return loss.detach()

    def temperature(self, moment: Moment) -> float:
        """Return λ of this step."""
        first, last = self.temperatures
        return first + (last - first) * moment.progress

    def routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return gates with concrete weights."""
        random = generator(moment.seed, "gumbel", moment.step)
        temperature = self.temperature(moment)
        return self.soft(
            {label: concrete(alpha, temperature, random) for label, alpha in self.alphas.items()}
        )


def concrete(alpha: torch.Tensor, temperature: float, random: torch.Generator) -> torch.Tensor:
    """Draw `softmax((log softmax(α) + G) / temperature)`, shape `[options]`, differentiable in α.

    Args:
        alpha: logits of the options, `[options]`, on any device.
        temperature: temperature λ, positive.
        random: random generator on the CPU; so a draw is the same on every device.
    """
    drawn = torch.empty(len(alpha)).exponential_(generator=random)
    # -log of zero is infinite, and softmax of two infinite logits is not a number
    gumbel = -drawn.clamp(min=torch.finfo(drawn.dtype).tiny).log()
    return torch.softmax((torch.log_softmax(alpha, 0) + gumbel.to(alpha)) / temperature, 0)


def check_temperatures(first: float, last: float) -> None:
    """Refuse temperatures that are not positive.

    Raises:
        ConfigError: one is zero or less.
    """
    if first <= 0 or last <= 0:
        raise ConfigError(
            f"temperature {first} and last_temperature {last} divide logits; both must be positive"
        )
