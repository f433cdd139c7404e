import itertools
import math
import random

import pytest

from supernet.errors import ConfigError
from supernet.search import hypervolume, pareto_front
from supernet.track.plots import front_by_cost as front_of_plots


def points_of(random, count, dimensions, grid):
    """Return points with many ties, as small numbers of the grid."""
    return [tuple(random.randrange(grid) for _ in range(dimensions)) for _ in range(count)]


def inclusion_exclusion(points, reference):
    """Return the volume of a union of boxes from the volumes of all their intersections."""
    total = 0.0
    for size in range(1, len(points) + 1):
        for some in itertools.combinations(points, size):
            corner = [max(coordinates) for coordinates in zip(*some, strict=True)]
            sides = [max(0, r - c) for r, c in zip(reference, corner, strict=True)]
            total += (-1) ** (size + 1) * math.prod(sides)
    return total


@pytest.mark.parametrize("dimensions", [1, 2, 3, 4, 5])
def test_hypervolume_equals_inclusion_and_exclusion(dimensions):
    draws = random.Random(dimensions)
    for grid in (2, 6, 1000):
        for count in range(9):
            points = points_of(draws, count, dimensions, grid)
            reference = [draws.randrange(grid + 2) for _ in range(dimensions)]  # some lie beyond it
            expected = inclusion_exclusion(points, reference)
            assert hypervolume(points, reference) == pytest.approx(expected)


@pytest.mark.parametrize("dimensions", [2, 3, 4])
def test_hypervolume_equals_a_count_of_cells(dimensions):
    """Many points: each cell of a grid is dominated or not."""
    points = points_of(random.Random(7), 60, dimensions, 8)
    cells = itertools.product(range(8), repeat=dimensions)
    dominated = sum(
        any(all(p <= c for p, c in zip(point, cell, strict=True)) for point in points)
        for cell in cells
    )
    assert hypervolume(points, [8] * dimensions) == dominated


def test_hypervolume_of_small_cases():
    assert hypervolume([], (1, 1)) == 0
    assert hypervolume([(1, 1)], (1, 1)) == 0
    assert hypervolume([(0, 0)], (2, 3)) == 6
    assert hypervolume([(-1.5, 0), (0, -1)], (1, 1)) == pytest.approx(3.5)
    assert hypervolume([(0, 5), (math.nan, 0), (math.inf, 0)], (2, 3)) == 0


@pytest.mark.parametrize("dimensions", [1, 2, 3, 4])
def test_the_front_is_what_nothing_dominates(dimensions):
    draws = random.Random(dimensions)
    for count in (0, 1, 2, 7, 40):
        points = points_of(draws, count, dimensions, 5)

        def beaten(point, points=points):
            return any(
                other != point and all(o <= p for o, p in zip(other, point, strict=True))
                for other in points
            )

        assert pareto_front(points) == [i for i, p in enumerate(points) if not beaten(p)]


def test_the_front_is_that_of_the_plots():
    """There the score is to be large, and the order that of the cost."""
    draws = random.Random(3)
    costs = [draws.randrange(20) for _ in range(60)]
    scores = [draws.randrange(20) for _ in range(60)]
    points = list(zip(costs, [-score for score in scores], strict=True))
    assert pareto_front(points) == sorted(front_of_plots(costs, scores))


def test_points_without_a_number_are_not_on_the_front():
    assert pareto_front([(math.nan, 0), (1, 1), (math.inf, 0), (math.inf, 1)]) == [1, 2]


def test_hypervolume_of_a_large_front_is_quick():
    points = [(i, 5000 - i) for i in range(5000)]
    assert hypervolume(points, (5000, 5000)) == pytest.approx(5000 * 4999 / 2)


@pytest.mark.parametrize("reference", [(1,), (1, 2, 3), (1, math.inf), (math.nan, 1)])
def test_a_reference_that_does_not_fit_is_refused(reference):
    with pytest.raises(ConfigError):
        hypervolume([(0, 0)], reference)


def test_points_of_different_length_are_refused():
    with pytest.raises(ConfigError, match=r"one length, not \[1, 2\]"):
        pareto_front([(0, 0), (1,)])
