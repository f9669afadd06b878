"""The processes of relays and workers on this machine, and a clusters file for them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from local.processes import Child, clean_environment, free_port


class Relays:
    """
    One relay in front of each of these members, all in one process, which ends with this one.

    Each relay loses the first answer to the method `lose`.
    """

    def __init__(self, upstreams: Sequence[int], lose: str, folder: Path) -> None:
        ports = [free_port() for _ in upstreams]
        #: In the order of the members.
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        self._seen = folder / "relays.jsonl"
        ways = [f"{port}:{upstream}" for port, upstream in zip(ports, upstreams, strict=True)]
        command = [sys.executable, "-m", "etcdapi.relay_process", f"--lose={lose}", *ways]
        with self._seen.open("wb") as out:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, start_new_session=True)

    def are_ready(self) -> bool:
        return bool(self._lines())

    def calls(self) -> list[dict[str, Any]]:
        """The calls that passed the relays, in order."""
        return [line for line in self._lines() if "method" in line]

    def stop(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._seen.read_text().splitlines() if line.endswith("}")]


def write_clusters_file(path: Path, cluster: str, endpoints: list[str], policy: dict[str, Any] | None = None) -> None:
    """Writes a clusters file with one cluster."""
    lines = [f"[clusters.{cluster}]", f"endpoints = {json.dumps(endpoints)}"]
    if policy:
        lines += [f"[clusters.{cluster}.policy]", *(f"{key} = {json.dumps(value)}" for key, value in policy.items())]
    path.write_text("\n".join(lines) + "\n")


class WorkerProcess:
    """A worker, started in the same way as by its users."""

    def __init__(
        self, folder: Path, address: str, clusters_file: Path, env: dict[str, str] | None = None, *args: str
    ) -> None:
        self._command = [sys.executable, "-m", "cli", "worker", *args]
        self._log = folder / f"worker-{free_port()}.log"
        self._env = {
            **clean_environment(),
            "TEMPORAL_ADDRESS": address,
            "MEMBERFLOW_CLUSTERS": str(clusters_file),
            **(env or {}),
        }
        self.process: Child | None = None

    def start(self) -> None:
        self.process = Child(self._command, self._log, self._env)

    def log_text(self) -> str:
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        if self.process:
            self.process.end(patience=30)

    def kill(self) -> None:
        if self.process is None:
            return
        self.process.send(signal.SIGKILL)
        self.process.wait(5)
