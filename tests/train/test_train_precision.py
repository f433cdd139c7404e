"""Parts of batches beside whole ones, half the precision beside the whole, and scaled losses."""

import pytest
import torch
from torch import nn

from supernet.choice import Choice
from supernet.cost import measure_costs
from supernet.errors import ConfigError
from supernet.net import SuperNet
from supernet.strategies import DARTS, SPOS, FairNAS, RandomNAS, Sandwich, TrainingContext
from supernet.task import Classification, LanguageModel, in_precision
from supernet.train import Checkpoint, Fit, Learner, Plain, backward


def make_model(seed=0, double=False):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        options = {"conv3": nn.Conv2d(8, 8, 3, padding=1), "conv1": nn.Conv2d(8, 8, 1)}
        model = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.GroupNorm(2, 8),
            Choice({**options, "relu": nn.ReLU()}),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 4),
        )
    return SuperNet(model.double() if double else model)


def adamw(parameters):
    return torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.1)


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.05, momentum=0.9)


def prepared(strategy, model, loader):
    dtype = next(model.parameters()).dtype
    costs = measure_costs(model, torch.zeros(1, 3, 6, 6, dtype=dtype))
    strategy.prepare(model, TrainingContext(3, costs, search=loader))
    return strategy


def fit(model, learner, loader, checkpoint=None, task=None, **changes):
    options = {"schedule": "cosine", "warmup": 0.1, "clip": 1.0, "log_every": 2, "seed": 3}
    options |= {"steps": 9, "optimizer": adamw, "checkpoint_seconds": 0.0, **changes}
    Fit(**options).run(model, learner, task or Classification(0.1), loader, checkpoint)
    return {name: p.detach().clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("strategy", [SPOS, FairNAS, RandomNAS, Sandwich])
@pytest.mark.parametrize("parts", [2, 3, 7])
def test_parts_of_a_batch_move_weights_as_the_whole_does(make_loader, strategy, parts):
    found, losses = [], []
    for accumulate in (1, parts):
        model, loader = make_model(double=True), make_loader(batch_size=7, double=True)
        learner, log = prepared(strategy(), model, loader), []
        found.append(fit(model, learner, loader, accumulate=accumulate, log=log.append))
        losses.append([record["loss"] for record in log])
    assert losses[1] == pytest.approx(losses[0], rel=1e-12)
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=1e-9, atol=1e-12)


def test_parts_are_what_a_forward_pass_sees(make_loader):
    model, sizes = make_model(), []
    model.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    fit(model, SPOS(), make_loader(), accumulate=3, steps=2)
    assert sizes == [3, 3, 2, 3, 3, 2]


def test_more_parts_than_examples_are_refused(make_loader):
    with pytest.raises(ConfigError, match="accumulate is 9, but a batch has only 8 examples"):
        fit(make_model(), SPOS(), make_loader(), accumulate=9)


class Types(nn.Module):
    """Notes the types that go through."""

    def __init__(self):
        super().__init__()
        self.linear, self.seen = nn.Linear(108, 4), []

    def forward(self, x):
        y = self.linear(x.flatten(1))
        self.seen.append((self.linear.weight.dtype, y.dtype))
        return y


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_products_are_of_half_the_size_and_outputs_whole(make_loader, precision):
    half, model = getattr(torch, precision), Types()
    batch = make_loader().batch(0)
    task = in_precision(Classification(), precision)
    measures = task.measure(model, batch)
    assert task.loss(model, batch).dtype == torch.float32
    assert {value.dtype for value in measures.values()} == {torch.float32}
    assert model.seen == [(torch.float32, half)] * 2
    outputs, teacher = torch.randn(2, 8, 4).to(half)
    distance = task.distance(outputs, teacher)
    assert distance == Classification().distance(outputs.float(), teacher.float())
    assert task.log_probabilities(outputs).dtype == torch.float32
    x = batch[0].flatten(1).to(half)
    logits = nn.functional.linear(x, model.linear.weight.to(half), model.linear.bias.to(half))
    losses = nn.functional.cross_entropy(logits.float(), batch[1], reduction="none")
    torch.testing.assert_close(measures["loss"], losses, rtol=0, atol=0)


def test_tuples_and_dictionaries_of_outputs_stay_what_they_are(make_loader):
    class Pair(Types):
        def forward(self, x):
            y = super().forward(x)
            return (y, {"other": [y, "text"]})

    class First(Classification):
        def loss(self, model, batch):
            first, rest = model(batch[0])
            assert {first.dtype, rest["other"][0].dtype} == {torch.float32}
            assert rest["other"][1] == "text"
            return nn.functional.cross_entropy(first, batch[1])

    assert in_precision(First(), "bfloat16").loss(Pair(), make_loader().batch(0)).isfinite()


