"""Runs etcd members as processes on loopback ports."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from local import loopback
from local.processes import Child, clean_environment, free_port
from membership.errors import MemberflowError


class LocalFailure(MemberflowError):
    """A process of the local deployment did not come up."""


@dataclass
class LocalMember:
    """One member. It keeps its ports for life, and its process comes and goes."""

    name: str
    binary: Path
    folder: Path
    client_port: int = field(default_factory=free_port)
    peer_port: int = field(default_factory=free_port)
    #: The client URL that the member publishes: that of a process in front of it. Empty: its own.
    advertised: str = ""
    #: The peer URL at which others reach the member: that of a process in front of it. Empty: its own.
    peer: str = ""
    #: Of the client URL.
    scheme: str = "http"
    #: Further flags of etcd.
    flags: tuple[str, ...] = ()
    #: The latest process. None before the first start.
    process: Child | None = None
    #: Seconds on the monotonic clock at which the latest process started.
    started_at: float = 0.0

    @property
    def client_url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.client_port}"

    @property
    def peer_url(self) -> str:
        return self.peer or f"http://127.0.0.1:{self.peer_port}"

    def start(self, env: dict[str, str] | None = None) -> None:
        """Starts the process. `env`: the ETCD_* values of a first start."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [
            str(self.binary),
            f"--data-dir={self.folder / 'data'}",
            f"--listen-client-urls={self.client_url}",
            f"--advertise-client-urls={self.advertised or self.client_url}",
            f"--listen-peer-urls=http://127.0.0.1:{self.peer_port}",
            *self.flags,
        ]
        environment = {**clean_environment(), "ETCD_NAME": self.name, "ETCD_LOG_LEVEL": "warn", **(env or {})}
        self.started_at = time.monotonic()
        self.process = Child(command, self.folder / "etcd.log", environment)

    def stop(self) -> None:
        if self.process:
            self.process.end()

    def kill(self) -> None:
        """Kills the process, as a power cut would."""
        assert self.process
        self.process.send(signal.SIGKILL)
        self.process.wait(5)

    def freeze(self) -> None:
        assert self.process
        self.process.send(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process
        self.process.send(signal.SIGCONT)

    def is_serving(self) -> bool:
        """Whether the client port answers."""
        try:
            loopback.get(f"{self.client_url}/version", timeout=1)
        except OSError:
            return False
        return True

    def answers_peers(self) -> bool:
        """Whether it answers at its peer port, even if it refuses a stranger without a certificate."""
        try:
            with socket.create_connection(("127.0.0.1", self.peer_port), timeout=1) as peer:
                peer.sendall(b"GET /version HTTP/1.0\r\n\r\n")
                peer.recv(1)
        except OSError:
            return False
        return True

    def wait_until_serving(self, timeout: float = 20.0) -> None:
        """Waits until the member serves. Raises LocalFailure, with the end of its log, after `timeout` seconds."""
        self._wait_until(self.is_serving, timeout)

    def wait_until_it_answers_peers(self, timeout: float = 20.0) -> None:
        """Raises LocalFailure, with the end of its log, after `timeout` seconds."""
        self._wait_until(self.answers_peers, timeout)

    def _wait_until(self, condition: Callable[[], bool], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            if self.process is None or self.process.exit_code() is not None or time.monotonic() > deadline:
                log = self.process.last_lines() if self.process else "never started"
                raise LocalFailure(f"etcd member {self.name} does not serve:\n{log}")
            time.sleep(0.02)


def kill_all(members: list[LocalMember]) -> None:
    """Kills the members that were started."""
    for member in members:
        if member.process:
            member.kill()


def bootstrap(members: list[LocalMember], token: str) -> None:
    """
    Starts a new cluster of these members and waits until all of them serve.

    A new member asks the others whether they have a cluster already, and waits a second for each of them that listens
    and does not answer yet (measured on 3.7). So each is started when the one before it answers.
    Raises LocalFailure when a member does not. Then none of them runs.
    """
    cluster = ",".join(f"{m.name}={m.peer_url}" for m in members)
    try:
        for member in members:
            member.start(
                {
                    "ETCD_INITIAL_CLUSTER": cluster,
                    "ETCD_INITIAL_CLUSTER_STATE": "new",
                    "ETCD_INITIAL_CLUSTER_TOKEN": token,
                    "ETCD_INITIAL_ADVERTISE_PEER_URLS": member.peer_url,
                }
            )
            member.wait_until_it_answers_peers()
        for member in members:
            member.wait_until_serving()
    except BaseException:
        for member in members:
            if member.process:
                member.kill()
        raise
