"""A controller that learns to propose, on a supernet that is trained already.

Schulman et al., "Proximal Policy Optimization Algorithms" (2017), on the controller of ENAS (Pham et
al., ICML 2018). Differences: an architecture that is drawn again is answered from what was told; one
that violates the constraints is not asked for and is rewarded like the worst seen so far.
"""

from __future__ import annotations

from supernet.errors import ConfigError
from supernet.evaluate import Candidate
from supernet.random import derive_seed
from supernet.search.base import Generation, Problem, Searcher
from supernet.space import Architecture
from supernet.strategies.controller import Controller, Policy, PolicyName

__all__ = ["PolicySearch"]

DRAWS = 5
"""Draws per wanted new architecture before a generation is taken as it is."""


class PolicySearch(Searcher):
    """An LSTM controller taught by PPO, or by REINFORCE.

    Args:
        population: new architectures per generation.
        generations: number of generations.
        policy: method of the controller's updates, "ppo" or "reinforce".
        learning_rate: learning rate of the Adam optimizer that moves the controller's weights.
        hidden: size of the controller's LSTM.
        entropy: weight of the entropy bonus.

    Raises:
        ConfigError: a number is not positive.
    """

    def __init__(
        self,
        population: int = 20,
        generations: int = 50,
        policy: PolicyName = "ppo",
        learning_rate: float = 0.01,
        hidden: int = 64,
        entropy: float = 1e-3,
    ) -> None:
        if min(population, generations) < 1:
            raise ConfigError(
                f"population and generations must be at least 1, not {population} and {generations}"
            )
        self.population = population
        self.count = generations
        self.policy = policy
        self.learning_rate = learning_rate
        self.hidden = hidden
        self.entropy = entropy

    def generations(self, problem: Problem) -> Generation:
        """Yield up to `generations` populations; fewer when the space is exhausted.

        Raises:
            ConfigError: a decision has too many answers for a controller.
            ConstraintError: no architecture satisfies the constraints.
        """
        seed = derive_seed(problem.seed, "policy")
        controller = Controller(problem.space, seed, self.hidden)
        policy = Policy(controller, self.policy, self.learning_rate, self.entropy)
        known: dict[str, Candidate] = {}
        worst = 0.0
        for generation in range(self.count):
            random = problem.stream("policy", generation)
            drawn: list[Architecture] = []
            new: dict[str, Architecture] = {}
            for _ in range(DRAWS * self.population):
                architecture = controller.draw(random).architecture
                drawn.append(architecture)
                for one in problem.feasible([architecture], known):
                    new[one.key] = one
                if len(new) == self.population:
                    break
            rest = problem.sample(self.population - len(new), random, known.keys() | new.keys())
            asked = [*new.values(), *rest]
            if not asked:
                return
            candidates = yield asked
            known.update({candidate.key: candidate for candidate in candidates})
            rewards = {key: self._reward(one) for key, one in known.items() if one.status == "ok"}
            worst = min(rewards.values(), default=worst)
            keys = [problem.space.canonical(architecture).key for architecture in drawn]
            policy.update(drawn, [rewards.get(key, worst) for key in keys])

    def expected(self, problem: Problem) -> int:
        """Return population times generations, or the size of a smaller space."""
        return min(self.population * self.count, problem.space.size)

    @staticmethod
    def _reward(candidate: Candidate) -> float:
        return 0.0 if candidate.score is None else candidate.score
