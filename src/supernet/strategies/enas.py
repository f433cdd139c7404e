"""ENAS: Pham et al., "Efficient Neural Architecture Search via Parameter Sharing" (ICML 2018).

Two phases alternate. Weights: each step trains one architecture drawn from the controller. Controller:
after `interval` such steps, `updates` times: draw `architectures`, reward each with its accuracy on a
batch of the search split (or the figure that the run ranks by; minus the loss where there is neither),
and follow the policy gradient.
At the end `candidates` are drawn, scored on the whole split, and the best are retrained.

As in the authors' code the entropy of the policy is part of the reward, the baseline moves with every
architecture, and the density of skips is charged as a mean over layers.

Differences from it: the baseline is updated and then subtracted (theirs leaves the order open), and
begins at the first reward (theirs at 0); the layers that give the logits begin at zero and operations
have no bias, so the first policy is uniform (theirs favours separable convolutions in the micro space);
all decisions share a tanh constant (theirs has 1 / 2.5 of it for operations); the index of an input is
an option like any other, and skips are answered one by one, instead of by attention over earlier blocks;
the reward is measured in evaluation mode with batch statistics, and on `reward_batches` batches (theirs:
one, in training mode); the entropy is that of every decision's whole distribution (in theirs so in the
micro space, in the macro space only -ln p · p of what was drawn); the density is that of the policy, in
theirs of a sigmoid of half of what the policy's is of, so that a target of 0.4 is met where 0.31 of the
skips are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from supernet.data import Loader
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.net.batchnorm import batch_statistics
from supernet.random import stream
from supernet.space import Architecture
from supernet.strategies.base import BatchNorm, Strategy, TrainingContext
from supernet.strategies.controller import Controller, Policy, PolicyName
from supernet.strategies.spos import train_path
from supernet.task import Batch, Task, batch_figures, checked_measures
from supernet.train import Moment

__all__ = ["ENAS"]


class ENAS(Strategy):
    """Single paths drawn from a controller that learns from their accuracy.

    Args:
        interval: weight steps between two controller phases.
        updates: number of updates of the controller in a phase.
        architectures: number of architectures that an update learns from.
        reward_batches: batches of the search split that a reward is measured on.
        candidates: architectures that are drawn at the end.
        policy: "reinforce", or "ppo" (Schulman et al., 2017).
        learning_rate: learning rate of the Adam optimizer that moves the controller's weights.
        hidden: size of the controller's LSTM.
        temperature: divisor of the controller's logits, see `Controller`.
        tanh: bound c of the controller's logits, see `Controller`.
        entropy: weight of the policy's entropy in the reward (REINFORCE) or the loss (PPO).
        decay: share of the old value when the reward's baseline is updated, see `Policy`.
        density_target: ρ, the share of connections that the controller shall choose, see
            `Controller`.
        density: weight of the density term.

    Raises:
        ConfigError: a number is not positive.
    """

    batch_norm: BatchNorm = "batch"
    rewards = True

    def __init__(
        self,
        interval: int = 50,
        updates: int = 10,
        architectures: int = 10,
        reward_batches: int = 1,
        candidates: int = 100,
        policy: PolicyName = "reinforce",
        learning_rate: float = 3.5e-3,
        hidden: int = 64,
        temperature: float = 1.0,
        tanh: float | None = 2.5,
        entropy: float = 1e-4,
        decay: float = 0.99,
        density_target: float | None = None,
        density: float = 0.8,
    ) -> None:
        counts = (interval, updates, architectures, reward_batches, candidates)
        if min(counts) < 1:
            raise ConfigError(
                "interval, updates, architectures, reward_batches and candidates must be at least 1, "
                f"not {', '.join(map(str, counts))}"
            )
        self.interval = interval
        self.updates = updates
        self.architectures = architectures
        self.reward_batches = reward_batches
        self.candidates = candidates
        self.policy = policy
        self.learning_rate = learning_rate
        self.hidden = hidden
        self.temperature = temperature
        self.tanh = tanh
        self.entropy = entropy
        self.decay = decay
        self.density_target = density_target
        self.density = density

    def prepare(self, supernet: SuperNet, setting: TrainingContext) -> None:
        """Make the controller.

        Raises:
            ConfigError: there is no search split, or a number is out of range.
        """
        if setting.search is None:
            raise ConfigError("ENAS rewards on a search split, but there is none")
        self._search: Loader = setting.search
        self._seed, self._reward = setting.seed, 0.0
        self._better = setting.preference
        controller = Controller(
            supernet.space,
            setting.seed,
            self.hidden,
            self.temperature,
            self.tanh,
            self.density_target,
        )
        self._policy = Policy(
            controller,
            self.policy,
            self.learning_rate,
            self.entropy,
            self.density,
            self.decay,
        )

    def backward(self, model: SuperNet, task: Task, batch: Batch, moment: Moment) -> torch.Tensor:
        """Add the gradients of a drawn architecture; after `interval` steps teach the controller."""
        loss = train_path(model, self._draw(moment, "path", 0), task, batch)
        if (moment.step + 1) % self.interval == 0:
            phase = moment.step // self.interval
            for update in range(self.updates):
                drawn = [self._draw(moment, "teach", update, i) for i in range(self.architectures)]
                first = (phase * self.updates + update) * self.reward_batches
                batches = [self._search.batch(first + i) for i in range(self.reward_batches)]
                rewards = [self.reward(model, task, one, batches) for one in drawn]
                self._policy.update(drawn, rewards)
                self._reward = sum(rewards) / len(rewards)
        return loss

    def reward(
        self, model: SuperNet, task: Task, architecture: Architecture, batches: Sequence[Batch]
    ) -> float:
        """Return the figure of some batches that the run ranks by, the accuracy instead of the loss.

        Figures that are better when lower count negative; without the figure it is minus the loss.
        """
        with torch.no_grad(), batch_statistics(model), model.route(architecture):
            measured = [checked_measures(task, model, batch) for batch in batches]
            figures = batch_figures(task, measured)
        name = self._better.final(figures)
        return self._better.signed(name, float(figures[name]))

    def learned(self, supernet: SuperNet) -> list[Architecture]:
        """Return different architectures drawn from the controller."""
        random = stream(self._seed, "candidates")
        with torch.no_grad():
            drawn = [self._policy.controller.draw(random) for _ in range(self.candidates)]
        return list(dict.fromkeys(one.architecture for one in drawn))

    def metrics(self) -> dict[str, float]:
        """Return the mean reward of the last update."""
        return {"reward": round(self._reward, 5)}

    def warnings(self) -> list[str]:
        """Say whether the controller has learned nothing."""
        if self._policy.taught:
            return []
        return [
            "ENAS draws its candidates from a controller that no reward has moved: it is taught after "
            f"every strategy.interval {self.interval} steps of training, and where architectures have "
            "different rewards. Train for longer, or lower strategy.interval",
        ]

    def state_dict(self) -> dict[str, Any]:
        """Return controller, optimizer, baseline and the last reward."""
        return {**self._policy.state_dict(), "reward": self._reward}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self._policy.load_state_dict(state)
        self._reward = state["reward"]

    def _draw(self, moment: Moment, *purpose: str | int) -> Architecture:
        with torch.no_grad():
            return self._policy.controller.draw(moment.stream(*purpose)).architecture
