"""
What waiting joins cost: `make scale`, or `make scale JOINS="1 10" LINE="30" BURST= SETTLE=60`.

The clusters are fakes of one voter each, in this process. Temporal and the worker are real. The new members never
start. A row is measured over a window of time after the joins have waited for `--settle` seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import resource
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tools.scale import burst
from tools.scale.scene import FIRST_PORT, PATIENCE, Moment, Scene, until, until_closed

# Temporal's counters of requests that its frontend refused for too much load (as BusyWorkflow does), or that timed out.
REFUSED = ("service_errors_resource_exhausted", "service_errors_context_timeout")
HEADS = (
    *("joins", "all learners added, s", "worker CPU till then, s", "Temporal CPU till then, s"),
    *("worker CPU, %", "Temporal CPU, %", "worker MB", "Temporal MB"),
    *("worker threads", "worker files", "etcd requests/s", "Temporal requests/s", "events/h and join", "next acts, s"),
    *("busy", "timed out"),
)


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
    for count in options.burst:
        await burst.show(count)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--joins", type=int, nargs="*", default=[], help="joins that wait, each of its own cluster")
    parser.add_argument("--line", type=int, nargs="*", default=[], help="joins of one cluster, one behind the other")
    parser.add_argument("--burst", type=int, nargs="*", default=[], help="joins of one cluster, beside one of another")
    parser.add_argument("--settle", type=float, required=True, help="seconds that they wait before they are measured")
    parser.add_argument("--window", type=float, default=30, help="seconds over which they are measured")
    asyncio.run(scale(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
