"""The calls of one change whose effect may still come."""

from __future__ import annotations

from dataclasses import replace

from temporalio import workflow

from workflows.board import Board
from workflows.cluster import Cluster
from workflows.settling import start_settling

with workflow.unsafe.imports_passed_through():
    from membership.duration import format_duration
    from membership.failures import Failure
    from membership.judgements import StepName
    from membership.model import ClusterStatus, Member
    from membership.sent_calls import MOMENT, ActName, SentCall, may_be_of, sent_call
    from messages.orders import ActReport
    from workflows.carried import Carried
    from workflows.stop import Stop

_ACTS: dict[StepName, ActName] = {
    "add": "add",
    "promote": "promote",
    "move": "move leader",
    "remove": "remove",
    "rollback": "remove",
}
# Seconds: longer than a member that is well must be heard.
_SOON = 2 * MOMENT


class Unsettled:
    """
    Keeps every call that may have been sent and whose fate is unknown.

    Going forward needs none of it: etcd refuses the same call once more. A change that goes back, ends without
    success or lets others go first waits for these calls.
    """

    def __init__(self, board: Board, cluster: Cluster) -> None:
        #: The calls whose effect may still come.
        self.calls: tuple[SentCall, ...] = ()
        # The call of the act that is under way.
        self._sending: SentCall | None = None
        #: Why it may still come, for a person. Empty before they were waited for.
        self.reasons: tuple[str, ...] = ()
        self._board = board
        self._cluster = cluster
        #: Calls whose effect was seen to come while they were waited for.
        self.came: tuple[SentCall, ...] = ()
        #: Members whose removal may still come, and their client URLs: they are not asked.
        self.leaving: tuple[str, ...] = ()
        self._until: float | None = None

    @property
    def late(self) -> tuple[SentCall, ...]:
        """
        The calls that may take effect after the end of the change, for the turns.

        A change that is ended from outside doesn't know the end of the act that was under way. A later change may
        send the same call, so an effect that is seen then proves nothing about these.
        """
        sending = (self._sending,) if self._sending else ()
        return tuple(replace(call, outdone=True) for call in (*self.calls, *sending))

    def begin(self, step: StepName, before: ClusterStatus) -> None:
        """An act is about to send its call."""
        self._sending = self._call(step, before, sent_to="")

    def restore(self, carried: Carried) -> None:
        """Goes on with the calls of the run before."""
        self.calls, self.came, self.leaving = carried.calls, carried.came, carried.leaving

    def note(self, step: StepName, report: ActReport, before: ClusterStatus, *, has_effect: bool) -> None:
        """Takes the report of an act, and whether the look after it shows the effect."""
        self._sending = None
        if report.applied == "no":
            return
        call = self._call(step, before, report.sent_to)
        if report.applied == "yes" and not report.answer_lost:
            # The effect is this call's, and not that of an earlier one.
            self.calls = tuple(replace(c, outdone=True) if c.is_like(call) else c for c in self.calls)
            return
        if has_effect and not any(c.is_like(call) for c in self.calls):
            return
        self.calls = (*self.calls, call)
        if call.act == "remove":
            self.leaving = (*self.leaving, call.member_id, *before.endpoints_of(call.member_id))

    def _call(self, step: StepName, before: ClusterStatus, sent_to: str) -> SentCall:
        facts = self._cluster.facts
        return sent_call(_ACTS[step], before, sent_to, facts.member_id, facts.peer_urls)

    @property
    def may_promote(self) -> bool:
        """Whether the learner may still become a voter: it must not be taken for a learner until then."""
        return any(call.act == "promote" for call in self.calls)

    def may_have_added(self, learner: Member) -> bool:
        """Whether an unanswered add of this change may have added the learner."""
        return any(may_be_of(call, learner) for call in (*self.calls, *self.came))

    def explain(self, stop: Stop) -> None:
        """Where calls are left, the change fails, whatever it was to end as, and its reason names them."""
        if not self.calls:
            return
        limit = format_duration(self._cluster.facts.policy.settle_timeout)
        stop.kind, stop.error = "failed", Failure.UNSETTLED
        reasons = "; ".join(self.reasons)
        stop.reason = f"{reasons}. settle_timeout ({limit}) has passed. The change was stopping because: {stop.reason}"
        stop.hint = (
            "thaw, restart or remove that member, then look at the members with `memberflow status`. The same join "
            "goes on with a learner that comes late, and every other change removes it first"
        )

    async def settle(self) -> None:
        """Waits until no call may take effect any more, for `settle_timeout` in all. Not interruptible."""
        if not self.calls:
            return
        if self._until is None:
            self._until = workflow.time() + self._cluster.facts.policy.settle_timeout.total_seconds()
        await self._wait(max(0.0, self._until - workflow.time()))

    async def settle_soon(self) -> bool:
        """Waits for a moment. True if no call may take effect any more."""
        await self._wait(_SOON)
        return not self.calls

    async def _wait(self, timeout: float) -> None:
        if not self.calls:
            return
        self._board.waits_for("the members that were sent a call to be heard: its effect may still come")
        settled = await start_settling(self._cluster, self.calls, timeout, self.leaving)
        self.came = (*self.came, *settled.came)
        self.calls, self.reasons = settled.left, settled.reasons
        self.leaving = self.leaving if self.calls else ()
