"""A change's side of its turn: asking for it, keeping it, giving it back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from temporalio import workflow

from workflows.board import Board
from workflows.interruptions import Interruptions
from workflows.timeouts import ASK, WAIT, start

with workflow.unsafe.imports_passed_through():
    from activities.turns import Turns
    from membership.model import ClusterStatus
    from messages.orders import Beforehand
    from messages.turns import Claim, Ticket, TurnsState
    from workflows.stop import Stop


class Turn:
    """The turn of one change; it ends by itself when the change's workflow has closed."""

    def __init__(self, board: Board, interruptions: Interruptions, cluster: str, member: str, ticket: Ticket) -> None:
        self._board = board
        self._interruptions = interruptions
        self._claim = Claim(cluster, ticket, member)
        self._state = TurnsState()
        self._keeper: workflow.ActivityHandle[None] | None = None

    async def take(self, *, preempt: bool = False) -> None:
        """
        Waits in line until the turn is this change's; also after it was lost.

        `preempt`: a held join that has the turn is cancelled, once.
        """
        self._stop_keeping()
        self._claim = self._renewed(preempt=preempt)
        self._board.waits_for("its turn: one change of a cluster at a time")
        what = self._named(f"the turn to change {self._claim.cluster}")
        # A change that is held in line lets those behind it go first, and queues again afterwards. Not if a learner
        # of its own is in the cluster: it would count as left behind.
        try:
            with self._interruptions.clocks.paused():
                self._state = await self._interruptions.interruptible(
                    lambda: start(Turns.request_turn, self._claim, WAIT, what),
                    on_hold=None if self._claim.added else self.give_back,
                )
        except Stop as stop:
            # A clock that rang in an act that had lost the turn: the change may be held now, and blocks no one.
            if stop.kind == "clock" and not self._claim.added:
                await self.give_back()
            raise
        self._claim = self._renewed(holding=True, preempt=False)
        self._board.waits_for("")
        self._keep()

    async def give_back(self) -> None:
        """Lets others go first. Only for a change that has nothing of its own in the cluster."""
        self._stop_keeping()
        self._claim = self._renewed(holding=False)
        await start(Turns.send_claim, replace(self._claim, giving_back=True), ASK, self._named("give the turn back"))

    def report(self, status: ClusterStatus, added: str = "") -> None:
        """Has the turns know the learner that this change added or took over, and which are learners no more."""
        present = {m.id for m in status.learners}
        gone = tuple(i for i in self._known if i not in present)
        added_now = (added,) if added else tuple(i for i in self._claim.added if i in present)
        if (added_now, gone) != (self._claim.added, self._claim.gone):
            self._claim = self._renewed(added=added_now, gone=gone)
            self._keep()

    async def forget(self, member_id: str) -> None:
        """Has the turns forget a member that is no learner any more, whichever change added it."""
        if member_id in self._known:
            # Not by the keeper: the change may end before its claim is sent.
            self._claim = self._renewed(added=tuple(x for x in self._claim.added if x != member_id), gone=(member_id,))
            await start(Turns.send_claim, self._claim, ASK, self._named(f"learner {member_id} is gone"))

    @property
    def _known(self) -> tuple[str, ...]:
        """The learners that the turns know of, as far as this change knows."""
        return (*self._claim.added, *(x.member_id for x in self._state.learners))

    def owns(self, member_id: str) -> bool:
        """Whether the turns know the learner as this change's, or as left behind by a change that has ended."""
        mine = any(x.member_id == member_id and x.ticket == self._claim.ticket for x in self._state.learners)
        return mine or any(x.member_id == member_id for x in self._state.orphans)

    def beforehand(self, status: ClusterStatus) -> Beforehand:
        """This look, and the turns as they were when this change got its own."""
        return Beforehand(status, self._state)

    def _renewed(self, **changes: Any) -> Claim:
        """A later claim; an earlier one that is still on its way then says nothing any more."""
        return replace(self._claim, at=workflow.time(), **changes)

    def _named(self, what: str) -> str:
        return f"{self._claim.member}: {what}"

    def _keep(self) -> None:
        self._stop_keeping()
        self._keeper = start(Turns.keep_turn, self._claim, WAIT, self._named("keep the turn"))

    def _stop_keeping(self) -> None:
        if self._keeper is not None:
            # However it ends is fine; nothing waits for it.
            self._keeper.add_done_callback(lambda keeper: keeper.cancelled() or keeper.exception())
            self._keeper.cancel()
            self._keeper = None
