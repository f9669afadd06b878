"""What a change is asked for, and under which name it runs."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from membership.names import Name, Url

Verb = Literal["join", "remove", "replace"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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
