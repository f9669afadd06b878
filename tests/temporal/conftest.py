"""Fixtures only."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

import pytest

from membership.policy import Policy
from support.memory.cluster import MemoryCluster
from support.memory.faulty import MemoryClusters, Trouble
from support.memory.scenes import Scene
from temporal_workers import make_workers, running


@pytest.fixture(scope="module")
async def memory(temporal):
    """A worker on clusters in memory, whose waits see fifteen seconds pass in one."""
    queue = f"memory-{uuid4()}"
    clusters = MemoryClusters(queue)
    workers = make_workers(temporal, clusters, queue, [queue], clock=lambda: time.monotonic() * 15)
    async with running(workers):
        yield clusters, queue


@pytest.fixture
def scene(temporal, memory):
    """Makes a cluster of so many voters, with this policy and these troubles."""

    def make(size: int = 3, troubles: tuple[Trouble, ...] = (), **policy: Any) -> Scene:
        clusters, queue = memory
        name = f"c-{uuid4()}"
        cluster = clusters.add(name, MemoryCluster(size), Policy(**policy), *troubles)
        return Scene(temporal, queue, name, cluster, clusters.etcds[name], clusters.policies)

    return make
