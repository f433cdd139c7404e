"""Whole runs on two inputs, tokens with a mask: by position, by name, streamed, stopped and exported."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import supernet as sn
from marks import slow_unless
from supernet.data import Augment, Datasets, Tensors
from supernet.errors import ConstraintError, DataError, SupernetError
from supernet.strategies import STRATEGIES
from supernet.task import Task, outputs_of
from two_inputs import LENGTH, WIDTH, Masked, Rows, examples

OPTIONS = {
    "train.steps": 12,
    "train.batch_size": 16,
    "train.log_every": 2,
    "train.checkpoint_seconds": 0,
    "retrain.train.steps": 6,
    "retrain.top": 2,
    "evaluate.batch_size": 16,
}
TOKENS, MASK, LABELS = examples()
BY_NAME = {"mask": MASK, "tokens": TOKENS}  # in another order than the model takes them


def run(out, data, **changes):
    options = {**OPTIONS, **changes.pop("options", {})}
    arguments = {"strategy": "spos", "searcher": "exhaustive", "progress": False, **changes}
    return sn.run(arguments.pop("model", Masked), data, out=out, options=options, **arguments)


def results(result):
    """Return what a run ended with but for how its data is known."""
    metrics = result.metrics
    left_out = ("seconds", "program")
    found = [
        {name: value for name, value in metrics[section].items() if name not in left_out}
        for section in ("search", "retrain", "test")
    ]
    return metrics["train"]["weights"], metrics["train"]["loss"], found


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    return run(tmp_path_factory.mktemp("named") / "run", (BY_NAME, LABELS))


@pytest.mark.parametrize("data", ["tuple", "rows", "streamed"])
def test_a_run_is_the_same_however_the_inputs_are_given(named, tmp_path, data):
    given = {
        "tuple": ((TOKENS, MASK), LABELS),
        "rows": Rows(),
        "streamed": Datasets(Rows(), stream=True, workers=1),
    }[data]
    found = run(tmp_path / "run", given)
    assert results(found) == results(named)
    assert found.metrics["search"]["shared"]
    state = named.model.state_dict()
    assert all(torch.equal(one, state[name]) for name, one in found.model.state_dict().items())


def test_the_model_is_given_the_shapes_by_name_and_costs_are_exact(named, tmp_path):
    assert named.model.shapes == {"mask": (LENGTH,), "tokens": (LENGTH,)}
    per_token = {"wide": 2 * 16 * WIDTH, "slim": WIDTH * WIDTH}
    for row in named.metrics["search"]["selected"]:
        first, second = row["architecture"]["first"], row["architecture"]["second"]
        after = (WIDTH * WIDTH if second == "linear" else 0) + 3 * WIDTH
        assert row["macs"] == LENGTH * per_token[first] + after
    with pytest.raises(ConstraintError, match="macs"):
        run(tmp_path / "run", (BY_NAME, LABELS), constraints="macs <= 10")


def test_programmes_take_the_inputs_by_their_names(named):
    few = {"mask": MASK[:5], "tokens": TOKENS[:5]}
    expected = named.model(**few)
    assert named.metrics["retrain"]["program"] == {
        "mask": {"dtype": "bool", "shape": ["batch", LENGTH]},
        "tokens": {"dtype": "int64", "shape": ["batch", LENGTH]},
    }
    program = torch.export.load(named.folder / "model.pt2").module()
    torch.testing.assert_close(program(**few), expected)
    onnxruntime = pytest.importorskip("onnxruntime")
    (exported,) = named.export_networks(onnx=True)
    session = onnxruntime.InferenceSession(exported.folder / "model.onnx")
    assert [one.name for one in session.get_inputs()] == ["mask", "tokens"]
    (found,) = session.run(None, {name: one.numpy() for name, one in few.items()})
    torch.testing.assert_close(torch.from_numpy(found), expected)


def test_a_run_that_is_stopped_goes_on_to_the_same_bits(named, tmp_path):
    def stop(record, step):
        if record["stage"] == "train" and step == 6:
            raise KeyboardInterrupt

    streamed = Datasets(Rows(), stream=True, workers=1)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", streamed, on_record=stop)
    assert results(run(tmp_path / "run", streamed)) == results(named)


@pytest.mark.parametrize("data", [{"mask": MASK, "tokens": TOKENS.flip(0)}, (TOKENS, MASK)])
def test_other_inputs_and_other_names_are_other_data(named, data):
    with pytest.raises(SupernetError, match="other data"):
        run(named.folder, (data, LABELS))


@pytest.mark.parametrize(
    "strategy",
    [
        slow_unless(name in ("bender", "darts", "enas", "smash"), name, id=name)
        for name in STRATEGIES
        if name not in ("spos", "dartsminus", "singlepath")  # these two want a space of their own
    ],
)
def test_every_strategy_does_the_same_with_inputs_by_name(strategy, tmp_path):
    found = [
        results(run(tmp_path / str(number), data, strategy=strategy, searcher=None))
        for number, data in enumerate((((TOKENS, MASK), LABELS), (BY_NAME, LABELS)))
    ]
    assert found[0] == found[1]


class Pictures(nn.Module):
    """A convolution of images, and numbers beside them."""

    def __init__(self, shapes, classes):
        super().__init__()
        channels = shapes["image"][0]
        convs = {f"conv{k}": nn.Conv2d(channels, 8, k, padding=k // 2) for k in (1, 3)}
        self.conv = sn.Choice(convs)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8 + shapes["numbers"][0], classes)

    def forward(self, image, numbers):
        y = self.norm(self.conv(image)).relu().mean((2, 3))
        return self.head(torch.cat([y, numbers], 1))


def test_images_beside_numbers_are_normalised_augmented_and_exported(tmp_path):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 200, (120, 3, 8, 8), dtype=torch.uint8, generator=generator)
    images[::2, 1] += 50
    numbers = torch.randn(120, 2, generator=generator)
    inputs = {"numbers": numbers, "image": images}

    def searched(name, augment):
        data = Tensors((inputs, torch.arange(120) % 2), augment=augment)
        return run(tmp_path / name, data, model=Pictures)

    plain, flipped = searched("plain", None), searched("flipped", Augment(flip=True))
    weights = [result.metrics["train"]["weights"] for result in (plain, flipped)]
    assert weights[0] != weights[1]
    assert len(plain.metrics["data"]["mean"]) == 3
    few = {name: part[:4] for name, part in inputs.items()}
    program = torch.export.load(plain.folder / "model.pt2").module()
    expected = plain.model(**plain.normalise(few))
    torch.testing.assert_close(program(**few), expected, rtol=1e-4, atol=1e-4)


class Squares(Task):
    """A regression that calls the model itself."""

    def loss(self, model, batch):
        return self.measure(model, batch)["loss"].mean()

    def measure(self, model, batch):
        inputs, targets = batch
        return {"loss": (model(**inputs).mean(1) - targets).square()}


def test_a_task_of_ones_own_calls_the_model_by_name(tmp_path):
    targets = MASK.float().mean(1)
    found = run(tmp_path / "run", (BY_NAME, targets), task=Squares)
    assert found.metrics["search"]["shared"]
    batch = {"mask": MASK[:4], "tokens": TOKENS[:4]}, targets[:4]
    assert torch.equal(outputs_of(found.model, batch), found.model(TOKENS[:4], MASK[:4]))
    by_position = TOKENS[:4], MASK[:4], targets[:4]
    assert torch.equal(outputs_of(found.model, by_position), outputs_of(found.model, batch))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            {"tokens": TOKENS, "padding": MASK},
            r"'tokens', 'padding', but Masked.forward takes \(tokens, mask\)",
        ),
        ((TOKENS,), r"given are 1 by position, but Masked.forward takes \(tokens, mask\)"),
        ((TOKENS, MASK, MASK), "given are 3 by position"),
    ],
)
def test_inputs_that_the_model_does_not_take_are_refused_before_training(tmp_path, inputs, message):
    with pytest.raises(DataError, match=message):
        run(tmp_path / "run", (inputs, LABELS))
    assert not (tmp_path / "run" / "supernet.pt").exists()


def test_an_augmentation_that_has_no_images_is_refused_before_training(tmp_path):
    data = Tensors((BY_NAME, LABELS), augment=Augment(flip=True))
    with pytest.raises(DataError, match=r"not exactly one is uint8 images; leave it out"):
        run(tmp_path / "run", data)
    assert not (tmp_path / "run" / "supernet.pt").exists()
