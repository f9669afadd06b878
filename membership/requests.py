"""What a change is asked for, under which name it runs, and how it ends."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from membership.duration import Duration, parse_duration

Verb = Literal["join", "remove", "replace"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def check_name(value: str) -> str:
    """
    A cluster's or member's name, unchanged.

    Raises ValueError for one that could not stand in a workflow ID or in ETCD_INITIAL_CLUSTER.
    """
    if not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is no valid name; use letters, digits, '.', '_' and '-', first a letter or digit")
    return value


def check_url(value: str) -> str:
    """
    An etcd URL (scheme, host and port), unchanged but for a slash at its end.

    Raises ValueError, with the reason, for a URL that etcd would refuse as peer or client URL.
    """
    expected = "write scheme://host:port, e.g. https://10.0.0.14:2380"
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{value!r} is no valid URL ({error}); {expected}") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{value!r} has the scheme {parts.scheme!r}, not http or https; {expected}")
    if not parts.hostname or port is None:
        raise ValueError(f"{value!r} lacks a host or a port; {expected}")
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"{value!r} has more than scheme, host and port; {expected}")
    return value.rstrip("/")


Name = Annotated[str, AfterValidator(check_name)]
Url = Annotated[str, AfterValidator(check_url)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Policy(_Frozen):
    """How safe a cluster's operator wants its changes to be; read once per change and kept in its history."""

    min_voters: int = Field(3, ge=1, description="a removal that leaves fewer voters is refused")
    min_spare: int = Field(1, ge=0, description="live voters minus quorum that a change should leave")
    start_timeout: Duration = Field(parse_duration("10m"), description="for the new member to start, after the add")
    stall_timeout: Duration = Field(parse_duration("5m"), description="without progress while progress is observable")
    join_timeout: Duration = Field(parse_duration("2h"), description="for the whole join, from its turn on")
    max_lag_entries: int = Field(100, ge=0, description="raft entries a learner may be behind to be caught up")
    on_failure: Literal["rollback", "hold"] = Field("rollback", description="what to do when a clock runs out")


class JoinRequest(_Frozen):
    """A member joins a cluster: as a learner first, as a voter when it has caught up."""

    cluster: Name = Field(description="name of the cluster in the workers' clusters file")
    name: Name = Field(description="name of the new member (its ETCD_NAME)")
    peer_urls: tuple[Url, ...] = Field(
        min_length=1, description="peer URLs of the new member, as in --initial-advertise-peer-urls"
    )
    hold_before: Literal["promote"] | None = Field(None, description="wait for `resume` before this step")
    requested_by: str = Field("", description="who asked, for the audit trail")

    def same_change(self, other: JoinRequest) -> bool:
        """Whether both ask for the same, whoever asks."""
        return self._essence() == other._essence()

    def _essence(self) -> JoinRequest:
        return self.model_copy(update={"requested_by": "", "peer_urls": tuple(sorted(self.peer_urls))})


class InspectRequest(_Frozen):
    """A question about one cluster."""

    cluster: Name = Field(description="name of the cluster in the workers' clusters file")


OutcomeKind = Literal[
    "promoted",
    "already-voter",
    "removed",
    "already-removed",
    "replaced",
    "started",
    "added",
    "held",
    "rolled-back",
    "cancelled",
    "refused",
    "failed",
]


class Outcome(_Frozen):
    """How a change ended, or where it stands when the caller stopped waiting."""

    cluster: str
    member: str
    member_id: str | None = None
    outcome: OutcomeKind
    voters: tuple[str, ...] = ()
    attempts: dict[str, int] = {}
    seconds: dict[str, float] = {}
    workflow_id: str
    run_id: str
    verified: bool | None = None
    reason: str | None = None
    hint: str | None = None
    warnings: tuple[str, ...] = ()


TASK_QUEUE = "memberflow"


def change_id(cluster: str, verb: Verb, member: str) -> str:
    """The workflow ID of a change: the name of what is being changed."""
    return f"memberflow:{cluster}:{verb}:{member}"


def turns_id(cluster: str) -> str:
    """The workflow ID of a cluster's turns."""
    return f"memberflow:{cluster}"


# Keywords; registered by `memberflow setup`, never required.
SEARCH_ATTRIBUTES = ("EtcdCluster", "EtcdMember", "EtcdStage")

REQUESTS: dict[str, type[BaseModel]] = {"join": JoinRequest}
