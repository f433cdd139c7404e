import copy

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from supernet.choice import Choice
from supernet.data import Examples, Normalise, chunks
from supernet.errors import CodeError, ConfigError, DivergedError, SpaceError
from supernet.evaluate import Evaluator, Protocol, measure
from supernet.evaluate.batches import Batches
from supernet.net import SuperNet, derive
from supernet.space import Architecture
from supernet.task import Classification, Task

KINDS = pytest.mark.parametrize("batch_norm", ["batch", "recalibrate", "running"])


def parts(count, largest):
    """Return the sizes of the nearly equal parts that an evaluation is cut into."""
    number = -(-count // largest)
    return [count // number + (i < count % number) for i in range(number)]


def by_hand(model, data, batch_norm, batch_size=40, calibration_batches=3):
    """Score an ordinary model with nothing but PyTorch."""
    search, train, normalise = data
    model = copy.deepcopy(model).eval()
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d) and m.track_running_stats]
    for norm in norms if batch_norm != "running" else ():
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    images = normalise(search.inputs).split(parts(len(search), batch_size))
    with torch.no_grad():
        if batch_norm == "recalibrate":
            count = min(batch_size * calibration_batches, len(train))
            for batch in normalise(train.inputs[:count]).split(parts(count, batch_size)):
                model(batch)
            for norm in norms:
                norm.eval()
        logits = torch.cat([model(batch) for batch in images])
    return {
        "loss": F.cross_entropy(logits, search.targets).item(),
        "accuracy": (logits.argmax(1) == search.targets).double().mean().item(),
    }


def every(supernet):
    return list(supernet.space)


@KINDS
def test_a_score_is_that_of_the_derived_network(make_evaluator, supernet, data, batch_norm):
    evaluator = make_evaluator(batch_norm)
    losses = set()
    for architecture in every(supernet):
        expected = by_hand(derive(supernet, architecture), data, batch_norm)
        assert evaluator.score(architecture) == pytest.approx(expected, rel=1e-5)
        losses.add(expected["loss"])
    assert len(losses) > 10


@KINDS
@pytest.mark.parametrize(
    ("batch_size", "calibration_batches"), [(7, 5), (100, 1), (1000, 2), (99, 100)]
)
def test_every_protocol(
    make_evaluator, supernet, data, batch_norm, batch_size, calibration_batches
):
    architecture = every(supernet)[-1]
    expected = by_hand(
        derive(supernet, architecture), data, batch_norm, batch_size, calibration_batches
    )
    found = make_evaluator(batch_norm, batch_size, calibration_batches).score(architecture)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
@KINDS
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_the_order_of_evaluation_does_not_matter(make_evaluator, supernet, batch_norm, data):
    architectures = every(supernet)[::3]
    order = data.draw(st.permutations(range(len(architectures))))
    alone = [make_evaluator(batch_norm).score(architecture) for architecture in architectures]
    evaluator = make_evaluator(batch_norm)
    for index in [*order, *order]:
        assert evaluator.score(architectures[index]) == alone[index]


@KINDS
def test_the_supernet_is_untouched(
    make_evaluator, supernet, batch_norm, everything, assert_untouched
):
    before = everything(supernet)
    evaluator = make_evaluator(batch_norm)
    for architecture in every(supernet)[:5]:
        evaluator.score(architecture)
        assert_untouched(supernet, before)


class Failing(Classification):
    def __init__(self, calls):
        super().__init__()
        self.calls = calls

    def measure(self, model, batch):
        self.calls -= 1
        if not self.calls:
            raise KeyError("the user's task")
        return super().measure(model, batch)


@KINDS
@pytest.mark.parametrize("call", [1, 2, 5])
def test_the_supernet_is_untouched_when_an_exception_passes(
    make_evaluator, supernet, batch_norm, call, everything, assert_untouched
):
    before = everything(supernet)
    calls = call if batch_norm == "recalibrate" else min(call, 3)
    with pytest.raises(CodeError, match="KeyError"):
        make_evaluator(batch_norm, task=Failing(calls)).score(every(supernet)[0])
    assert_untouched(supernet, before)


@KINDS
def test_training_can_go_on_after_an_evaluation(make_evaluator, supernet, data, batch_norm):
    """Nothing made in inference mode may stay in the model."""
    search, _, normalise = data
    architecture = every(supernet)[-1]
    make_evaluator(batch_norm).score(architecture)
    batch = normalise(search.inputs), search.targets
    Classification().loss(lambda x: supernet(x, architecture), batch).backward()
    assert supernet.model.stem.weight.grad.isfinite().all()


