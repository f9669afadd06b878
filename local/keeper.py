"""Keeps a Temporal server and a worker running on this machine, for the clusters of its user."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from google.protobuf.duration_pb2 import Duration
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, UpdateNamespaceRequest
from temporalio.client import Client

from client.exit_codes import USAGE, CommandError
from client.search_attributes import register
from local.demo import until_polled
from local.etcd_cluster import LocalFailure
from local.processes import Child, ignore_interrupts
from local.state_folder import PATIENCE, Running, StateFolder
from local.temporal_server import FAIRNESS, DevServer
from settings import Settings, quiet_runtime, task_queue

Say = Callable[[str], None]

# Temporal keeps an ended change for this long. A new server keeps it for a day.
RETENTION = timedelta(days=90)
# Seconds between two looks at the processes, and the longest pause before a process starts again.
_LOOK = 0.5
_LONGEST_PAUSE = 30.0
# Seconds after which a process has proved itself: if it ends then, it starts again at once.
_PROVED = 30.0


@dataclass
class Keeper:
    """Temporal and a worker, each started again when it ends."""

    folder: StateFolder
    clusters_file: Path
    port: int
    ui_port: int
    #: The command that runs this program.
    program: Sequence[str]
    say: Say
    server: DevServer = field(init=False)
    worker: Child | None = None
    _starts: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.server = DevServer(
            self.folder.path, persistent=True, extra_args=FAIRNESS, port=self.port, ui_port=self.ui_port
        )

    async def run(self, ready: Callable[[Running], None]) -> None:
        """
        Starts everything, calls `ready`, and keeps it running until the task is cancelled. Then it stops everything.

        Raises CommandError with USAGE for a port that is taken, and for a clusters file that the worker refuses.
        """
        for name in ("worker", "temporal"):
            if await asyncio.to_thread(self.folder.end_leftover, name):
                self.say(f"ended the {name} that an earlier run had left behind")
        check_ports(self.port, self.ui_port)
        try:
            running = await self._start()
            self.folder.publish(running)
            ready(running)
            while True:
                await asyncio.sleep(_LOOK)
                await self._look()
        finally:
            ignore_interrupts()
            self._stop()

    async def _start(self) -> Running:
        await self._start_server()
        client = self.server.client
        assert client
        await register(client)
        await _keep_for(client, RETENTION)
        self._start_worker()
        temporal = {"target_host": self.server.address, "namespace": "default"}
        await self._or_ended(until_polled(client, Settings(task_queue(), self.clusters_file, temporal)))
        return Running(self.server.address, self.server.ui, str(self.clusters_file), str(self.folder.path), os.getpid())

    async def _start_server(self) -> None:
        self.folder.log("temporal")

        def start(lock: int) -> Child:
            self.server.start_process(keeps=[lock])
            assert self.server.process
            return self.server.process

        self.folder.start_child("temporal", start)
        await self.server.connect(quiet_runtime())

    def _start_worker(self) -> None:
        log = self.folder.log("worker")
        env = _worker_environment(self.folder.path, self.server.address, self.clusters_file)
        command = [*self.program, "worker"]
        self.worker = self.folder.start_child("worker", lambda lock: Child(command, log, env, keeps=[lock]))

    async def _or_ended(self, polled: Coroutine[Any, Any, None]) -> None:
        """Waits until a worker polls. Raises the reason of the worker's end when it ends instead."""
        waiting = asyncio.create_task(polled)
        while not waiting.done():
            await asyncio.wait([waiting], timeout=0.1)
            if self.worker and self.worker.exit_code() is not None:
                waiting.cancel()
                with suppress(asyncio.CancelledError):
                    await waiting
                raise self._worker_ended()
        await waiting

    async def _look(self) -> None:
        """Starts a process again that has ended."""
        if self.server.process and self.server.process.exit_code() is not None:
            await self._pause("temporal", self.server.process)
            await self._start_server()
        if self.worker and (code := self.worker.exit_code()) is not None:
            if code == USAGE:
                raise self._worker_ended()
            await self._pause("worker", self.worker)
            self._start_worker()

    async def _pause(self, name: str, child: Child) -> None:
        """Waits longer each time, while the process ends soon after its start."""
        now = time.monotonic()
        starts = [at for at in self._starts.get(name, []) if now - at < _PROVED * 4]
        pause = min(_LONGEST_PAUSE, 2.0 ** len(starts) - 1)
        self.say(f"the {name} ended (exit code {child.exit_code()}), and starts again in {pause:.0f} s: {child.log}")
        await asyncio.sleep(pause)
        self._starts[name] = [*starts, now]

    def _worker_ended(self) -> Exception:
        assert self.worker
        code, lines = self.worker.exit_code(), self.worker.last_lines(3)
        if code == USAGE:
            return CommandError(USAGE, f"the worker refuses its configuration:\n{lines}")
        return LocalFailure(f"the worker ended with exit code {code}:\n{lines}")

    def _stop(self) -> None:
        """The worker first: an act that is under way ends and is reported."""
        try:
            if self.worker:
                self.worker.end(PATIENCE)
        finally:
            if self.server.process:
                self.server.process.end(PATIENCE)


def check_ports(*ports: int) -> None:
    """Raises CommandError with USAGE when another process listens on one of these ports of this machine."""
    for port in ports:
        with socket.socket() as probe:
            # Connections of an earlier server that are still closing are no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise CommandError(
                    USAGE,
                    f"port {port} of this machine cannot be used: {error.strerror}",
                    "choose others with --port and --ui-port. If a Temporal runs there, `memberflow worker` can use it",
                ) from error


async def _keep_for(client: Client, retention: timedelta) -> None:
    """Lets Temporal keep ended changes for so long."""
    service = client.workflow_service
    described = await service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    if described.config.workflow_execution_retention_ttl.ToTimedelta() >= retention:
        return
    ttl = Duration()
    ttl.FromTimedelta(retention)
    config = NamespaceConfig(workflow_execution_retention_ttl=ttl)
    await service.update_namespace(UpdateNamespaceRequest(namespace=client.namespace, config=config))


def _worker_environment(folder: Path, address: str, clusters_file: Path) -> dict[str, str]:
    """This process's environment, with our own Temporal in place of any that it or a profile names."""
    profile = folder / "temporal.toml"
    profile.write_text(f'[profile.default]\naddress = "{address}"\n')
    kept = {key: value for key, value in os.environ.items() if not key.startswith("TEMPORAL_")}
    return {**kept, "TEMPORAL_CONFIG_FILE": str(profile), "MEMBERFLOW_CLUSTERS": str(clusters_file)}
