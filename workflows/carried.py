"""The state that a change takes along when it goes on in a new run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from activities.clusters_file import ClusterProfile
from membership.checks import Check
from membership.model import Handover, Member
from membership.record import Record
from membership.sent_calls import SentCall
from membership.verdicts import Facts
from messages.orders import ActReport, LaunchOrder
from messages.turns import Claim, TurnsState
from messages.views import ChangeView


@dataclass
class Tries:
    """The attempts at one step that had no effect."""

    #: The act's name. Empty for a step without an act.
    act: str = ""
    attempts: int = 0
    #: The workflow's times at which the first and the last of them ended.
    first: float = 0.0
    last: float = 0.0

    def count(self, ended: float) -> None:
        self.attempts += 1
        self.first, self.last = self.first or ended, ended


@dataclass(frozen=True)
class CarriedClock:
    """A clock that runs."""

    name: str
    #: Seconds until it rings.
    left: float
    #: Name, reason and hint of the stop when it rings.
    error: str
    reason: str
    hint: str


@dataclass(frozen=True)
class CarriedLearner:
    """The member that a change lets in."""

    #: Its ID, empty until it is known.
    member_id: str = ""
    #: The same ID, if a call of this change may have added it.
    own_id: str = ""


@dataclass(frozen=True)
class CarriedJoining:
    """A member's way in, of a join or a replace."""

    learner: CarriedLearner = field(default_factory=CarriedLearner)
    launched: LaunchOrder | None = None
    verified: bool | None = None
    was_held_before_promote: bool = False
    was_judged: bool = False


@dataclass(frozen=True)
class CarriedRemoving:
    """A member's way out, of a removal or a replace."""

    #: The member, pinned by its ID.
    target: Member | None = None
    #: How many voters come back later in the same change. None: its steps have not begun.
    returning: int | None = None


@dataclass(frozen=True)
class CarriedHalves:
    """How far a replace is."""

    #: Voters and spare before its first act. None: it has done nothing yet.
    began_with: tuple[int, int] | None = None
    was_removed: bool = False
    has_joined: bool = False
    #: Whether every list showed that the old member is gone. None before they were asked.
    seen_gone: bool | None = None


@dataclass(frozen=True)
class Carried:
    """The state of a change. Each field is kept by the part of the change that its comment names."""

    #: Seconds since the epoch at which the first run began, the view, and the warnings to judge again: the board.
    began: float
    view: ChangeView
    noticed: tuple[Check, ...]
    #: The cluster.
    profile: ClusterProfile
    facts: Facts
    reports: dict[str, tuple[ActReport, ...]]
    voter_urls: tuple[str, ...]
    #: The turn.
    claim: Claim
    turns: TurnsState
    #: The calls whose effect may still come, those whose effect came, and the members that are not asked: unsettled.
    calls: tuple[SentCall, ...] = ()
    came: tuple[SentCall, ...] = ()
    leaving: tuple[str, ...] = ()
    #: The interruptions.
    clocks: tuple[CarriedClock, ...] = ()
    #: The attempts at the step in which the change was.
    tries: Tries = field(default_factory=Tries)
    #: The change itself.
    record: Record = field(default_factory=Record)
    handover: Handover | None = None
    was_checked: bool = False
    has_snapshot: bool = False
    #: Its kind: join, removal or replace.
    joining: CarriedJoining = field(default_factory=CarriedJoining)
    removing: CarriedRemoving = field(default_factory=CarriedRemoving)
    halves: CarriedHalves = field(default_factory=CarriedHalves)


@dataclass(frozen=True)
class NextRun:
    """The argument of a run that is not the first of its change."""

    #: The caller's request.
    request: dict[str, Any]
    so_far: Carried