def test_the_score_depends_on_the_protocol_as_documented(make_evaluator, supernet):
    architecture = every(supernet)[-1]
    losses = {
        make_evaluator(kind, size, number).score(architecture)["loss"]
        for kind, size, number in (
            ("batch", 40, 3),
            ("batch", 20, 3),
            ("recalibrate", 40, 3),
            ("recalibrate", 40, 2),
        )
    }
    assert len(losses) == 4
    first, second = (make_evaluator("batch", 40, n).score(architecture) for n in (1, 3))
    assert first == second


@pytest.mark.parametrize("batch_size", [33, 50, 64, 99, 100, 5000])
def test_all_images_count_the_same(supernet, data, batch_size):
    """The loss of an image is its target, so that the mean is known whatever the parts."""

    class Target(Task):
        def loss(self, model, batch):
            raise NotImplementedError

        def measure(self, model, batch):
            model(batch[0])
            self.sizes.append(len(batch[1]))
            return {"loss": batch[1].float(), "one": torch.ones(len(batch[1]))}

    task, (search, train, normalise) = Target(), data
    task.sizes = []
    evaluator = Evaluator(supernet, task, search, train, normalise, Protocol("batch", batch_size))
    score = evaluator.score(every(supernet)[0])
    assert score == {"loss": pytest.approx(search.targets.double().mean().item()), "one": 1.0}
    assert task.sizes == parts(len(search), batch_size)
    assert max(task.sizes) - min(task.sizes) <= 1
    assert evaluator.images == 100


@KINDS
def test_one_image_to_search_and_to_calibrate_with(make_evaluator, supernet, data, batch_norm):
    search, train, normalise = data
    one = torch.arange(1)
    few = {"search": search.select(one), "train": train.select(one)}
    score = make_evaluator(batch_norm, **few).score(every(supernet)[-1])
    expected = by_hand(
        derive(supernet, every(supernet)[-1]), (*few.values(), normalise), batch_norm
    )
    assert score == pytest.approx(expected, rel=1e-4)
    assert score["accuracy"] in (0.0, 1.0)


@KINDS
def test_batches_of_one_image(make_evaluator, supernet, data, batch_norm):
    few = {"search": data[0].select(torch.arange(3)), "train": data[1].select(torch.arange(3))}
    score = make_evaluator(batch_norm, batch_size=1, **few).score(every(supernet)[-1])
    expected = by_hand(
        derive(supernet, every(supernet)[-1]), (*few.values(), data[2]), batch_norm, 1
    )
    assert score == pytest.approx(expected, rel=1e-4)


class Twice(Classification):
    """A task with inputs of its own: two views of an image, the mean of their logits."""

    def measure(self, model, batch):
        images, targets = batch
        return super().measure(lambda x: (model(x) + model(x.flip(3))) / 2, (images, targets))


class Views(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return (self.model(images) + self.model(images.flip(3))) / 2


@KINDS
def test_calibration_runs_what_the_task_runs(make_evaluator, supernet, data, batch_norm):
    architecture = every(supernet)[-1]
    expected = by_hand(Views(derive(supernet, architecture)), data, batch_norm)
    found = make_evaluator(batch_norm, task=Twice()).score(architecture)
    assert found == pytest.approx(expected, rel=1e-5)
    assert found["loss"] != pytest.approx(make_evaluator(batch_norm).score(architecture)["loss"])


@KINDS
def test_weights_that_are_no_numbers_are_reported(make_evaluator, supernet, batch_norm):
    evaluator = make_evaluator(batch_norm)
    with torch.no_grad():
        supernet.model.mix.options[0][0].weight.fill_(float("nan"))
    bad = Architecture({"mix": ("tracked",), "join": ("mixed",)})
    good = Architecture({"mix": ("cumulative",), "join": ("mixed",)})
    expected = evaluator.score(good)
    with pytest.raises(DivergedError, match="the loss on 100 examples is nan"):
        evaluator.score(bad)
    assert evaluator.score(good) == expected


def test_an_architecture_of_another_space_is_refused(make_evaluator, supernet):
    with pytest.raises(SpaceError):
        make_evaluator().score(Architecture({"mix": ("conv9",)}))


@pytest.mark.parametrize("numbers", [(0, 8), (256, 0), (-1, 1)])
def test_a_protocol_of_impossible_numbers_is_refused(numbers):
    with pytest.raises(ConfigError, match=f"{numbers[0]} and {numbers[1]}"):
        Protocol("batch", *numbers)


def test_many_examples_are_summed_exactly():
    """2^24 is where single precision stops counting."""
    rows = 2**13
    inputs = torch.zeros(rows, 1)
    model = nn.Linear(1, 2)

    class Large(Task):
        def loss(self, model, batch):
            raise NotImplementedError

        def measure(self, model, batch):
            return {"loss": torch.full((len(batch[0]),), 2049.0) + batch[0][:, 0]}

    inputs[0] = 1
    examples = Examples(inputs, torch.zeros(rows, dtype=torch.long))
    score = measure(model, Large(), examples, Normalise(), 1000)
    assert score["loss"] == 2049 + 1 / rows


def ordinary():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 10)
    )
    model[1].running_mean.normal_()
    return model


