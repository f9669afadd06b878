"""A change's side of its turn: asking for it, keeping it, giving it back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from temporalio import workflow

from workflows.change import Change
from workflows.timeouts import ASK, WAIT

with workflow.unsafe.imports_passed_through():
    from activities.turns import Turns
    from membership.model import ClusterStatus
    from messages.orders import Beforehand
    from messages.turns import Claim, TurnsState
    from workflows.stop import Stop


class Turn:
    """The turn of one change; it ends by itself when the change's workflow has closed."""

    def __init__(self, change: Change) -> None:
        self._change = change
        self._claim = Claim(change.cluster, change.ticket, change.member)
        self._state = TurnsState()
        self._keeper: workflow.ActivityHandle[None] | None = None

    async def take(self, *, preempt: bool = False) -> None:
        """
        Waits in line until the turn is this change's; also after it was lost.

        `preempt`: a held join that has the turn is cancelled, once.
        """
        self._stop_keeping()
        self._claim = self._renewed(preempt=preempt)
        self._change.board.waits_for("its turn: one change of a cluster at a time")
        what = f"{self._change.member}: the turn to change {self._change.cluster}"
        # One that is held in line lets those behind it go first, and queues again afterwards; not if a learner of
        # its own is in the cluster, which would count as left behind.
        try:
            with self._change.clocks.paused():
                self._state = await self._change.interruptible(
                    lambda: WAIT.start(Turns.request_turn, self._claim, what),
                    on_hold=None if self._claim.added else self.give_back,
                )
        except Stop as stop:
            # It rang before, in an act that had lost the turn: it may be held now, and nobody is to wait behind it.
            if stop.kind == "clock" and not self._claim.added:
                await self.give_back()
            raise
        self._claim = self._renewed(holding=True, preempt=False)
        self._change.board.waits_for("")
        self._keep()

    async def give_back(self) -> None:
        """Lets others go first. Only for a change that has nothing of its own in the cluster."""
        self._stop_keeping()
        self._claim = self._renewed(holding=False)
        claim = replace(self._claim, giving_back=True)
        await ASK.start(Turns.send_claim, claim, f"{self._change.member}: give the turn back")

    def report(self, status: ClusterStatus, added: str = "") -> None:
        """Has the turns know the learner that this change added or took over, and which are learners no more."""
        present = {m.id for m in status.learners}
        gone = tuple(i for i in self._known if i not in present)
        added_now = (added,) if added else tuple(i for i in self._claim.added if i in present)
        if (added_now, gone) != (self._claim.added, self._claim.gone):
            self._claim = self._renewed(added=added_now, gone=gone)
            self._keep()

    async def announce_removal(self, endpoints: tuple[str, ...]) -> None:
        """
        Has everybody stop asking a member: its ID and client URLs. They have, SHUN seconds after this returns.

        Without the turn there is nothing to tell: nobody heeds it then, and to speak up is to stand in line.
        """
        self._claim = self._renewed(removing=endpoints)
        if not self._claim.holding:
            return
        what = "nobody asks it from now on" if endpoints else "it may be asked again"
        await ASK.start(Turns.send_claim, self._claim, f"{self._change.member}: {what}")
        self._keep()

    async def forget(self, member_id: str) -> None:
        """Has the turns forget what is no learner any more, whoever added it; a claim of the keeper might come late."""
        if member_id in self._known:
            self._claim = self._renewed(added=tuple(x for x in self._claim.added if x != member_id), gone=(member_id,))
            await ASK.start(Turns.send_claim, self._claim, f"{self._change.member}: learner {member_id} is gone")

    @property
    def _known(self) -> tuple[str, ...]:
        """The learners that the turns know of, as far as this change knows."""
        return (*self._claim.added, *(x.member_id for x in self._state.learners))

    def owns(self, member_id: str) -> bool:
        """Whether the turns know the learner as this change's, or as one that its change left behind."""
        mine = any(x.member_id == member_id and x.ticket == self._change.ticket for x in self._state.learners)
        return mine or any(x.member_id == member_id for x in self._state.orphans)

    def beforehand(self, status: ClusterStatus) -> Beforehand:
        """This look, and the turns as they were when this change got its own."""
        return Beforehand(status, self._state)

    def _renewed(self, **changes: Any) -> Claim:
        """A later claim; an earlier one that is still on its way then says nothing any more."""
        return replace(self._claim, at=workflow.time(), **changes)

    def _keep(self) -> None:
        self._stop_keeping()
        self._keeper = WAIT.start(Turns.keep_turn, self._claim, f"{self._change.member}: keep the turn")

    def _stop_keeping(self) -> None:
        if self._keeper is not None:
            # However it ends is fine; nobody waits for it.
            self._keeper.add_done_callback(lambda keeper: keeper.cancelled() or keeper.exception())
            self._keeper.cancel()
            self._keeper = None
