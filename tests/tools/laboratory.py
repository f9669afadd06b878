"""A laboratory of real parts for programs that are no tests."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from client.search_attributes import register
from local.binary import find_etcd
from local.temporal_server import DevServer
from settings import cache_dir, quiet_runtime
from support.parts.lab import Lab, eventually


@contextmanager
def laboratory(name: str) -> Iterator[Lab]:
    """Temporal and a worker. Their logs stay in the folder of the laboratory."""
    server = DevServer(Path(tempfile.mkdtemp(prefix=f"memberflow-{name}-")), persistent=True)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(_start(server))
    lab = Lab(server.folder, find_etcd(cache_dir(), lambda text: print(text, file=sys.stderr)), server)
    lab.write_clusters_file()
    lab.worker = worker = lab.another_worker()
    eventually(lambda: "worker runs" in worker.log_text(), "the worker")
    try:
        yield lab
    finally:
        lab.close()
        loop.run_until_complete(server.stop())


async def _start(server: DevServer) -> None:
    await register(await server.start(quiet_runtime()))
