"""
What waiting joins cost: `make scale`, or `make scale JOINS="1 10" LINE="30" SETTLE=60`.

The clusters are fakes of one voter each, in this process. Temporal and the worker are real. The new members never
start. A row is measured over a window of time after the joins have waited for `--settle` seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle

from client.search_attributes import register
from local.deployment import WorkerProcess
from local.processes import free_port
from local.temporal_server import DevServer
from messages.ids import WORKFLOW_TYPES, change_id
from messages.queues import TASK_QUEUE
from messages.requests import JoinRequest
from settings import quiet_runtime
from tools.scale.fake_etcd import FakeEtcd
from tools.scale.usage import Usage, usage_of

# Seconds until all learners are added; more is no result.
PATIENCE = 900
# The changes whose histories are counted.
SAMPLE = 20
# Requests to start a join that are under way at the same time.
AT_ONCE = 50
# Temporal's counters of requests that its frontend refused for too much load (as BusyWorkflow does), or that timed out.
REFUSED = ("service_errors_resource_exhausted", "service_errors_context_timeout")
# Of the new members' peer URLs, where nothing listens.
FIRST_PORT = 10000
HEADS = (
    *("joins", "all learners added, s", "worker CPU till then, s", "Temporal CPU till then, s"),
    *("worker CPU, %", "Temporal CPU, %", "worker MB", "Temporal MB"),
    *("worker threads", "worker files", "etcd requests/s", "Temporal requests/s", "events/h and join", "next acts, s"),
    *("busy", "timed out"),
)


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

    def __init__(self, clusters: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="memberflow-scale-", dir=in_memory()))
        self.etcd = FakeEtcd(clusters)
        self._metrics = free_port()
        self.server = DevServer(self.folder, persistent=True, extra_args=("--metrics-port", str(self._metrics)))
        self.worker = WorkerProcess(self.folder, self.server.address, self.folder / "clusters.toml")
        self.joins: list[WorkflowHandle[object, object]] = []

    async def start(self) -> None:
        await self.etcd.start()
        tables = (
            f'[clusters.c{c.number}]\nendpoints = ["{c.url}"]\n'
            f'[clusters.c{c.number}.policy]\nstart_timeout = "24h"\njoin_timeout = "48h"\n'
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

        async def start(number: int) -> WorkflowHandle[object, object]:
            cluster = f"c{self.etcd.clusters[number % len(self.etcd.clusters)].number}"
            url = f"http://127.0.0.3:{FIRST_PORT + number}"
            request = JoinRequest(cluster=cluster, name=f"new-{number}", peer_urls=(url,))
            async with room:
                return await self.client.start_workflow(
                    WORKFLOW_TYPES["join"],
                    request,
                    id=change_id(cluster, "join", request.subject),
                    task_queue=TASK_QUEUE,
                )

        self.joins = list(await asyncio.gather(*(start(number) for number in range(count))))

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
    def sample(self) -> list[WorkflowHandle[object, object]]:
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


@asynccontextmanager
async def telling(scene: Scene) -> AsyncIterator[None]:
    """A line on standard error each ten seconds: how far the scene is."""

    async def tell() -> None:
        began = time.monotonic()
        while True:
            await asyncio.sleep(10)
            added = sum(bool(cluster.added) for cluster in scene.etcd.clusters)
            worker, temporal = scene.usages()
            print(
                f"{time.monotonic() - began:.0f} s: {added} of {len(scene.etcd.clusters)} clusters have a learner;"
                f" worker {worker.cpu:.0f} s of CPU, {worker.megabytes:.0f} MB;"
                f" Temporal {temporal.cpu:.0f} s, {temporal.megabytes:.0f} MB",
                file=sys.stderr,
                flush=True,
            )

    task = asyncio.create_task(tell())
    try:
        yield
    finally:
        task.cancel()


async def measure(joins: int, options: argparse.Namespace, *, in_line: bool) -> list[str]:
    """One row of the table."""
    scene = Scene(1 if in_line else joins)
    await scene.start()
    try:
        clusters = scene.etcd.clusters
        began, before = time.monotonic(), scene.cpu()
        await scene.start_joins(joins)
        try:
            async with telling(scene):
                await until(lambda: all(cluster.added for cluster in clusters), "the learners")
            took = f"{time.monotonic() - began:.1f}"
        except TimeoutError:
            took = f"{sum(bool(cluster.added) for cluster in clusters)} after {PATIENCE}"
        spent = [f"{after - was:.1f}" for was, after in zip(before, scene.cpu(), strict=True)]
        async with telling(scene):
            await asyncio.sleep(options.settle)
        first = await scene.moment()
        await asyncio.sleep(options.window)
        last = await scene.moment()
        return [
            f"{joins} in line" if in_line else str(joins),
            took,
            *spent,
            *rates(first, last, asked=len(scene.sample)),
            await hand_over(scene) if in_line else "-",
            *[f"{await asyncio.to_thread(scene.counted, counter):.0f}" for counter in REFUSED],
        ]
    finally:
        await scene.stop()


def rates(first: Moment, last: Moment, *, asked: int) -> list[str]:
    """`asked`: the requests that the second moment itself made of Temporal."""
    seconds = last.at - first.at
    return [
        f"{100 * (last.worker.cpu - first.worker.cpu) / seconds:.1f}",
        f"{100 * (last.temporal.cpu - first.temporal.cpu) / seconds:.1f}",
        f"{last.worker.megabytes:.0f}",
        f"{last.temporal.megabytes:.0f}",
        str(last.worker.threads),
        str(last.worker.files),
        f"{(last.etcd_requests - first.etcd_requests) / seconds:.1f}",
        f"{max(0.0, last.temporal_requests - first.temporal_requests - asked) / seconds:.1f}",
        f"{3600 * (last.events - first.events) / seconds:.0f}",
    ]


async def hand_over(scene: Scene) -> str:
    """Seconds to the add of the next change: from the end of the first one, and from the removal before that end."""
    [cluster] = scene.etcd.clusters
    assert len(cluster.added) == 1
    number = int(cluster.learner.peerURLs[0].rpartition(":")[2]) - FIRST_PORT
    head = scene.joins[number]
    await head.cancel()
    await until(lambda: len(cluster.added) == 2, "the next add")
    added_at = time.time() - (time.monotonic() - cluster.added[1])
    await until_closed(head)
    closed = (await head.describe()).close_time
    assert closed
    return f"{added_at - closed.timestamp():.2f} ({cluster.added[1] - cluster.removed[0]:.2f})"


async def until_closed(change: WorkflowHandle[object, object]) -> None:
    with suppress(WorkflowFailureError):
        await change.result()


def in_memory() -> str | None:
    """A folder without a disk behind it, where there is one: Temporal's SQLite waits for the disk at each event."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def raise_the_limit_of_files() -> None:
    """For this process, which holds the ends of all connections, and for its children."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def scale(options: argparse.Namespace) -> None:
    raise_the_limit_of_files()
    machine = f"{os.cpu_count()} cores, {platform.machine()}"
    print(f"{options.settle:.0f} s after the start, over {options.window:.0f} s; {machine}\n")
    print("| " + " | ".join(HEADS) + " |", "|" + "---|" * len(HEADS), sep="\n", flush=True)
    rows = [(joins, False) for joins in options.joins] + [(joins, True) for joins in options.line]
    for joins, in_line in rows:
        print("| " + " | ".join(await measure(joins, options, in_line=in_line)) + " |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--joins", type=int, nargs="*", default=[], help="joins that wait, each of its own cluster")
    parser.add_argument("--line", type=int, nargs="*", default=[], help="joins of one cluster, one behind the other")
    parser.add_argument("--settle", type=float, required=True, help="seconds that they wait before they are measured")
    parser.add_argument("--window", type=float, default=30, help="seconds over which they are measured")
    asyncio.run(scale(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
