"""What a change is asked for, under which name it runs, and how it ends."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

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
    An etcd URL (scheme, host and port), spelled as etcd spells it: a lower-case scheme and nothing behind the port.

    Raises ValueError, with the reason, for a URL that etcd would refuse as peer or client URL.
    """
    expected = "write scheme://host:port, e.g. https://10.0.0.14:2380"
    # An error is logged and kept: what may be a password does not go into it.
    shown = repr(re.sub(r"//.*@", "//…@", value))
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(f"{shown} is no valid URL; {expected}") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{shown} has the scheme {parts.scheme!r}, not http or https; {expected}")
    if re.search(r"\s", value):
        raise ValueError(f"{shown} has white space in it; {expected}")
    if not parts.hostname or port is None:
        raise ValueError(f"{shown} lacks a host or a port; {expected}")
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"{shown} has more than scheme, host and port; {expected}")
    return f"{parts.scheme}://{parts.netloc}"


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
    foreign_learner_timeout: Duration = Field(
        parse_duration("30m"), description="for somebody else's learner to leave the learner slot"
    )
    on_failure: Literal["rollback", "hold"] = Field("rollback", description="what to do when a clock runs out")
    snapshot_before_removal: str = Field(
        "",
        description="where the worker saves a snapshot before a voter is removed; {cluster} and {time} are filled in",
    )

    @field_validator("snapshot_before_removal")
    @classmethod
    def _snapshot_path(cls, value: str) -> str:
        if value and not value.startswith("/"):
            raise ValueError(f"{value!r} is no absolute path; e.g. /var/backups/{{cluster}}-{{time}}.db")
        if set(re.findall(r"\{(.*?)\}", value)) - {"cluster", "time"}:
            raise ValueError(f"{value!r}: only {{cluster}} and {{time}} can be filled in")
        if value and "{time}" not in value:
            raise ValueError(f"{value!r} lacks {{time}}: every snapshot needs a name of its own")
        return value


class ChangeRequest(_Frozen):
    """What all changes are asked with."""

    cluster: Name = Field(description="name of the cluster in the workers' clusters file")
    requested_by: str = Field("", description="who asked, for the audit trail")

    verb: ClassVar[Verb]

    @property
    def subject(self) -> str:
        """The member that names the change."""
        raise NotImplementedError

    def same_change(self, other: ChangeRequest) -> bool:
        """Whether both ask for the same, whoever asks."""
        return self._essence() == other._essence()

    def _essence(self) -> dict[str, Any]:
        essence = self.model_dump(exclude={"requested_by"})
        if "peer_urls" in essence:
            essence["peer_urls"] = sorted(essence["peer_urls"])
        return {"verb": self.verb, **essence}


class _Newcomer(ChangeRequest):
    name: Name = Field(description="name of the new member (its ETCD_NAME)")
    peer_urls: tuple[Url, ...] = Field(
        min_length=1, description="peer URLs of the new member, as in --initial-advertise-peer-urls"
    )
    hold_before: Literal["promote"] | None = Field(None, description="wait for `resume` before this step")
    launcher: Name | None = Field(None, description="launcher in the workers' clusters file that starts the new member")

    @property
    def subject(self) -> str:
        return self.name


class _Goodbye(ChangeRequest):
    force: bool = Field(
        default=False, description="skip min_voters, min_spare and alarms; never what etcd would refuse"
    )
    preempt: bool = Field(default=False, description="cancel a held join that has the turn, if the old member is dead")


class JoinRequest(_Newcomer):
    """A member joins a cluster: as a learner first, as a voter when it has caught up."""

    verb: ClassVar[Verb] = "join"


class RemoveRequest(_Goodbye):
    """A member leaves a cluster; leadership is moved away from it first."""

    verb: ClassVar[Verb] = "remove"

    member: Name = Field(description="name or hex ID of the member")

    @property
    def subject(self) -> str:
        return self.member


class ReplaceRequest(_Newcomer, _Goodbye):
    """A new member takes the place of an old one, under one turn."""

    verb: ClassVar[Verb] = "replace"

    old: Name = Field(
        description="the old member: its hex ID; or its name, if the new one has another name and other peer URLs"
    )
    order: Literal["auto", "add-first", "remove-first"] = Field(
        "auto", description="which half comes first; auto: add-first while the old member is healthy"
    )

    @model_validator(mode="after")
    def _old_is_not_new(self) -> Self:
        if self.old == self.name:
            raise ValueError(
                f"old: {self.old!r} is also the new member's name; give the old member's hex ID, "
                "so that a repeated replace can never remove the new member"
            )
        return self


class PlanRequest(_Frozen):
    """A change that is only thought through."""

    verb: Verb = Field(description="join, remove or replace")
    request: dict[str, Any] = Field(description="the change's request")

    @model_validator(mode="after")
    def _readable(self) -> Self:
        REQUESTS[self.verb].model_validate(self.request)
        return self

    @property
    def change(self) -> ChangeRequest:
        return REQUESTS[self.verb].model_validate(self.request)


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

REQUESTS: dict[str, type[ChangeRequest]] = {
    "join": JoinRequest,
    "remove": RemoveRequest,
    "replace": ReplaceRequest,
}
# The workflow types that run them.
WORKFLOWS: dict[str, str] = {"join": "JoinMember", "remove": "RemoveMember", "replace": "ReplaceMember"}
