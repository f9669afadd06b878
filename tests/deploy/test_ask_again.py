"""Callers that wait for a handover while the join goes on in a new run, on a Temporal with a low limit."""

from __future__ import annotations

import asyncio
import json

import pytest
from provisioning import EXAMPLES

from client.search_attributes import register
from local.processes import clean_environment, free_port
from local.temporal_server import DevServer
from membership.etcd_errors import LearnerNotReady
from membership.policy import Policy
from messages.ids import change_id
from messages.queues import TASK_QUEUE
from settings import quiet_runtime
from support.memory.cluster import MemoryCluster
from support.memory.faulty import MemoryClusters
from support.memory.scenes import url
from support.parts.low_limits import LOW, runs_of
from temporal_workers import make_workers, running


@pytest.fixture(scope="module")
async def low(tmp_path_factory):
    """A server that suggests a new run early, its HTTP API, and a worker on clusters in memory."""
    port = free_port()
    server = DevServer(tmp_path_factory.mktemp("low"), extra_args=(*LOW, "--http-port", str(port)))
    client = await server.start(quiet_runtime())
    await register(client)
    clusters = MemoryClusters(TASK_QUEUE)
    async with running(make_workers(client, clusters, TASK_QUEUE, [TASK_QUEUE])):
        yield server, f"http://127.0.0.1:{port}", clusters
    await server.stop()


def refuse_for_a_while(etcd) -> None:
    """The adds are refused for so long that a caller must ask again."""
    add, refusals = etcd.add_learner, iter([LearnerNotReady("not yet")] * 5)

    def refused_for_a_while(*order):
        if error := next(refusals, None):
            raise error
        return add(*order)

    etcd.add_learner = refused_for_a_while


@pytest.mark.timeout(600)  # a build of the Go program on a busy machine
@pytest.mark.parametrize("language", ["go", "typescript", "shell"])
async def test_a_caller_gets_the_handover_of_a_later_run(low, built, tmp_path, language):
    """The run that it asked first ends before the learner is added."""
    server, http, clusters = low
    cluster = clusters.add(language, MemoryCluster(3), Policy())
    cluster.on_added = lambda member: cluster.start(member.id, "etcd-9")
    refuse_for_a_while(clusters.etcds[language])
    handover = tmp_path / "handover.env"
    if language == "shell":
        words, folder = [EXAMPLES / "join-http.sh", language, "etcd-9", url("etcd-9"), handover], tmp_path
    else:
        program, folder = built(language)
        words = [*program, language, "etcd-9", url("etcd-9")]
    env = {**clean_environment(), "TEMPORAL_ADDRESS": server.address, "TEMPORAL_HTTP": http}
    process = await asyncio.create_subprocess_exec(*words, env=env, cwd=folder, stdout=asyncio.subprocess.PIPE)
    said, _ = await asyncio.wait_for(process.communicate(), 90)
    *told, outcome = said.decode().splitlines() if language != "shell" else [handover.read_text(), said.decode()]
    assert process.returncode == 0
    assert json.loads(outcome)["outcome"] == "promoted"
    assert ["etcd-9" in text for text in told] == [True]
    join = server.client.get_workflow_handle(change_id(language, "join", "etcd-9"))
    assert await runs_of(server.client, join) > 1
