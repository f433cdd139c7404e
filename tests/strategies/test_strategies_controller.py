import itertools
import math
from random import Random

import pytest
import torch

from marks import slow_unless
from supernet.errors import ConfigError, SpaceError
from supernet.space import Architecture, OneOf, Ordered, SearchSpace, SomeOf
from supernet.strategies.controller import Controller, Policy


def make_space():
    decisions = [
        OneOf("kind", ["conv", "skip", "pool"]),
        Ordered("width", [8, 16]),
        SomeOf("inputs", ["x", "y", "z"], 1, 2),
    ]
    return SearchSpace(decisions, {"width": [(("kind", "conv"),)]})


SPACE = make_space()
REWARDS = {architecture: Random(architecture.key).random() for architecture in SPACE}


def moved(**arguments):
    """Return a controller that is not uniform any more."""
    controller = Controller(SPACE, 1, 8, **arguments).double()
    controller._members = {name: m.double() for name, m in controller._members.items()}
    with torch.no_grad():
        generator = torch.Generator().manual_seed(3)
        for parameter in controller.parameters():
            parameter.add_(0.7 * torch.randn(parameter.shape, generator=generator))
    return controller


def test_the_first_policy_is_uniform_over_the_answers_of_every_decision():
    controller = Controller(SPACE, 1)
    for architecture in SPACE:
        expected = -math.log(3) - math.log(6) - (architecture["kind"] == "conv") * math.log(2)
        judged = controller.judge(architecture)
        assert judged.log_probability.item() == pytest.approx(expected, rel=1e-5)
        assert judged.entropy.item() == pytest.approx(-expected, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [{}, {"tanh": None}, {"temperature": 5.0, "tanh": 1.1}])
def test_probabilities_sum_to_one_and_draws_follow_them(arguments):
    controller = moved(**arguments)
    p = {a: controller.judge(a).log_probability.exp().item() for a in SPACE}
    assert sum(p.values()) == pytest.approx(1)
    assert max(p.values()) > 1.5 * min(p.values())
    random, counts = Random(1), dict.fromkeys(SPACE, 0)
    with torch.no_grad():
        for _ in range(2000):
            counts[controller.draw(random).architecture] += 1
    assert all(abs(counts[a] / 2000 - p[a]) < 4.5 * math.sqrt(p[a] / 2000) for a in SPACE)


def test_entropy_is_that_of_the_policy():
    """Decision by decision; over all draws its mean is the entropy of the architecture."""
    controller = moved()
    judged = [controller.judge(a) for a in SPACE]
    p = torch.stack([one.log_probability.exp() for one in judged])
    mean = (p * torch.stack([one.entropy for one in judged])).sum()
    assert mean.item() == pytest.approx(-(p * p.log()).sum().item())


def test_density_is_the_divergence_from_the_target():
    controller = Controller(SPACE, 1, target=0.4)
    density = controller.judge(SPACE[0]).density.item()
    share = 0.5  # of the six subsets with one or two of three, an option is in three
    one = share * math.log(share / 0.4) + (1 - share) * math.log((1 - share) / 0.6)
    assert density == pytest.approx(3 * one, rel=1e-5)
    assert Controller(SPACE, 1).judge(SPACE[0]).density.item() == 0


def test_density_is_also_over_connections_that_may_be_left_out():
    decisions = [
        OneOf("skip", ["none", "skip"]),
        OneOf("reverse", ["conv", "none"]),
        OneOf("edge", ["none", "conv", "pool"]),
        OneOf("kind", ["conv", "pool"]),
        OneOf("only", ["none"]),
    ]
    space = SearchSpace(decisions, {})
    controller = Controller(space, 1, tanh=None, target=0.2)
    with torch.no_grad():
        for place, bias in enumerate((1.0, 0.4, 0.3, 0.2)):
            controller.heads[place].bias[0] = bias
    chosen = [1 / (1 + math.exp(1.0)), 1 / (1 + math.exp(-0.4))]
    expected = sum(
        share * math.log(share / 0.2) + (1 - share) * math.log((1 - share) / 0.8)
        for share in chosen
    )
    expected /= 2  # each is a layer of its own
    assert controller.judge(space[0]).density.item() == pytest.approx(expected, rel=1e-5)


