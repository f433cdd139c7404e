"""Shared evaluation gives the scores of plain evaluation, to the bit, in any company."""

from __future__ import annotations

import re
from random import Random

import pytest
import torch
from torch import nn

import supernet as sn
from marks import slow_unless
from supernet.data import Examples, Normalise
from supernet.errors import CodeError
from supernet.evaluate import Evaluator, Protocol
from supernet.evaluate.sharing import SharedForward, UntraceableError
from supernet.task import Classification
from supernet.zoo import Bender

IMAGE = (2, 8, 8)


class Chain(nn.Module):
    """Choices one after the other, with nesting, a shared label, and a skip past a choice."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.a = sn.Choice({"conv": self.conv(3), "skip": nn.Identity()}, label="first")
        inner = sn.Choice({"conv": self.conv(1), "pool": nn.AvgPool2d(3, 1, 1)}, label="inner")
        self.b = sn.Choice({"nested": inner, "conv": self.conv(5), "skip": nn.Identity()}, (1, 2))
        self.norm = nn.BatchNorm2d(4)
        self.c = sn.Choice({"conv": self.conv(3), "skip": nn.Identity()}, label="first")
        self.join = sn.InputChoice(["stem", "late"], pick=(1, 2))
        self.head = nn.Linear(4, 3)

    @staticmethod
    def conv(kernel):
        layer = nn.Conv2d(4, 4, kernel, padding=kernel // 2)
        return nn.Sequential(layer, nn.BatchNorm2d(4), nn.ReLU())

    def forward(self, x):
        stem = self.stem(x)
        late = self.c(self.norm(self.b(self.a(stem))))
        return self.head(self.join([stem, late]).flatten(2).mean(2))


class Branches(Chain):
    """A forward pass that depends on the data."""

    def forward(self, x):
        return super().forward(x) if x.sum() > -1e9 else self.head(x)


class Twice(Chain):
    """A batch norm that is used before and after a choice."""

    def forward(self, x):
        y = self.norm(self.stem(x))
        return self.head(self.join([y, self.norm(self.c(self.b(self.a(y))))]).mean((2, 3)))


@pytest.fixture
def examples():
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randint(0, 256, (90, *IMAGE), dtype=torch.uint8, generator=generator)
    return Examples(inputs, torch.arange(90) % 3, ("a", "b", "c"))


def evaluator(model, examples, batch_norm="recalibrate", task=None, precision="float32", **options):
    torch.manual_seed(0)
    supernet = sn.SuperNet(model)
    train, search = examples.select(torch.arange(50)), examples.select(torch.arange(50, 90))
    protocol = Protocol(batch_norm, batch_size=17, calibration_batches=2, precision=precision)
    task = task or Classification()
    made = Evaluator(supernet, task, search, train, Normalise.of(train), protocol, **options)
    return supernet, made


def build(kind):
    torch.manual_seed(3)
    return Bender(IMAGE, 3, 2, (1, 1), blocks=3) if kind is Bender else kind()


@pytest.mark.slow_with("Bender-recalibrate", "Bender-running", "Bender-batch")
@pytest.mark.parametrize("batch_norm", ["batch", "recalibrate", "running"])
@pytest.mark.parametrize("kind", [Chain, Bender])
def test_scores_equal_plain_scores(kind, batch_norm, examples):
    supernet, made = evaluator(build(kind), examples, batch_norm)
    random = Random(0)
    some = list({supernet.space.sample(random) for _ in range(25)})
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    shared = dict(made.scores(some))
    assert made.plain_because == ""
    assert len(shared) == len(some)
    for architecture in some:
        assert shared[architecture] == made.score(architecture)
    after = supernet.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert supernet.training


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_scores_of_half_precision_are_shared_to_the_same_bits(precision, examples):
    scores = []
    for each in ("float32", precision):
        torch.manual_seed(0)  # the same weights both times
        supernet, made = evaluator(Chain(), examples, precision=each)
        random = Random(0)
        some = list({supernet.space.sample(random) for _ in range(10)})
        scores.append({one: score["loss"] for one, score in made.scores(some)})
        assert made.plain_because == ""
        assert scores[-1] == {one: made.score(one)["loss"] for one in some}
    assert scores[1] != scores[0]
    assert scores[1] == pytest.approx(scores[0], rel=0.02)


def test_order_and_company_do_not_matter(examples):
    supernet, made = evaluator(Chain(), examples)
    everything = list(supernet.space)
    together = dict(made.scores(everything))
    some = everything[::7][::-1]
    assert dict(made.scores(some)) == {
        architecture: together[architecture] for architecture in some
    }


@pytest.mark.parametrize("memory", [0, 2**30])
def test_the_order_is_known_before(memory, examples):
    supernet, made = evaluator(Chain(), examples, memory=memory)
    some = list(supernet.space)[::7][::-1]
    ordered = made.order(some)
    assert (ordered != some) == bool(memory)
    assert [one for one, _ in made.scores(some)] == ordered


def test_changed_weights_are_seen(examples):
    supernet, made = evaluator(Chain(), examples)
    some = list(supernet.space)[:6]
    first = dict(made.scores(some))
    with torch.no_grad():
        supernet.model.stem[0].weight.mul_(2).add_(0.1)
    second = dict(made.scores(some))
    assert all(second[a] == made.score(a) != first[a] for a in some)


def test_common_beginnings_run_once(examples):
    """Over all architectures each module runs as often as the answers before it differ."""
    supernet, made = evaluator(Chain(), examples)
    calls = {"stem": 0, "head": 0}
    watched = {"stem": supernet.model.stem[0], "head": supernet.model.head}
    for name, module in watched.items():
        module.register_forward_hook(lambda *_, name=name: calls.__setitem__(name, calls[name] + 1))
    list(made.scores(list(supernet.space)[:4]))  # the first are scored both ways
    calls.update(stem=0, head=0)
    count = supernet.space.size
    list(made.scores(list(supernet.space)))
    # 40 images to score and 34 to calibrate, at most 17 at a time; no norm needs what the head does.
    assert calls == {"stem": 3 + 2, "head": 3 * count}


@pytest.mark.slow_with("1")
@pytest.mark.parametrize("memory", [1, 5_000, 40_000, 2**30])
def test_memory_bounds_what_is_kept_and_changes_no_score(memory, examples):
    supernet, made = evaluator(Chain(), examples, memory=memory)
    some = list(supernet.space)[::3]
    assert dict(made.scores(some)) == {a: made.score(a) for a in some}
    inputs = [examples.inputs.float()]
    forward = SharedForward(supernet, [], [inputs], memory)
    supernet.eval()
    for architecture in some:
        forward.run(architecture, lambda *_: None)
        assert sum(size for size in held(forward).values()) <= memory


def held(forward):
    """Return the bytes of every storage that is kept, by its address."""
    values = [
        value
        for segment in forward._segments
        for batches in segment.values.values()
        for value in batches.values()
    ]
    storages = [value.untyped_storage() for value in values]
    return {storage.data_ptr(): storage.nbytes() for storage in storages}


@pytest.mark.parametrize("model", [Branches, Twice])
def test_what_cannot_be_shared_is_scored_plainly_and_said(model, examples):
    supernet, made = evaluator(model(), examples)
    some = list(supernet.space)[:5]
    assert dict(made.scores(some)) == {a: made.score(a) for a in some}
    assert "trace" in made.plain_because or "batch norm" in made.plain_because


def test_no_memory_means_plain(examples):
    supernet, made = evaluator(Chain(), examples, memory=0)
    assert made.plain_because
    some = list(supernet.space)[:3]
    assert dict(made.scores(some)) == {a: made.score(a) for a in some}


def test_task_that_runs_the_model_on_other_inputs(examples):
    class Flipped(Classification):
        def measure(self, model, batch):
            return super().measure(model, [batch[0].flip(3), batch[1]])

    supernet, made = evaluator(Chain(), examples, task=Flipped())
    some = list(supernet.space)[:4]
    assert dict(made.scores(some)) == {a: made.score(a) for a in some}
    assert "other inputs" in made.plain_because


def test_one_failure_is_its_own(examples):
    supernet, made = evaluator(Chain(), examples)

    def fail(*_):
        raise ValueError("no luck")

    supernet.model.a.options[0].register_forward_hook(fail)
    results = dict(made.scores(list(supernet.space)))
    for architecture, score in results.items():
        if architecture["first"] == "conv":
            assert isinstance(score, CodeError)
            assert isinstance(score.__cause__, ValueError)
        else:
            assert score == made.score(architecture)


class InPlace(Chain):
    """The head of a candidate changes what the choices before it handed on."""

    def forward(self, x):
        late = self.c(self.norm(self.b(self.a(self.stem(x)))))
        return self.head(self.d(late).mean((2, 3)))

    def __init__(self):
        super().__init__()
        self.d = sn.Choice({"relu": nn.ReLU(inplace=True), "skip": nn.Identity()})


class AddInPlace(Chain):
    """A skip that is added in place, by a function of the forward pass itself."""

    def forward(self, x):
        stem = self.stem(x)
        late = stem.add_(self.a(stem))
        return self.head(self.join([stem, self.b(late)]).mean((2, 3)))


class View(Chain):
    """A view of a value that was handed on is changed."""

    def forward(self, x):
        late = self.b(self.a(self.stem(x)))
        late.flatten(2).mul_(0.5)
        return self.head(self.c(late).mean((2, 3)))


class Detached(Chain):
    """A change that PyTorch does not count."""

    def __init__(self):
        super().__init__()
        self.b = sn.Choice(
            {"conv": self.conv(3), "halve": Halve(), "skip": nn.Identity()}, label="b"
        )


class Halve(nn.Module):
    def forward(self, x):
        x.data.mul_(0.5)
        return x


class Inputs(Chain):
    """The images themselves are changed."""

    def forward(self, x):
        return super().forward(x.mul_(0.5))


class Counting(Chain):
    """A module that counts its calls in a buffer, without any use of it."""

    def __init__(self):
        super().__init__()
        self.c = sn.Choice({"conv": self.conv(3), "skip": Counter()}, label="first")


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return x + 0


class CountingItself(Chain):
    """The same, in the forward pass that is traced."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


