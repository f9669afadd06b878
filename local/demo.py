"""The demo's deployment: its etcd members, Temporal and a worker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from temporalio.client import Client

from client.connect import require_worker
from client.exit_codes import CommandError
from client.search_attributes import register
from local.demo_cluster import CLUSTER, DemoCluster
from local.deployment import WorkerProcess, write_clusters_file
from local.etcd_cluster import LocalFailure
from local.temporal_binary import find_temporal
from local.temporal_server import DevServer
from messages.queues import TASK_QUEUE
from settings import Settings, cache_dir, quiet_runtime


@dataclass
class DemoDeployment:
    """Everything that runs."""

    cluster: DemoCluster
    server: DevServer
    settings: Settings
    client: Client
    folder: Path


async def set_up(
    cluster: DemoCluster, folder: Path, ending: AsyncExitStack, say: Callable[[str], None]
) -> DemoDeployment:
    """Starts the rest. `ending` kills it all: its data is thrown away, so it needs no care."""
    say("2. Temporal's dev server starts, and a memberflow worker: the only process that speaks to etcd.")
    await asyncio.to_thread(find_temporal, cache_dir(), say)
    clusters = folder / "clusters.toml"
    write_clusters_file(clusters, CLUSTER, [member.advertised for member in cluster.voters])
    server = DevServer(folder / "temporal")
    ending.push_async_callback(server.throw_away)
    client, *_ = await asyncio.gather(
        _start_temporal(server, clusters, ending),
        cluster.serving,
        _until(cluster.relays.are_ready, "the relays do not come up"),
    )
    settings = Settings(TASK_QUEUE, clusters, {"target_host": server.address, "namespace": "default"})
    await until_polled(client, settings)
    return DemoDeployment(cluster, server, settings, client, folder)


async def _start_temporal(server: DevServer, clusters: Path, ending: AsyncExitStack) -> Client:
    """The server, and the worker that takes its work."""
    client = await server.start(quiet_runtime())
    worker = WorkerProcess(clusters.parent, server.address, clusters)
    ending.callback(worker.kill)
    worker.start()
    await register(client)
    return client


async def until_polled(client: Client, settings: Settings) -> None:
    """Waits for a worker. Raises CommandError when none has come in 30 s."""
    deadline = time.monotonic() + 30
    while True:
        try:
            await require_worker(client, settings)
        except CommandError:
            if time.monotonic() > deadline:
                raise
        else:
            return


async def _until(condition: Callable[[], bool], problem: str, timeout: float = 20.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise LocalFailure(problem)
        await asyncio.sleep(0.05)
