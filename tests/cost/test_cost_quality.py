import pytest

from supernet.cost.latency_error import compare, fitted


def test_a_straight_line_is_found():
    assert fitted([1, 2, 4], [5, 8, 14], 1.0) == pytest.approx({"offset": 2, "factor": 3})


@pytest.mark.parametrize(
    ("sums", "measured", "smallest"),
    [
        ([], [], 1.0),
        ([1, 2], [5, 8], 1.0),  # a line through two points tells nothing
        ([2, 2, 2], [5, 8, 9], 1.0),
        ([1, 2, 4], [9, 8, 7], 1.0),  # larger sums, less time
        ([3, 4, 5], [1, 2, 3], 1.5),  # the smallest network would take -0.5 ms
    ],
)
def test_no_correction_that_cannot_be_right(sums, measured, smallest):
    assert fitted(sums, measured, smallest) is None


def test_errors_by_hand():
    errors = compare([1.1, 1.8, 4.0], [1.0, 2.0, 4.0])

    assert errors == {
        "networks": 3,
        "mape": pytest.approx((0.1 + 0.1 + 0) / 3),
        "bias": pytest.approx(0),
        "kendall_tau": pytest.approx(1),
        "predicted": [1.1, 1.8, 4.0],
        "measured": [1.0, 2.0, 4.0],
    }
    assert compare([2, 3], [1, 2])["bias"] == pytest.approx((1 + 0.5) / 2)
    assert compare([1, 1], [2, 4])["bias"] == pytest.approx(-(0.5 + 0.75) / 2)


def test_order_is_kendalls_tau():
    assert compare([1, 2, 3, 4], [1, 3, 2, 4])["kendall_tau"] == pytest.approx(4 / 6)
    assert compare([1, 2, 3], [3, 2, 1])["kendall_tau"] == pytest.approx(-1)


def test_what_is_not_defined_is_none():
    assert compare([], []) is None
    assert compare([1], [1])["kendall_tau"] is None
    assert compare([1, 1], [1, 2])["kendall_tau"] is None
    assert compare([1, 2], [3, 3])["kendall_tau"] is None
    nothing = compare([1, 2], [0, 2])
    assert (nothing["mape"], nothing["bias"]) == (None, None)
