"""
Records one history per kind of change into `tests/histories`, for the replay test.

Run by `make histories` when a release is made: later releases must replay what an earlier one began.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import tempfile
from pathlib import Path

from faulty import MemoryClusters, Trouble
from memory_etcd import MemoryCluster
from temporalio.client import Client, WorkflowFailureError

from local.temporal_server import DevServer
from membership.duration import parse_duration
from membership.requests import (
    WORKFLOWS,
    JoinRequest,
    Policy,
    RemoveRequest,
    ReplaceRequest,
    change_id,
    turns_id,
)
from worker import make_workers

FOLDER = Path(__file__).parent / "histories"
QUEUE = "histories"
URL = "http://etcd-4:2380"
LOST = Trouble("promote", 1, "loses its answer")


async def save(client: Client, workflow_id: str, name: str) -> None:
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    # Stack traces name folders of whoever recorded them, and replay never looks at them.
    text = re.sub(r'"stackTrace": "(?:[^"\\]|\\.)*"', '"stackTrace": ""', history.to_json())
    (FOLDER / f"{name}.json").write_text(text + "\n")


async def join(client, clusters, kind, *troubles, starts=True, cancel=False, url=URL, policy=None) -> None:
    cluster = clusters.clusters.get(kind) or clusters.add(kind, MemoryCluster(3), policy or Policy(), *troubles)
    added = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_added(member) -> None:
        if starts:
            cluster.start(member.id, "etcd-4")
        loop.call_soon_threadsafe(added.set)

    cluster.on_added = on_added
    request = JoinRequest(cluster=kind, name="etcd-4", peer_urls=(url,))
    workflow_id = change_id(kind, "join", "etcd-4")
    handle = await client.start_workflow("JoinMember", request, id=workflow_id, task_queue=QUEUE)
    if cancel:
        await added.wait()
        await handle.cancel()
    with contextlib.suppress(WorkflowFailureError):
        await handle.result()
    await save(client, workflow_id, f"join-{kind}")


LOOSE = Policy(min_voters=1, min_spare=0)


async def change(client, clusters, name, request, *, starts=True, policy=LOOSE, dead="") -> None:
    cluster = clusters.add(request.cluster, MemoryCluster(3), policy)
    if starts:
        cluster.on_added = lambda member: cluster.start(member.id, "etcd-4")
    if dead:
        cluster.kill(dead)
    workflow_id = change_id(request.cluster, request.verb, request.subject)
    handle = await client.start_workflow(WORKFLOWS[request.verb], request, id=workflow_id, task_queue=QUEUE)
    with contextlib.suppress(WorkflowFailureError):
        await handle.result()
    await save(client, workflow_id, name)


async def record_others(client, clusters) -> None:
    """Removals and replacements; the first member leads."""
    hasty = LOOSE.model_copy(update={"start_timeout": parse_duration("1s")})
    await change(client, clusters, "remove-removed", RemoveRequest(cluster="removed", member="etcd-1"))
    await change(client, clusters, "remove-refused", RemoveRequest(cluster="few", member="etcd-1"), policy=Policy())
    new = {"name": "etcd-4", "peer_urls": (URL,)}
    await change(client, clusters, "replace-healthy", ReplaceRequest(cluster="healthy", old="etcd-2", **new))
    await change(client, clusters, "replace-dead", ReplaceRequest(cluster="dead", old="etcd-2", **new), dead="a2")
    half = ReplaceRequest(cluster="half", old="etcd-2", **new)
    await change(client, clusters, "replace-half", half, dead="a2", starts=False, policy=hasty)


async def record() -> None:
    FOLDER.mkdir(exist_ok=True)
    server = DevServer(Path(tempfile.mkdtemp()))
    client = await server.start()
    clusters = MemoryClusters(QUEUE)
    [worker] = make_workers(client, clusters, QUEUE, [QUEUE])
    async with worker:
        await join(client, clusters, "promoted")
        await client.get_workflow_handle(turns_id("promoted")).result()
        await save(client, turns_id("promoted"), "turns")
        await join(client, clusters, "lost-answer", LOST)
        await join(client, clusters, "rolled-back", starts=False, policy=Policy(start_timeout=parse_duration("1s")))
        await join(client, clusters, "cancelled", starts=False, cancel=True)
        await join(client, clusters, "refused", url="http://etcd-1:2380")
        clusters.add("already-voter", MemoryCluster(3), Policy())
        await join(client, clusters, "already-voter")
        await join(client, clusters, "already-voter")
        await record_others(client, clusters)
    await server.stop()


if __name__ == "__main__":
    asyncio.run(record())
