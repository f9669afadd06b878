"""A member leaves: the steps, as a removal and a replace take them."""

from __future__ import annotations

from dataclasses import replace

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows.change import AskAgain, stop_of
from workflows.course import Course
from workflows.steps import MOVE, REMOVE, Refusals, settle, settle_unasked, verify
from workflows.timeouts import ASKED_AGAIN, SNAPSHOT

with workflow.unsafe.imports_passed_through():
    from activities.snapshot import Save, Snapshots
    from membership.failures import Failure
    from membership.judgements import judge
    from membership.model import ClusterStatus, Member
    from membership.verdicts import Refuse
    from messages.requests import RemoveRequest, ReplaceRequest
    from workflows.stop import Stop

STAGES = ("remove", "check")
# Leadership may come back to the member while nobody asks it any more.
_TRIES = 3


class Removing:
    """The steps of one member's way out; `target` is pinned by its ID, so a name can't come to mean another one."""

    def __init__(
        self, course: Course[RemoveRequest] | Course[ReplaceRequest], target: Member, returning: int = 0
    ) -> None:
        self.board, self.change, self.turn = course.board, course.change, course.turn
        self.request: RemoveRequest | ReplaceRequest = course.request
        self.target = target
        self._returning = returning
        self.verified: bool | None = None

    async def run(self, seen: ClusterStatus) -> ClusterStatus:
        """From the look with the turn to the look that shows the member gone everywhere."""
        change = self.change
        change.facts = replace(
            change.facts, member_id=self.target.id, returning=self._returning, force=self.request.force
        )
        if seen.member(self.target.id) is None:
            self.board.warn(f"member {self.target.label} was removed, and not by this change")
        else:
            seen = await self._judge_beforehand(seen)
            await self._save_snapshot()
            seen = await self._remove(seen)
        self.board.enter("check")
        change.unstoppable = True
        seen, self.verified = await verify(change, "gone", seen, "see the member gone from every list")
        await self.turn.forget(self.target.id)
        return seen

    async def _judge_beforehand(self, seen: ClusterStatus) -> ClusterStatus:
        """What is refused is refused before a snapshot is taken and leadership moved for nothing."""
        refusals = Refusals(self.change)
        while True:
            self._note_whether_alive(seen)
            verdict = judge("remove", seen, self.change.facts)
            if not isinstance(verdict, Refuse) or verdict.error == Failure.STILL_LEADER:
                return seen
            await refusals.doubt(verdict)
            seen = await self.change.look("does it stay so?")

    def _note_whether_alive(self, seen: ClusterStatus) -> None:
        alive = any(m.id == self.target.id for m in seen.live_voters)
        self.change.facts = replace(self.change.facts, was_alive=alive)

    async def _remove(self, seen: ClusterStatus) -> ClusterStatus:
        tries = 0
        while True:
            self.board.enter("lead")
            seen = await settle(self.change, self.turn, MOVE)
            self.board.enter("remove")
            self._note_whether_alive(seen)
            try:
                seen = await settle_unasked(self.change, self.turn, REMOVE, seen)
            except AskAgain:
                await self._until_asked()
                await self.change.safe_point()
            except Stop as stop:
                await self._until_asked()
                tries += 1
                if stop.error != Failure.STILL_LEADER or tries == _TRIES:
                    raise
            else:
                break
        if not self.change.did(REMOVE.what):
            self.board.warn("the member was removed, and not by this change")
        return seen

    async def _until_asked(self) -> None:
        """Whether the member is alive decides what is safe, and the next look is to tell."""
        await workflow.sleep(ASKED_AGAIN, summary="everybody asks the member again")

    async def _save_snapshot(self) -> None:
        pattern = self.change.facts.policy.snapshot_before_removal
        if not pattern or self.target.is_learner:
            return
        self.board.enter("snapshot")
        self.board.waits_for("a snapshot of the database")
        time = workflow.now().strftime("%Y%m%dT%H%M%SZ")
        save = Save(self.request.cluster, pattern, time, avoid=(self.target.id,))
        try:
            saved: str = await self.change.interruptible(
                lambda: self.change.start(Snapshots.save_snapshot, save, SNAPSHOT, "save a snapshot")
            )
        except ActivityError as error:
            raise stop_of(error, "refused") from error
        self.board.warn(f"before the removal, a snapshot was saved as {saved}")
