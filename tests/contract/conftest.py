"""Fixtures only."""

from __future__ import annotations

import pytest
from worlds import MemoryWorld, RealWorld


@pytest.fixture(params=["memory", "real"])
def world(request):
    """A cluster of as many voters as the test's `voters` marker says, three by default."""
    marker = request.node.get_closest_marker("voters")
    size = marker.args[0] if marker else 3
    if request.param == "memory":
        made = MemoryWorld(size)
    else:
        made = RealWorld(request.getfixturevalue("lab").cluster(size))
    yield made
    made.close()
