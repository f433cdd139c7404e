"""Which contracts are long tests."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items):
    """Leave to the long tests what draws one architecture after another from a large bounded space."""
    for item in items:
        given = getattr(getattr(item, "callspec", None), "params", {})
        if given.get("name") == "ppo" and given.get("case") == "large, bounded":
            item.add_marker(pytest.mark.slow)
