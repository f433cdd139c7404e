"""GDAS: Dong and Yang, "Searching for a Robust Neural Architecture in Four GPU Hours" (CVPR 2019).

Of each decision one option runs, drawn by the Gumbel-max trick, and the gradient passes as if the
relaxed draw had been used:

    p = softmax((log softmax(α) + G) / τ),   i = argmax p,   hard = onehot(i),
    w = hard - p.detach() + p,   y = w_i · o_i(x).

The value of w_i is exactly 1. Its gradient is that of p_i, which depends on every α of the decision, so
all of them learn although only o_i is computed: a step costs one path's time and memory. τ falls
linearly.

The weights learn on a path drawn anew, and decisions that do not exist in a drawn path are left alone.
α lies on the CPU, where the option to run is known without waiting for the device.

Differences from the authors' code: it also adds the weights of the options that did not run to the
output, as scalars of value 0, whereby α gets a gradient as if these options had returned ones. The paper
passes only the gradient of the option that ran, and so it is here. Logits are never drawn twice: the
noise is finite.
"""

from __future__ import annotations

import torch

from supernet.net import Gate, Routing, SuperNet
from supernet.random import generator
from supernet.space import Architecture
from supernet.strategies.charge import Charge
from supernet.strategies.coupled import Alpha, Coupled
from supernet.strategies.rules import RuleName
from supernet.strategies.snas import check_temperatures, concrete
from supernet.train import Moment

__all__ = ["GDAS"]


class GDAS(Coupled):
    """One path per step, drawn with Gumbel noise, and a straight-through gradient.

    Args:
        alpha: see `Coupled`.
        temperature: τ at the first step.
        last_temperature: τ at the last step.
        rule: see `Coupled`.
        cost: see `Coupled`.

    Raises:
        ConfigError: a temperature is not positive, or see `Coupled`.
    """

    several = False
    smooth = False
    alpha_on_cpu = True

    def __init__(
        self,
        alpha: Alpha = Alpha(),
        temperature: float = 10.0,
        last_temperature: float = 0.1,
        rule: RuleName = "strongest",
        cost: Charge | None = None,
    ) -> None:
        super().__init__(alpha, rule, cost)
        check_temperatures(temperature, last_temperature)
        self.temperatures = temperature, last_temperature

    def temperature(self, moment: Moment) -> float:
        """Return τ of this step."""
        first, last = self.temperatures
        return first + (last - first) * moment.progress

    def routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return gates of one option each, whose weights are 1 and pass the gradient on to α."""
        path, relaxed = self.draw(model, moment, "alpha")
        chosen = {label: model.space.decision(label).indices(path[label])[0] for label in path}
        p = torch.stack([relaxed[label][i] for label, i in chosen.items()])
        weights = (1 + (p - p.detach())).to(next(model.parameters()).device)
        return Routing(
            {
                label: Gate((i,), weight)
                for (label, i), weight in zip(chosen.items(), weights[:, None], strict=True)
            }
        )

    def weight_routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return the gates of another path."""
        with torch.no_grad():
            return Routing.hard(model.space, self.draw(model, moment, "weights")[0])

    def draw(
        self, model: SuperNet, moment: Moment, purpose: str
    ) -> tuple[Architecture, dict[str, torch.Tensor]]:
        """Draw p for every decision, and return the path of their largest entries too."""
        random = generator(moment.seed, "gumbel", purpose, moment.step)
        temperature = self.temperature(moment)
        relaxed = {
            label: concrete(alpha, temperature, random) for label, alpha in self.alphas.items()
        }
        path = model.space.build(lambda d: d.options[int(relaxed[d.label].argmax())])
        return path, relaxed
