"""Which tests are long ones, run by `make test-all` only."""

from __future__ import annotations

import pytest


def slow_unless(quick, *values, id=None):
    """Return a parameter of a test that is a long one, unless it is to be run each time."""
    return pytest.param(*values, marks=[] if quick else [pytest.mark.slow], id=id)