class Stateful(Chain):
    """A result that depends on how often a module was called before; only the scores can tell."""

    def __init__(self):
        super().__init__()
        self.head = Fading()


class Fading(nn.Linear):
    def __init__(self):
        super().__init__(4, 3)
        self.calls = [0]

    def forward(self, x):
        self.calls[0] += 1
        return super().forward(x) / self.calls[0]


class Remembering(Chain):
    """A forward pass that sets an attribute."""

    last = None

    def forward(self, x):
        self.last = x
        return super().forward(x)


class Dropping(Chain):
    """Dropout in evaluation mode too, in one option."""

    def __init__(self):
        super().__init__()
        self.c = sn.Choice({"conv": Always(), "skip": nn.Identity()}, label="first")


class Always(nn.Module):
    def forward(self, x):
        return nn.functional.dropout(x, 0.5, training=True)


class Noise(Chain):
    """Random numbers that a trace would take for a constant."""

    def forward(self, x):
        return super().forward(x + torch.rand(1))


class Constant(Chain):
    """A tensor that a trace would write into the model."""

    def forward(self, x):
        return super().forward(x + torch.ones(1))


UNSAFE = {
    InPlace: "d changes its input in place",
    AddInPlace: "add_ changes its input in place",
    View: "mul_ changes its input in place",
    Inputs: "mul_ changes its input in place",
    Detached: "b changes its input in place",
    Counting: "parameters or buffers|changes the buffer",
    CountingItself: "changes the buffer calls",
    Remembering: "sets attributes of the model",
    Constant: "uses a tensor that is no parameter",
}


