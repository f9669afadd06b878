"""ClusterTurns: one change of a cluster at a time, in the order in which they asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from temporalio import workflow

from workflows.timeouts import WAIT, start

with workflow.unsafe.imports_passed_through():
    from activities.turns import Turns
    from messages.turns import ACT_DEADLINE, REPEAT, AddedLearner, Claim, Closed, Holding, Ticket, TurnsState


@workflow.defn
class ClusterTurns:
    """
    Grants the turn to the head of the line and keeps it granted until the holder has closed.

    Claims come as signals, again and again; who has the turn is asked by query. It ends when nobody holds,
    nobody waits and no learner of a change that ended unfinished is known.
    """

    @workflow.init
    def __init__(self, state: TurnsState | None = None) -> None:
        self._state = state or TurnsState()

    @workflow.run
    async def run(self, state: TurnsState | None = None) -> None:
        if self._state.rest_first:
            await self._rest(ACT_DEADLINE + REPEAT)
            self._state = replace(self._state, rest_first=False)
        while not self._idle():
            if workflow.info().is_continue_as_new_suggested():
                state = self._state
                alive = {t.run_id for t in (state.holder, *state.waiting) if t}
                heard = {run_id: at for run_id, at in state.heard.items() if run_id in alive}
                workflow.continue_as_new(replace(state, heard=heard))
            self._show()
            await workflow.wait_condition(lambda: bool(self._state.holder or self._state.waiting or self._idle()))
            if self._state.holder is None and self._state.waiting:
                self._grant()
            if self._state.holder is not None:
                await self._hold(self._state.holder)

    @workflow.signal(description="A change asks for the turn, says that it holds it, or gives it back")
    def claim(self, claim: Claim) -> None:
        state = self._state
        if claim.at < state.heard.get(claim.ticket.run_id, 0.0):
            return
        state = replace(state, heard={**state.heard, claim.ticket.run_id: claim.at})
        kept = tuple(x for x in state.learners if x.member_id not in {*claim.added, *claim.gone})
        state = replace(state, learners=kept + tuple(AddedLearner(i, claim.ticket) for i in claim.added))
        if claim.giving_back:
            waiting = tuple(t for t in state.waiting if t != claim.ticket)
            holder = None if state.holder == claim.ticket else state.holder
            state = replace(state, holder=holder, waiting=waiting)
        elif claim.ticket not in (state.holder, *state.waiting):
            # One that held before the turns were lost comes before those that only waited.
            line = (claim.ticket, *state.waiting) if claim.holding else (*state.waiting, claim.ticket)
            state = replace(state, waiting=line)
        self._state = state

    @workflow.query(description="Who holds the turn, who waits in which order, which learners were added by whom")
    def turns(self) -> TurnsState:
        return self._state

    def _idle(self) -> bool:
        return not (self._state.holder or self._state.waiting or self._state.learners)

    def _grant(self) -> None:
        head, *rest = self._state.waiting
        self._state = replace(self._state, holder=head, waiting=tuple(rest))

    async def _hold(self, ticket: Ticket) -> None:
        """Returns when the holder has closed, gave the turn back, or this history has grown long."""
        self._show()
        holding = Holding(ticket, workflow.now().timestamp())
        watch = start(Turns.watch_holder, holding, WAIT, f"the turn is with {ticket.workflow_id}")
        await workflow.wait_condition(
            lambda: watch.done() or self._state.holder != ticket or workflow.info().is_continue_as_new_suggested()
        )
        if not watch.done():
            watch.cancel()
            return
        await self._settle(ticket, watch.result())

    async def _settle(self, ticket: Ticket, closed: Closed) -> None:
        """
        After the holder: late acts get time to end, and its learners are orphans.

        One that succeeded has none. One that failed, or was cancelled, has told which ones it took back.
        """
        learners = self._state.learners
        if closed.succeeded:
            learners = tuple(x for x in learners if x.ticket != ticket)
        self._state = replace(self._state, holder=None, learners=learners)
        if closed.held and not closed.orderly:
            await self._rest(ACT_DEADLINE)

    async def _rest(self, seconds: float) -> None:
        self._state = replace(self._state, resting=True)
        self._show()
        await workflow.sleep(timedelta(seconds=seconds))
        self._state = replace(self._state, resting=False)

    def _show(self) -> None:
        state = self._state
        holder = "nobody (resting)" if state.resting else state.holder.workflow_id if state.holder else "nobody"
        lines = [f"**Turn:** {holder}", "", f"**Waiting:** {len(state.waiting)}"]
        lines += [f"1. {ticket.workflow_id}" for ticket in state.waiting]
        if state.orphans:
            lines += ["", "**Learners left by changes that ended unfinished:**"]
            lines += [f"- {x.member_id}, added by {x.ticket.workflow_id}" for x in state.orphans]
        workflow.set_current_details("\n".join(lines))
