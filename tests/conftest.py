"""What holds for all tests."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory):
    """Keep the key of the user who runs the tests out of them, and theirs out of the user's folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Mark as slow what `quick_with` and `slow_with` say, and object to what a test does not have."""
    unknown = {}
    for item in items:
        for mark in item.iter_markers():
            if mark.name in ("quick_with", "slow_with"):
                test, value = item.nodeid.partition("[")[0], item.callspec.id
                unknown.setdefault(test, set(mark.args)).discard(value)
                if (value in mark.args) == (mark.name == "slow_with"):
                    item.add_marker(pytest.mark.slow)
    unknown = {test: values for test, values in unknown.items() if values}
    if unknown and not any("[" in argument for argument in config.args):
        raise pytest.UsageError(f"tests have no such parameters: {unknown}")