@pytest.mark.parametrize("batch_size", [1, 33, 1000])
def test_an_ordinary_model_is_measured_with_its_own_statistics(
    data, batch_size, everything, assert_untouched
):
    examples, _, normalise = data
    model = ordinary().train()
    before = everything(model)
    score = measure(model, Classification(), examples, normalise, batch_size)
    assert_untouched(model, before)
    with torch.no_grad():
        logits = model.eval()(normalise(examples.inputs))
    assert score["loss"] == pytest.approx(F.cross_entropy(logits, examples.targets).item())
    right = (logits.argmax(1) == examples.targets).sum().item()
    assert score["accuracy"] == right / 100
    assert all(isinstance(value, float) for value in score.values())


def test_an_ordinary_model_that_diverged_is_reported(data):
    model = ordinary()
    with torch.no_grad():
        model[4].bias[0] = float("inf")
    with pytest.raises(DivergedError, match="the loss on 100 examples is"):
        measure(model, Classification(), data[0], data[2], 50)


def test_a_regression_task_has_no_accuracy(data):
    class Square(Task):
        def loss(self, model, batch):
            raise NotImplementedError

        def measure(self, model, batch):
            return {"loss": model(batch[0])[:, 0] ** 2}

    torch.manual_seed(0)
    choice = Choice({"a": nn.Linear(64, 1), "b": nn.Linear(64, 1)})
    supernet = SuperNet(nn.Sequential(nn.Flatten(), choice))
    protocol = Protocol("recalibrate", 30)
    score = Evaluator(supernet, Square(), *data, protocol).score(supernet.space[0])
    expected = (choice.options[0](data[2](data[0].inputs).flatten(1)) ** 2).mean().item()
    assert score == {"loss": pytest.approx(expected)}


@pytest.mark.parametrize("batch_norm", ["batch", "recalibrate"])
def test_one_value_per_channel_names_the_batch_size(data, batch_norm):
    choice = Choice({"a": nn.Linear(64, 10), "b": nn.Identity()})
    model = nn.Sequential(nn.Flatten(), choice, nn.BatchNorm1d(10))
    supernet = SuperNet(model)
    few = [part.select(torch.arange(3)) for part in data[:2]]
    evaluator = Evaluator(
        supernet, Classification(), *few, data[2], Protocol(batch_norm, batch_size=1)
    )
    with pytest.raises(ConfigError, match="batch_size 1 "):
        evaluator.score(Architecture({"1": "a"}))
    for _, score in evaluator.scores(every(supernet)):
        assert isinstance(score, ConfigError | RuntimeError)


def test_a_model_with_instance_norms(data):
    torch.manual_seed(0)
    norms = {n: nn.InstanceNorm2d(1, track_running_stats=True, affine=True) for n in "ab"}
    supernet = SuperNet(nn.Sequential(Choice(norms), nn.Flatten(), nn.Linear(64, 10)))
    for norm in norms.values():
        norm.running_mean.fill_(3)
    evaluator = Evaluator(supernet, Classification(), *data, Protocol("recalibrate", 40, 3))
    plain = {a: evaluator.score(a) for a in every(supernet)}
    assert dict(evaluator.scores(every(supernet))) == plain
    assert evaluator.batch_norm == "recalibrate"
    norm, (search, train, normalise) = norms["a"], data
    images = normalise(train.inputs[:120])
    with torch.no_grad():
        norm.running_mean.copy_(images.mean((2, 3)).mean(0))
        norm.running_var.copy_(images.var((2, 3)).mean(0))
        supernet.eval()
        logits = supernet(normalise(search.inputs), every(supernet)[0])
    expected = F.cross_entropy(logits, search.targets).item()
    assert plain[every(supernet)[0]]["loss"] == pytest.approx(expected, rel=1e-4)


def test_batches_are_the_chunks_of_an_evaluation(data):
    examples, _, normalise = data
    for size in (7, 33, 100, 1000):
        expected = list(chunks(examples, size, normalise))
        for keep in (False, True):
            found = Batches(examples, size, normalise, keep)
            assert len(found) == len(expected)
            assert [found.size(i) for i in range(len(found))] == parts(100, size)
            for ours, theirs in zip(found, expected, strict=True):
                assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
