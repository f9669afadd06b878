"""One running change: what it may do, and the ways to interrupt it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutType
from temporalio.exceptions import TimeoutError as TemporalTimeout

from workflows.board import Board
from workflows.clocks import Clocks
from workflows.timeouts import ACT, FIRST_LOOK, LOOK, LOOK_AGAIN, SHUN, WAIT, Limits

with workflow.unsafe.imports_passed_through():
    from activities.observe import Observe
    from activities.ports import ClusterProfile
    from membership.failures import Failure
    from membership.model import ClusterStatus
    from membership.verdicts import Facts
    from messages.orders import ActReport, Beforehand, LaunchOrder, Look, Order
    from messages.turns import Ticket
    from workflows.stop import Stop, StopKind

if TYPE_CHECKING:
    from workflows.turn import Turn

T = TypeVar("T")


# Seconds; what is known of a member that nobody asks is old then.
KNOWN_FOR = 20.0


class AskAgain(Exception):
    """The change is to be held, or what it knows of a member that nobody asks has grown old: that must not last."""


class Change:
    """
    One running change of a cluster.

    What only reads or waits can be interrupted: by a clock, by a cancel, or to be held. An act, and the looks
    that tell what became of it, can not; and nothing can once `unstoppable` is set.
    """

    def __init__(self, board: Board, cluster: str, member: str) -> None:
        info = workflow.info()
        self.board = board
        self.cluster = cluster
        self.member = member
        self.ticket = Ticket(info.workflow_id, info.original_execution_run_id)
        self.clocks = Clocks(self.stop)
        self.unstoppable = False
        self.reports: dict[str, list[ActReport]] = {}
        self.facts: Facts
        self._profile: ClusterProfile | None = None
        self._stop: Stop | None = None
        self._hold = ""
        self._unasked_since: float | None = None

    @property
    def has_profile(self) -> bool:
        return self._profile is not None

    @property
    def profile(self) -> ClusterProfile:
        assert self._profile is not None, "read by the preflight, before anything else"
        return self._profile

    @profile.setter
    def profile(self, profile: ClusterProfile) -> None:
        self._profile = profile

    # ---- interruptions ----

    def stop(self, stop: Stop) -> None:
        """Stops the change at its next safe point; a cancel comes before a clock."""
        if self._stop is None or stop.kind == "cancelled":
            self._stop = stop

    def end_clocks(self) -> None:
        """Nothing takes too long any more, not even what did already: a clock may have rung during an act."""
        self.clocks.end()
        if self._stop is not None and self._stop.kind == "clock":
            self._stop = None

    def hold(self, why: str) -> None:
        """Holds the change at its next safe point, until `resume` or a cancel."""
        self._hold = why

    def resume(self) -> None:
        self._hold = ""

    @property
    def is_held(self) -> bool:
        """Whether it is held, or will be at its next safe point."""
        return bool(self._hold)

    async def safe_point(self) -> None:
        """
        Raises Stop when the change is to stop, and waits while it is held. Nothing of ours is under way here.

        Raises AskAgain when it is to be held while nobody asks a member.
        """
        if self.unstoppable:
            return
        if self._hold and self._stop is None:
            if self._unasked_since is not None:
                raise AskAgain
            with self.clocks.paused():
                self.board.held(self._hold)
                await workflow.wait_condition(lambda: not self._hold or self._stop is not None)
                self.board.held("")
        if self._stop is not None:
            stop, self._stop = self._stop, None
            raise stop

    async def interruptible(
        self, start: Callable[[], workflow.ActivityHandle[T]], on_hold: Callable[[], Awaitable[None]] | None = None
    ) -> T:
        """
        The result of an activity that only reads or waits; `on_hold` is called before it is held meanwhile.

        When interrupted it is cancelled and has ended before this raises Stop; after being held it starts again.
        """
        while True:
            if on_hold and self._hold and self._stop is None:
                await on_hold()
            await self.safe_point()
            handle = start()
            interrupted = await self._was_interrupted(handle)
            if handle.cancelled() or (interrupted and handle.exception() is not None):
                continue
            return handle.result()

    async def _was_interrupted(self, handle: workflow.ActivityHandle[T]) -> bool:
        """Waits for the end; interrupted it stays, though whoever held the change lets it go on in the meantime."""
        await workflow.wait_condition(lambda: handle.done() or self._interrupted())
        interrupted = self._interrupted()
        if not handle.done():
            handle.cancel()
            await workflow.wait_condition(handle.done)
        return interrupted

    async def pause(self, until: float, why: str) -> None:
        """Waits before another attempt, until this moment of the workflow's time."""
        seconds = until - workflow.time()
        if seconds <= 0:
            return
        self.board.waits_for(why)
        timeout = timedelta(seconds=seconds)
        with suppress(TimeoutError):
            await workflow.wait_condition(self._interrupted, timeout=timeout, timeout_summary=why[:200])

    def _interrupted(self) -> bool:
        return not self.unstoppable and bool(self._stop or self._hold)

    # ---- a member that goes is not asked for anything any more ----

    async def stop_asking(self, turn: Turn, status: ClusterStatus) -> None:
        """Has every worker stop asking the member; of one that can be asked, the last look has then ended."""
        member_id = self.facts.member_id
        self.facts = replace(self.facts, avoid=(member_id, *status.endpoints_of(member_id)))
        self._unasked_since = workflow.time()
        await turn.announce_removal(self.facts.avoid)
        if status.endpoints_of(member_id):
            self.board.waits_for("the last look at the member to end")
            await workflow.sleep(SHUN, summary="the last look at the member ends")

    async def ask_again(self, turn: Turn) -> None:
        """After all, the member stays."""
        self.facts = replace(self.facts, avoid=())
        self._unasked_since = None
        await turn.announce_removal(())

    @property
    def knows_too_little(self) -> bool:
        """Whether what it judges by is of a member that nobody has asked for some time."""
        return self._unasked_since is not None and workflow.time() - self._unasked_since > KNOWN_FOR

    # ---- activities, on the cluster's task queue ----

    async def first_look(self, kind: StopKind) -> Beforehand:
        """The first look of all: it fails after a while, as a Stop of this kind, where later ones go on trying."""
        look = Look(self.cluster, member=self.member)
        try:
            return await self.interruptible(
                lambda: self.start(Observe.look_beforehand, look, FIRST_LOOK, "first look at the cluster")
            )
        except ActivityError as error:
            raise stop_of(error, kind) from error

    async def look(self, why: str) -> ClusterStatus:
        """One look, repeated by Temporal until it succeeds."""
        self.board.waits_for(f"a look at the cluster: {why}")
        return await self.interruptible(lambda: self.start(Observe.check_status, self._look(), LOOK, why))

    async def look_after(self, act: str) -> ClusterStatus:
        """The look that tells what became of an act; nothing interrupts it, and without quorum it waits."""
        self.board.waits_for(f"a look at the cluster, to see what became of {act}")
        status: ClusterStatus = await self.start(
            Observe.check_status, self._look(LOOK_AGAIN), LOOK, f"what became of {act}"
        )
        return status

    async def look_after_barrier(self, act: str) -> ClusterStatus:
        """A look that shows for good what became of an ambiguous act; without quorum it waits."""
        self.board.waits_for(f"one more raft entry to commit, to know what became of {act}")
        why = f"settle what became of {act}"
        status: ClusterStatus = await self.start(Observe.check_after_barrier, self._look(LOOK_AGAIN), LOOK, why)
        return status

    async def wait(
        self, method: Any, step: str, why: str, launch: LaunchOrder | None = None, foreign: str = ""
    ) -> ClusterStatus:
        """A wait, as one heartbeating activity; raises Stop with the name of what ended it."""
        try:
            return await self.interruptible(lambda: self.start(method, self._order(step, launch, foreign), WAIT, why))
        except ActivityError as error:
            stop = stop_of(error, "failed")
            stop.kind = "clock" if stop.error in (Failure.LEARNER_STALLED, Failure.LAUNCHED_MEMBER_DIED) else "failed"
            raise stop from error

    async def act(self, method: Any, step: str, what: str) -> ActReport:
        """Has one call sent, at most; an activity that was lost may have sent it."""
        attempt = self.board.view.attempts.get(what, 0) + 1
        try:
            report: ActReport = await self.start(method, self._order(step), ACT, f"{what}, attempt {attempt}")
        except ActivityError as error:
            stop = stop_of(error, "failed")
            report = ActReport(sent=True, applied="maybe", error=stop.error, reason=stop.reason)
        if report.sent:
            self.board.sent(what)
        told = {"act": what, "applied": report.applied, "error": report.error, "reason": report.reason}
        workflow.logger.info("act", extra={**told, "cluster": self.cluster, "member": self.member})
        return report

    def _look(self, patience: float = 0.0) -> Look:
        return Look(self.cluster, self.facts.avoid, self.member, patience)

    def did(self, act: str) -> bool:
        """Whether a call of this change may have brought the act's effect about."""
        return any(report.applied != "no" for report in self.reports.get(act, []))

    def _order(self, step: str, launch: LaunchOrder | None = None, foreign: str = "") -> Order:
        return Order(step, self.facts, self.ticket, launch, foreign)

    def start(self, method: Any, arg: Any, limits: Limits, summary: str) -> workflow.ActivityHandle[Any]:
        """Starts an activity on the cluster's task queue; its summary names the member."""
        return limits.start(method, arg, f"{self.member}: {summary}", self.profile.task_queue)


def stop_of(error: ActivityError, kind: StopKind) -> Stop:
    """The failed activity as a reason to stop: by the named error at the bottom of it."""
    cause: BaseException = error
    while cause.__cause__ is not None and not (isinstance(cause, ApplicationError) and cause.type):
        cause = cause.__cause__
    if isinstance(cause, TemporalTimeout) and cause.type is TimeoutType.SCHEDULE_TO_START:
        reason = "no worker took the work in time"
        return Stop(
            kind,
            Failure.NO_WORKER,
            reason,
            "start one that serves this cluster's task queue: `memberflow worker --serve QUEUE`",
        )
    if isinstance(cause, ApplicationError):
        hint = str(cause.details[0]) if cause.details else ""
        return Stop(kind, cause.type or Failure.ACTIVITY_FAILED, cause.message, hint)
    return Stop(kind, type(cause).__name__, str(cause))
