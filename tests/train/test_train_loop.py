import copy

import pytest
import torch
from torch import nn

import supernet.strategies
from supernet.choice import Choice
from supernet.errors import DivergedError
from supernet.net import SuperNet
from supernet.ops import DropPath
from supernet.task import Classification
from supernet.train import Checkpoint, Fit, Learner, Plain

STEPS = 11


class Interrupted(KeyboardInterrupt):
    """The process ends here."""


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.05, momentum=0.9, weight_decay=1e-3, nesterov=True)


def adamw(parameters):
    return torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.1)


def make_model(seed=0):
    """A model with batch norm, dropout, dropped paths and a choice, in the layout of the runs."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        choice = Choice(
            {"conv3": nn.Conv2d(8, 8, 3, padding=1), "conv1": nn.Conv2d(8, 8, 1), "pool": nn.ReLU()}
        )
        model = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            choice,
            DropPath(nn.Dropout2d(0.3), 0.4),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 4),
        )
    return SuperNet(model.to(memory_format=torch.channels_last))


def make_fit(optimizer=sgd, **changes):
    options = {
        "steps": STEPS,
        "optimizer": optimizer,
        "schedule": "cosine",
        "warmup": 0.2,
        "clip": 1.0,
        "log_every": 3,
        "checkpoint_seconds": 0.0,
        "seed": 5,
    }
    return Fit(**{**options, **changes})


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_equal(first, second):
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def without_speed(records):
    return {
        record["step"]: {k: v for k, v in record.items() if k != "images_per_second"}
        for record in records
    }


class Run:
    """A training run in a folder, which can be cut off in a callback and started again."""

    def __init__(self, folder, loader, strategy, optimizer, ema=None):
        self.checkpoint = Checkpoint(folder / "supernet.pt")
        self.loader, self.strategy, self.optimizer, self.ema = loader, strategy, optimizer, ema
        self.records, self.starts = [], []

    def start(self, stop_at=None, stop_in="advance"):
        model, steps = make_model(), 0

        def advance():
            nonlocal steps
            steps += 1
            if stop_in == "advance" and steps == stop_at:
                raise Interrupted

        def log(record):
            if stop_in == "log" and record["step"] == stop_at:
                raise Interrupted
            self.records.append(record)

        calls = {"log": log, "rewind": self.starts.append, "advance": advance}
        fit = make_fit(self.optimizer, ema=self.ema, **calls)
        fit.run(model, self.strategy(), Classification(0.1), self.loader(), self.checkpoint)
        return model


@pytest.fixture(params=["SPOS+sgd", "SPOS+adamw", "SPOS+sgd+ema", "Bender+sgd"])
def make_run(request, tmp_path, make_loader):
    arguments = {
        "SPOS+sgd": (supernet.strategies.SPOS, sgd),
        "SPOS+adamw": (supernet.strategies.SPOS, adamw),
        "SPOS+sgd+ema": (supernet.strategies.SPOS, sgd, 0.7),
        "Bender+sgd": (lambda: supernet.strategies.BenderOneShot(0.5, ghost_size=4), sgd),
    }[request.param]
    return lambda name: Run(tmp_path / name, make_loader, *arguments)


@pytest.mark.quick_with("Bender+sgd", "SPOS+sgd+ema")
def test_interrupted_anywhere_and_resumed_ends_with_the_same_bits(make_run):
    whole = make_run("whole")
    expected = weights(whole.start())
    cuts = [(n, "advance") for n in (1, 4, 11)] + [(n, "log") for n in (3, 6)]
    for number, cut in enumerate(cuts):
        run = make_run(f"cut{number}")
        with pytest.raises(Interrupted):
            run.start(*cut)
        assert_equal(weights(run.start()), expected)
        assert run.starts == [0, (cut[0] - 1) // 3 * 3]
        assert run.checkpoint.path.read_bytes() == whole.checkpoint.path.read_bytes()
        assert not run.checkpoint.previous.exists()
        assert without_speed(run.records) == without_speed(whole.records)


@pytest.mark.slow_with("Bender+sgd")
def test_interrupted_again_and_again(make_run):
    whole, run = make_run("whole"), make_run("cut")
    expected = weights(whole.start())
    for _ in range(3):
        with pytest.raises(Interrupted):
            run.start(4)
    assert run.starts == [0, 3, 6]
    assert_equal(weights(run.start()), expected)
    assert run.checkpoint.path.read_bytes() == whole.checkpoint.path.read_bytes()


@pytest.mark.slow_with("SPOS+adamw", "Bender+sgd")
def test_resumed_from_the_previous_checkpoint_when_the_newest_is_deleted(make_run):
    whole, run = make_run("whole"), make_run("cut")
    expected = weights(whole.start())
    with pytest.raises(Interrupted):
        run.start(8)
    run.checkpoint.path.unlink()
    assert_equal(weights(run.start()), expected)
    assert run.starts == [0, 3]


def test_a_finished_run_is_not_trained_again(make_run):
    run = make_run("run")
    expected = weights(run.start())
    content = run.checkpoint.path.read_bytes()
    records = list(run.records)
    assert_equal(weights(run.start()), expected)
    assert run.records == records
    assert run.checkpoint.path.read_bytes() == content


@pytest.mark.slow_with("Bender+sgd", "SPOS+adamw")
def test_the_checkpoint_changes_nothing(make_run, make_loader):
    run = make_run("run")
    model = make_model()
    make_fit(run.optimizer, ema=run.ema).run(
        model, run.strategy(), Classification(0.1), make_loader()
    )
    assert_equal(weights(model), weights(run.start()))


def test_other_seeds_train_other_weights(make_loader):
    def trained(fit_seed, loader_seed=5):
        model = make_model()
        fit = make_fit(seed=fit_seed)
        fit.run(model, supernet.strategies.SPOS(), Classification(), make_loader(loader_seed))
        return model.state_dict()["model.0.weight"]

    assert torch.equal(trained(5), trained(5))
    assert not torch.equal(trained(5), trained(6))
    assert not torch.equal(trained(5), trained(5, loader_seed=6))


class Stateful(Learner):
    """Trains plainly and counts its steps in a state of its own."""

    def __init__(self):
        self.steps = 0

    def backward(self, model, task, batch, moment):
        self.steps += 1
        return Plain().backward(model, task, batch, moment)

    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state):
        self.steps = state["steps"]


def plain_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(108, 4), nn.Dropout(0.2), nn.Linear(4, 4))


def test_the_state_of_a_learner_is_restored(tmp_path, make_loader):
    checkpoint, learner = Checkpoint(tmp_path / "a.pt"), Stateful()
    make_fit(steps=6).run(plain_model(), learner, Classification(), make_loader(), checkpoint)
    again = Stateful()
    make_fit(steps=8).run(plain_model(), again, Classification(), make_loader(), checkpoint)
    assert (learner.steps, again.steps) == (6, 8)


def test_records_are_means_since_the_last_one(make_loader):
    losses, records = [], []

    class Recording(Learner):
        def backward(self, model, task, batch, moment):
            losses.append(Plain().backward(model, task, batch, moment))
            return losses[-1]

    fit = make_fit(schedule="linear", warmup=0.0, log=records.append)
    fit.run(plain_model(), Recording(), Classification(), make_loader())
    assert [record["step"] for record in records] == [3, 6, 9, 11]
    for record, first in zip(records, (0, 3, 6, 9), strict=True):
        mean = torch.stack(losses[first : record["step"]]).mean().item()
        assert record["loss"] == pytest.approx(mean)
        assert record["images_per_second"] > 0
        assert record["learning_rate"] == pytest.approx(0.05 * (1 - (record["step"] - 1) / 10))


def test_checkpoints_are_no_more_frequent_than_asked(tmp_path, make_loader):
    checkpoint, seen = Checkpoint(tmp_path / "a.pt"), []
    fit = make_fit(checkpoint_seconds=1e9, advance=lambda: seen.append(checkpoint.path.exists()))
    fit.run(plain_model(), Plain(), Classification(), make_loader(), checkpoint)
    assert seen == [False] * STEPS
    assert checkpoint.load()["step"] == STEPS


class Poison(Learner):
    """Trains plainly until a step, in which it spoils the loss or a weight."""

    def __init__(self, step, what, value):
        self.step, self.what, self.value = step, what, value

    def backward(self, model, task, batch, moment):
        loss = Plain().backward(model, task, batch, moment)
        if moment.step == self.step and self.what == "loss":
            return loss * self.value
        if moment.step == self.step:
            model[-1].bias.grad.fill_(self.value)
        return loss


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_no_number_ends_the_run(tmp_path, make_loader, value):
    checkpoint, records = Checkpoint(tmp_path / "a.pt"), []
    fit = make_fit(log=records.append)
    with pytest.raises(
        DivergedError,
        match=r"loss is -?(nan|inf) at step 5 of 11 \(learning rate .*checkpoint.* is intact",
    ):
        fit.run(
            plain_model(), Poison(4, "loss", value), Classification(), make_loader(), checkpoint
        )
    assert checkpoint.load()["step"] == 3
    assert [record["step"] for record in records] == [3]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_never_saved(tmp_path, make_loader, value):
    """The weight is spoilt after the last loss before the record, so that no loss shows it."""
    checkpoint = Checkpoint(tmp_path / "a.pt")
    with pytest.raises(DivergedError, match=r"3.bias is not finite at step 6"):
        make_fit(clip=None).run(
            plain_model(), Poison(5, "weight", value), Classification(), make_loader(), checkpoint
        )
    assert checkpoint.load()["step"] == 3
    for tensor in checkpoint.load()["model"].values():
        assert tensor.isfinite().all()


def test_a_loss_that_is_no_number_from_the_start_is_not_the_training_s_fault(make_loader):
    learner = Poison(0, "loss", float("nan"))
    with pytest.raises(DivergedError, match=r"nan at step 1 of 11, before anything was learned"):
        make_fit().run(plain_model(), learner, Classification(), make_loader())


def test_what_a_learner_finds_diverged_is_said_with_the_step(make_loader):
    class Lost(Plain):
        def metrics(self):
            raise DivergedError("the architecture parameters are not finite")

    with pytest.raises(DivergedError, match=r"at step 3 of 11: the architecture parameters"):
        make_fit().run(plain_model(), Lost(), Classification(), make_loader())


def test_weights_are_checked_at_the_end_without_a_checkpoint(make_loader):
    with pytest.raises(DivergedError, match=r"3.bias is not finite at step 11"):
        make_fit(clip=None).run(
            plain_model(), Poison(10, "weight", float("nan")), Classification(), make_loader()
        )


@pytest.mark.parametrize("stop", [None, 2])
def test_the_global_random_state_stays(make_loader, stop):
    def advance(steps=[]):  # noqa: B006
        steps.append(1)
        if len(steps) == stop:
            raise Interrupted

    torch.manual_seed(123)
    expected = torch.rand(3)
    torch.manual_seed(123)
    model = make_model()
    fit = make_fit(advance=advance)
    try:
        fit.run(model, supernet.strategies.SPOS(), Classification(), make_loader())
    except Interrupted:
        assert stop
    assert torch.equal(torch.rand(3), expected)


def test_the_result_does_not_depend_on_the_global_random_state(make_loader):
    results = []
    for seed in (1, 2):
        model = copy.deepcopy(make_model())
        torch.manual_seed(seed)
        make_fit().run(model, supernet.strategies.SPOS(), Classification(), make_loader())
        results.append(weights(model))
    assert_equal(*results)


@pytest.mark.parametrize("optimizer", [sgd, adamw])
def test_parameters_without_gradient_do_not_move(make_loader, optimizer):
    """Used in the first steps only, so that momentum and averages exist."""
    after = []

    class Freeze(Learner):
        def backward(self, model, task, batch, moment):
            if moment.step == 4:
                after.append(model[1].weight.detach().clone())
            if moment.step < 4:
                return Plain().backward(model, task, batch, moment)
            inputs, targets = batch
            with torch.no_grad():
                hidden = model[1](model[0](inputs))
            loss = nn.functional.cross_entropy(model[3](hidden), targets)
            loss.backward()
            return loss.detach()

    model = plain_model()
    start, last = model[1].weight.detach().clone(), model[3].weight.detach().clone()
    make_fit(optimizer).run(model, Freeze(), Classification(), make_loader())
    assert not torch.equal(after[0], start)
    assert torch.equal(model[1].weight, after[0])
    assert not torch.equal(model[3].weight, last)


def test_a_path_without_parameters_is_no_error(make_loader):
    options = {"linear": nn.Linear(108, 108), "identity": nn.Identity()}
    model = SuperNet(nn.Sequential(nn.Flatten(), Choice(options)))
    before = options["linear"].weight.detach().clone()
    make_fit(steps=8).run(model, supernet.strategies.SPOS(), Classification(), make_loader())
    assert not torch.equal(options["linear"].weight, before)


class Watching(nn.Module):
    """Notes which progress it was told before each of its calls."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def set_progress(self, progress):
        self.progress = progress

    def forward(self, x):
        self.seen.append(self.progress)
        return x


@pytest.mark.parametrize("start", [0, 3, 9])
def test_modules_are_told_the_progress_which_depends_on_the_step_alone(
    tmp_path, make_loader, start
):
    checkpoint = Checkpoint(tmp_path / "a.pt")

    def advance(steps=[]):  # noqa: B006
        steps.append(1)
        if len(steps) == start:
            raise Interrupted

    def trained(**changes):
        watching = Watching()
        model = nn.Sequential(plain_model(), nn.Sequential(watching))
        fit = make_fit(**changes)
        fit.run(model, Plain(), Classification(), make_loader(), checkpoint)
        return watching.seen

    if start:
        with pytest.raises(Interrupted):
            trained(advance=lambda: advance())
    rest = range(max(start - 1, 0) // 3 * 3, STEPS)
    assert trained() == [pytest.approx(step / (STEPS - 1)) for step in rest]


def test_the_model_trains_in_training_mode(make_loader):
    model = plain_model().eval()
    modes = []
    fit = make_fit(advance=lambda: modes.append([module.training for module in model.modules()]))
    fit.run(model, Plain(), Classification(), make_loader())
    assert all(map(all, modes))
    assert len(modes) == STEPS
