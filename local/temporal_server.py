"""Temporal's dev server, with its UI, on loopback ports."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from temporalio.client import Client
from temporalio.runtime import Runtime
from temporalio.service import RPCError

from client.encryption import data_converter
from local.etcd_cluster import LocalFailure
from local.processes import Child, free_port
from local.temporal_binary import find_temporal
from settings import cache_dir


@cache
def temporal_cli() -> str:
    """The Temporal CLI, which has the server in it. Raises NoTemporal."""
    return str(find_temporal(cache_dir()))


#: The tasks of all clusters are given out by turns: a burst of changes of one cluster holds up no other cluster.
FAIRNESS = ("--dynamic-config-value", "matching.enableFairness=true")


@dataclass
class DevServer:
    """One dev server."""

    folder: Path
    #: The server keeps its data in a file, so it can be killed and started again.
    persistent: bool = False
    #: Further arguments of `temporal server start-dev`.
    extra_args: Sequence[str] = ()
    port: int = field(default_factory=free_port)
    ui_port: int = field(default_factory=free_port)
    #: The latest process. None before the first start.
    process: Child | None = None
    #: None before the start.
    client: Client | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def ui(self) -> str:
        return f"http://127.0.0.1:{self.ui_port}"

    async def start(self, runtime: Runtime | None = None, timeout: float = 60.0) -> Client:
        """Starts the server and waits until it answers. Raises LocalFailure with the end of its log otherwise."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.start_process()
        return await self.connect(runtime, timeout)

    async def connect(self, runtime: Runtime | None = None, timeout: float = 60.0) -> Client:
        """Waits until the started process answers. Raises LocalFailure with the end of its log otherwise."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                self.client = await self._connect(runtime)
                return self.client
            except (RuntimeError, RPCError) as error:
                ended = self.process is not None and self.process.exit_code() is not None
                if ended or time.monotonic() > deadline:
                    log = self.process.last_lines() if self.process else ""
                    raise LocalFailure(f"Temporal's dev server does not answer: {error}\n{log}") from error
                await asyncio.sleep(0.1)

    def start_process(self, keeps: Sequence[int] = ()) -> None:
        """Starts the server without waiting for it. `keeps`: open files that it inherits."""
        command, log = [temporal_cli(), *self._arguments()], self.folder / "temporal.log"
        # It asks for its user's name and home, and ends where the system knows none (a user ID of a container).
        env = {"USER": str(os.getuid()), "HOME": str(self.folder), **os.environ}
        self.process = Child(command, log, env, keeps)

    async def stop(self) -> None:
        if self.process:
            self.process.end()

    async def throw_away(self) -> None:
        """Ends it without care for its data."""
        if self.process:
            self.kill()
        else:
            await self.stop()

    def kill(self) -> None:
        assert self.process
        self.process.send(signal.SIGKILL)
        self.process.wait(5)

    async def _connect(self, runtime: Runtime | None) -> Client:
        client = await Client.connect(self.address, data_converter=data_converter(), runtime=runtime)
        await client.count_workflows("")  # the namespace and its visibility come up last
        return client

    def _database(self) -> list[str]:
        # With a write-ahead log, a commit costs half as much, and is as safe.
        return ["--db-filename", str(self.folder / "temporal.db"), "--sqlite-pragma", "journal_mode=wal"]

    def _arguments(self) -> list[str]:
        return [
            *("server", "start-dev", "--ip", "127.0.0.1", "--port", str(self.port)),
            *("--ui-port", str(self.ui_port), "--ui-ip", "127.0.0.1"),
            *("--log-level", "error"),
            *(self._database() if self.persistent else ()),
            *self.extra_args,
        ]
