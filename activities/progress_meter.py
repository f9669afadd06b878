"""How far a learner is, how fast it goes, and whether it has stopped."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from membership.model import ClusterStatus, Phase, SyncProgress
from membership.verdicts import Wait

# Seconds over which the speed is averaged, so that the ETA does not jump.
_SPEED_WINDOW = 10.0
NOTES = 2
NOTE_AFTER = 1.0
NOTE_AGAIN_AFTER = 10.0
NOTE_MORE = 600.0


class ProgressMeter:
    """
    Makes `SyncProgress` from looks. Times come from the caller, in seconds.

    The stall clock (`idle`) runs only where progress is observable. It rests in a snapshot, whose bytes are not seen
    to move from outside, and when neither the leader's view nor the learner itself gives a position.
    """

    def __init__(self, now: float, resumed: SyncProgress | None = None) -> None:
        self._started = now - (resumed.elapsed if resumed else 0.0)
        self._looked_at = now
        self._mark: tuple[Phase, int | None] = (resumed.phase, resumed.match) if resumed else ("unknown", None)
        self._least: int | None = None
        self._points: list[tuple[float, int]] = []
        self._phase_since = resumed.phase_since if resumed else 0.0
        self.idle = resumed.idle if resumed else 0.0
        self.last = resumed or SyncProgress("")

    def waited(self, now: float) -> float:
        """Seconds since the phase last changed, or since the wait began."""
        return now - self._started - self._phase_since

    def see(self, now: float, status: ClusterStatus, member_id: str, wait: Wait) -> SyncProgress:
        """The progress that this look shows."""
        match, target = _positions(status, member_id)
        moved = (wait.phase, match) != self._mark and not self._only_hears(status, member_id, match, target)
        observable = wait.phase == "replicating" and match is not None
        self.idle = self.idle + now - self._looked_at if observable and not moved else 0.0
        if wait.phase != self._mark[0]:
            self._phase_since = now - self._started
        self._mark, self._looked_at = (wait.phase, match), now
        replicating = wait.phase == "replicating" and match is not None and bool(target)
        self.last = SyncProgress(
            reason=wait.reason,
            phase=wait.phase,
            elapsed=round(now - self._started, 1),
            idle=round(self.idle, 1),
            percent=round(min(100.0, 100.0 * (match or 0) / target), 1) if replicating and target else None,
            eta=self._eta(now, match, target) if replicating else None,
            match=match,
            target=target,
            snapshot_size=_leader_size(status) if wait.phase == "receiving snapshot" else None,
            phase_since=round(self._phase_since, 1),
        )
        return self.last

    def _only_hears(self, status: ClusterStatus, member_id: str, match: int | None, target: int | None) -> bool:
        """
        Whether a silent learner only follows the current writes, and comes no closer to the leader.

        Under steady writes its position moves for ever, whether or not it will ever answer.
        """
        if member_id in status.statuses or match is None or target is None:
            self._least = None
            return False
        closer = self._least is None or target - match < self._least
        self._least = target - match if closer else self._least
        return not closer

    def blind(self, now: float, reason: str) -> SyncProgress:
        """The progress of a look that failed. It shows nothing of the learner, so the stall clock rests."""
        self._looked_at = now
        phase, match = self._mark
        self.last = SyncProgress(
            reason=reason,
            phase=phase,
            elapsed=round(now - self._started, 1),
            idle=round(self.idle, 1),
            match=match,
            phase_since=round(self._phase_since, 1),
        )
        return self.last

    def _eta(self, now: float, match: int | None, target: int | None) -> float | None:
        if match is None or target is None:
            return None
        self._points = [p for p in self._points if now - p[0] <= _SPEED_WINDOW] + [(now, match)]
        (then, before), passed = self._points[0], now - self._points[0][0]
        speed = (match - before) / passed if passed > 0 and now > then else 0.0
        return round((target - match) / speed, 1) if speed > 0 else None


def _positions(status: ClusterStatus, member_id: str) -> tuple[int | None, int | None]:
    """The learner's and the leader's position: raft's own where the leader reports it, else the applied index."""
    if member_id in status.progress and status.leader in status.progress:
        return status.progress[member_id].match, status.progress[status.leader].match
    own, leader = status.statuses.get(member_id), status.statuses.get(status.leader)
    return own.applied_index if own else None, leader.raft_index if leader else None


def _leader_size(status: ClusterStatus) -> int | None:
    leader = status.statuses.get(status.leader)
    return leader.db_size if leader else None


class Notes:
    """
    Notes to the workflow about a new phase or reason, so that its current details keep up.

    A note costs history, so a phase or reason must have lasted. There are two notes at first, and one more for a member
    that does not start. From NOTE_MORE seconds on there is another note each time that the wait has become twice as
    long. An attempt that goes on with the wait of an earlier attempt has two notes of its own. The live figures are in
    the heartbeat. `told`: the progress that the workflow knows already.
    """

    def __init__(
        self,
        send: Callable[[SyncProgress], bool],
        resumed: SyncProgress | None = None,
        absent_after: float = math.inf,
        told: SyncProgress | None = None,
    ) -> None:
        self._send = send
        self._absent_after = absent_after
        self._absent = False
        self._told_at = resumed.elapsed if resumed else 0.0
        self._sent = _doublings(self._told_at)
        self._told: tuple[Phase, str] = (told.phase, self._reason(told)) if told else ("not started", "")
        self._state: tuple[Phase, str] = ("not started", "")
        self._state_since = 0.0

    def consider(self, progress: SyncProgress) -> None:
        """Sends a note if this progress is worth one."""
        now, state = progress.elapsed, (progress.phase, self._reason(progress))
        if state != self._state:
            self._state, self._state_since = state, now
        new = state != self._told and now - self._state_since >= NOTE_AFTER
        old = progress.phase == "replicating" and now - self._told_at >= NOTE_AGAIN_AFTER
        if self._sent < NOTES + self._absent + _doublings(now) and (new or old) and self._send(progress):
            self._absent = self._absent or progress.phase == "not started"
            self._sent, self._told, self._told_at = self._sent + 1, state, now

    def _reason(self, progress: SyncProgress) -> str:
        """The reason without figures. Empty for a member that need not have started yet: every wait begins so."""
        is_early = progress.phase == "not started" and progress.elapsed < self._absent_after
        return "" if is_early else re.sub(r"\d+", "", progress.reason)


def _doublings(elapsed: float) -> int:
    return max(0, math.floor(math.log2(elapsed / NOTE_MORE)) + 1) if elapsed > 0 else 0
