"""ClusterTurns: one change of a cluster at a time, in the order in which they asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

from workflows.arguments import NOTHING
from workflows.line import Line
from workflows.timeouts import QUESTION, SURVEY, WATCH, start

with workflow.unsafe.imports_passed_through():
    from activities.taking_turns import Turns
    from membership.failures import Failure
    from messages.ids import cluster_of_turns, verb_of
    from messages.queues import watches_queue
    from messages.turns import ACT_DEADLINE, Ahead, ChangeQuestion, Ticket, TurnsState, Word
    from messages.views import turns_details

# A change that does not answer for so long blocks no other change any more.
_ANSWERS_WITHIN = timedelta(seconds=5)
# Questions at a time. A change that no worker runs answers none of them, and each keeps a place from acts and looks for
# seconds. A worker has 200 places.
_MOST_QUESTIONS = 100
# Changes in the line, named or asked. The state of the turns must fit into one payload of Temporal.
_MOST_CHANGES = 5000


@workflow.defn
class ClusterTurns:
    """
    Grants the turn to the head of the line, and leaves it there until the holder has closed.

    A signal only names a change. ClusterTurns asks that change itself about its turn, its learners and its calls. It
    ends when no change holds, none waits, and no ended change has left a learner or a call that may still take effect.
    """

    @workflow.init
    def __init__(self, state: RawValue = NOTHING) -> None:
        self._cluster = cluster_of_turns(workflow.info().workflow_id)
        self._line = Line(TurnsState())
        self._asks: dict[Ticket, asyncio.Task[None]] = {}
        self._to_ask: set[Ticket] = set()
        self._told: set[Ticket] = set()
        self._places = asyncio.Semaphore(_MOST_QUESTIONS)
        self._refusal = ""
        try:
            self._line = Line(self._accepted(state))
        except ValueError as error:
            self._refusal = str(error)

    @workflow.run
    async def run(self, state: RawValue = NOTHING) -> None:
        if self._refusal:
            raise ApplicationError(self._refusal, type=Failure.INVALID_REQUEST, non_retryable=True)
        for ticket in self._line.state.unasked:
            self._ask(ticket)
        self._line.state = replace(self._line.state, unasked=())
        if workflow.info().continued_run_id is None:
            await self._begin()
        while not (self._line.is_idle and not self._asks):
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(replace(self._line.state, unasked=(*self._line.unasked, *self._asks)))
            self._show()
            await self._next()

    @workflow.signal(description="Names a change that asks for the turn, has other learners, is held, or has ended")
    def claim(self, ticket: Ticket) -> None:
        if verb_of(self._cluster, ticket.workflow_id):
            self._name(ticket)

    @workflow.query(description="The change that has the turn, the changes in line, and the learners that each added")
    def turns(self) -> TurnsState:
        return self._line.state

    # ---- beginning ----

    def _accepted(self, argument: RawValue) -> TurnsState:
        """The state to begin with. Only the run before may hand one over: a caller that starts the turns gives none."""
        if not self._cluster:
            raise ValueError("the workflow ID of a cluster's turns is memberflow:<cluster>")
        if argument is NOTHING:
            return TurnsState()
        try:
            state: TurnsState = workflow.payload_converter().from_payload(argument.payload, TurnsState)
        except Exception as error:  # noqa: BLE001  (whatever a converter raises for a payload that it can't read)
            raise ValueError(f"the argument is not a state of turns: {error}") from None
        if workflow.info().continued_run_id is None and state != TurnsState(rest_first=state.rest_first):
            raise ValueError("the turns begin without a state: only their own next run gets one")
        return state

    async def _begin(self) -> None:
        """Finds the changes that run. Where one may have had the turn, a late act of it gets time to end."""
        known = await self._survey()
        if self._line.state.rest_first or self._line.has_lost_holder or not known:
            self._line.rest(workflow.time() + ACT_DEADLINE)
        if self._line.state.rest_until:
            await self._rest()
            await self._survey()

    async def _survey(self) -> bool:
        """Asks every running change of this cluster. False if Temporal could not list them."""
        try:
            found = await start(Turns.find_changes, self._cluster, SURVEY, "find the running changes")
        except ActivityError:
            return False
        for ticket in found:
            if not self._line.knows(ticket):
                self._name(ticket)
        if any(ticket in self._asks for ticket in found):
            await self._until(lambda: not any(ticket in self._asks for ticket in found))
        return True

    # ---- one thing after the other ----

    async def _next(self) -> None:
        if self._line.state.rest_until:
            await self._rest()
        elif self._line.state.holder:
            await self._watch(self._line.state.holder)
        elif head := self._line.head:
            await self._grant(head)
        elif self._line.waits_to_be_asked:
            if not await self._until(lambda: not self._line.waits_to_be_asked):
                self._line.pass_over_unasked()
        else:
            await workflow.wait_condition(self._has_work)

    def _has_work(self) -> bool:
        line = self._line
        return bool(line.head or line.waits_to_be_asked or line.state.rest_until or (line.is_idle and not self._asks))

    async def _grant(self, ticket: Ticket) -> None:
        self._line.grant(ticket, workflow.time())
        self._show()
        if not await _signal(ticket, "turn_granted", ticket):
            self._line.drop(ticket)
        await self._tell_line()

    async def _watch(self, ticket: Ticket) -> None:
        """Returns when the holder has closed, or has gone, or when this history has grown long."""
        what = f"the turn is with {ticket.workflow_id}"
        watch = start(Turns.watch_holder, ticket, WATCH, what, watches_queue(workflow.info().task_queue))
        await workflow.wait_condition(
            lambda: watch.done() or self._line.state.holder != ticket or workflow.info().is_continue_as_new_suggested()
        )
        if watch.done():
            self._ask(ticket)
            await workflow.wait_condition(lambda: ticket not in self._asks)
        else:
            watch.cancel()

    async def _rest(self) -> None:
        self._show()
        seconds = self._line.state.rest_until - workflow.time()
        if seconds > 0:
            await workflow.sleep(timedelta(seconds=seconds), summary="a late act ends")
        self._line.end_rest()

    async def _until(self, condition: Callable[[], bool]) -> bool:
        """Whether it comes true soon."""
        with suppress(TimeoutError):
            await workflow.wait_condition(condition, timeout=_ANSWERS_WITHIN, timeout_summary="a change to answer")
        return condition()

    # ---- asking changes ----

    def _name(self, ticket: Ticket) -> None:
        """Enters a change into the line, and asks it. Beyond the limit it is left out, and asks again in an hour."""
        if self._line.knows(ticket) or self._line.length < _MOST_CHANGES:
            self._line.enter(ticket)
            self._ask(ticket)

    def _ask(self, ticket: Ticket) -> None:
        """Asks a change, once more where it is named again meanwhile, since its answer may have changed."""
        self._to_ask.add(ticket)
        if ticket not in self._asks:
            self._asks[ticket] = asyncio.create_task(self._ask_until_known(ticket))

    async def _ask_until_known(self, ticket: Ticket) -> None:
        try:
            while ticket in self._to_ask:
                self._to_ask.discard(ticket)
                question = ChangeQuestion(ticket, claim_matters=self._line.may_learn_from(ticket))
                async with self._places:
                    word = await start(Turns.ask_change, question, QUESTION, f"ask {ticket.workflow_id}")
                await self._learn(ticket, word)
        finally:
            del self._asks[ticket]

    async def _learn(self, ticket: Ticket, word: Word | None) -> None:
        was_held = self._line.state.holder_is_held
        self._line.learn(ticket, word, workflow.time())
        self._show()
        state = self._line.state
        if ticket in self._line.turned_away:
            self._line.turned_away.discard(ticket)
            await _signal(ticket, "line_is_full")
        if ticket == state.holder and word and word.claim and word.claim.state == "waits":
            await _signal(ticket, "turn_granted", ticket)  # it was reset, or missed the first one
        if state.holder_is_held and (not was_held or ticket in state.preempting):
            for waiting in state.preempting:
                await _signal(waiting, "holder_is_held")
        await self._tell_line()

    async def _tell_line(self) -> None:
        """Tells each change in line once which changes are ahead of it."""
        state = self._line.state
        self._told &= set(state.waiting)
        if state.holder or state.resting:
            new = [ticket for ticket in state.waiting if ticket not in self._told]
            self._told.update(new)
            await asyncio.gather(*(_signal(ticket, "ahead_in_line", self._line.ahead_of(ticket)) for ticket in new))

    def _show(self) -> None:
        workflow.set_current_details(turns_details(self._cluster, self._line.state))


async def _signal(ticket: Ticket, name: str, *arguments: Ticket | Ahead) -> bool:
    """Whether the change could be told."""
    change = workflow.get_external_workflow_handle(ticket.workflow_id)
    try:
        await change.signal(name, args=arguments)
    except FailureError:
        return False
    return True
