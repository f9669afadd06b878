"""How a worker starts a new member: the order, its result, and its errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from membership.errors import MemberflowError

LOG_LINES = 20
LOG_BYTES = 2048
LINE_BYTES = 500

# Docker's words for a container whose process is gone, even if Docker is about to start it again.
ENDED = ("exited", "dead", "restarting")


class LauncherUnavailable(MemberflowError):
    """The engine is missing, out of reach, refuses, or broke off. Asking again may help and does no harm."""

    hint = "is the Docker engine running, and is `engine` its address as this worker sees it?"

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint or self.hint


class LaunchConflict(MemberflowError):
    """Another container or volume, which isn't this member's, has the wanted name. Nothing was touched."""

    hint = "look at it with `docker inspect`. Remove or rename it, or give the new member another name"


class LaunchFailed(MemberflowError):
    """The engine did not start the container, or the container died. The text says why."""

    hint = "check image, command, flags, network, ports and mounts of this launcher in the clusters file"


@dataclass(frozen=True)
class Launch:
    """A member that a launcher starts, or has started."""

    #: The cluster's name in the clusters file, and no more than that.
    cluster: str
    name: str
    member_id: str
    #: The handover.
    environment: Mapping[str, str]
    #: The workflow ID of the change that wants the member.
    change: str = ""
    #: The IDs of the cluster's members after the add. Leftovers of an earlier member of that name cause a conflict,
    #: unless its ID is known to be gone. Empty: no ID is known to be gone.
    members: tuple[str, ...] = ()
    #: etcd's own ID of the cluster, in hex. It distinguishes clusters of the same name on one engine.
    cluster_id: str = ""

    def fill(self, text: str) -> str:
        """A table's text with its placeholders filled in."""
        peer_url = self.environment["ETCD_INITIAL_ADVERTISE_PEER_URLS"].split(",")[0]
        host, _, port = urlsplit(peer_url).netloc.rpartition(":")
        return text.format(cluster=self.cluster, name=self.name, peer_host=host, peer_port=port)


@dataclass(frozen=True)
class Launched:
    """A started container."""

    container: str
    container_id: str
    volume: str
    engine: str
    #: Whether this call made the container, or found it.
    created: bool


@dataclass(frozen=True)
class ContainerState:
    """A container as its engine sees it."""

    #: Docker's word.
    status: str
    #: None while it runs.
    exit_code: int | None = None
    out_of_memory: bool = False
    #: Docker's own error. Empty: it reports none.
    error: str = ""
    restarts: int = 0
    #: The last lines of its log.
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
    A launcher calls this in the middle of a start. It raises when the start is no longer wanted.

    `ask`: the next step can't be taken back, so Temporal is asked as well, beside the knowledge of this worker.
    """

    def __call__(self, *, ask: bool = False) -> None: ...


def always(*, ask: bool = False) -> None:
    """`GoOn` for a caller that waits for the end of the start."""


class Launcher(Protocol):
    """
    Starts members as containers on one engine. Every method blocks, and may be repeated.

    All raise LauncherUnavailable when the engine doesn't answer as it should.
    """

    def check(self, launch: Launch) -> None:
        """
        Checks a launch before the member has an ID and `launch` its handover.

        Raises LaunchConflict when the container's name is taken by a container that does not belong to this member
        name in this cluster, and LaunchFailed when the image is missing and may not be pulled.
        """

    def start(self, launch: Launch, go_on: GoOn = always) -> Launched:
        """
        The member's running container, found or made with a new volume. A pull may take minutes.

        `go_on` is called all the time during a pull, and right before anything is removed, created or started. Its
        error ends the start. A container that was created and not started is there for the next attempt.

        Raises LaunchConflict when its names are taken, LaunchFailed when it can't be started. Then everything that
        this call made is removed.
        """

    def state(self, launch: Launch) -> ContainerState | None:
        """The state of the member's container, None when it has none."""

    def stop(self, launch: Launch) -> bool:
        """
        Removes the member's container, with its volume and all data in it. True if there was anything.

        Containers and volumes of others are left alone. Raises LaunchConflict when another container uses the volume.
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
