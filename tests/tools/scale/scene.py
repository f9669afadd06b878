"""Fake clusters, with a Temporal server, a worker and joins under way."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import Priority

from client.search_attributes import register
from local.deployment import WorkerProcess
from local.processes import free_port
from local.temporal_server import DevServer
from messages.ids import WORKFLOW_TYPES, change_id
from messages.queues import TASK_QUEUE, fairness_key
from messages.requests import JoinRequest
from settings import quiet_runtime
from tools.scale.fake_etcd import FakeCluster, FakeEtcd
from tools.scale.usage import Usage, usage_of

# Seconds until all learners are added; more is no result.
PATIENCE = 900
# The changes whose histories are counted.
SAMPLE = 20
# Requests to start a join that are under way at the same time.
AT_ONCE = 50
# Of the new members' peer URLs, where nothing listens.
FIRST_PORT = 10000

Join = WorkflowHandle[object, object]


@dataclass(frozen=True)
class Moment:
    """All counters at one time."""

    at: float
    worker: Usage
    temporal: Usage
    etcd_requests: int
    temporal_requests: float
    #: Of one history, on average.
    events: float


class Scene:
    """So many fake clusters, a Temporal server and a worker of their own; `joins` are under way."""

    def __init__(self, clusters: int, server_args: tuple[str, ...] = (), max_waiting: int | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="memberflow-scale-", dir=in_memory()))
        self.etcd = FakeEtcd(clusters)
        self._metrics = free_port()
        self._allow = f"max_waiting = {max_waiting}\n" if max_waiting else ""
        arguments = ("--metrics-port", str(self._metrics), *server_args)
        self.server = DevServer(self.folder, persistent=True, extra_args=arguments)
        self.worker = WorkerProcess(self.folder, self.server.address, self.folder / "clusters.toml")
        self.joins: list[Join] = []

    async def start(self) -> None:
        await self.etcd.start()
        tables = (
            f'[clusters.{c.name}]\nendpoints = ["{c.url}"]\n'
            f'[clusters.{c.name}.policy]\nstart_timeout = "24h"\njoin_timeout = "48h"\n'
            f"[clusters.{c.name}.allow]\n{self._allow}"
            for c in self.etcd.clusters
        )
        (self.folder / "clusters.toml").write_text("".join(tables))
        self.client: Client = await self.server.start(quiet_runtime())
        await register(self.client)
        self.worker.start()
        await until(lambda: "worker runs" in self.worker.log_text(), "the worker")

    async def stop(self) -> None:
        await asyncio.to_thread(self.worker.kill)
        await self.server.stop()
        await self.etcd.stop()
        shutil.rmtree(self.folder)  # it is in memory

    async def start_joins(self, count: int) -> None:
        """Round the clusters: one each, or all of one."""
        room = asyncio.Semaphore(AT_ONCE)

        async def start(number: int) -> Join:
            async with room:
                return await self.start_join(self.etcd.clusters[number % len(self.etcd.clusters)], number)

        self.joins = list(await asyncio.gather(*(start(number) for number in range(count))))

    async def start_join(self, cluster: FakeCluster, number: int, *, key: bool = False) -> Join:
        """`key`: with the cluster's fairness key, as the command line does."""
        url = f"http://127.0.0.3:{FIRST_PORT + number}"
        request = JoinRequest(cluster=cluster.name, name=f"new-{number}", peer_urls=(url,))
        return await self.client.start_workflow(
            WORKFLOW_TYPES["join"],
            request,
            id=change_id(cluster.name, "join", request.subject),
            task_queue=TASK_QUEUE,
            priority=Priority(fairness_key=fairness_key(cluster.name) if key else None),
        )

    def cpu(self) -> tuple[float, float]:
        """Seconds of a core that the worker and Temporal have used so far."""
        worker, temporal = self.usages()
        return worker.cpu, temporal.cpu

    def usages(self) -> tuple[Usage, Usage]:
        """Of the worker and of Temporal."""
        assert self.worker.process
        assert self.server.process
        return usage_of(self.worker.process.pid), usage_of(self.server.process.pid)

    async def moment(self) -> Moment:
        histories = [(await handle.describe()).history_length for handle in self.sample]
        worker, temporal = self.usages()
        return Moment(
            at=time.monotonic(),
            worker=worker,
            temporal=temporal,
            etcd_requests=sum(self.etcd.requests.values()),
            temporal_requests=await asyncio.to_thread(self._requests),
            events=sum(histories) / len(histories),
        )

    @property
    def sample(self) -> list[Join]:
        return self.joins[:: max(1, len(self.joins) // SAMPLE)][:SAMPLE]

    def _requests(self) -> float:
        """What Temporal's frontend was asked since its start, long polls among them."""
        return self.counted("service_requests")

    def counted(self, counter: str) -> float:
        """A counter of Temporal's frontend."""
        with urlopen(f"http://127.0.0.1:{self._metrics}/metrics", timeout=10) as page:
            lines = page.read().decode().splitlines()
        counted = (line for line in lines if line.startswith(f"{counter}{{") and '"frontend"' in line)
        return sum(float(line.rsplit(" ", 1)[1]) for line in counted)


async def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE} s for {what}")
        await asyncio.sleep(0.02)


async def until_closed(change: Join) -> None:
    with suppress(WorkflowFailureError):
        await change.result()


def in_memory() -> str | None:
    """A folder without a disk behind it, where there is one: Temporal's SQLite waits for the disk at each event."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
