"""Fixtures only."""

from __future__ import annotations

import pytest
from own import Own


@pytest.fixture
def own(lab, tmp_path):
    """A worker of the test's own, on a task queue of its own, that the test may kill."""
    own = Own(lab, tmp_path)
    own.start()
    yield own
    own.stop()
