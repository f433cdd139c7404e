import pytest
import torch
from sklearn.datasets import load_digits

from supernet.data import Augment, Digits
from supernet.errors import ConfigError


def test_ink_and_labels_are_those_of_scikit_learn():
    pixels, labels = load_digits(return_X_y=True)
    raw = Digits().load()
    assert (raw.train.inputs.flatten(1).numpy() == pixels * 15).all()
    assert raw.train.targets.tolist() == labels.tolist()
    assert raw.train.inputs.max() == 240
    assert raw.train.classes == tuple("0123456789")
    assert raw.name == "digits"
    assert raw.augment == Augment(crop=1)


def test_a_digit_lies_whole_somewhere_on_its_canvas():
    digits, lost = Digits().load().train.inputs, Digits(canvas=11).load().train.inputs
    places = lost.unfold(2, 8, 1).unfold(3, 8, 1)  # [n, 1, top, left, 8, 8]
    there = (places == digits[:, :, None, None]).all(-1).all(-1).flatten(1)
    assert there.any(1).all()
    assert (lost.flatten(1).long().sum(1) == digits.flatten(1).long().sum(1)).all()
    used = there[there.sum(1) == 1].long().argmax(1).bincount(minlength=16)
    assert used.min() > 0.5 * used.float().mean()


def test_noise_is_uniform_and_the_same_at_every_call():
    clean, noisy = (Digits(canvas=20, noise=noise).load().train.inputs for noise in (0.0, 0.5))
    added = (noisy.float() - clean.float())[clean == 0]
    assert (added.min(), added.max()) == (0, 127)
    assert added.mean() == pytest.approx(63.25, abs=0.5)  # rounded down
    assert noisy.max() == 255
    assert torch.equal(noisy, Digits(canvas=20, noise=0.5).load().train.inputs)


@pytest.mark.parametrize("options", [{"canvas": 7}, {"noise": -0.1}, {"noise": 1.5}])
def test_what_is_out_of_range_is_refused(options):
    with pytest.raises(ConfigError, match="canvas is a number of pixels, at least 8"):
        Digits(**options)
