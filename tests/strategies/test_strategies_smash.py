"""SMASH: the encoding, the hypernetwork's formula, what it costs, its noise, and runs."""

from functools import partial
from random import Random

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import supernet as sn
from supernet.choice import Choice
from supernet.data import Digits, Examples, Loader, Normalise
from supernet.errors import ConfigError
from supernet.evaluate import Evaluator, Protocol
from supernet.net import SuperNet
from supernet.random import generator
from supernet.strategies import SMASH, TrainingContext
from supernet.task import Classification
from supernet.train import Checkpoint, Fit, Moment, digest
from supernet.zoo import SMASH as Space

SMALL = {"tile": 3, "embedding": 2, "growth": 3, "depth": 2}
"""No layer below is a whole number of tiles."""


def space(**arguments):
    defaults = {"classes": 10, "banks": 2, "channels": 4, "stages": (1,), "bottleneck": 2}
    return Space((1, 8, 8), **defaults | arguments)


def built(seed=0, **arguments):
    torch.manual_seed(seed)
    return SMASH(**SMALL | arguments).build(space())


@pytest.fixture
def supernet():
    return built()


@pytest.fixture(scope="module")
def digits():
    examples = Digits().load().train
    return Examples(Normalise.of(examples)(examples.inputs), examples.targets)


@pytest.fixture
def batch(digits):
    return digits.inputs[:16], digits.targets[:16]


def test_every_architecture_has_weights_of_the_right_shapes(supernet):
    assert supernet.space.size == 3 * 15 * 3
    for architecture in supernet.space:
        weights = supernet.generated(architecture)
        assert len(weights) == len(architecture["stage0.block0.read"])
        for parameter, weight in weights.items():
            assert weight.shape == parameter.shape == (8, 4, 1, 1)
            assert weight.isfinite().all()


def test_weights_have_the_scale_of_a_layers_own():
    supernet = SMASH().build(space(channels=32, bottleneck=1, stages=(2,)))
    random = Random(0)
    for architecture in (supernet.space.sample(random) for _ in range(5)):
        for parameter, weight in supernet.generated(architecture).items():
            assert 0.2 < weight.std() / parameter.std() < 5


@pytest.mark.slow
def test_gradients_reach_the_hypernetwork_from_every_architecture(supernet, batch):
    for architecture in supernet.space:
        supernet.zero_grad()
        with supernet.route(architecture):
            Classification().loss(supernet, batch).backward()
        read = architecture["stage0.block0.read"]
        for name, parameter in supernet.hypernetwork.named_parameters():
            kind, number, *_ = name.split(".")
            if kind == "embeddings" and f"bank{number}" not in read:
                assert parameter.grad is None
            else:
                assert parameter.grad.abs().sum() > 0


def test_the_encoding_tells_what_runs_what_does_not_and_what_is_not_reached():
    class Nested(nn.Module):
        def __init__(self):
            super().__init__()
            inner = Choice({"x": nn.Linear(4, 4), "y": nn.Linear(4, 4)}, label="inner")
            self.outer = Choice({"plain": nn.Linear(4, 4), "nested": inner}, label="outer")
            self.pair = Choice([nn.Linear(4, 3) for _ in range(3)], pick=(1, 2), label="pair")

    encoder = SMASH(**SMALL).build(Nested()).hypernetwork.encoder
    names = [f"{label}={option}" for label, option in encoder.fields]

    def encoded(**running):
        code, other = encoder({label: frozenset(o) for label, o in running.items()}, [0, 1])
        assert torch.equal(code, other)
        return dict(zip(names, code.tolist(), strict=True))

    plain = {"outer=plain": 1, "outer=nested": -1, "inner=x": 0, "inner=y": 0}
    nested = {"outer=plain": -1, "outer=nested": 1, "inner=x": -1, "inner=y": 1}
    pair, single = (
        {f"pair={i}": sign for i, sign in enumerate(signs)} for signs in ((1, -1, 1), (-1, 1, -1))
    )
    assert encoded(outer=["plain"], pair=["0", "2"]) == plain | pair
    assert encoded(outer=["nested"], inner=["y"], pair=["1"]) == nested | single


