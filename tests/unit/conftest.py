"""Fixtures of the unit tests."""

from __future__ import annotations

import pytest
from worker_folder import Worker


@pytest.fixture
def worker(tmp_path):
    """An empty folder for a clusters file."""
    return Worker(tmp_path)
