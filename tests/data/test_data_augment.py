import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from supernet.data import Augment
from supernet.errors import ConfigError, DataError
from supernet.random import generator

EVERYTHING = Augment(flip=True, crop=2, cutout=3)


def unique_images(count, channels, height, width):
    values = torch.arange(1, 1 + count * channels * height * width, dtype=torch.float32)
    return values.view(count, channels, height, width)


def windows(image, crop):
    """Return all shifted versions of one image, zeros moving in."""
    height, width = image.shape[1:]
    padded = functional.pad(image, (crop,) * 4)
    offsets = itertools.product(range(2 * crop + 1), repeat=2)
    return [padded[:, y : y + height, x : x + width] for y, x in offsets]


def index_of(image, candidates):
    (found,) = [n for n, candidate in enumerate(candidates) if torch.equal(image, candidate)]
    return found


shapes = st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(4, 7), st.integers(4, 7))
seeds = st.integers(0, 2**40)


@settings(deadline=None, max_examples=40)
@given(shape=shapes, crop=st.integers(0, 3), flip=st.booleans(), seed=seeds)
def test_each_image_is_an_exact_shift_of_itself_or_its_mirror_image(shape, crop, flip, seed):
    images = unique_images(*shape)
    before = images.clone()
    outputs = Augment(flip=flip, crop=crop)(images, generator(seed))
    assert torch.equal(images, before)
    for image, output in zip(images, outputs, strict=True):
        mirrored = windows(image.flip(2), crop) if flip else []
        index_of(output, windows(image, crop) + mirrored)


def test_every_shift_occurs_and_images_draw_for_themselves():
    images = unique_images(1, 1, 5, 6).expand(600, -1, -1, -1)
    outputs = Augment(crop=1)(images, generator(0))
    drawn = [index_of(output, windows(images[0], 1)) for output in outputs]
    assert set(drawn) == set(range(9))
    # 600 draws of 9: no shift is as rare or as frequent as half or twice its share.
    assert all(33 < drawn.count(shift) < 133 for shift in range(9))


def test_half_of_the_images_are_mirrored():
    images = unique_images(1, 1, 1, 2).expand(1000, -1, -1, -1)
    mirrored = (Augment(flip=True)(images, generator(0))[:, 0, 0, 0] == 2).sum()
    assert 430 < mirrored < 570


@settings(deadline=None, max_examples=40)
@given(shape=shapes, side=st.integers(1, 8), seed=seeds)
def test_cutout_zeroes_one_clipped_square_and_nothing_else(shape, side, seed):
    images = unique_images(*shape)
    outputs = Augment(cutout=side)(images, generator(seed))
    height, width = shape[2:]
    allowed = []
    for y, x in itertools.product(range(height), range(width)):
        mask = torch.zeros(height, width, dtype=torch.bool)
        top, left = y - side // 2, x - side // 2
        mask[max(0, top) : top + side, max(0, left) : left + side] = True
        allowed.append(mask)
    for image, output in zip(images, outputs, strict=True):
        removed = (output == 0).all(0)
        assert any(torch.equal(removed, mask) for mask in allowed)
        assert torch.equal(output[:, ~removed], image[:, ~removed])


def test_cutout_squares_are_centred_everywhere():
    images = torch.ones(400, 1, 4, 5)
    outputs = Augment(cutout=1)(images, generator(0))
    assert (outputs == 0).sum((1, 2, 3)).eq(1).all()
    assert (outputs == 0).any(0).all()


def test_equal_generators_give_equal_images():
    images = unique_images(8, 3, 6, 6)
    first, same, other = (EVERYTHING(images, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    "augment", [Augment(), Augment(flip=True), Augment(crop=1), Augment(cutout=2), EVERYTHING]
)
def test_type_and_memory_format_stay(augment, memory_format):
    images = unique_images(4, 3, 6, 6).bfloat16().contiguous(memory_format=memory_format)
    outputs = augment(images, generator(0))
    assert outputs.dtype == torch.bfloat16
    assert outputs.is_contiguous(memory_format=memory_format)


def test_nothing_waits_for_the_device():
    class Record(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            called.append(str(function))
            return function(*args, **(kwargs or {}))

    called: list[str] = []
    with Record():
        EVERYTHING(unique_images(4, 3, 6, 6), generator(0))
    waiting = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal")
    assert called
    assert not [name for name in called if any(f"aten.{word}." in name for word in waiting)]
    # No loop over the images either: as many operations for four as for forty.
    calls = len(called)
    with Record():
        EVERYTHING(unique_images(40, 3, 6, 6), generator(0))
    assert len(called) == 2 * calls


@pytest.mark.parametrize("option", ["crop", "cutout"])
def test_negative_pixels_are_refused(option):
    with pytest.raises(ConfigError, match=f"augment.{option} is -1; give a number of pixels"):
        Augment(**{option: -1})


def test_inputs_that_are_not_images_are_refused_unless_nothing_is_to_be_done():
    vectors = torch.zeros(2, 5)
    assert Augment()(vectors, generator(0)) is vectors
    with pytest.raises(DataError, match=r"\[2, 5\]; use Augment\(\)"):
        Augment(flip=True)(vectors, generator(0))


def test_a_shift_out_of_sight_is_refused():
    with pytest.raises(DataError, match=r"only 4 pixels .* use at most 3"):
        Augment(crop=4)(torch.zeros(1, 1, 4, 9), generator(0))


@pytest.mark.parametrize("own", [slice(0, 3), slice(3, 6), slice(0, 6)])
def test_a_part_is_changed_as_in_its_batch(own):
    images = torch.randn(6, 3, 8, 8, generator=generator(1))
    augment = Augment(flip=True, crop=2, cutout=3)
    whole = augment(images, generator(2))
    assert not torch.equal(whole, images)
    assert torch.equal(augment.of_part(images[own], generator(2), 6, own), whole[own])
