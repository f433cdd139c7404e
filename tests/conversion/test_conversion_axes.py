"""Axes: what must be of one size, through views, cuts and concatenations."""

from __future__ import annotations

import pytest

from supernet.conversion.axes import (
    Axis,
    cut_dim,
    extent,
    factors,
    fix,
    fixed_dim,
    joined_dim,
    unite,
    viewed,
)


def axis(n):
    return (Axis(n),)


def is_one(a, b):
    return factors(a) == factors(b)


def test_united_axes_are_one_for_all_that_they_were_united_with():
    a, b, c, d = axis(8), axis(8), axis(8), axis(8)
    unite(a, b, "")
    unite(c, d, "")
    unite(b, c, "")
    assert is_one(a, d)
    fix([d], "because")
    assert factors(a)[0].fixed == "because"


def test_a_view_cuts_an_axis_into_factors_that_are_shared():
    width = axis(12)
    (heads, size) = viewed([width], [3, 4], "")
    assert [extent(heads), extent(size)] == [3, 4]
    assert factors(width) == [*factors(heads), *factors(size)]
    (again,) = viewed([heads, size], [12], "")
    assert is_one(again, width)


def test_equal_parts_of_a_sum_can_be_counted():
    a, b = axis(4), axis(4)
    count, part = viewed([joined_dim([a, b])], [2, 4], "")
    assert factors(count)[0].fixed
    assert is_one(a, b)
    assert is_one(part, a)


def test_a_view_that_cannot_be_named_fixes_only_what_it_mixes():
    left, right, other = axis(4), axis(6), axis(5)
    shape = viewed([left, right, other], [3, 8, 5], "mixed")
    assert [extent(dim) for dim in shape] == [3, 8, 5]
    assert factors(left)[0].fixed == factors(right)[0].fixed == "mixed"
    assert not factors(other)[0].fixed
    assert is_one(shape[2], other)


def test_positions_of_one_are_nothing():
    width = axis(6)
    assert viewed([width, ()], [1, 6, 1], "") == ((), width, ())
    assert factors(fixed_dim(1, "")) == []


def test_equal_products_are_united_factor_by_factor():
    whole, heads, size = axis(12), axis(3), axis(4)
    unite(whole, (*heads, *size), "")
    assert factors(whole) == [*factors(heads), *factors(size)]
    finer = (Axis(3), Axis(2), Axis(2))
    unite(whole, finer, "")
    assert len(factors(whole)) == 3
    assert is_one(size, finer[1:])


def test_products_that_do_not_fit_are_fixed():
    a, b = (Axis(4), Axis(6)), (Axis(6), Axis(4))
    unite(a, b, "odd")
    assert {x.fixed for x in (*factors(a), *factors(b))} == {"odd"}


def test_concatenations_are_united_part_by_part():
    a, b, whole = axis(4), axis(6), axis(10)
    both = joined_dim([a, b])
    unite(whole, both, "")
    first, second = cut_dim(whole, [4, 6], "")
    assert is_one(first, a)
    assert is_one(second, b)


def test_parts_are_cut_further_where_they_differ():
    a, b = axis(4), axis(6)
    c, d = axis(7), axis(3)
    unite(joined_dim([a, b]), joined_dim([c, d]), "")
    parts = cut_dim(c, [4, 3], "")
    assert is_one(parts[0], a)
    assert [extent(part) for part in cut_dim(b, [3, 3], "")] == [3, 3]
    assert is_one(cut_dim(b, [3, 3], "")[1], d)


def test_a_cut_of_an_outer_factor_keeps_what_is_inside():
    three, inside = axis(3), axis(5)
    parts = cut_dim((*three, *inside), [5, 5, 5], "")
    assert all(is_one(part, inside) for part in parts)


def test_a_cut_through_an_inner_factor_is_fixed():
    dim = (Axis(3), Axis(5))
    parts = cut_dim(dim, [7, 8], "through")
    assert [extent(part) for part in parts] == [7, 8]
    assert {x.fixed for x in factors(dim)} == {"through"}


@pytest.mark.parametrize("where", ["parts", "whole"])
def test_what_fixes_a_sum_fixes_its_parts(where):
    a, b = axis(4), axis(6)
    whole = joined_dim([a, b])
    fix([whole if where == "whole" else a], "stop")
    assert factors(a)[0].fixed == "stop"
    assert factors(b)[0].fixed == ("stop" if where == "whole" else "")
