"""A controller that draws architectures, and two ways to teach it.

Pham et al., "Efficient Neural Architecture Search via Parameter Sharing" (ICML 2018): an LSTM answers
the decisions one after the other; its input is the embedding of the answer before. Logits are divided
by a temperature and squashed by `c · tanh`, both against early convergence. The layers that give the
logits start at zero, so the first policy is uniform over the answers of every decision.

A decision that chooses several options has one logit per option, and an answer the sum over its
options: the distribution over all allowed subsets is exact.

Shapes: one architecture is drawn at a time, so the LSTM's state is `[1, hidden]`. A decision has logits
`[options]`, the members of its answers as rows `[answers, options]` of zeros and ones, and
probabilities `[answers]`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Literal, cast

import torch
from torch import nn

from supernet.errors import ConfigError
from supernet.random import derive_seed, seeded
from supernet.space import Architecture, Decision, OneOf, SearchSpace, Value
from supernet.space.numbers import size_text

__all__ = ["Controller", "DrawnArchitecture", "Policy", "PolicyName"]

PolicyName = Literal["reinforce", "ppo"]

MOST_ANSWERS = 4096
"""Answers of one decision that the distribution is computed over."""

ENAS_ADAM = (0.0, 0.999), 1e-3
"""β and ε of Adam in ENAS's code: it has no momentum, and follows small gradients with small steps."""

INITIAL = 0.1
"""Recurrent weights and embeddings are drawn uniformly from ± this, as in the authors' code."""


@dataclass(frozen=True)
class DrawnArchitecture:
    """An architecture that a controller drew, with its log-probability and entropy, for gradients.

    Attributes:
        architecture: the architecture, all its answers.
        log_probability: ln of the probability that it is drawn.
        entropy: the sum over its decisions of the entropy of their answers.
        density: the mean over layers of Σ KL(P(connection is chosen) ‖ ρ) over the connections that the
            layer may choose: the options of decisions that choose several, and of decisions between
            `none` and one other option the other; 0 without a target ρ. A layer is what labels have in
            common up to their last dot: "layer3" of "layer3.skip0".
    """

    architecture: Architecture
    log_probability: torch.Tensor
    entropy: torch.Tensor
    density: torch.Tensor


