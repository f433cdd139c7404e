"""Mixed examples: inputs and targets are those of the papers' formulas, the same after a resume."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from supernet.data import Examples, Loader, Mixing, Normalise
from supernet.errors import ConfigError, DataError
from supernet.random import stream
from supernet.task import Classification


@pytest.fixture
def batch():
    torch.manual_seed(0)
    return torch.randn(6, 3, 10, 8), torch.tensor([0, 1, 2, 3, 0, 1])


def test_mixup_mixes_inputs_and_classes_alike(batch):
    x, y = batch
    mixed, shares = Mixing(mixup=0.4)(x, y, 4, stream(0, "a"))
    share = stream(0, "a").betavariate(0.4, 0.4)
    torch.testing.assert_close(mixed, share * x + (1 - share) * x.flip(0))
    for i in range(6):
        expected = [0.0] * 4
        expected[int(y[i])] += share
        expected[int(y[5 - i])] += 1 - share
        assert shares[i].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(30))
def test_cutmix_gives_a_box_and_its_share(seed, batch):
    x, y = batch
    mixed, shares = Mixing(cutmix=1.0)(x, y, 4, stream(seed))
    other = (mixed != x).any(1)  # [batch, height, width]
    assert torch.equal(mixed, torch.where(other[:, None], x.flip(0), x))
    assert all(torch.equal(one, other[0]) for one in other)
    rows, columns = other[0].any(1), other[0].any(0)
    assert torch.equal(other[0], rows[:, None] & columns[None])  # a box
    left = 1 - float(other[0].float().mean())
    assert float(shares[0, 0]) == pytest.approx(
        left, abs=1e-6
    )  # of the first; the last is of class 1
    assert float(shares[0, 1]) == pytest.approx(1 - left, abs=1e-6)
    assert shares.sum(1).tolist() == pytest.approx([1.0] * 6)


def test_of_both_each_step_takes_one(batch):
    x, y = batch
    both = Mixing(mixup=1.0, cutmix=1.0)
    taken = [bool((both(x, y, 4, stream(s))[0] == x).any()) for s in range(60)]
    assert 15 < sum(taken) < 45


def test_the_loss_is_the_mixture_of_two(batch):
    x, y = batch
    model = nn.Sequential(nn.Flatten(), nn.Linear(240, 4))
    mixed, shares = Mixing(mixup=0.4)(x, y, 4, stream(0, "a"))
    share = stream(0, "a").betavariate(0.4, 0.4)
    logits = model(mixed)
    expected = share * F.cross_entropy(logits, y) + (1 - share) * F.cross_entropy(logits, y.flip(0))
    torch.testing.assert_close(Classification().loss(model, (mixed, shares)), expected)


def test_shares_are_no_targets_of_data(batch):
    model = nn.Sequential(nn.Flatten(), nn.Linear(240, 4))
    with pytest.raises(DataError, match="one class number per example"):
        Classification().measure(model, (batch[0], torch.full((6, 4), 0.25)))


def test_a_loader_mixes_each_step_anew_and_again_alike():
    images = torch.randint(256, (40, 3, 6, 6), dtype=torch.uint8)
    examples = Examples(images, torch.arange(40) % 4, tuple("abcd"))

    def made(mixing):
        return Loader(examples, 8, 5, normalise=Normalise.of(examples), mixing=mixing)

    loader, plain = made(Mixing(mixup=0.3)), made(None)
    first = [loader.batch(step) for step in range(4)]
    for step in reversed(range(4)):
        again = made(Mixing(mixup=0.3)).batch(step)
        assert all(torch.equal(a, b) for a, b in zip(first[step], again, strict=True))
        assert not torch.equal(first[step][0], plain.batch(step)[0])
        assert first[step][1].shape == (8, 4)
    shares = {round(float(targets.max()), 6) for _, targets in first}
    assert len(shares) > 1
    assert torch.equal(made(Mixing()).batch(2)[0], plain.batch(2)[0])


@pytest.mark.parametrize(
    ("mixing", "inputs", "targets", "said"),
    [
        (Mixing(0.2), torch.zeros(4, 5, dtype=torch.int64), torch.zeros(4).long(), "of tokens"),
        (Mixing(0.2), {"a": torch.zeros(4, 5)}, torch.zeros(4).long(), "several inputs"),
        (Mixing(0.2), torch.zeros(4, 5), torch.zeros(4), "mix classes"),
        (Mixing(0.2), torch.zeros(4, 5), torch.zeros(4, 2).long(), "mix classes"),
        (Mixing(0, 1), torch.zeros(4, 5), torch.zeros(4).long(), "CutMix mixes images"),
    ],
)
def test_what_cannot_be_mixed_is_refused(mixing, inputs, targets, said):
    with pytest.raises(DataError, match=said):
        mixing(inputs, targets, 3, stream(0))


@pytest.mark.parametrize("alpha", [-1, float("inf"), float("nan")])
def test_alpha_is_no_such_number(alpha):
    with pytest.raises(ConfigError, match="Beta distribution"):
        Mixing(mixup=alpha)
