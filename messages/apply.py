"""Desired state: the list that an apply gets, how it compares with the cluster, and how it stands or ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import FailFast, Field, field_validator

from membership.checks import Check
from membership.desired import Step
from membership.names import MOST_PEER_URLS, Name
from membership.text import in_markdown
from messages.ids import change_id
from messages.orders import LookOrder
from messages.outcomes import Outcome
from messages.requests import (
    ChangeRequest,
    JoinRequest,
    PeerUrls,
    RemoveRequest,
    ReplaceRequest,
    Request,
    Sent,
)
from messages.views import ChangeView

#: A list has this many members at most. The history of an apply has some 30 events for each of them.
MOST_MEMBERS = 50


class WantedMember(Sent):
    """A member of the list."""

    name: Name = Field(description="name of the member (its ETCD_NAME)")
    peer_urls: PeerUrls = Field(min_length=1, max_length=MOST_PEER_URLS, description="peer URLs of the member")
    launcher: Name | None = Field(None, description="launcher in the workers' clusters file that starts a new member")

    def __str__(self) -> str:
        launched = f" ({self.launcher})" if self.launcher else ""
        return f"{self.name}={','.join(sorted(self.peer_urls))}{launched}"


class ApplyRequest(Request):
    """The members that a cluster shall have. Joins, replacements and removals bring it there, one after the other."""

    members: Annotated[tuple[WantedMember, ...], FailFast()] = Field(
        min_length=1, max_length=MOST_MEMBERS, description="the members, in the order in which new ones join"
    )
    prune: bool = Field(default=False, description="members that are not in the list leave")

    @field_validator("members")
    @classmethod
    def _distinct(cls, members: tuple[WantedMember, ...]) -> tuple[WantedMember, ...]:
        refuse_twice("name", (member.name for member in members))
        refuse_twice("peer URL", (url for member in members for url in member.peer_urls))
        return members

    @property
    def summary(self) -> str:
        names = ", ".join(member.name for member in self.members)
        return f"{self.cluster} gets {'the members' if self.prune else 'members'} {names}"

    def change(self, step: Step) -> ChangeRequest:
        """The request for one step."""
        asked = {"cluster": self.cluster, "requested_by": self.requested_by}
        if step.verb == "remove":
            return RemoveRequest.model_validate({**asked, "member": step.member})
        new = next(member for member in self.members if member.name == step.member)
        asked |= new.model_dump()
        if step.verb == "join":
            return JoinRequest.model_validate(asked)
        return ReplaceRequest.model_validate({**asked, "old": step.old})


def refuse_twice(what: str, values: Iterable[str]) -> None:
    """Raises ValueError for the first value that is there twice."""
    seen = set[str]()
    for value in values:
        if value in seen:
            raise ValueError(f"the {what} {value} is there twice")
        seen.add(value)


@dataclass(frozen=True)
class Compare:
    """A request to compare a cluster with the list of an apply."""

    look: LookOrder
    request: ApplyRequest

    @property
    def cluster(self) -> str:
        return self.request.cluster


@dataclass(frozen=True)
class Comparison:
    """A cluster beside the list of an apply, at one moment."""

    #: The changes that are left, in their order. Empty when the members are as listed.
    steps: tuple[Step, ...]
    #: A refusal among them means that the list cannot be reached.
    checks: tuple[Check, ...]
    cluster_id: str
    #: The names of the voters.
    voters: tuple[str, ...]
    #: The client URLs of the voters. They lead to the cluster when every configured endpoint has left.
    voter_urls: tuple[str, ...]
    #: Why no step can be chosen now, e.g. an election. Empty: a step can be chosen.
    waits_for: str = ""


@dataclass(frozen=True)
class ApplyPlan:
    """The answer to `memberflow plan apply`."""

    cluster: str
    steps: tuple[Step, ...]
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class StepView:
    """A change of an apply that is running or left."""

    verb: str
    #: The member that names the change.
    member: str
    #: For a person.
    what: str
    workflow_id: str
    #: Empty: it has not been started.
    run_id: str = ""
    #: Another caller started it, and the apply only waits for it.
    of_others: bool = False


def step_view(cluster: str, step: Step) -> StepView:
    return StepView(step.verb, step.member, step.what, change_id(cluster, step.verb, step.member))


@dataclass(frozen=True)
class ApplyView(ChangeView):
    """The state of an apply, for a person."""

    #: The changes that have ended, in their order.
    done: tuple[Outcome, ...] = ()
    running: StepView | None = None
    left: tuple[StepView, ...] = ()
    #: Whether the cluster has been compared with the list. Before that, nothing is known to be left.
    compared: bool = False
    #: A hold is asked for, and begins when the running change has ended.
    hold_asked: bool = False

    @property
    def steps(self) -> tuple[StepView, ...]:
        """The running change and those that are left."""
        return (*([self.running] if self.running else []), *self.left)

    def has_left(self, name: str) -> bool:
        """Whether a new member of this name is still to come."""
        return any(step.member == name and step.verb != "remove" for step in self.steps)


class ApplyOutcome(Outcome):
    """How an apply ended, or where it stands."""

    member: str = ""
    #: The outcomes of the changes that it made, in their order.
    changes: tuple[Outcome, ...] = ()
    #: The changes that were left, a sentence for each.
    left: tuple[str, ...] = ()

    @classmethod
    def of(cls, cluster: str, view: ApplyView | None, **more: object) -> Self:
        """The outcome with the figures of this view."""
        if view is None:
            return cls.model_validate({"cluster": cluster, **more})
        left = tuple(step.what for step in view.steps)
        figures = {"seconds": view.seconds, "warnings": view.warnings, "changes": view.done, "left": left}
        return cls.model_validate({"cluster": cluster, **figures, **more})


def apply_details(view: ApplyView) -> str:
    """The apply in Markdown, for Temporal's UI. Texts from outside are escaped."""
    lines = [f"### {in_markdown(view.what)}", ""]
    for outcome in view.done:
        took = f" in {outcome.seconds['total']:.1f} s" if "total" in outcome.seconds else ""
        lines.append(f"- {in_markdown(outcome.workflow_id)}: {outcome.outcome}{took}")
    if view.running:
        lines.append(f"- **{in_markdown(view.running.workflow_id)}: now**")
    lines += [f"- {in_markdown(step.what)}" for step in view.left]
    if view.held:
        lines += ["", f"**Held:** {in_markdown(view.held)}. Send the update `resume` to go on, or cancel."]
    elif view.hold_asked:
        lines += ["", "**Held as soon as the running change has ended.**"]
    if view.waits_for:
        lines += ["", f"**Waits for:** {in_markdown(view.waits_for)}"]
    if view.warnings:
        lines += ["", "**Warnings:**", *(f"- {in_markdown(warning)}" for warning in view.warnings)]
    return "\n".join(lines)
