"""A member leaves: the steps, as a removal and a replace take them."""

from __future__ import annotations

from dataclasses import replace

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows.activity_errors import stop_of
from workflows.change import Change
from workflows.settle import MOVE, REMOVE, Refusals, settle, verify
from workflows.timeouts import SNAPSHOT

with workflow.unsafe.imports_passed_through():
    from activities.snapshot import SnapshotOrder, Snapshots
    from membership.failures import Failure
    from membership.model import ClusterStatus, Member
    from membership.verdicts import Refuse
    from messages.requests import RemoveRequest, ReplaceRequest
    from messages.views import Stage
    from workflows.stop import Stop

STAGES: tuple[Stage, ...] = ("remove", "check")
# Leadership may come back to the member before it is removed.
_TRIES = 3


class Removing:
    """
    One member's way out. No step has an undo: before the removal takes effect nothing has happened.

    `target` is pinned by its ID, so that a name can't come to mean another member. `returning` is the number of
    voters that join later in the same change.
    """

    def __init__(
        self, change: Change[RemoveRequest] | Change[ReplaceRequest], target: Member, returning: int = 0
    ) -> None:
        self._change = change
        self._request: RemoveRequest | ReplaceRequest = change.request
        self._target = target
        self.returning = returning
        #: Whether every voter's list confirmed that the member is gone. None before they were asked.
        self.verified: bool | None = None

    async def run(self, status: ClusterStatus) -> ClusterStatus:
        """From the look with the turn to the look that shows the member gone everywhere."""
        cluster = self._change.cluster
        cluster.facts = replace(
            cluster.facts, member_id=self._target.id, returning=self.returning, force=self._request.force
        )
        if status.member(self._target.id) is None and not cluster.reports.may_have_applied(REMOVE.what):
            self._change.board.warn(f"member {self._target.label} was removed, but not by this change")
        elif status.member(self._target.id):
            await self._judge_beforehand(status)
            await self._save_snapshot()
            status = await self._remove()
        return await self._verify(status)

    async def _judge_beforehand(self, status: ClusterStatus) -> None:
        """A refusal comes before a snapshot is taken and leadership moved for nothing."""
        refusals = Refusals(self._change)
        while True:
            verdict = self._change.cluster.judge("remove", status)
            if not isinstance(verdict, Refuse) or verdict.error == Failure.STILL_LEADER:
                return
            await refusals.doubt(verdict)
            status = await self._change.cluster.look("is it still refused?")

    async def _save_snapshot(self) -> None:
        change = self._change
        wanted = bool(change.cluster.facts.policy.snapshot_before_removal) and not change.renewal.has_snapshot
        if not wanted or self._target.is_learner:
            return
        change.board.enter("snapshot")
        change.board.waits_for("a snapshot of the database")
        time = workflow.now().strftime("%Y%m%dT%H%M%SZ")
        save = SnapshotOrder(self._request.cluster, time, avoid=(self._target.id,))
        try:
            saved = await change.interruptions.interruptible(
                lambda: change.cluster.start(Snapshots.save_snapshot, save, SNAPSHOT, "save a snapshot")
            )
        except ActivityError as error:
            raise stop_of(error, "refused") from error
        change.renewal.has_snapshot = True
        change.board.warn(f"before the removal, a snapshot was saved as {saved}")

    async def _remove(self) -> ClusterStatus:
        """Moves leadership away, and removes. Again where leadership came back in between."""
        for left in reversed(range(_TRIES)):
            self._change.board.enter("lead")
            status = await settle(self._change, MOVE)
            self._change.board.enter("remove")
            try:
                status = await settle(self._change, REMOVE, status)
                break
            except Stop as stop:
                if stop.error != Failure.STILL_LEADER or not left:
                    raise
        if not self._change.cluster.reports.may_have_applied(REMOVE.what):
            self._change.board.warn("the member was removed, but not by this change")
        return status

    async def went_after_all(self, stop: Stop) -> ClusterStatus | None:
        """Once a removal was sent: the look that shows the member gone, or None when it stays."""
        if not self._change.cluster.reports.may_have_applied(REMOVE.what):
            return None
        status = await self._change.cluster.look("has the member gone after all?")
        if status.member(self._target.id):
            return None
        self._change.board.warn(f"too late to stop ({stop.reason}): the member is gone")
        return await self._verify(status)

    async def _verify(self, status: ClusterStatus) -> ClusterStatus:
        """Nothing undoes a removal."""
        self._change.board.enter("check")
        self._change.interruptions.unstoppable = True
        status, self.verified = await verify(self._change, "gone", status, "see the member gone from every list")
        self._change.turn.memory.forget(self._target.id)
        return status
