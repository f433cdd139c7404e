"""What is said about batch norm policies is what the scores of the policies say."""

import pytest
import torch
from torch import nn

from supernet.choice import Choice
from supernet.errors import ConfigError, DivergedError, NoNetworkError
from supernet.evaluate import Evaluator, Protocol, kendall
from supernet.evaluate.batch_norm_policy import compare_policies, converged_calibration
from supernet.net import SuperNet
from supernet.task import Classification


@pytest.fixture
def make(supernet, data):
    return lambda protocol: Evaluator(supernet, Classification(), *data, protocol)


def test_every_two_policies_are_compared(make, supernet):
    some = list(supernet.space)[::3]
    report = compare_policies(make, some, batch_size=40, calibration_batches=(1, 3))
    protocols = {
        "batch statistics of 40 images": Protocol("batch", 40),
        "recalibrate on 40 images": Protocol("recalibrate", 40, 1),
        "recalibrate on 120 images": Protocol("recalibrate", 40, 3),
    }
    assert report.measure == "accuracy"
    assert report.scores == {
        name: [make(protocol).score(a)["accuracy"] for a in some]
        for name, protocol in protocols.items()
    }
    assert len(report.agreements) == 3
    for one in report.agreements:
        x, y = report.scores[one.first], report.scores[one.second]
        assert one.kendall_tau == kendall(x, y).kendall_tau
        assert one.difference == pytest.approx(
            sum(abs(a - b) for a, b in zip(x, y, strict=True)) / len(some)
        )
        assert f"{one.first} / {one.second}: tau" in str(report)


def test_more_batches_than_there_are_images_are_tried_once(make, supernet):
    some = list(supernet.space)[:3]
    report = compare_policies(make, some, 100, calibration_batches=(1, 3, 5, 9))
    assert list(report.scores) == [
        "batch statistics of 100 images",
        "recalibrate on 100 images",
        "recalibrate on 300 images",
    ]


def test_without_norms_none_is_needed(data):
    options = {"a": nn.Linear(64, 10), "b": nn.Linear(64, 10)}
    supernet = SuperNet(nn.Sequential(nn.Flatten(), Choice(options)))

    def make(protocol):
        return Evaluator(supernet, Classification(), *data, protocol)

    both = list(supernet.space)
    report = compare_policies(make, both)
    assert report.agreements == []
    assert list(report.scores) == ["none needed"]
    assert str(report) == "batch norm: none needed"
    assert converged_calibration(make, both) == 0


class Told:
    """Stands for an evaluator whose scores are known."""

    batch_norm = "recalibrate"

    def __init__(self, scores):
        self._scores = scores

    def scores(self, architectures):
        for architecture in reversed(architectures):
            yield architecture, {"loss": self._scores[architectures.index(architecture)]}


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ({1: (1, 2, 3), 2: (1.4, 2, 3), 4: (1.4, 2, 3.01), 8: (1.4, 2, 3)}, 2),
        ({1: (1, 2, 3), 2: (1, 2, 3), 4: (1, 2, 3), 8: (1, 2, 3)}, 1),
        ({1: (1, 2, 3), 2: (1, 2, 3), 4: (1, 2, 3), 8: (2, 3, 4)}, None),
        # near, then away and back: the small number only seems to be enough
        ({1: (1, 2, 3), 2: (5, 6, 7), 4: (1, 2, 3), 8: (1, 2, 3)}, 4),
        # every step is small, but they add up
        ({1: (1, 2, 3), 2: (1.06, 2, 3), 4: (1.12, 2, 3), 8: (1.18, 2, 3)}, 4),
        # the scores are near, but their order turns
        ({1: (1, 1.01, 1.02), 2: (1, 1.01, 1.02), 4: (1.02, 1.01, 1), 8: (1.02, 1.01, 1)}, 4),
        ({1: (1, 1, 1), 2: (1, 1, 1), 4: (1, 1, 1), 8: (1, 1, 1)}, 1),
    ],
)
def test_the_smallest_number_that_no_larger_one_contradicts(supernet, scores, expected):
    some = list(supernet.space)[:3]
    found = converged_calibration(
        lambda protocol: Told(scores[protocol.calibration_batches]),
        some,
        tolerance=0.03,
        calibration_batches=tuple(scores),
    )
    assert found == expected


def test_convergence_on_a_network(make, supernet):
    some = list(supernet.space)[::4]
    numbers = (1, 2, 4, 7)
    strict = converged_calibration(make, some, 0.0, 1.0, 40, numbers)
    loose = converged_calibration(make, some, 1.0, -1.0, 40, numbers)
    assert loose == 1
    assert strict in (None, 2, 4)


@pytest.fixture
def spoilt(supernet):
    """The option "tracked" gives numbers that are none."""
    with torch.no_grad():
        supernet.model.mix.options[0][0].weight.fill_(float("nan"))
    some = list(supernet.space)
    bad = [one for one in some if "tracked" in one["mix"]]
    good = [one for one in some if "tracked" not in one["mix"]]
    assert len(bad) > 2
    assert len(good) > 2
    return bad, good


def test_architectures_that_fail_are_left_out(make, supernet, spoilt):
    bad, good = spoilt
    mixed = [bad[0], good[0], good[1], bad[1], good[2]]
    report = compare_policies(make, mixed, 40, (1, 2))
    assert report.scores == compare_policies(make, good[:3], 40, (1, 2)).scores
    assert set(report.failed) == {bad[0], bad[1]}
    assert all(isinstance(error, DivergedError) for error in report.failed.values())
    told = {}
    found = converged_calibration(
        make, mixed, 0.0, 1.0, 40, (1, 2, 4), lambda one, error: told.update({one: str(error)})
    )
    assert found == converged_calibration(make, good[:3], 0.0, 1.0, 40, (1, 2, 4))
    assert set(told) == {bad[0], bad[1]}


def test_one_architecture_that_passes_is_not_enough(make, spoilt):
    bad, good = spoilt
    with pytest.raises(NoNetworkError, match=rf"of 3 only 1 .*{bad[0].key} .*'tracked'.*is nan"):
        compare_policies(make, [*bad[:2], good[0]], 40, (1, 2))


@pytest.mark.parametrize("numbers", [(), (2, 1), (1, 1, 2)])
def test_numbers_that_do_not_grow_are_refused(make, supernet, numbers):
    with pytest.raises(ConfigError, match="growing"):
        compare_policies(make, list(supernet.space)[:2], 40, numbers)


def test_one_architecture_or_one_number_is_not_enough(make, supernet):
    with pytest.raises(ConfigError, match="two or more"):
        compare_policies(make, list(supernet.space)[:1])
    with pytest.raises(ConfigError, match="two numbers"):
        converged_calibration(make, list(supernet.space)[:2], calibration_batches=(4,))
