"""Waits that take every place: acts go on, others get their turn, and a cancel is heard."""

from __future__ import annotations

import asyncio
import time
from uuid import uuid4

import pytest

from membership.policy import Policy
from messages.ids import change_id
from messages.requests import JoinRequest
from support.memory.cluster import MemoryCluster
from support.memory.faulty import MemoryClusters
from temporal_workers import make_workers, running
from workflows.join import JoinMember

PLACES = 4


class House:
    """A worker with few places for waits, and a cluster in memory for each join."""

    def __init__(self, client):
        self._client = client
        self.queue = f"full-{uuid4()}"
        self.clusters = MemoryClusters(self.queue)

    async def waiting(self, joins):
        """So many joins that wait for their members to start: the clusters and the handles."""
        started = [await self._join() for _ in range(joins)]
        for _, handle in started:
            await until(lambda h=handle: waits(h))
        return started

    async def _join(self):
        name = f"c-{uuid4()}"
        cluster = self.clusters.add(name, MemoryCluster(3), Policy())
        request = JoinRequest(cluster=name, name="etcd-4", peer_urls=("http://etcd-4:2380",))
        handle = await self._client.start_workflow(
            JoinMember.run, request, id=change_id(name, "join", "etcd-4"), task_queue=self.queue
        )
        return cluster, handle


@pytest.fixture
async def house(temporal):
    """As many waits at a time as PLACES."""
    made = House(temporal)
    async with running(make_workers(temporal, made.clusters, made.queue, [made.queue], places=PLACES)):
        yield made


async def until(condition, seconds=20.0):
    """Waits for it, in the loop."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if await found if asyncio.iscoroutine(found) else found:
            return
        assert time.monotonic() < deadline, "too late"
        await asyncio.sleep(0.02)


async def waits(handle):
    """Whether the join waits for its member."""
    view = await handle.query("progress")
    return "has not started" in view["waits_for"]


def learner(cluster):
    return next((m for m in cluster.members.values() if m.is_learner), None)


async def test_with_every_place_taken_a_synced_learner_is_promoted_within_a_second(house):
    """The act has a queue of its own."""
    cluster, handle = (await house.waiting(PLACES))[0]
    started = time.monotonic()
    cluster.start(learner(cluster).id, "etcd-4")
    await until(lambda: not learner(cluster), 5)
    assert time.monotonic() - started < 1.0
    assert (await handle.result()).outcome == "promoted"


async def test_more_waits_than_places_take_turns(house):
    """A learner whose wait has no place is promoted all the same, when one of the others has made room."""
    cluster, handle = (await house.waiting(2 * PLACES))[-1]
    cluster.start(learner(cluster).id, "etcd-4")
    assert (await asyncio.wait_for(handle.result(), 20)).outcome == "promoted"


async def test_a_cancel_is_heard_with_every_place_taken(house):
    """Also by a join whose wait has no place: its learner is removed."""
    joins = await house.waiting(2 * PLACES)
    for cluster, handle in (joins[0], joins[-1]):
        await handle.cancel()
        await until(lambda c=cluster: not learner(c), 5)
