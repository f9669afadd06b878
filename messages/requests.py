"""The requests for changes, and the questions about a cluster and a plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from membership.allow import Asked
from membership.names import MOST_PEER_URLS, Name, PeerUrl

Verb = Literal["join", "remove", "replace"]

# Characters in the name of a caller that asks for a change, a hold or an end.
LONGEST_REQUESTER = 200


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sent(_Frozen):
    """Data that a caller sends."""

    @model_serializer(mode="wrap")
    def _without_defaults(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leaves defaults out. A worker that does not know a newer field then refuses it only where it is used."""
        fields = type(self).model_fields
        sent = {name: field.is_required() or getattr(self, name) != field.default for name, field in fields.items()}
        return {name: value for name, value in dump(self).items() if sent[name]}


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has control characters in it: use printable characters")
    return text


def _distinct(urls: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(urls))


# A list ends at its first error: a caller may send some hundred thousand of them.
PeerUrls = Annotated[tuple[PeerUrl, ...], FailFast(), AfterValidator(_distinct)]


class Request(Sent):
    """The part that all requests have."""

    cluster: Name = Field(description="name of the cluster in the workers' clusters file")
    requested_by: Annotated[str, AfterValidator(_printable)] = Field(
        "", max_length=LONGEST_REQUESTER, description="who asked, for the audit trail"
    )

    @property
    def summary(self) -> str:
        """The request in one line, for a person."""
        raise NotImplementedError


class ChangeRequest(Request):
    """The part that all requests for a change have."""

    verb: ClassVar[Verb]

    @property
    def leaving(self) -> str:
        """The member that leaves, as it was given, empty where none does."""
        return ""

    @property
    def asked(self) -> Asked:
        """The parts of the request that the operator of the workers may allow or not."""
        return Asked(self.verb)

    @property
    def subject(self) -> str:
        """The member that names the change."""
        raise NotImplementedError


class _Newcomer(ChangeRequest):
    name: Name = Field(description="name of the new member (its ETCD_NAME)")
    peer_urls: PeerUrls = Field(
        min_length=1,
        max_length=MOST_PEER_URLS,
        description="peer URLs of the new member, as in --initial-advertise-peer-urls",
    )
    hold_before: Literal["promote"] | None = Field(None, description="wait for `resume` before this step")
    launcher: Name | None = Field(None, description="launcher in the workers' clusters file that starts the new member")

    @property
    def subject(self) -> str:
        return self.name

    @property
    def asked(self) -> Asked:
        return replace(super().asked, peer_urls=self.peer_urls, launcher=self.launcher or "")


class _Goodbye(ChangeRequest):
    force: bool = Field(
        default=False, description="skip min_voters, min_spare and alarms (the quorum is never put at risk)"
    )
    preempt: bool = Field(default=False, description="cancel a held join that has the turn, if the old member is dead")

    @property
    def asked(self) -> Asked:
        return replace(super().asked, force=self.force, preempt=self.preempt)


class JoinRequest(_Newcomer):
    """A member joins a cluster: as a learner first, as a voter when it has caught up."""

    verb: ClassVar[Verb] = "join"

    @property
    def summary(self) -> str:
        return f"{self.name} joins {self.cluster}"


class RemoveRequest(_Goodbye):
    """A member leaves a cluster. Leadership is moved away from it first."""

    verb: ClassVar[Verb] = "remove"

    member: Name = Field(description="name or hex ID of the member")

    @property
    def summary(self) -> str:
        return f"{self.member} leaves {self.cluster}"

    @property
    def subject(self) -> str:
        return self.member

    @property
    def leaving(self) -> str:
        return self.member


class ReplaceRequest(_Newcomer, _Goodbye):
    """A new member takes the place of an old one, under one turn."""

    verb: ClassVar[Verb] = "replace"

    old: Name = Field(
        description="hex ID of the old member, or its name if the new member has another name and other peer URLs"
    )
    order: Literal["auto", "add-first", "remove-first"] = Field(
        "auto", description="which half comes first (auto: add-first while the old member is healthy)"
    )

    @property
    def summary(self) -> str:
        return f"{self.name} replaces {self.old} in {self.cluster}"

    @property
    def leaving(self) -> str:
        return self.old

    @model_validator(mode="after")
    def _old_is_not_new(self) -> Self:
        if self.old == self.name:
            raise ValueError(
                f"old: {self.old!r} is also the new member's name: give the old member's hex ID, "
                "so that a repeated replace can never remove the new member"
            )
        return self


class PlanRequest(_Frozen):
    """A change that is planned and not carried out."""

    verb: Verb = Field(description="join, remove or replace")
    request: dict[str, Any] = Field(description="the change's request")

    @model_validator(mode="after")
    def _readable(self) -> Self:
        REQUESTS[self.verb].model_validate(self.request)
        return self

    @property
    def change(self) -> ChangeRequest:
        return REQUESTS[self.verb].model_validate(self.request)


class HandoverRequest(_Frozen):
    """A question for the handover of a change, by a Nexus caller."""

    cluster: Name = Field(description="name of the cluster in the workers' clusters file")
    name: Name = Field(description="name of the new member")
    verb: Literal["join", "replace"] = Field("join", description="join or replace")


class InspectRequest(_Frozen):
    """A question about one cluster."""

    cluster: Name = Field(description="name of the cluster in the workers' clusters file")


REQUESTS: dict[str, type[ChangeRequest]] = {
    "join": JoinRequest,
    "remove": RemoveRequest,
    "replace": ReplaceRequest,
}
