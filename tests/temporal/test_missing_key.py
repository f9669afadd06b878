"""Workers that lack the key of a change: it waits for another worker, and is neither refused nor ended."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio.client import Client

from client.encryption import data_converter
from client.payload_keys import read_keys
from membership.policy import Policy
from messages.ids import change_id
from messages.outcomes import Outcome
from messages.requests import JoinRequest
from settings import quiet_runtime
from support.memory.cluster import MemoryCluster
from support.memory.faulty import MemoryClusters
from support.memory.scenes import until
from support.parts.key_files import write_key
from temporal_workers import make_workers, running


class Site:
    """Clusters in memory whose activities run on a queue of their own, and clients with and without the key."""

    def __init__(self, client: Client, folder) -> None:
        config = client.config()
        keys = read_keys([write_key(folder, "2026-11")])
        self.keyed = Client(**{**config, "data_converter": data_converter(keys)})
        self.queue, self.site = f"keys-{uuid4()}", f"site-{uuid4()}"
        self.clusters = MemoryClusters(self.site)

    async def connect(self) -> Site:
        """Two workers of one queue need two connections."""
        address = self.keyed.service_client.config.target_host
        self.keyless = await Client.connect(address, data_converter=data_converter(), runtime=quiet_runtime())
        return self

    def workers(self, client: Client, *queues: str):
        return running(make_workers(client, self.clusters, self.queue, queues))

    async def join(self):
        name = f"c-{uuid4()}"
        cluster = self.clusters.add(name, MemoryCluster(3), Policy())
        cluster.on_added = lambda member: cluster.start(member.id, "etcd-4")
        request = JoinRequest(cluster=name, name="etcd-4", peer_urls=("http://etcd-4:2380",))
        return await self.keyed.start_workflow(
            "JoinMember",
            request,
            id=change_id(name, "join", "etcd-4"),
            task_queue=self.queue,
            result_type=Outcome,
            # The SDK reports the first failure of a task, and lets the next ones time out.
            task_timeout=timedelta(seconds=1),
        )


@pytest.fixture
async def site(temporal, tmp_path):
    return await Site(temporal, tmp_path).connect()


async def failed_tasks(handle) -> list[str]:
    """The messages of the failed workflow tasks."""
    events = (await handle.fetch_history()).events
    return [
        event.workflow_task_failed_event_attributes.failure.message
        for event in events
        if event.HasField("workflow_task_failed_event_attributes")
    ]


async def test_the_worker_that_runs_the_change(site):
    """Its tasks fail with the key's name, and the change goes on at a worker that has it."""
    async with site.workers(site.keyless, site.queue, site.site):
        join = await site.join()
        [told, *_] = await until(lambda: failed_tasks(join), "a failed workflow task")
        assert "'2026-11', which this process does not have (it has: none)" in told
        assert (await join.describe()).status.name == "RUNNING"
    async with site.workers(site.keyed, site.queue, site.site):
        assert (await join.result()).outcome == "promoted"


async def attempts(handle) -> int:
    """How often the first look was tried, while it is under way."""
    pending = (await handle.describe()).raw_description.pending_activities
    return max((each.attempt for each in pending if each.activity_type.name == "look_beforehand"), default=0)


async def test_the_worker_at_the_site(site):
    """It never reads the order of the first look: that refuses no change, however often Temporal tries."""
    async with site.workers(site.keyed, site.queue):
        async with site.workers(site.keyless, site.site):
            join = await site.join()
            await until(lambda: _several(join), "several attempts of the first look", 60)
        async with site.workers(site.keyed, site.site):
            assert (await join.result()).outcome == "promoted"


async def _several(join) -> bool:
    return await attempts(join) > 3


async def test_half_of_the_workers(site):
    """An order that no worker could read was not sent, so it is no attempt, and nothing is ambiguous."""
    async with (
        site.workers(site.keyed, site.queue, site.site),
        site.workers(site.keyless, site.site),
    ):
        end = await (await site.join()).result()
    assert (end.outcome, end.attempts) == ("promoted", {"add": 1, "promote": 1})