class Controller(nn.Module):
    """An LSTM over the decisions of a space.

    Args:
        space: space that the controller draws from.
        seed: seed of the controller's initial weights.
        hidden: size of the LSTM.
        temperature: logits are divided by it.
        tanh: c; logits lie in ± c. None leaves them.
        target: ρ, the share of options that decisions with several, or between `none` and one other
            option, shall choose; None for any.

    Raises:
        ConfigError: a number is out of range, or a decision has too many answers.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int,
        hidden: int = 64,
        temperature: float = 1.0,
        tanh: float | None = 2.5,
        target: float | None = None,
    ) -> None:
        super().__init__()
        if hidden < 1 or temperature <= 0 or (tanh is not None and tanh <= 0):
            raise ConfigError(
                f"hidden {hidden} must be at least 1, temperature {temperature} and tanh {tanh} positive"
            )
        if target is not None and not 0 < target < 1:
            raise ConfigError(f"the target density is a share in (0, 1), not {target}")
        self.space = space
        self.temperature = temperature
        self.tanh = tanh
        self.target = target
        self._place = {decision.label: i for i, decision in enumerate(space.decisions)}
        self._members: dict[str, torch.Tensor] = {}
        self._answers: dict[str, list[Value]] = {}
        with seeded(derive_seed(seed, "controller")):
            self.lstm = nn.LSTMCell(hidden, hidden)
            self.start = nn.Parameter(torch.empty(hidden))
            self.embeddings = nn.ModuleList()
            self.heads = nn.ModuleList()
            for decision in space.decisions:
                options = len(decision.options)
                self._list_answers(decision)
                self.embeddings.append(nn.Embedding(options, hidden))
                self.heads.append(nn.Linear(hidden, options))
            for parameter in self.parameters():
                nn.init.uniform_(parameter, -INITIAL, INITIAL)
            for parameter in self.heads.parameters():
                nn.init.zeros_(parameter)

    def draw(self, random: Random) -> DrawnArchitecture:
        """Return an architecture drawn from the policy."""

        def choose(label: str, log_probabilities: torch.Tensor) -> int:
            shares = log_probabilities.detach().exp().tolist()
            return random.choices(range(len(shares)), shares)[0]

        return self._walk(choose)

    def judge(self, architecture: Architecture) -> DrawnArchitecture:
        """Return what the policy thinks of a given architecture.

        Raises:
            SpaceError: the architecture is not in the space.
        """
        self.space.validate(architecture)
        return self._walk(lambda label, _: self._answers[label].index(architecture[label]))

    def _walk(self, choose: Callable[[str, torch.Tensor], int]) -> DrawnArchitecture:
        state: tuple[torch.Tensor, torch.Tensor] | None = None
        given, zero = self.start[None], torch.zeros(())
        chances, entropies = [zero], [zero]
        layers: dict[str, list[torch.Tensor]] = {}

        def answer(decision: Decision) -> Value:
            nonlocal state, given
            label, place = decision.label, self._place[decision.label]
            state = self.lstm(given, state)
            logits = self.heads[place](state[0])[0] / self.temperature
            if self.tanh is not None:
                logits = self.tanh * torch.tanh(logits)
            members = self._members[label]
            logs = torch.log_softmax(members @ logits, 0)
            index = choose(label, logs)
            chances.append(logs[index])
            entropies.append(-(logs.exp() * logs).sum())
            if self.target is not None and (connections := _connections(self.space, decision)):
                chosen_shares = (logs.exp() @ members)[connections]
                divergence = _divergence(chosen_shares, self.target)
                layers.setdefault(label.rpartition(".")[0] or label, []).append(divergence)
            chosen = members[index]
            embedding = cast(nn.Embedding, self.embeddings[place])
            given = (chosen @ embedding.weight / chosen.sum().clamp(min=1))[None]
            return self._answers[label][index]

        architecture = self.space.build(answer)
        densities = [torch.stack(found).sum() for found in layers.values()]
        return DrawnArchitecture(
            architecture,
            torch.stack(chances).sum(),
            torch.stack(entropies).sum(),
            torch.stack(densities).mean() if densities else zero,
        )

    def _list_answers(self, decision: Decision) -> None:
        if decision.size > MOST_ANSWERS:
            raise ConfigError(
                f"decision {decision.label!r} has {size_text(decision.size)} answers; a controller "
                f"takes decisions of at most {MOST_ANSWERS:,}: offer fewer options or pick fewer"
            )
        values = list(decision.values())
        members = torch.zeros(len(values), len(decision.options))
        for row, value in enumerate(values):
            members[row, list(decision.indices(value))] = 1
        self._members[decision.label], self._answers[decision.label] = members, values


def _connections(space: SearchSpace, decision: Decision) -> list[int]:
    """Return the options whose share has a target: all of several, or the one besides no connection."""
    others = space.connecting(decision)
    if not isinstance(decision, OneOf):
        return list(range(len(decision.options)))
    return others if len(others) == 1 and len(decision.options) == 2 else []


def _divergence(chosen: torch.Tensor, target: float) -> torch.Tensor:
    """Return Σ KL(Bernoulli(chosen_i) ‖ Bernoulli(target))."""
    p = chosen.clamp(1e-6, 1 - 1e-6)
    on = p * (p.log() - math.log(target))
    off = (1 - p) * (torch.log1p(-p) - math.log(1 - target))
    return (on + off).sum()


class Policy:
    """A controller and what teaches it from rewards.

    REINFORCE (Williams, 1992) follows `E[(R - b) ∇ ln p(a)]`. R is the reward and the weighted entropy
    of the policy along the way; the moving average b is updated with every architecture, then subtracted
    from its reward. All of this, and Adam's β of 0 and ε of 1e-3, is as in ENAS's code, where b begins
    at 0, and not at the first reward.
    PPO (Schulman et al., 2017) takes several steps on the same architectures with the probability ratio
    clipped, and ascends the gradient of the entropy.

    Args:
        controller: controller that is taught.
        kind: method of the updates, "reinforce" or "ppo".
        learning_rate: learning rate of the Adam optimizer that moves the controller's weights.
        entropy: weight of the entropy.
        density: weight of the controller's density term.
        decay: share of the old value when the baseline is updated, b ← decay · b + (1 - decay) · R;
            the first reward starts it.
        clip: ε, PPO's ratio stays in 1 ± ε.
        epochs: PPO's steps per update.

    Raises:
        ConfigError: a number is out of range.
    """

    def __init__(
        self,
        controller: Controller,
        kind: PolicyName = "reinforce",
        learning_rate: float = 3.5e-3,
        entropy: float = 1e-4,
        density: float = 0.8,
        decay: float = 0.99,
        clip: float = 0.2,
        epochs: int = 4,
    ) -> None:
        if kind not in ("reinforce", "ppo"):
            raise ConfigError(f"a policy is taught by 'reinforce' or 'ppo', not {kind!r}")
        if learning_rate <= 0 or not 0 <= decay < 1 or not 0 < clip < 1 or epochs < 1:
            raise ConfigError(
                f"learning_rate {learning_rate} must be positive, decay {decay} in [0, 1), clip {clip} "
                f"in (0, 1) and epochs {epochs} at least 1"
            )
        self.controller = controller
        self.kind = kind
        self.entropy = entropy
        self.density = density
        self.decay = decay
        self.clip = clip
        self.epochs = epochs
        self.baseline: float | None = None
        self.first_reward: float | None = None
        self.taught = False
        """Whether a reward was ever another than the first, so that the policy could follow them."""
        betas, eps = ENAS_ADAM if kind == "reinforce" else ((0.9, 0.999), 1e-8)
        self._optimizer = torch.optim.Adam(controller.parameters(), learning_rate, betas, eps)

    def update(self, architectures: Sequence[Architecture], rewards: Sequence[float]) -> None:
        """Learn from architectures that were drawn from the policy, and their rewards."""
        if self.first_reward is None:
            self.first_reward = rewards[0]
        self.taught |= any(reward != self.first_reward for reward in rewards)
        ppo = self.kind == "ppo"
        before, advantages = torch.zeros(0), torch.zeros(0)
        for epoch in range(self.epochs if ppo else 1):
            judged = [self.controller.judge(architecture) for architecture in architectures]
            logs = torch.stack([one.log_probability for one in judged])
            entropies = self.entropy * torch.stack([one.entropy for one in judged])
            if epoch == 0:
                before = logs.detach()
                added = torch.zeros_like(entropies) if ppo else entropies.detach()
                advantages = self._advantages((torch.tensor(rewards) + added).tolist())
            loss = self.loss(logs, before, advantages)
            if ppo:
                loss = loss - entropies.mean()
            loss = loss + self.density * torch.stack([one.density for one in judged]).mean()
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()

    def _advantages(self, rewards: Sequence[float]) -> torch.Tensor:
        """Return what rewards exceed the baseline by, which is moved by each of them before."""
        found = []
        for reward in rewards:
            last = reward if self.baseline is None else self.baseline
            self.baseline = self.decay * last + (1 - self.decay) * reward
            found.append(reward - self.baseline)
        return torch.tensor(found)

    def loss(
        self, logs: torch.Tensor, before: torch.Tensor, advantages: torch.Tensor
    ) -> torch.Tensor:
        """Return what is minimised, without entropy and density; all arguments `[architectures]`."""
        if self.kind == "reinforce":
            return -(advantages * logs).mean()
        ratio = (logs - before).exp()
        clipped = ratio.clamp(1 - self.clip, 1 + self.clip)
        return -torch.minimum(advantages * ratio, advantages * clipped).mean()

    def state_dict(self) -> dict[str, Any]:
        """Return the controller, the optimizer and the baseline."""
        return {
            "controller": self.controller.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "baseline": self.baseline,
            "first_reward": self.first_reward,
            "taught": self.taught,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.controller.load_state_dict(state["controller"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.baseline = state["baseline"]
        self.first_reward = state["first_reward"]
        self.taught = bool(state["taught"])
