"""The line of a cluster's changes: which one has the turn, and which ones wait. Pure: no clock, no Temporal."""

from __future__ import annotations

from dataclasses import replace

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from messages.turns import (
        ACT_DEADLINE,
        REMEMBER_AT_MOST,
        AddedLearner,
        Ahead,
        Claim,
        LateCall,
        Ticket,
        TurnsState,
        Word,
    )

# A change in line is told the names of so many changes ahead, and the number of the others.
_NAMED = 10


class Line:
    """
    The change that has the turn, the changes that wait, the learners that they added, and the calls that they left.

    A ticket that was only named (`enter`) has a place and gets no turn. Only a `Word` about its change, which
    ClusterTurns found out by itself, changes anything else.
    """

    def __init__(self, state: TurnsState) -> None:
        self.state = state
        self._tickets = list(state.waiting)
        for ticket in state.unasked:
            self.enter(ticket)
        self._passed_over: set[Ticket] = set()
        #: Changes that found the line full, and were not told yet.
        self.turned_away: set[Ticket] = set()
        #: A change says that it has the turn, and these turns did not grant it.
        self.has_lost_holder = False

    # ---- questions ----

    @property
    def unasked(self) -> tuple[Ticket, ...]:
        """Tickets whose change has not been asked yet."""
        return tuple(t for t in self._tickets if t not in self.state.waiting)

    @property
    def length(self) -> int:
        """How many changes have a place, whether they were asked or not."""
        return len(self._tickets)

    @property
    def is_idle(self) -> bool:
        state = self.state
        return not (state.holder or self._tickets or state.learners or state.late or state.rest_until)

    @property
    def head(self) -> Ticket | None:
        """The change whose turn comes next. None: no change waits, or an earlier one has not been asked yet."""
        first = next((t for t in self._tickets if t not in self._passed_over), None)
        return first if first in self.state.waiting else None

    @property
    def waits_to_be_asked(self) -> bool:
        """Whether a change could have the turn, if it were known whether it wants it."""
        return self.state.holder is None and self.head is None and bool(self._tickets)

    def ahead_of(self, ticket: Ticket) -> Ahead:
        """The changes before this one."""
        line = [t.workflow_id for t in (self.state.holder, *self.state.waiting) if t and t != ticket]
        place = self.state.waiting.index(ticket) + (self.state.holder is not None)
        resting = self.state.resting or self.state.rest_first
        return Ahead(tuple(line[:place][:_NAMED]), max(0, place - _NAMED), resting)

    def knows(self, ticket: Ticket) -> bool:
        return ticket == self.state.holder or ticket in self._tickets

    def may_learn_from(self, ticket: Ticket) -> bool:
        """Whether the claim of a change that has completed may end the memory of a learner or a call of another one."""
        return bool(self.state.late) or any(x.ticket != ticket for x in self.state.learners)

    # ---- events ----

    def enter(self, ticket: Ticket) -> None:
        """A change is named: it has a place in line, if it turns out to want one."""
        if not self.knows(ticket):
            self._tickets.append(ticket)

    def pass_over_unasked(self) -> None:
        """Changes that don't answer block no other change. They have their place again as soon as they answer."""
        self._passed_over.update(self.unasked)

    def grant(self, ticket: Ticket, now: float) -> None:
        self._drop(ticket)
        self.state = replace(self.state, holder=ticket, granted_at=now, holder_is_held=False)

    def drop(self, ticket: Ticket) -> None:
        """The change neither has the turn nor waits for it any more."""
        self._drop(ticket)
        if ticket == self.state.holder:
            self.state = replace(self.state, holder=None, holder_is_held=False)

    def end_rest(self) -> None:
        self.state = replace(self.state, resting=False, rest_until=0.0, rest_first=False)

    def rest(self, until: float) -> None:
        self.state = replace(self.state, resting=True, rest_until=max(until, self.state.rest_until))

    def learn(self, ticket: Ticket, word: Word | None, now: float) -> None:
        """Takes the findings about a change. None: there is no such change."""
        if word is None:
            self._end(ticket, None, now)
            return
        if word.claim is not None:
            self._learn_learners(ticket, word.claim)
            self._learn_settled(word.claim)
        if word.is_over:
            if word.status == "COMPLETED" or (word.claim and word.claim.succeeded):
                self._forget_learners(ticket)
            elif word.claim:
                self._learn_late(ticket, word.claim)
            self._end(ticket, word, now)
        elif word.claim is not None:
            self._place(ticket, word, word.claim)

    # ---- parts ----

    def _place(self, ticket: Ticket, word: Word, claim: Claim) -> None:
        """An open change gets the place that it asks for."""
        if claim.state == "apart":
            self.drop(ticket)
        elif ticket == self.state.holder:
            self.state = replace(self.state, holder_is_held=claim.held and word.is_join)
        elif self._is_full_for(ticket, claim, word.max_waiting):
            self.drop(ticket)
            self.turned_away.add(ticket)
        else:
            self.enter(ticket)
            self._passed_over.discard(ticket)
            if claim.state == "holds" or claim.had_turn:
                self.has_lost_holder = True
                # It had the turn before the turns were lost, and comes before changes that only waited.
                self._tickets.remove(ticket)
                self._tickets.insert(0, ticket)
            self._wait(ticket, preempts=claim.preempt)

    def _is_full_for(self, ticket: Ticket, claim: Claim, most: int | None) -> bool:
        """Whether the change is new in line and finds no room. A change that has begun always finds room."""
        has_begun = claim.state == "holds" or claim.had_turn or claim.returns or bool(claim.added)
        is_new = ticket not in self.state.waiting and not has_begun
        return is_new and most is not None and len(self.state.waiting) >= most

    def _wait(self, ticket: Ticket, *, preempts: bool) -> None:
        known = {*self.state.waiting, ticket}
        waiting = tuple(t for t in self._tickets if t in known)
        preempting = tuple(
            t for t in waiting if (t in self.state.preempting and t != ticket) or (t == ticket and preempts)
        )
        self.state = replace(self.state, waiting=waiting, preempting=preempting)

    def _drop(self, ticket: Ticket) -> None:
        self._tickets = [t for t in self._tickets if t != ticket]
        self._passed_over.discard(ticket)
        waiting = tuple(t for t in self.state.waiting if t != ticket)
        preempting = tuple(t for t in self.state.preempting if t != ticket)
        self.state = replace(self.state, waiting=waiting, preempting=preempting)

    def _end(self, ticket: Ticket, word: Word | None, now: float) -> None:
        """The change is over. If it was ended from outside with its turn, a late act gets time to end."""
        held_turn = ticket == self.state.holder and (
            word is None or word.closed_at is None or word.closed_at >= self.state.granted_at
        )
        lost_turn = word is not None and word.claim is not None and word.claim.state == "holds"
        self.drop(ticket)
        if word is not None and word.orderly:
            return
        closed_at = word.closed_at if word and word.closed_at else now
        if (held_turn or lost_turn) and closed_at + ACT_DEADLINE > now:
            self.rest(closed_at + ACT_DEADLINE)

    def _learn_learners(self, ticket: Ticket, claim: Claim) -> None:
        """A change that was reset names fewer learners. Those that it does not call gone are still known."""
        told = {*claim.added, *claim.gone}
        kept = tuple(x for x in self.state.learners if x.member_id not in told)
        added = tuple(AddedLearner(member_id, ticket) for member_id in claim.added)
        self.state = replace(self.state, learners=kept + added)

    def _learn_settled(self, claim: Claim) -> None:
        """Late calls are forgotten when a later change saw them settled. The learners that they brought stay known."""
        late = tuple(x for x in self.state.late if x not in claim.settled)
        known = {*claim.gone, *(x.member_id for x in self.state.learners)}
        brought = tuple(x for x in claim.brought if x.member_id not in known)
        self.state = replace(self.state, late=late, learners=self.state.learners + brought)

    def _learn_late(self, ticket: Ticket, claim: Claim) -> None:
        """A change that ended without success names its calls whose effect may still come."""
        others = tuple(x for x in self.state.late if x.ticket != ticket)
        own = tuple(LateCall(call, ticket) for call in claim.late)
        self.state = replace(self.state, late=(*others, *own)[-REMEMBER_AT_MOST:])

    def _forget_learners(self, ticket: Ticket) -> None:
        self.state = replace(self.state, learners=tuple(x for x in self.state.learners if x.ticket != ticket))
