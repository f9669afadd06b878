"""
Records one history per kind of change into `tests/histories/VERSION`, for the replay test.

Run by `make histories` when a release is made: later releases must replay what an earlier one began.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from pathlib import Path

from client.search_attributes import register
from local.temporal_server import DevServer
from support.memory.faulty import MemoryClusters
from temporal_workers import make_workers, running
from tools.record_histories.applies import APPLIES, LONG_APPLIES
from tools.record_histories.joins import JOINS, LONG_JOINS
from tools.record_histories.removals import REMOVALS
from tools.record_histories.scene import FOLDER, QUEUE, Scene, Set

SUGGEST = "limit.historyCount.suggestContinueAsNew"
LOW = ("--dynamic-config-value", f"{SUGGEST}=25")


@contextlib.asynccontextmanager
async def recording(*options: str) -> AsyncIterator[Set]:
    """Makes scenes, on a server and a worker of their own."""
    with tempfile.TemporaryDirectory() as folder:
        server = DevServer(Path(folder), extra_args=options)
        client = await server.start()
        await register(client)
        clusters = MemoryClusters(QUEUE)
        workers = make_workers(client, clusters, QUEUE, [QUEUE])
        async with running(workers):
            yield lambda name, **more: Scene(client, clusters, name, **more)
        await server.stop()


async def record(names: Collection[str]) -> None:
    """
    All kinds, or those of these names. An unchanged history need not be recorded anew.

    Some at a time: mostly they wait, and too many at once would get in each other's way.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    room = asyncio.Semaphore(4)

    async def one(kind: Callable[[Set], Awaitable[None]], scene: Set) -> None:
        async with room:
            await kind(scene)

    for kinds, options in (((*APPLIES, *JOINS, *REMOVALS), ()), ((*LONG_APPLIES, *LONG_JOINS), LOW)):
        wanted = [kind for kind in kinds if not names or kind.__name__ in names]
        async with recording(*options) as scene, asyncio.timeout(300):
            await asyncio.gather(*(one(kind, scene) for kind in wanted))


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1:]))
