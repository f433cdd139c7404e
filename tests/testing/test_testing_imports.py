"""The checks need no test runner."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_the_checks_can_be_imported_without_pytest():
    code = "import sys; sys.modules['pytest'] = None; import supernet.testing"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
