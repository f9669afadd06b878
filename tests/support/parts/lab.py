"""A laboratory of real parts: etcd clusters behind relays, a Temporal dev server, a worker, the command line."""

from __future__ import annotations

import json
import subprocess
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

from local.deployment import WorkerProcess
from local.etcd_cluster import LocalFailure, LocalMember, bootstrap
from local.processes import clean_environment
from local.temporal_server import DevServer, temporal_cli
from support.parts.command import Command, Ended, eventually
from support.parts.executions import Executions
from support.parts.relayed_cluster import LOOSE, Cluster, dead_follower, ends, follower, once
from support.parts.running_join import Join

__all__ = [
    "LOOSE",
    "Cluster",
    "Command",
    "Ended",
    "Join",
    "Lab",
    "LocalMember",
    "dead_follower",
    "ends",
    "eventually",
    "follower",
    "once",
]

# etcd's HealthInterval: younger links make it answer `unhealthy cluster`.
LINK_AGE = 5.1
# Idle clusters that are kept: each costs a busy machine some of its time.
POOL = 1


@dataclass
class Lab:
    """Everything that the tests share."""

    folder: Path
    binary: Path
    server: DevServer
    worker: WorkerProcess | None = None
    launchers: str = ""
    pool: list[Cluster] = field(default_factory=list)
    in_use: list[Cluster] = field(default_factory=list)
    numbers: Any = field(default_factory=lambda: count(1))
    commands: list[Command] = field(default_factory=list)
    _builder: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    _next: Future[Cluster] | None = None

    @cached_property
    def executions(self) -> Executions:
        return Executions(self.server.address)

    @property
    def clusters_file(self) -> Path:
        return self.folder / "clusters.toml"

    @property
    def env(self) -> dict[str, str]:
        return {**clean_environment(), "TEMPORAL_ADDRESS": self.server.address}

    def command(self, *args: str, env: dict[str, str] | None = None, interpreter: bool = False) -> Command:
        self.commands.append(Command(env or self.env, *args, interpreter=interpreter))
        return self.commands[-1]

    def clean_up(self) -> None:
        """After a test: no command of it goes on, its changes are ended, its clusters healed or stopped."""
        while self.commands:
            self.commands.pop().discard()
        for cluster in list(self.in_use):
            self.give_back(cluster)

    def run(self, *args: str, timeout: float = 60, env: dict[str, str] | None = None) -> Ended:
        return self.command(*args, env=env).wait(timeout)

    # ---- Temporal, past the command line; tests run in the loop's thread and wait by polling ----

    def temporal(self, *args: str) -> Any:
        """The Temporal CLI, as an operator would use it."""
        command = [str(temporal_cli()), *args, "--address", self.server.address, "--output", "json"]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout) if ran.stdout.strip() else None

    def view(self, workflow_id: str) -> dict[str, Any]:
        """The answer to a change's `progress` query."""
        return self.executions.view(workflow_id)

    def waits_for(self, workflow_id: str) -> str:
        """What a change waits for; empty when it doesn't run yet."""
        return self.executions.glimpse(workflow_id, "waits_for")

    def stage(self, workflow_id: str) -> str:
        """Where a change is; empty when it doesn't run yet."""
        return self.executions.glimpse(workflow_id, "stage")

    def held(self, workflow_id: str) -> str:
        """Why a change is held."""
        return self.view(workflow_id)["held"]

    def cancel(self, workflow_id: str) -> None:
        """As the UI's Cancel button does."""
        self.temporal("workflow", "cancel", "--workflow-id", workflow_id)

    def describe(self, workflow_id: str) -> dict[str, Any]:
        return self.executions.describe(workflow_id)

    def status(self, workflow_id: str) -> str:
        return self.describe(workflow_id)["workflowExecutionInfo"]["status"]

    def pending(self, workflow_id: str) -> list[str]:
        """The types of the activities that are under way."""
        return [a["activityType"]["name"] for a in self.executions.pending(workflow_id)]

    def heartbeat(self, workflow_id: str) -> str:
        """What the pending activities tell, as text; empty when the change doesn't run yet."""
        return self.executions.heartbeat(workflow_id)

    def metadata(self, workflow_id: str) -> dict[str, Any]:
        """What the UI shows of a workflow beside its history: current details, handlers and their descriptions."""
        return self.temporal("workflow", "metadata", "--workflow-id", workflow_id)["queryResult"][0]

    def terminate(self, workflow_id: str) -> None:
        self.executions.terminate(workflow_id)

    def reset(self, workflow_id: str) -> None:
        """To its first task, as an operator may: everything runs again."""
        args = ("--workflow-id", workflow_id, "--type", "FirstWorkflowTask", "--reason", "a test")
        self.temporal("workflow", "reset", *args)

    def events(self, workflow_id: str) -> list[str]:
        """The types of the events in a workflow's history."""
        return [event["eventType"] for event in self.executions.history(workflow_id)]

    def another_worker(self) -> WorkerProcess:
        worker = WorkerProcess(self.folder, self.server.address, self.clusters_file)
        worker.start()
        return worker

    def restart_server(self) -> None:
        """Where it was, with what it had."""
        self.server.start_process()

    def update(self, workflow_id: str, name: str) -> Any:
        return self.temporal("workflow", "update", "execute", "--workflow-id", workflow_id, "--name", name)

    def write_clusters_file(self) -> None:
        text = ""
        for cluster in [*self.pool, *self.in_use]:
            text += f"[clusters.{cluster.name}]\nendpoints = {json.dumps(cluster.endpoints())}\n"
            text += "".join(f"{key} = {json.dumps(value)}\n" for key, value in cluster.access.items())
            text += f"[clusters.{cluster.name}.policy]\n"
            text += "".join(f"{key} = {json.dumps(value)}\n" for key, value in cluster.policy.items())
        new = self.clusters_file.with_suffix(".new")
        new.write_text(text + self.launchers)
        new.replace(self.clusters_file)

    def cluster(
        self,
        size: int = 3,
        *,
        fresh: bool = False,
        settled: bool = True,
        flags: tuple[str, ...] = (),
        binary: Path | None = None,
    ) -> Cluster:
        """A healthy cluster; one that an earlier test left healthy, unless it must be `fresh` or is of its own kind."""
        if size == 3 and not (fresh or flags or binary) and self.pool:
            cluster = self.pool.pop()
        elif size == 3 and settled and not (flags or binary):
            cluster = self._settled_cluster()
        else:
            cluster = self._new_cluster(size, flags, binary)
        self.in_use.append(cluster)
        if settled:
            self.let_settle(cluster)
        self.write_clusters_file()
        return cluster

    def let_settle(self, cluster: Cluster) -> None:
        """Returns when the links between the members are so old that etcd refuses no change for them."""
        time.sleep(max(0.0, cluster.born + LINK_AGE - time.monotonic()))

    def give_back(self, cluster: Cluster) -> None:
        """Heals or stops it."""
        self.in_use.remove(cluster)
        self._end_changes(cluster)
        while cluster.at_end:
            cluster.at_end.pop()()
        wanted = len(self.pool) < POOL and not cluster.single_use
        if wanted and len(cluster.endpoints()) == 3 and cluster.heal():
            self.pool.append(cluster)
        else:
            cluster.stop()

    def _end_changes(self, cluster: Cluster) -> None:
        """Ends what a test left running, as those do that look at a change on its way: the next one starts clean."""
        for workflow_id in self.executions.running(cluster.name):
            self.terminate(workflow_id)

    def close(self) -> None:
        self._builder.shutdown()
        for cluster in [*self.pool, *self.in_use, *([self._next.result()] if self._next else [])]:
            cluster.stop()
        if self.worker:
            self.worker.stop()

    def _settled_cluster(self) -> Cluster:
        """One that nobody had yet; the next one settles while this one is used."""
        waiting, self._next = self._next, None
        cluster = waiting.result() if waiting else self._new_cluster(3, (), None)
        self._next = self._builder.submit(self._new_cluster, 3, (), None)
        return cluster

    def _new_cluster(self, size: int, flags: tuple[str, ...], binary: Path | None) -> Cluster:
        cluster = Cluster(self, f"lab{next(self.numbers)}", [], {}, binary=binary, single_use=binary is not None)
        for number in range(1, size + 1):
            cluster.new_member(f"etcd-{number}", flags=flags)
        try:
            bootstrap(cluster.members, cluster.name)
        except LocalFailure:
            cluster.stop()
            raise
        cluster.born = time.monotonic()
        return cluster
