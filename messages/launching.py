"""How a worker starts a new member: what is to be started, what became of it, and what may go wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from membership.errors import MemberflowError

LOG_LINES = 20
LOG_BYTES = 2048
LINE_BYTES = 500

# Docker's words for a container whose process is gone, even if it is about to get another.
ENDED = ("exited", "dead", "restarting")


class LauncherUnavailable(MemberflowError):
    """The engine is missing, out of reach, refuses, or broke off; asking again may help and does no harm."""

    hint = "is the Docker engine running, and is `engine` its address as this worker sees it?"

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint or self.hint


class LaunchConflict(MemberflowError):
    """Something that isn't this member's has its container's or its volume's name; nothing was touched."""

    hint = "look at it with `docker inspect`; remove or rename it, or give the new member another name"


class LaunchFailed(MemberflowError):
    """The engine did not start the container, or the container died; the text says why."""

    hint = "check image, command, flags, network, ports and mounts of this launcher in the clusters file"


@dataclass(frozen=True)
class Launch:
    """
    A member to be started, or that was.

    `environment` is the handover; `change` the workflow ID of the change that wants it. `members` are the IDs
    of the cluster's members after the add: what an earlier member of that name left is in the way unless its ID
    is known to be gone, which an empty `members` says of none. `cluster` is only what the clusters file calls it;
    `cluster_id`, etcd's own, in hex, tells it from others of that name on the same engine.
    """

    cluster: str
    name: str
    member_id: str
    environment: Mapping[str, str]
    change: str = ""
    members: tuple[str, ...] = ()
    cluster_id: str = ""

    def fill(self, text: str) -> str:
        """A table's text with its placeholders filled in."""
        peer_url = self.environment["ETCD_INITIAL_ADVERTISE_PEER_URLS"].split(",")[0]
        host, _, port = urlsplit(peer_url).netloc.rpartition(":")
        return text.format(cluster=self.cluster, name=self.name, peer_host=host, peer_port=port)


@dataclass(frozen=True)
class Launched:
    """A started container; `created` says whether this call made it, or found it."""

    container: str
    container_id: str
    volume: str
    engine: str
    created: bool


@dataclass(frozen=True)
class ContainerState:
    """A container as its engine sees it; `status` is Docker's word, `log` its last lines."""

    status: str
    exit_code: int | None = None
    out_of_memory: bool = False
    error: str = ""
    restarts: int = 0
    log: tuple[str, ...] = ()

    @property
    def died(self) -> bool:
        """Whether its process is gone, even if Docker is about to start it again."""
        return self.status in ENDED

    def __str__(self) -> str:
        told = self.status if self.exit_code is None else f"{self.status}, exit code {self.exit_code}"
        told += ", out of memory" if self.out_of_memory else ""
        told += f", restarted {self.restarts} times" if self.restarts else ""
        told += f", {self.error}" if self.error else ""
        return "\n".join((told + ("; its last lines:" if self.log else ""), *self.log))


class GoOn(Protocol):
    """
    Asked by a launcher in the middle of a start: raises when nobody wants it any more.

    `ask`: the next step can't be taken back, so whoever wants it is asked, and not only what is known here.
    """

    def __call__(self, *, ask: bool = False) -> None: ...


def always(*, ask: bool = False) -> None:
    """`GoOn` for whoever waits for the end of the start."""


class Launcher(Protocol):
    """
    Starts members as containers on one engine. Every method blocks; any of them may be repeated.

    All raise LauncherUnavailable when the engine doesn't answer as it should.
    """

    def check(self, launch: Launch) -> None:
        """
        What can be known before the member has an ID, and `launch` its handover.

        Raises LaunchConflict when something has the container's name that isn't of this name in this cluster, and
        LaunchFailed when the image is missing and may not be pulled.
        """

    def start(self, launch: Launch, go_on: GoOn = always) -> Launched:
        """
        The member's running container, found or made with a new volume; a pull may take minutes.

        `go_on` is asked all the time during a pull, and right before anything is removed, created or started. It
        leaves with what that raises; a container that was created and not started is there for the next attempt.

        Raises LaunchConflict when something else has its names, LaunchFailed when it can't be started; then
        nothing is left of what this call made.
        """

    def state(self, launch: Launch) -> ContainerState | None:
        """How the member's container is; None when it has none."""

    def stop(self, launch: Launch) -> bool:
        """
        Removes the member's container, with its volume and all data in it; whether there was anything.

        What belongs to anybody else is left alone; raises LaunchConflict when that uses the volume.
        """


def last_lines(output: bytes) -> tuple[str, ...]:
    """The end of a container's output, LOG_LINES and LOG_BYTES at most, without blank lines and control characters."""
    lines: list[str] = []
    room = LOG_BYTES
    for raw in reversed([line for line in output.splitlines() if line.strip()][-LOG_LINES:]):
        text = "".join(c for c in raw[:LINE_BYTES].decode(errors="ignore") if c.isprintable() or c == "\t")
        line = text + "…" if len(raw) > LINE_BYTES else text
        room -= len(line.encode()) + 1
        if room < 0:
            break
        lines.insert(0, line)
    return tuple(lines)
