"""Fixtures only."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

import pytest

from client.search_attributes import register
from local.temporal_server import DevServer
from membership.policy import Policy
from settings import quiet_runtime
from support.memory.cluster import MemoryCluster
from support.memory.faulty import MemoryClusters, Trouble
from support.memory.scenes import Scene
from support.parts.low_limits import LOW
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


@pytest.fixture(scope="module")
async def low(tmp_path_factory):
    """A server that suggests a new run early, and a worker on clusters in memory."""
    server = DevServer(tmp_path_factory.mktemp("low"), extra_args=LOW)
    client = await server.start(quiet_runtime())
    await register(client)
    clusters = MemoryClusters("q")
    async with running(make_workers(client, clusters, "q", ["q"])):
        yield client, clusters
    await server.stop()


@pytest.fixture
def low_scene(low):
    """Makes a cluster of so many voters, with this policy and these troubles, on that server."""

    def make(size: int = 3, troubles: tuple[Trouble, ...] = (), **policy: Any) -> Scene:
        client, clusters = low
        name = f"c-{uuid4()}"
        cluster = clusters.add(name, MemoryCluster(size), Policy(**policy), *troubles)
        return Scene(client, "q", name, cluster, clusters.etcds[name], clusters.policies)

    return make
