"""What holds for all tests."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory):
    """Keep the key of the user who runs the tests out of them, and theirs out of the user's folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield
