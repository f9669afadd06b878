"""A burst of joins of one cluster, and how long the join of another cluster waits behind it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from local.temporal_server import FAIRNESS
from tools.scale.scene import AT_ONCE, Join, Scene, until, until_closed

# Joins of the burst that may wait in line. All others are refused.
MAX_WAITING = 20
HEADS = (
    *("burst", "Temporal has fairness", "the burst has its cluster's key"),
    *("all started, s", "the other's learner, s", "all refused, s"),
)


@dataclass(frozen=True)
class Case:
    fairness: bool
    #: As the command line starts them. A caller of its own may leave it out.
    key: bool


CASES = (Case(fairness=True, key=True), Case(fairness=True, key=False), Case(fairness=False, key=True))


async def show(count: int) -> None:
    """Prints a table of its own."""
    print("\n| " + " | ".join(HEADS) + " |", "|" + "---|" * len(HEADS), sep="\n", flush=True)
    for case in CASES:
        print("| " + " | ".join(await measure(count, case)) + " |", flush=True)


async def measure(count: int, case: Case) -> list[str]:
    """One row. The other join begins when the last one of the burst was started, and seconds count from there."""
    scene = Scene(2, FAIRNESS if case.fairness else (), MAX_WAITING)
    noisy, calm = scene.etcd.clusters
    await scene.start()
    try:
        began, room = time.monotonic(), asyncio.Semaphore(AT_ONCE)

        async def start(number: int) -> Join:
            async with room:
                return await scene.start_join(noisy, number, key=case.key)

        burst = await asyncio.gather(*(start(number) for number in range(count)))
        started = time.monotonic()
        await scene.start_join(calm, count, key=True)
        await until(lambda: calm.added, "the learner of the other cluster")
        ends = [asyncio.create_task(until_closed(join)) for join in burst]
        await until(lambda: sum(end.done() for end in ends) >= count - 1 - MAX_WAITING, "the refusals")
        refused = time.monotonic()
        for end in ends:
            end.cancel()
    finally:
        await scene.stop()
    told = [f"{seconds:.1f}" for seconds in (started - began, calm.added[0] - started, refused - started)]
    return [str(count), *("yes" if x else "no" for x in (case.fairness, case.key)), *told]