@pytest.mark.quick_with("AddInPlace-batch", "Detached-batch")
@pytest.mark.parametrize(
    ("kind", "batch_norm"),
    [
        *((kind, "batch") for kind in UNSAFE),
        *(slow_unless(kind is InPlace, kind, "recalibrate") for kind in UNSAFE),
    ],
)
def test_what_is_not_safe_to_share_is_scored_plainly_and_said(kind, batch_norm, examples):
    supernet, made = evaluator(build(kind), examples, batch_norm)
    some = list(supernet.space)
    found = dict(made.scores(some))
    assert re.search(UNSAFE[kind], made.plain_because)
    assert found == {a: made.score(a) for a in some}
    assert dict(made.scores(some)) == found


@pytest.mark.parametrize("kind", [Dropping, Noise])
def test_random_draws_are_not_shared(kind, examples):
    supernet, made = evaluator(build(kind), examples)
    everything = list(supernet.space)
    assert len(dict(made.scores(everything))) == len(everything)
    assert re.search("random numbers are drawn|no parameter", made.plain_because)


@pytest.mark.parametrize("kind", [CountingItself, Remembering, Constant, Noise])
def test_an_attempt_to_trace_leaves_nothing_behind(kind, examples):
    supernet = sn.SuperNet(build(kind))
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    attributes, random = dict(supernet.model.__dict__), torch.random.get_rng_state()
    with pytest.raises(UntraceableError):
        SharedForward(supernet, [], [[examples.inputs.float()]])
    assert supernet.model.__dict__ == attributes
    assert torch.equal(torch.random.get_rng_state(), random)
    for name, value in supernet.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("where", ["supernet", "model", "stem"])
