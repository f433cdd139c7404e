"""The part of each example in a figure that is no mean: by leaving it out, and as resamples scatter."""

import numpy as np
import pytest
import torch

from supernet.evaluate.jackknife import pseudo_values
from supernet.fidelity.early import score_noise

NETWORKS, IMAGES = 6, 120


@pytest.fixture
def predictions():
    """Return targets [images] and what networks predict, [networks, images], 0 or 1."""
    random = np.random.default_rng(0)
    targets = random.integers(0, 2, IMAGES)
    hard = random.random(IMAGES) < 0.25  # for all networks alike
    flips = random.random((NETWORKS, IMAGES)) < np.linspace(0.05, 0.3, NETWORKS)[:, None]
    return targets, np.where(hard ^ flips, 1 - targets, targets)


def f1(targets, predicted):
    """Return the F1 of the class 1, by its definition."""
    hits = int((targets & predicted).sum())
    precision, recall = hits / max(predicted.sum(), 1), hits / max(targets.sum(), 1)
    return 2 * precision * recall / max(precision + recall, 1e-12)


def f1_of_means(means):
    return 2 * means["both"] / (means["target"] + means["predicted"])


def measures(targets, predicted):
    both = {"both": targets & predicted, "target": targets, "predicted": predicted}
    return {name: torch.tensor(values, dtype=torch.float32) for name, values in both.items()}


def test_the_parts_of_a_mean_are_the_values_themselves():
    values = torch.randn(30, 4)
    found = pseudo_values(lambda means: means["x"][2], {"x": values})
    torch.testing.assert_close(found, values[:, 2].double())


def test_an_example_has_the_part_that_the_figure_changes_by_without_it(predictions):
    targets, networks = predictions
    for predicted in networks:
        whole = f1(targets, predicted)
        parts = [
            IMAGES * whole - (IMAGES - 1) * f1(np.delete(targets, i), np.delete(predicted, i))
            for i in range(IMAGES)
        ]
        found = pseudo_values(f1_of_means, measures(targets, predicted))
        np.testing.assert_allclose(found.numpy(), parts, atol=1e-4)


def test_the_noise_of_a_figure_is_how_much_it_scatters_in_resamples(predictions):
    """What examples have in common for all networks, which scatters more, is none of it."""
    targets, networks = predictions
    parts = [pseudo_values(f1_of_means, measures(targets, one)).numpy() for one in networks]
    random, drawn = np.random.default_rng(1), []
    for _ in range(2000):
        chosen = random.integers(0, IMAGES, IMAGES)
        drawn.append([f1(targets[chosen], one[chosen]) for one in networks])
    scores = np.array(drawn)
    apart = scores - scores.mean(1, keepdims=True)
    expected = np.sqrt((apart.var(0, ddof=1)).sum() / (NETWORKS - 1))
    assert score_noise(np.stack(parts)) == pytest.approx(expected, rel=0.08)
    assert scores.std(0).mean() > 1.3 * expected