def convolve(x, conv, padding):
    """Weight normalisation: magnitude times direction, for each output channel."""
    magnitude, direction = (p.detach() for p in conv.parametrizations.weight.parameters())
    norm = direction.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    return F.conv2d(x, magnitude * direction / norm, padding=padding)


def test_weights_are_those_of_the_formula(supernet):
    architecture = supernet.space[100]
    hypernetwork = supernet.hypernetwork
    running = {label: frozenset(options) for label, options in architecture.items()}
    (code,) = hypernetwork.encoder(running, [0])
    for name, parameter in supernet.model.named_parameters():
        if parameter not in (weights := supernet.generated(architecture)):
            continue
        number = int(name.split(".")[-2])
        embedding = hypernetwork.embeddings[number].values.detach()
        rows, columns = 3, 2  # of 8 x 4 weights in tiles of 3 x 3
        assert embedding.shape == (2, rows, columns)
        x = torch.empty(1, len(code) + 1 + 2, rows, columns)
        for row in range(rows):
            for column in range(columns):
                place = torch.cat([code, torch.zeros(1), embedding[:, row, column]])
                x[0, :, row, column] = place
        for conv in hypernetwork.dense:
            x = torch.cat([x, convolve(torch.where(x > 0, x, 0.02 * x), conv, 1)], 1)
        tiles = convolve(torch.where(x > 0, x, 0.02 * x), hypernetwork.last, 0)[0]
        expected = torch.empty(8, 4)
        for out in range(8):
            for in_ in range(4):
                within = 3 * (out % 3) + in_ % 3
                expected[out, in_] = tiles[within, out // 3, in_ // 3] / 4**0.5
        torch.testing.assert_close(weights[parameter], expected.view(8, 4, 1, 1))


@pytest.mark.slow
def test_memory_does_not_depend_on_the_number_of_architectures():
    def net(most):
        options = [nn.Conv2d(4, 4, 1) for _ in range(10)]
        return SMASH(**SMALL).build(Choice(options, pick=(1, most), label="only"))

    few, many = net(1), net(10)
    assert (few.space.size, many.space.size) == (10, 2**10 - 1)
    sizes = [sum(p.numel() for p in one.hypernetwork.parameters()) for one in (few, many)]
    assert sizes[0] == sizes[1]

    before = {name: value.shape for name, value in many.state_dict().items()}
    held = [len(vars(module)) for module in many.modules()]
    for architecture in many.space:
        many(torch.ones(1, 4, 1, 1), architecture)
    assert {name: value.shape for name, value in many.state_dict().items()} == before
    assert [len(vars(module)) for module in many.modules()] == held
    assert many._made is None


def test_noise_is_a_function_of_the_step_and_absent_from_scores(supernet, batch):
    architecture, made = supernet.space[7], []
    supernet.hypernetwork.register_forward_hook(lambda _, __, weights: made.append(weights[0]))
    supernet.space.sample = lambda *_: architecture  # the same network in every step
    strategy = SMASH(**SMALL)
    for step in (0, 1, 0):
        strategy.backward(supernet, Classification(), batch, Moment(step, 9, 4))
    supernet.generated(architecture)
    supernet.generated(architecture)
    first, second, again, scored, scored_again = made

    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert torch.equal(scored, scored_again)
    assert not torch.equal(first, scored)
    with supernet.hypernetwork.noisy(generator(4, "noise", 0)):
        assert torch.equal(next(iter(supernet.generated(architecture).values())), first)


def test_scores_are_reproducible_and_depend_on_the_architecture(supernet, digits):
    part = Examples(digits.inputs[:64], digits.targets[:64])
    identity = Normalise((0.0,), (1.0,))
    protocol = Protocol("recalibrate", 32, 1)
    architectures = [supernet.space[i] for i in range(0, 135, 9)]
    runs = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        evaluator = Evaluator(supernet, Classification(), part, part, identity, protocol)
        runs.append({one: score["loss"] for one, score in evaluator.scores(architectures)})
    assert runs[0] == runs[1]
    assert len(set(runs[0].values())) == len(architectures)


def test_a_supernet_without_hypernetwork_is_refused():
    plain = SuperNet(space())
    with pytest.raises(
        ConfigError, match=r"not a SuperNet; make it by the strategy's build\(model\)"
    ):
        SMASH().prepare(plain, TrainingContext(0, {}))


@pytest.mark.parametrize("name", ["tile", "embedding", "growth"])
def test_numbers_that_are_too_small_are_refused(name):
    with pytest.raises(ConfigError, match=f"{name} 0.*must be at least 1"):
        SMASH(**{name: 0})
    with pytest.raises(ConfigError, match="depth -1"):
        SMASH(depth=-1)


@pytest.mark.parametrize("layers", ["nowhere*", "stem.0"])
def test_layers_that_cannot_be_generated_are_refused(layers):
    with pytest.raises(ConfigError, match=r"strategy\.layers '" + layers.replace("*", r"\*")):
        SMASH(layers=layers).build(space())


class StoppedError(KeyboardInterrupt):
    pass


@pytest.mark.slow
def test_training_that_is_stopped_and_continued_ends_with_the_same_bits(tmp_path, digits):
    def train(name, stop=None):
        supernet, steps = built(), []

        def advance():
            steps.append(None)
            if len(steps) == stop:
                raise StoppedError

        fit = Fit(8, partial(torch.optim.Adam, lr=1e-3), "cosine", 0.0, 1.0, 2, 0.0, 4)
        fit.advance = advance
        loader = Loader(digits, 16, 4)
        checkpoint = Checkpoint(tmp_path / f"{name}.pt")
        fit.run(supernet, SMASH(**SMALL), Classification(), loader, checkpoint)
        return digest(supernet.state_dict()), len(steps)

    whole, steps = train("whole")
    with pytest.raises(StoppedError):
        train("parts", 5)
    assert steps == 8
    assert train("parts") == (whole, 4)


@pytest.mark.slow
def test_a_run_with_parts_of_a_split_supernet(tmp_path, digits):
    """All steps; the network that is retrained and exported has ordinary weights of its own."""

    class Net(nn.Module):
        def __init__(self, classes=3):
            super().__init__()
            self.a = sn.Choice(
                {"linear": nn.Linear(6, 4), "deep": nn.Sequential(nn.Linear(6, 4), nn.ReLU())}
            )
            self.b = sn.Choice([nn.Identity(), nn.Tanh(), nn.Linear(4, 4)])
            self.head = nn.Linear(4, classes)

        def forward(self, x):
            return self.head(self.b(self.a(x)))

    inputs = torch.randn(120, 6, generator=torch.Generator().manual_seed(0))
    options = {
        "train.steps": 6,
        "train.batch_size": 16,
        "few_shot.decision": "a",
        "few_shot.train.steps": 4,
        "few_shot.train.batch_size": 16,
        "retrain.train.steps": 4,
        "retrain.train.batch_size": 16,
        "retrain.top": 1,
    }
    run = partial(
        sn.run,
        Net,
        (inputs, inputs[:, :3].argmax(1)),
        strategy="smash",
        searcher="exhaustive",
        options=options,
        progress=False,
    )
    result = run(out=tmp_path / "run")
    again = run(out=tmp_path / "again")

    names = {name.partition(".")[0] for name in result.model.state_dict()}
    assert names <= {"a", "b", "head"}
    for file in ("supernet.pt", "model.pt"):
        assert (tmp_path / "run" / file).read_bytes() == (tmp_path / "again" / file).read_bytes()
    state = torch.load(tmp_path / "run" / "supernet.pt", weights_only=True)["model"]
    assert any(name.startswith("hypernetwork.dense") for name in state)
    assert again.architecture == result.architecture