@pytest.mark.parametrize("pre", [True, False])
def test_hooks_that_the_trace_would_pass_by(where, pre, examples):
    """`stem` is an nn.Sequential of PyTorch, and so a part that runs as it is: its hooks run too."""
    supernet, made = evaluator(Outer(), examples)
    module = {"supernet": supernet, "model": supernet.model, "stem": supernet.model.net}[where]
    some = list(supernet.space)[:5]
    unhooked = dict(made.scores(some))
    assert not made.plain_because
    if pre:
        module.register_forward_pre_hook(lambda _, inputs: (inputs[0] * 2,))
    else:
        module.register_forward_hook(lambda _, inputs, output: output * 2)
    found = dict(made.scores(some))
    assert found == {a: made.score(a) for a in some} != unhooked
    assert "forward hooks" in made.plain_because


class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = Chain()

    def forward(self, x):
        return self.net(x)


def test_hooks_within_a_choice_run(examples):
    supernet, made = evaluator(Chain(), examples)
    supernet.model.a.register_forward_hook(lambda _, inputs, output: output * 2)
    some = list(supernet.space)[:9]
    assert dict(made.scores(some)) == {a: made.score(a) for a in some}
    assert not made.plain_because


def test_a_module_that_is_replaced_is_seen(examples):
    supernet, made = evaluator(Chain(), examples)
    some = list(supernet.space)[:6]
    first = dict(made.scores(some))
    supernet.model.head = nn.Linear(4, 3)
    second = dict(made.scores(some))
    assert all(second[a] == made.score(a) != first[a] for a in some)
    assert not made.plain_because


def test_weights_that_change_between_two_candidates_are_seen(examples):
    supernet, made = evaluator(Chain(), examples)
    some, found = list(supernet.space)[:8], {}
    for count, (architecture, score) in enumerate(made.scores(some)):
        found[architecture] = (score, made.score(architecture))
        if count == 4:
            with torch.no_grad():
                supernet.model.stem[0].weight.mul_(2)
    assert all(shared == plain for shared, plain in found.values())
    assert "change while" in made.plain_because


def test_scores_that_are_given_up_leave_nothing(examples):
    supernet, made = evaluator(Chain(), examples)
    scores = made.scores(list(supernet.space))
    next(scores), next(scores)
    modes = {module.training for module in supernet.modules()}
    scores.close()
    assert modes == {True}
    assert not held(made._forward)


