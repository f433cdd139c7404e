"""GDAS: Dong and Yang, "Searching for a Robust Neural Architecture in Four GPU Hours" (CVPR 2019).

Of each decision one option runs, drawn by the Gumbel-max trick, and the gradient passes as if the
relaxed draw had been used:

    p = softmax((log softmax(α) + G) / τ),   i = argmax p,   hard = onehot(i),
    w = hard - p.detach() + p,   y = w_i · o_i(x).

The value of w_i is exactly 1. Its gradient is that of p_i, which depends on every α of the decision, so
all of them learn although only o_i is computed: a step costs one path's time and memory. τ falls
linearly.

A number (a width or a kernel) has all of w as the weights of its masks, which are one-hot (see
`supernet.elastic.masks`): with w_i alone a norm behind it would take the gradient away. So its α learns
from all numbers, and the architecture step computes with the largest.

Where edges with an operation on each enter a node, as in the cells of DARTS, all of them run with an
operation drawn for each, and the strongest are derived: the authors' second space
(`search_model_gdas_nasnet.py`).

As in the authors' code the weights move before α: the architecture step of a step is taken at the start
of the next one, on its own batch and draw, and that of the last is left out. The weights learn on a path
drawn anew, and decisions that do not exist in a drawn path are left alone. α lies on the CPU, where the
option to run is known without waiting for the device.

Differences from the authors' code: for NAS-Bench-201 it also adds the weights of the options that did
not run to the output, as scalars of value 0, whereby α gets a gradient as if these options had returned
ones. The paper, and the code for cells, pass only the gradient of the option that ran, and so it is
here. Logits are never drawn twice: the noise is finite. Into a node the code keeps the two strongest
operations, which may lie on one edge; here they are those of the two strongest edges.
"""

from __future__ import annotations

import torch

from supernet.choice import Gate, Routing
from supernet.net import SuperNet
from supernet.random import generator
from supernet.strategies.alpha import Alpha
from supernet.strategies.base import TrainingContext
from supernet.strategies.cost_penalty import CostPenalty
from supernet.strategies.coupled import Coupled
from supernet.strategies.derivation import RuleName
from supernet.strategies.gradient_paths import reached_decisions
from supernet.strategies.snas import check_temperatures, concrete
from supernet.train import Moment

__all__ = ["GDAS"]


class GDAS(Coupled):
    """One path per step, drawn with Gumbel noise, and a straight-through gradient.

    Args:
        alpha: how α begins and how Adam moves it, see `Coupled`.
        temperature: τ at the first step.
        last_temperature: τ at the last step.
        rule: name of the rule that derives an architecture from α, see `supernet.strategies.derivation`;
            if not given, "edges" where edges enter nodes, else "strongest".
        cost: expected cost that joins the loss of α, see `Coupled`.

    Raises:
        ConfigError: a temperature is not positive, or see `Coupled`.
    """

    several = False
    all_edges = True
    smooth = False
    weights_first = True
    alpha_on_cpu = True

    def __init__(
        self,
        alpha: Alpha = Alpha(),
        temperature: float = 10.0,
        last_temperature: float = 0.1,
        rule: RuleName | None = None,
        cost: CostPenalty | None = None,
    ) -> None:
        super().__init__(alpha, "strongest" if rule is None else rule, cost)
        check_temperatures(temperature, last_temperature)
        self.temperatures = temperature, last_temperature
        self.rule_given = rule
        self._numbers: set[str] = set()

    def prepare(self, supernet: SuperNet, setting: TrainingContext) -> None:
        """See `Coupled`; look which decisions are numbers, and whether edges enter nodes."""
        super().prepare(supernet, setting)
        self._numbers = {label for choice, label in supernet.choices.items() if choice.silent}
        if self.rule_given is None:
            self.rule = "edges" if self.edges else "strongest"

    def temperature(self, moment: Moment) -> float:
        """Return τ of this step."""
        first, last = self.temperatures
        return first + (last - first) * moment.progress

    def routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return gates whose weights are one-hot, and pass the gradient on to α."""
        chosen, relaxed = self.draw(model, moment, "alpha")
        gates, weights = {}, []
        for label, options in chosen.items():
            p = relaxed.get(label)
            if p is not None:
                hard = torch.zeros_like(p).index_fill(0, torch.tensor(options), 1.0)
                options = tuple(range(len(p))) if label in self._numbers else options
                weights.append((hard + (p - p.detach()))[list(options)])
            gates[label] = options
        together = torch.cat(weights).to(next(model.parameters()).device)
        parts = iter(torch.split(together, [len(weight) for weight in weights]))
        return Routing(
            {
                label: Gate(options, next(parts) if label in relaxed else None)
                for label, options in gates.items()
            }
        )

    def weight_routing(self, model: SuperNet, moment: Moment) -> Routing:
        """Return the gates of another path."""
        with torch.no_grad():
            chosen, _ = self.draw(model, moment, "weights")
        return Routing({label: Gate(options) for label, options in chosen.items()})

    def draw(
        self, model: SuperNet, moment: Moment, purpose: str
    ) -> tuple[dict[str, tuple[int, ...]], dict[str, torch.Tensor]]:
        """Draw p for every decision with one answer.

        Returns:
            The indices of the options that run, of every decision that exists then: where p is largest,
            and all edges. And p, `[options]`.
        """
        random = generator(moment.seed, "gumbel", purpose, moment.step)
        temperature = self.temperature(moment)
        relaxed = {
            label: concrete(alpha, temperature, random)
            for label, alpha in self.alphas.items()
            if label not in self.edges
        }
        chosen = {
            label: (int(relaxed[label].argmax()),) if label in relaxed else self.kept[label]
            for label in self.alphas
        }
        return {label: chosen[label] for label in reached_decisions(model.space, chosen)}, relaxed
