"""A change's side of its turn: asking for it, waiting in line, having it, giving it back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from temporalio import workflow

from workflows.board import Board
from workflows.interruptions import Interruptions
from workflows.new_run import NewRun, is_due
from workflows.standing import Standing
from workflows.timeouts import ASK, start
from workflows.turns_memory import TurnsMemory

with workflow.unsafe.imports_passed_through():
    from activities.taking_turns import Turns
    from membership.failures import Failure
    from messages.turns import Ahead, Claim, Ticket, TurnRequest, TurnsState
    from workflows.carried import Tries
    from workflows.stop import Stop

# A change in line waits for a signal, and checks this often that ClusterTurns runs to send it.
_LOOKS_AFTER_TURNS = timedelta(hours=1)
# A member that lived may be dead by now: it is judged again, each time after twice as long, within these bounds.
_FIRST_JUDGED_AGAIN = timedelta(seconds=10)
_JUDGED_AGAIN = timedelta(minutes=5)


class Turn:
    """The turn of one change."""

    def __init__(self, board: Board, interruptions: Interruptions, cluster: str, member: str, ticket: Ticket) -> None:
        #: How the change stands, for ClusterTurns to ask.
        self.standing = Standing(cluster, ticket)
        #: The learners and calls that the turns remember.
        self.memory = TurnsMemory(self.standing, ticket)
        #: A signal granted the turn, and ClusterTurns has not confirmed it yet. The claim still says "waits".
        self.is_new = False
        self._board = board
        self._interruptions = interruptions
        self._cluster = cluster
        self._member = member
        self._ticket = ticket
        #: Its place in line, and why the held join before it is not cancelled, for a person.
        self._place = self._objection = ""
        #: How often --preempt was objected to in this wait.
        self._objections = 0
        self._holder_is_held = False
        self._is_full = False
        self._why_not_preempt: Callable[[], Awaitable[str]] | None = None
        interruptions.on_hold = self._note_hold

    @property
    def claim(self) -> Claim:
        """How the change stands."""
        return self.standing.claim

    def restore(self, claim: Claim, state: TurnsState) -> None:
        """Goes on with the turn of the run before."""
        self.standing.claim, self.memory.state = claim, state

    def _note_hold(self) -> None:
        self.standing.say(held=bool(self._board.view.held))

    # ---- signals from ClusterTurns ----

    def grant(self, ticket: Ticket) -> None:
        """ClusterTurns may have given the turn to this change. The next look asks it whether that is so."""
        if ticket == self._ticket and self.claim.state == "waits":
            self.is_new = True

    def note_held_holder(self) -> None:
        """A held join has the turn for which this change waits."""
        self._holder_is_held = True

    def note_full_line(self) -> None:
        """ClusterTurns may have turned this change away. ClusterTurns itself is asked whether that is so."""
        self._is_full = self.claim.state == "waits"

    def note_line(self, ahead: Ahead) -> None:
        """The changes ahead of this one, as ClusterTurns said once."""
        if self.claim.state == "waits" and not self.is_new:
            self._show_place(_told(ahead))

    # ---- in line ----

    async def take(self, why_not_preempt: Callable[[], Awaitable[str]] | None = None) -> None:
        """
        Waits in line until the turn is this change's, also after it was lost.

        `why_not_preempt` is asked when a held join has the turn: why that join must not be cancelled. Empty: it may be.
        Raises Stop for a change that is new in a full line.
        """
        self._why_not_preempt = why_not_preempt or self._why_not_preempt
        had_turn = self.claim.had_turn or self.claim.state == "holds"
        self.is_new = False
        self.standing.note(state="waits", had_turn=had_turn, preempt=self._why_not_preempt is not None)
        with self._interruptions.clocks.paused():
            await self._ask()
            while not self.is_new:
                await self._wait_for_news()
                if self.is_new:
                    break
                if self._interruptions.pending:
                    await self._step_aside()
                elif self._is_full:
                    self._is_full = False
                    await self._check_place()
                elif self._holder_is_held:
                    self._holder_is_held = False
                    await self._preempt()
        self._board.waits_for("")

    async def keep(self, why_not_preempt: Callable[[], Awaitable[str]] | None) -> None:
        """Goes on with the turn of the run before this one, or in line where that had no turn."""
        self._why_not_preempt = why_not_preempt
        if not await self.confirm():
            await self.take()

    async def _ask(self) -> None:
        """Asks once. ClusterTurns answers by a signal, even before this ends."""
        self._objection, self._objections = "", 0
        self._show_place("its turn")
        asking = TurnRequest(self._cluster, self._ticket)
        ask = start(Turns.ask_turn, asking, ASK, self._named(f"ask for the turn to change {self._cluster}"))
        await workflow.wait_condition(lambda: ask.done() or self.is_new)
        if ask.done():
            ask.result()

    def _show_place(self, place: str) -> None:
        self._place = place
        why_not = f". --preempt does not cancel the held join: {self._objection}" if self._objection else ""
        self._board.waits_for(f"{place}{why_not}")

    async def _wait_for_news(self) -> None:
        self._show_place(self._place)
        try:
            await workflow.wait_condition(
                lambda: self.is_new or self._interruptions.pending or self._holder_is_held or self._is_full,
                timeout=self._pause(),
                timeout_summary="is the member dead by now?" if self._objection else "do the turns still run?",
            )
        except TimeoutError:
            if is_due(self._interruptions):
                raise NewRun(Tries()) from None
            if not await workflow.execute_local_activity_method(
                Turns.turns_run, self._cluster, start_to_close_timeout=timedelta(seconds=10)
            ):
                await self._ask()
            self._holder_is_held = bool(self._objection)

    def _pause(self) -> timedelta:
        """The longest time without a question of this change's own."""
        if not self._objection:
            return _LOOKS_AFTER_TURNS
        return min(_FIRST_JUDGED_AGAIN * (1 << self._objections - 1), _JUDGED_AGAIN)

    async def _check_place(self) -> None:
        """Raises Stop if this change has no place in line. A stranger can send the signal, too."""
        why = self._named("check that the line has room")
        state = await start(Turns.read_turns, self._cluster, ASK, why)
        if self._ticket in (state.holder, *state.waiting):
            return
        reason = f"the line is full: {len(state.waiting)} changes wait for their turn, as many as max_waiting allows"
        hint = "ask again when fewer wait: `memberflow status` shows the line"
        raise Stop("refused", Failure.LINE_FULL, reason, hint)

    async def _step_aside(self) -> None:
        """
        The change must stop or be held: the changes behind it go first, and after a hold it asks again.

        Not with a learner of its own in the cluster, which would count as left behind.
        """
        if not self.claim.added:
            await self.give_back()
        await self._interruptions.safe_point()
        if self.claim.state == "apart":
            self.standing.note(state="waits")
            await self._ask()

    async def _preempt(self) -> None:
        """Whether the member is dead is judged at this moment, and not when the change began to wait."""
        if self._why_not_preempt is None:
            return
        self._objection = await self._why_not_preempt()
        if self._objection:
            self._objections = min(self._objections + 1, 10)
            return
        asking = TurnRequest(self._cluster, self._ticket)
        await start(Turns.preempt, asking, ASK, self._named("cancel the held join that has the turn"))

    # ---- with the turn ----

    async def confirm(self) -> bool:
        """Asks ClusterTurns alone whether it gave the turn to this change, where no look at the cluster is needed."""
        why = self._named(f"whose turn is it to change {self._cluster}?")
        state = await self._interruptions.interruptible(lambda: start(Turns.read_turns, self._cluster, ASK, why))
        return self.learn(state)

    def learn(self, state: TurnsState) -> bool:
        """Takes the turns as they are since the turn was granted. Whether it was: a stranger can send a grant, too."""
        self.memory.learn(state)
        self.is_new = False
        if state.holder != self._ticket:
            return False
        self.standing.note(state="holds", had_turn=False, preempt=False)
        return True

    async def give_back(self) -> None:
        """Lets others go first. Only for a change that has nothing of its own in the cluster."""
        self.standing.note(state="apart", had_turn=False, preempt=False, returns=True)
        await self.standing.tell()

    async def end(self, *, succeeded: bool) -> None:
        """The last thing that a change does: others go on at once."""
        before = self.claim.state
        self.standing.note(state="ended", succeeded=succeeded, preempt=False)
        if before in ("waits", "holds") and not await self.standing.tell() and before == "holds":
            # The turns were ended from outside, and changes that wait in line would get no signal.
            await self._ask()

    def _named(self, what: str) -> str:
        return f"{self._member}: {what}"


def _told(ahead: Ahead) -> str:
    """The changes ahead, for a person."""
    if ahead.resting:
        return "its turn. The turns rest: a change that had the turn, or ClusterTurns itself, was ended from outside"
    more = f" and {ahead.more} more" if ahead.more else ""
    return f"its turn behind {', '.join(ahead.workflow_ids)}{more}" if ahead.workflow_ids else "its turn"