def test_density_is_a_mean_over_layers_of_the_sum_over_their_skips():
    """Of a policy that is uniform, and of one that skips with a probability of its own everywhere."""
    skips = [
        OneOf(f"layer{n}.skip{i}", ["none", "skip"]) for n in range(12) for i in range(n)
    ]  # the 66 of ENAS's macro space, in 11 layers
    space = SearchSpace([OneOf("layer0.operation", ["a", "b"]), *skips])
    controller = Controller(space, 1, 4, tanh=None, target=0.4)
    for share in (0.5, 0.9):
        with torch.no_grad():
            for head in controller.heads[1:]:
                head.bias[1] = math.log(share / (1 - share))
        one = share * math.log(share / 0.4) + (1 - share) * math.log((1 - share) / 0.6)
        density = controller.judge(space[0]).density.item()
        assert density == pytest.approx(66 * one / 11, rel=1e-4)


def exact_gradient(controller):
    """Return ∇ Σ_a p(a) R(a), enumerated."""
    expected = sum(REWARDS[a] * controller.judge(a).log_probability.exp() for a in SPACE)
    return torch.autograd.grad(expected, list(controller.parameters()), allow_unused=True)


def estimated_gradient(controller, baseline, kind="reinforce"):
    """Return the expectation over one drawn architecture of the gradient that an update follows."""
    policy = Policy(controller, kind)
    total = 0
    for architecture in SPACE:
        judged = controller.judge(architecture).log_probability
        advantage = torch.tensor([REWARDS[architecture] - baseline], dtype=torch.float64)
        loss = policy.loss(judged[None], judged.detach()[None], advantage)
        total = total - judged.detach().exp() * loss
    return torch.autograd.grad(total, list(controller.parameters()), allow_unused=True)


@pytest.mark.parametrize("kind", ["reinforce", "ppo"])
@pytest.mark.parametrize("baseline", [0.0, 0.5, -3.0])
def test_the_policy_gradient_is_that_of_the_expected_reward(kind, baseline):
    """Whatever the baseline: it changes the variance and not the mean."""
    controller = moved()
    exact = exact_gradient(controller)
    found = estimated_gradient(controller, baseline, kind)
    for one, other in zip(exact, found, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


def test_the_baseline_lowers_the_variance():
    controller = moved()

    def second_moment(baseline):
        total = 0.0
        for architecture in SPACE:
            log = controller.judge(architecture).log_probability
            gradients = torch.autograd.grad(log, list(controller.parameters()), allow_unused=True)
            size = sum((g**2).sum().item() for g in gradients if g is not None)
            total += log.exp().item() * (REWARDS[architecture] - baseline) ** 2 * size
        return total

    assert second_moment(0.5) < 0.7 * second_moment(0.0)


def test_the_baseline_is_updated_and_then_subtracted():
    """With every architecture, and not with the mean of those of an update."""
    policy = Policy(Controller(SPACE, 1, 4), decay=0.9, entropy=0.0)
    advantages = []
    loss = policy.loss
    policy.loss = lambda logs, before, found: advantages.append(found) or loss(logs, before, found)
    policy.update([SPACE[0], SPACE[1]], [0.2, 0.4])
    assert policy.baseline == pytest.approx(0.9 * 0.2 + 0.1 * 0.4)
    policy.update([SPACE[0]], [0.8])
    assert policy.baseline == pytest.approx(0.9 * 0.22 + 0.1 * 0.8)
    assert advantages[0].tolist() == pytest.approx([0.0, 0.4 - 0.22])
    assert advantages[1].tolist() == pytest.approx([0.8 - 0.278])


def test_steps_are_those_of_adam_without_momentum_and_with_a_large_epsilon():
    """The gradient of the bias is -0.001: an advantage of 0.002, half of which p = 0.5 leaves."""
    space = SearchSpace([OneOf("pick", ["a", "b"])])
    controller = Controller(space, 1, 4, tanh=None)
    policy = Policy(controller, learning_rate=0.1, entropy=0.0, decay=0.5)
    policy.baseline = 0.0
    policy.update([space[0]], [0.004])
    found = controller.heads[0].bias.tolist()
    assert found == pytest.approx([0.1 * 0.001 / (0.001 + 1e-3), -0.05], rel=1e-3)


def test_entropy_is_part_of_the_reward_and_its_gradient_of_ppos_loss():
    """Of a decision whose answers have the probabilities 0.8 and 0.2, by hand."""
    space = SearchSpace([OneOf("pick", ["a", "b"])])
    for kind in ("reinforce", "ppo"):
        controller = Controller(space, 1, 4, tanh=None)
        bias = controller.heads[0].bias
        with torch.no_grad():
            bias[0] = math.log(4.0)
        policy = Policy(controller, kind, 1.0, entropy=0.5, decay=0.0, epochs=1)
        policy._optimizer = torch.optim.SGD([bias], 1.0)
        policy.update([space[0]], [0.3])
        entropy = -0.8 * math.log(0.8) - 0.2 * math.log(0.2)
        reward = 0.3 + (0.5 * entropy if kind == "reinforce" else 0.0)
        assert policy.baseline == pytest.approx(reward)  # without memory: the advantage is 0
        # d entropy / d bias of a is -p (ln p + entropy), of which a half is ascended by PPO alone
        slope = 0.0 if kind == "reinforce" else -0.5 * 0.8 * (math.log(0.8) + entropy)
        assert bias[0].item() == pytest.approx(math.log(4.0) + slope, abs=1e-6)


def test_ppo_clips_the_ratio():
    policy = Policy(Controller(SPACE, 1, 4), "ppo", clip=0.2)
    before = torch.zeros(4)
    logs = torch.log(torch.tensor([1.5, 1.5, 0.5, 0.5]))
    advantages = torch.tensor([1.0, -1.0, 1.0, -1.0])
    expected = -torch.tensor([1.2, -1.5, 0.5, -0.8]).mean()
    assert policy.loss(logs, before, advantages).item() == pytest.approx(expected.item())


def chain(length, options):
    return SearchSpace([OneOf(str(i), range(options)) for i in range(length)])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "seeds"),
    [
        slow_unless(seeds == 2, kind, seeds)
        for kind, seeds in (("reinforce", 2), ("reinforce", 10), ("ppo", 10))
    ],
)
def test_the_optimum_of_a_table_of_rewards_is_found_more_often_than_at_random(kind, seeds):
    """On the size of NAS-Bench-201's space; 600 samples for each seed."""
    space = chain(6, 5)
    better = 0
    for seed in range(seeds):
        target = Random(seed).choices(range(5), k=6)

        def reward(architecture, target=target):
            return sum(architecture[str(i)] == target[i] for i in range(6)) / 6

        policy = Policy(Controller(space, seed, 32), kind, learning_rate=0.02)
        random, best = Random(seed), 0.0
        for _ in range(60):
            with torch.no_grad():
                drawn = [policy.controller.draw(random).architecture for _ in range(10)]
            rewards = [reward(architecture) for architecture in drawn]
            best = max(best, *rewards)
            policy.update(drawn, rewards)
        other = max(reward(space.sample(Random(f"{seed} {i}"))) for i in range(600))
        better += (best > other) - (best < other)
        assert best >= other - 1e-9
    assert better >= 0.6 * seeds  # of ten, a sign test: the others are ties at the optimum


