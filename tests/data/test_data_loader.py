import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from supernet.data import Augment, Examples, Loader, Normalise, chunks
from supernet.data import normalise as module
from supernet.errors import ConfigError, DataError


def make(count, shape=(1,)):
    values = torch.arange(count * torch.Size(shape).numel(), dtype=torch.float32)
    return Examples(values.view(count, *shape), torch.arange(count))


def photos(count=50, channels=3):
    random = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, channels, 5, 6), generator=random, dtype=torch.uint8)
    return Examples(images, torch.arange(count))


def epoch(loader, number):
    first = number * loader.batches_per_epoch
    steps = range(first, first + loader.batches_per_epoch)
    return torch.cat([loader.batch(step)[1] for step in steps]).tolist()


@settings(deadline=None, max_examples=50)
@given(count=st.integers(1, 40), batch_size=st.integers(1, 50), seed=st.integers(0, 2**40))
def test_an_epoch_is_a_permutation_without_its_rest(count, batch_size, seed):
    loader = Loader(make(count), batch_size, seed)
    size = min(batch_size, count)
    assert loader.images_per_step == size
    assert loader.batches_per_epoch == count // size
    for number in (0, 1):
        served = epoch(loader, number)
        assert len(served) == len(set(served)) == count // size * size


def test_epochs_seeds_and_purposes_have_different_orders():
    examples = make(64)
    first = epoch(Loader(examples, 8, 1), 0)
    others = [
        epoch(Loader(examples, 8, 1), 1),
        epoch(Loader(examples, 8, 2), 0),
        epoch(Loader(examples, 8, 1, purpose="search"), 0),
    ]
    assert all(first != other for other in others)
    assert first == epoch(Loader(examples, 16, 1), 0)


def test_inputs_stay_with_their_targets():
    inputs, targets = Loader(make(64), 8, 1).batch(11)
    assert torch.equal(inputs.flatten(), targets.float())


def test_augmentation_changes_with_step_seed_and_purpose_only():
    examples = photos(1)

    def image(step=0, seed=1, purpose="order"):
        return Loader(examples, 1, seed, Augment(crop=4), purpose).batch(step)[0]

    assert torch.equal(image(), image())
    assert not torch.equal(image(), image(step=1))
    assert not torch.equal(image(), image(seed=2))
    assert not torch.equal(image(), image(purpose="search"))


def test_images_are_normalised_before_zeros_are_moved_in():
    examples = photos()
    normalise = Normalise((0.5,) * 3, (0.25,) * 3)
    inputs, targets = Loader(examples, 50, 1, Augment(crop=4), normalise=normalise).batch(0)
    plain = normalise(examples.inputs[targets])
    moved_in = inputs == 0
    assert moved_in.any()
    assert not (plain == 0).any()  # so every zero is padding
    shifted_values = inputs[~moved_in].unique()
    assert torch.isin(shifted_values, plain.unique()).all()


def test_a_loader_measures_its_own_examples_by_default():
    inputs, _ = Loader(photos(), 50, 1).batch(0)
    assert inputs.mean((0, 2, 3)).abs().max() < 1e-5
    assert (inputs.std((0, 2, 3), unbiased=False) - 1).abs().max() < 1e-5


def test_batch_sizes_and_steps_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="batch_size is 0; give a number of images"):
        Loader(make(4), 0, 1)
    with pytest.raises(ConfigError, match="step is -1; steps are counted from 0"):
        Loader(make(4), 2, 1).batch(-1)
    with pytest.raises(ConfigError, match="batch_size is 0"):
        chunks(make(4), 0, Normalise())


@given(count=st.integers(1, 60), batch_size=st.integers(1, 70))
def test_chunks_are_nearly_equal_and_in_order(count, batch_size):
    parts = list(chunks(make(count), batch_size, Normalise()))
    sizes = [len(inputs) for inputs, _ in parts]
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    assert len(parts) == -(-count // batch_size)
    assert torch.cat([targets for _, targets in parts]).tolist() == list(range(count))
    assert torch.cat([inputs for inputs, _ in parts]).flatten().tolist() == list(range(count))


def test_chunks_normalise():
    examples = photos()
    ((inputs, _),) = chunks(examples, 50, Normalise.of(examples))
    assert torch.equal(inputs, Normalise.of(examples)(examples.inputs))


def test_mean_and_deviation_are_those_of_float64(monkeypatch):
    examples = photos()
    values = examples.inputs.double() / 255
    measured = Normalise.of(examples)
    mean = torch.tensor(measured.mean, dtype=torch.float64)
    std = torch.tensor(measured.std, dtype=torch.float64)
    torch.testing.assert_close(mean, values.mean((0, 2, 3)), rtol=1e-13, atol=0)
    torch.testing.assert_close(std, values.std((0, 2, 3), unbiased=False), rtol=1e-13, atol=0)
    monkeypatch.setattr(module, "_VALUES_PER_CHUNK", 700)
    assert Normalise.of(examples) == measured
    assert Normalise.of(examples.select(torch.arange(49, -1, -1))) == measured


def test_normalised_values_match_the_formula():
    examples = photos(channels=2)
    normalise = Normalise((0.1, 0.6), (0.5, 0.2))
    mean, std = torch.tensor([0.1, 0.6]).view(2, 1, 1), torch.tensor([0.5, 0.2]).view(2, 1, 1)
    outputs = normalise(examples.inputs)
    assert outputs.dtype == torch.float32
    torch.testing.assert_close(outputs, (examples.inputs / 255 - mean) / std)
    # The same values as floats on the scale 0..1 give the same.
    torch.testing.assert_close(normalise(examples.inputs.double() / 255), outputs)


def test_a_constant_channel_becomes_zero():
    images = torch.full((4, 2, 3, 3), 77, dtype=torch.uint8)
    images[0, 1] = 78
    normalise = Normalise.of(Examples(images, torch.arange(4)))
    assert normalise.std[0] == 1.0
    assert normalise(images)[:, 0].abs().max() < 1e-6
    assert normalise(images)[:, 1].std(unbiased=False) == pytest.approx(1, abs=1e-4)


def test_floats_stay_as_they_are():
    examples = Examples(torch.randn(5, 3, dtype=torch.float64), torch.arange(5))
    assert Normalise.of(examples) == Normalise()
    assert torch.equal(Normalise()(examples.inputs), examples.inputs.float())


def test_channels_last_is_for_images_only():
    examples = photos()
    normalise = Normalise.of(examples, channels_last=True)
    outputs = normalise(examples.inputs)
    assert outputs.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(outputs, Normalise.of(examples)(examples.inputs))
    assert Normalise(channels_last=True)(torch.zeros(2, 3)).shape == (2, 3)
    batch, _ = Loader(examples, 8, 1, Augment(True, 1, 1), normalise=normalise).batch(0)
    assert batch.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", [(2, 1, 5, 6), (2,)])
def test_another_number_of_channels_is_refused(shape):
    normalise = Normalise.of(photos())
    with pytest.raises(DataError, match=r"for 3 channel\(s\); measure them with Normalise.of"):
        normalise(torch.zeros(shape, dtype=torch.uint8))


def test_constants_of_an_evaluation_can_be_used_in_training():
    normalise = Normalise((0.125,), (0.375,))
    with torch.inference_mode():
        normalise(torch.zeros(2, 1, 2, 2))
    inputs = torch.ones(2, 1, 2, 2, requires_grad=True)
    normalise(inputs).sum().backward()
    torch.testing.assert_close(inputs.grad, torch.full_like(inputs, 1 / 0.375))
