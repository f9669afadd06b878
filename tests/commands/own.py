"""A worker that a test may kill, with a cluster under a name that only this worker knows."""

from __future__ import annotations

import json
from pathlib import Path

from local.deployment import WorkerProcess
from local.processes import free_port
from support.parts.lab import Command, Ended, Lab, LocalMember, eventually


class Own:
    """`queue` is polled by nobody else; so are the changes of `cluster`, a healthy one of the lab's."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.queue = f"own-{free_port()}"
        self.cluster = f"c-{self.queue}"
        self.real = lab.cluster()
        self.env = {**lab.env, "MEMBERFLOW_TASK_QUEUE": self.queue}
        self.file = folder / "clusters.toml"
        self.write(self.cluster)
        self._folder = folder
        self._site: WorkerProcess | None = None
        self.worker = self._worker()

    def write(self, *clusters: str, more: str = "") -> None:
        """The clusters file: the same members under each of these names."""
        endpoints = json.dumps(self.real.endpoints())
        self.file.write_text("".join(f"[clusters.{name}]\nendpoints = {endpoints}\n{more}\n" for name in clusters))

    def _worker(self, *args: str) -> WorkerProcess:
        env = {"MEMBERFLOW_TASK_QUEUE": self.queue}
        return WorkerProcess(self._folder, self.lab.server.address, self.file, env, *args)

    def start(self) -> None:
        self.worker = self._worker()
        self.worker.start()
        eventually(lambda: "worker runs" in self.worker.log_text(), "the worker to run")

    def serve(self, queue: str) -> None:
        """Starts a worker that polls the cluster's own task queue."""
        self._site = self._worker("--serve", queue)
        self._site.start()

    def kill(self) -> None:
        self.worker.kill()

    def stop(self) -> None:
        self.worker.stop()
        if self._site:
            self._site.stop()

    def command(self, *args: str) -> Command:
        return self.lab.command(*args, env=self.env)

    def run(self, *args: str) -> Ended:
        return self.command(*args).wait(90)

    def join_until_added(self) -> LocalMember:
        """A join that waits for its member to start."""
        new = self.real.new_member()
        end = self.run("join", self.cluster, new.name, "--peer-url", new.peer_url, "--until", "added", "--json")
        assert (end.code, end.answer["outcome"]) == (0, "added"), end
        return new
