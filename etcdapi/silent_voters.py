"""
Voters that do not answer this worker, or say that they do not follow the leader: does the leader hear them?

A voter behind another address is silent here, and lives all the same. The leader knows a member's log only from that
member's own acknowledgements, so a log that moves proves a live member. In an idle cluster one more raft entry moves
it. Raft's state alone proves nothing: a member that froze some seconds ago still shows as replicating.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from membership.errors import MemberflowError
from membership.model import ClusterStatus
from membership.witness import REPLICATES, RaftView

# Seconds for silent voters to acknowledge an entry, and between two looks at their logs.
ACKNOWLEDGED_WITHIN = 1.0
LOOK_EVERY = 0.02


@dataclass(frozen=True)
class Leader:
    """The leader of a look, as a witness for other members."""

    #: Its view of raft in that look, None where it could not be read.
    view: RaftView | None
    #: Reads that view anew.
    read: Callable[[], RaftView | None]
    #: Commits one more raft entry within so many seconds.
    commit: Callable[[float], None]
    #: Whether to commit that entry. Without it nothing is known of voters to which the leader replicates.
    asked: bool = True


def hear_silent_voters(status: ClusterStatus, leader: Leader, until: float) -> ClusterStatus:
    """The same look, with the silent voters that live, and those that may live. `until`: by the monotonic clock."""
    silent = {m.id for m in status.voters} - {m.id for m in status.live_voters}
    if not silent or not status.leader or not status.asked_all:
        return status
    # Another voter's linearizable list went through the leader a moment ago.
    leading = silent & {status.leader} if status.readers else set[str]()
    rest = silent - leading
    progress = leader.view.progress if leader.view else {}
    if status.leader not in progress:
        return replace(status, unreached=tuple(leading), unclear=tuple(sorted(rest)))
    replicating = {i for i in rest if i in progress and progress[i].state == REPLICATES}
    heard = _heard(replicating, leader, until) if replicating else set[str]()
    unclear = rest - set(progress) if heard is not None else (rest - set(progress)) | replicating
    return replace(status, unreached=tuple(sorted(leading | (heard or set()))), unclear=tuple(sorted(unclear)))


def _heard(members: set[str], leader: Leader, until: float) -> set[str] | None:
    """The members whose logs moved, None if there was no time for it, or the leader did not answer."""
    if leader.view is None or not leader.asked:
        return None
    before, moved = leader.view.progress, set[str]()
    try:
        leader.commit(until - time.monotonic())
    except MemberflowError:
        return None
    end = time.monotonic() + ACKNOWLEDGED_WITHIN
    while moved != members:
        if time.monotonic() >= end:
            return moved
        if time.monotonic() >= until:
            return None
        time.sleep(LOOK_EVERY)
        if view := leader.read():
            moved |= {i for i in members & set(view.progress) if view.progress[i].match > before[i].match}
    return moved