def test_state_continues_to_the_same_bits():
    def taught(policy, updates, random):
        for _ in range(updates):
            with torch.no_grad():
                drawn = [policy.controller.draw(random).architecture for _ in range(3)]
            policy.update(drawn, [REWARDS[a] for a in drawn])

    whole, random = Policy(Controller(SPACE, 1, 8)), Random(5)
    taught(whole, 6, random)
    first, random = Policy(Controller(SPACE, 1, 8)), Random(5)
    taught(first, 2, random)
    second = Policy(Controller(SPACE, 2, 8))
    second.load_state_dict(first.state_dict())
    taught(second, 4, random)
    for one, other in zip(
        whole.controller.parameters(), second.controller.parameters(), strict=True
    ):
        assert torch.equal(one, other)
    assert whole.baseline == second.baseline


def test_what_cannot_be_controlled_is_refused():
    wide = SearchSpace([SomeOf("wide", range(20), 1, 20)])
    with pytest.raises(ConfigError, match=r"'wide' has 1,048,575 answers"):
        Controller(wide, 0)
    for wrong in ({"hidden": 0}, {"temperature": 0.0}, {"tanh": -1.0}, {"target": 1.0}):
        with pytest.raises(ConfigError):
            Controller(SPACE, 0, **wrong)
    for wrong in ({"learning_rate": 0.0}, {"decay": 1.0}, {"clip": 0.0}, {"epochs": 0}):
        with pytest.raises(ConfigError):
            Policy(Controller(SPACE, 0, 4), **wrong)
    with pytest.raises(ConfigError, match="'reinforce' or 'ppo'"):
        Policy(Controller(SPACE, 0, 4), "other")
    with pytest.raises(SpaceError):
        Controller(SPACE, 0, 4).judge(Architecture({"kind": "conv"}))


def test_shared_seeds_give_equal_controllers():
    one, two, other = (list(Controller(SPACE, seed, 8).parameters()) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not all(torch.equal(a, b) for a, b in itertools.zip_longest(one, other))