class Own(nn.BatchNorm2d):
    """A batch norm that stays as it is in training and in evaluation."""

    def train(self, mode=True):
        return self


@pytest.mark.parametrize("batch_norm", ["batch", "recalibrate"])
def test_modules_that_have_a_mode_of_their_own(batch_norm, examples):
    model = Chain()
    model.norm = Own(4)
    supernet, made = evaluator(model, examples, batch_norm)
    some = list(supernet.space)[:9]
    assert dict(made.scores(some)) == {a: made.score(a) for a in some}


class Pairs(Chain):
    """Values that are handed on in tuples, as views of one storage, and a use of the images late."""

    def forward(self, x):
        halves = self.stem(x).chunk(2, 1)
        y = self.c(torch.cat(halves[::-1], 1)) + x.mean(1, keepdim=True)
        return self.head(self.b(y).mean((2, 3)))


@pytest.mark.quick_with("batch-3000", "batch-60000", "batch-1073741824")
@pytest.mark.parametrize("memory", [3_000, 60_000, 2**30])
@pytest.mark.parametrize("batch_norm", ["batch", "recalibrate"])
def test_tuples_and_views(batch_norm, memory, examples):
    supernet, made = evaluator(build(Pairs), examples, batch_norm, memory=memory)
    some = list(supernet.space)
    assert dict(made.scores(some)) == {a: made.score(a) for a in some}
    assert not made.plain_because


class Unused(Chain):
    """A choice that runs and that nothing reads."""

    def forward(self, x):
        stem = self.stem(x)
        self.b(stem)
        return self.head(self.c(stem).mean((2, 3)))


def test_a_choice_that_nothing_reads(examples):
    supernet, made = evaluator(build(Unused), examples)
    some = list(supernet.space)
    assert dict(made.scores(some)) == {a: made.score(a) for a in some}
    assert not made.plain_because


def test_without_norms_nothing_is_calibrated(examples):
    model = nn.Sequential(nn.Flatten(), sn.Choice({"a": nn.Linear(128, 3), "b": nn.Linear(128, 3)}))
    supernet, made = evaluator(model, examples)
    calls = []
    model[0].register_forward_hook(lambda *_: calls.append(1))
    assert made.batch_norm == "none needed"
    made.score(supernet.space[0])
    assert len(calls) == 3  # 40 images to score, at most 17 at a time
    assert dict(made.scores(list(supernet.space))) == {a: made.score(a) for a in supernet.space}


def test_inputs_are_kept_where_there_is_room(examples):
    """As float32 they take 40 * 128 * 4 bytes, of which a quarter of the memory is allowed."""
    size = 40 * 128 * 4
    for memory, kept in ((4 * size - 1, False), (4 * size, True)):
        _, made = evaluator(Chain(), examples, memory=memory)
        assert (made._search[0][0] is made._search[0][0]) == kept
        assert made._memory == memory - kept * size


def test_a_module_with_a_memory_gives_other_scores(examples):
    _, made = evaluator(build(Stateful), examples)
    list(made.scores(list(made._supernet.space)[:9]))
    assert "gives other scores" in made.plain_because


def test_where_memory_does_not_suffice_to_share_candidates_are_scored_alone(examples, monkeypatch):
    supernet, made = evaluator(build(Chain), examples)
    some = list(supernet.space)[::5]
    expected = {one: made.score(one) for one in some}
    monkeypatch.setattr(made, "_shared", lambda *_: torch.empty(2**46))
    assert dict(made.scores(some)) == expected
    assert made.plain_because == "there is too little memory to share"


def test_a_candidate_for_which_memory_does_not_suffice_ends_the_scoring(examples, monkeypatch):
    supernet, made = evaluator(build(Chain), examples)
    monkeypatch.setattr(made, "_plain", lambda *_: torch.empty(2**46))
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        list(made.scores(list(supernet.space)[:3]))