def test_a_share_of_tokens_is_not_rounded():
    embedding = nn.Sequential(nn.Embedding(5, 8), nn.Linear(8, 5))
    tokens = torch.arange(33 * 7).view(7, 33) % 5
    batch = (tokens, (tokens * 2) % 5)
    correct = in_precision(LanguageModel(), "bfloat16").measure(embedding, batch)["correct"]
    assert correct.dtype == torch.float32
    counts = correct * 33
    torch.testing.assert_close(counts, counts.round(), rtol=0, atol=1e-5)


def test_float32_is_the_task_itself():
    task = Classification()
    assert in_precision(task, "float32") is task


@pytest.mark.parametrize("strategy", [SPOS, lambda: DARTS(order=2), Sandwich])
def test_bfloat16_learns_nearly_what_float32_learns(make_loader, strategy):
    found = []
    for precision in ("float32", "bfloat16"):
        model, loader = make_model(), make_loader()
        learner, losses = prepared(strategy(), model, loader), []
        options = {"precision": precision, "log": lambda r, to=losses: to.append(r["loss"])}
        weights = fit(model, learner, loader, optimizer=sgd, **options)
        found.append((weights, losses))
    assert all(value.dtype == torch.float32 for value in found[1][0].values())
    assert found[1][1] != found[0][1]
    assert found[1][1] == pytest.approx(found[0][1], rel=0.02)


class Interrupted(KeyboardInterrupt):
    """The process ends here."""


@pytest.mark.parametrize("options", [{"precision": "bfloat16"}, {"precision": "float16"}])
def test_half_precision_is_resumed_to_the_same_bits(tmp_path, make_loader, options):
    whole = fit(make_model(), SPOS(), make_loader(), Checkpoint(tmp_path / "whole.pt"), **options)
    cut, steps = Checkpoint(tmp_path / "cut.pt"), []

    def advance():
        steps.append(1)
        if len(steps) == 5:
            raise Interrupted

    with pytest.raises(Interrupted):
        fit(make_model(), SPOS(), make_loader(), cut, advance=advance, **options)
    again = fit(make_model(), SPOS(), make_loader(), cut, **options)
    assert all(torch.equal(again[name], value) for name, value in whole.items())
    assert cut.path.read_bytes() == (tmp_path / "whole.pt").read_bytes()


class Faint(Classification):
    """A loss whose gradients vanish in float16 unless it is scaled."""

    def loss(self, model, batch):
        return super().loss(model, batch) * 1e-6


def test_float16_scales_the_loss(make_loader):
    """Without the scale, no gradient would pass the last layer."""
    options = {"optimizer": lambda p: torch.optim.SGD(p, lr=1e5), "clip": None, "warmup": 0.0}
    moved = []
    for precision in ("float32", "float16"):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = nn.Sequential(nn.Flatten(), nn.Linear(108, 8), nn.ReLU(), nn.Linear(8, 4))
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        after = fit(
            model, Plain(), make_loader(), task=Faint(), precision=precision, steps=1, **options
        )
        moved.append({name: after[name] - before[name] for name in before})
    for name, change in moved[0].items():
        torch.testing.assert_close(moved[1][name], change, rtol=0.05, atol=1e-4, msg=name)
    assert moved[0]["1.weight"].abs().max() > 1e-4


class Bursting(Learner[nn.Module]):
    """Has a gradient that is not finite in one step."""

    adds = True

    def backward(self, model, task, batch, moment):
        loss = task.loss(model, batch)
        if moment.step == 2:
            for parameter in model.parameters():
                parameter.register_hook(lambda gradient: gradient * float("inf"))
        return backward(loss)


def test_a_step_of_float16_without_finite_gradients_is_left_out(make_loader):
    model, history = Types(), []
    options = {"steps": 3, "warmup": 0.0, "schedule": "constant", "precision": "float16"}

    def note():
        history.append(model.linear.weight.detach().clone())

    fit(model, Bursting(), make_loader(), advance=note, **options)
    assert not torch.equal(history[0], history[1])
    assert torch.equal(history[1], history[2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"accumulate": 2}, "DARTS does more in a step than to add gradients"),
        ({"precision": "float16"}, "DARTS looks at gradients itself; use bfloat16"),
    ],
)
def test_what_needs_more_than_added_gradients_is_refused(make_loader, options, message):
    model, loader = make_model(), make_loader()
    with pytest.raises(ConfigError, match=message):
        fit(model, prepared(DARTS(), model, loader), loader, **options)
