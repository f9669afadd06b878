"""A server with fairness: a burst of changes of one cluster holds up no other cluster."""

from __future__ import annotations

import asyncio
from itertools import islice
from pathlib import Path

import pytest
from temporalio.client import WorkflowFailureError

from client.search_attributes import register
from client.start import start_change
from local.temporal_server import FAIRNESS, DevServer
from membership.allow import Allow
from membership.policy import Policy
from messages.ids import turns_id
from messages.queues import URGENT
from messages.requests import JoinRequest
from settings import Settings, quiet_runtime
from support.memory.cluster import MemoryCluster
from support.memory.faulty import MemoryClusters
from support.memory.scenes import Scene, held_join, url
from temporal_workers import make_workers, running

BURST = 60


@pytest.fixture
async def fair(tmp_path):
    """Makes clusters on a server with fairness, with a worker of their own."""
    server = DevServer(tmp_path, extra_args=FAIRNESS)
    client = await server.start(quiet_runtime())
    await register(client)
    clusters = MemoryClusters("q")

    def make(name: str, **allow: int) -> Scene:
        cluster = clusters.add(name, MemoryCluster(5), Policy())
        clusters.allows[name] = Allow(**allow)
        return Scene(client, "q", name, cluster, clusters.etcds[name], clusters.policies)

    async with running(make_workers(client, clusters, "q", ["q"])):
        yield make
    await server.stop()


async def start(made: Scene, name: str):
    """As the command line does."""
    settings = Settings("q", Path("none"), {})
    request = JoinRequest(cluster=made.name, name=name, peer_urls=(url(name),))
    handle, _ = await start_change(made.client, settings, request)
    return handle


async def end_of(join) -> str:
    try:
        await join.result()
    except WorkflowFailureError as error:
        return error.cause.type
    return "promoted"


async def scheduled(join):
    """How the activities of a change were scheduled."""
    async for event in join.fetch_history_events():
        if event.HasField("activity_task_scheduled_event_attributes"):
            yield event.activity_task_scheduled_event_attributes


async def test_a_burst_of_one_cluster_holds_up_no_other_cluster(fair):
    """The other cluster's join is done while most of the burst still waits for an answer."""
    busy, calm = fair("busy", max_waiting=1), fair("calm")
    await held_join(busy)
    burst = await asyncio.gather(*(start(busy, f"etcd-{n}") for n in range(50, 50 + BURST)))
    ends = [asyncio.create_task(end_of(join)) for join in burst]
    calm.starts_at_once()
    join = await start(calm, "etcd-9")
    assert await end_of(join) == "promoted"
    acts = [a.priority async for a in scheduled(join) if a.activity_type.name in ("add_learner", "promote_learner")]
    assert [(key.priority_key, key.fairness_key) for key in acts] == [(URGENT, "calm")] * 2
    assert sum(end.done() for end in ends) < BURST / 2
    refused = [await end for end in islice(asyncio.as_completed(ends), BURST - 1)]
    assert set(refused) == {"LineFull"}, "and one waits in line"
    turns = busy.client.get_workflow_handle(turns_id("busy"))
    key = (await turns.describe()).raw_description.workflow_execution_info.priority
    assert (key.priority_key, key.fairness_key) == (URGENT, "busy")
    for end in ends:
        end.cancel()
