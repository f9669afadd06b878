"""
settle: look, judge, act, look again.

The one idea of memberflow. The only retry of an act is another turn of this loop, and each turn begins with a
look; so an act whose effect is there is never repeated, whatever became of its answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from temporalio import workflow

from workflows.change import AskAgain, Change
from workflows.turn import Turn

with workflow.unsafe.imports_passed_through():
    from activities.change import Change as Acts
    from activities.watch import Watch
    from membership.duration import format_duration
    from membership.errors import PermissionDenied
    from membership.failures import Failure
    from membership.judgements import judge
    from membership.model import ClusterStatus
    from membership.verdicts import Done, Ready, Refuse, Verdict, Wait
    from messages.orders import ActReport, LaunchOrder
    from workflows.stop import Stop


@dataclass(frozen=True)
class Step:
    """
    A step: the judgement by its name, the act that brings it about and what to call it, the wait for its being ready.

    `waits_without_turn`: while it waits there is nothing of ours in the cluster, and others may go first.
    `ages`: it is judged by whether a member lives that nobody asks meanwhile, so it waits for nothing itself.
    """

    name: str
    act: Any = None
    what: str = ""
    wait: Any = Watch.wait_for_cluster
    waits_without_turn: bool = False
    ages: bool = False


ADD = Step("add", Acts.add_learner, "add", waits_without_turn=True)
SYNC = Step("sync", wait=Watch.wait_for_sync)
PROMOTE = Step("promote", Acts.promote_learner, "promote", wait=Watch.wait_for_sync)
ROLLBACK = Step("rollback", Acts.remove_member, "remove")
CLEAR = Step("rollback", Acts.remove_member, "remove of a learner left behind")
MOVE = Step("move", Acts.move_leader, "move leader")
REMOVE = Step("remove", Acts.remove_member, "remove", ages=True)

# Seconds before another attempt, by the name of what came back; each further pause is longer by half.
_PAUSES = {"NotSent": 0.5, "LearnerNotReady": 0.5, "Unhealthy": 2.0, "TooManyLearners": 5.0}
_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_LONGEST_AFTER = 20

# Seconds before another look at what would be refused: right after an election a member that lives may not follow yet.
_DOUBTS = (1.0, 2.0, 4.0, 8.0)
_DOUBTFUL = Failure.QUORUM_AT_RISK

# What no waiting mends: its looks succeed, so its user is known and may not do more.
_HOPELESS = {PermissionDenied.__name__: PermissionDenied.hint}


async def settle(
    change: Change,
    turn: Turn,
    step: Step,
    seen: ClusterStatus | None = None,
    launch: LaunchOrder | None = None,
    before: Callable[[ClusterStatus], Awaitable[ClusterStatus]] | None = None,
) -> ClusterStatus:
    """
    Brings a step about, and returns the look that shows it.

    `seen` is a look of this moment, where there is one; `launch` is what was launched and must not die meanwhile;
    `before` makes room after each look, and returns the look that shows it.
    Raises Stop when the step is refused, or the change interrupted; no act is under way then, and what became of
    the last one is known. Raises AskAgain where the step `ages`.
    """
    refusals = Refusals(change)
    while True:
        await change.safe_point()
        status = seen or await change.look(f"look before {step.what or step.name}")
        seen = None
        if before:
            status = await before(status)
        match _judged(change, step.name, status):
            case Done():
                return status
            case Refuse() as refused:
                await refusals.doubt(refused)
            case Wait() | Ready() as verdict if step.ages and (isinstance(verdict, Wait) or change.knows_too_little):
                raise AskAgain
            case Wait() as wait:
                seen = await _wait(change, turn, step, wait, launch)
            case Ready():
                report, ended, seen = await _act(change, step)
                # What took effect is never called interrupted: nothing comes between the act and its effect.
                if isinstance(_judged(change, step.name, seen), Done):
                    return seen
                if report.error in _HOPELESS:
                    raise Stop("failed", report.error, report.reason, _HOPELESS[report.error])
                if report.turn_lost:
                    await turn.take()
                else:
                    await _pause(change, turn, step, _Refused(report, ended, len(change.reports[step.what]) - 1))
                seen = None


class Refusals:
    """What a change that has begun does with a refusal: the looks of one moment are not the last word."""

    def __init__(self, change: Change) -> None:
        self._change = change
        self._doubts = iter(_DOUBTS)

    async def doubt(self, refused: Refuse) -> None:
        """Returns when it is time to look again; raises Stop where no doubt is left."""
        pause = next(self._doubts, None) if refused.error == _DOUBTFUL else None
        if pause is None:
            raise Stop("refused", refused.error, refused.reason, refused.hint)
        await self._change.pause(workflow.time() + pause, f"another look, since {refused.reason}")


async def settle_unasked(change: Change, turn: Turn, step: Step, seen: ClusterStatus) -> ClusterStatus:
    """
    As `settle`, for a member that goes: nobody asks it from now on, until it stays after all.

    Raises AskAgain when somebody has to ask it, of which `settle` tells: judge anew after that.
    """
    await change.stop_asking(turn, seen)
    try:
        return await settle(change, turn, step, seen)
    except (Stop, AskAgain):
        await change.ask_again(turn)
        raise


async def verify(change: Change, step: str, seen: ClusterStatus, why: str) -> tuple[ClusterStatus, bool]:
    """
    Waits, for a while, until all who can say it say that the step's effect is there: the look, and whether they do.

    Raises Stop where they contradict; silence is no failure, and the board warns of it.
    """
    blind = ""
    if not isinstance(_judged(change, step, seen), Done):
        try:
            seen = await change.wait(Watch.wait_for_verification, step, why)
        except Stop as stop:
            if stop.error != Failure.UNVERIFIED:
                raise
            blind = stop.reason
    match _judged(change, step, seen):
        case Refuse(error, reason, hint):
            raise Stop("failed", error, reason, hint)
        case Wait(reason):
            change.board.warn(f"it took effect, but is not verified: {blind or reason}")
            return seen, False
    return seen, True


async def _act(change: Change, step: Step) -> tuple[ActReport, float, ClusterStatus]:
    """Acts, and looks until it is known what became of it: its report, when it ended, the look. Not interruptible."""
    change.board.waits_for("")
    report = await change.act(step.act, step.name, step.what)
    ended = workflow.time()
    if report.answer_lost:
        change.board.warn(f"the answer to {step.what} was lost on the way; the member list shows its effect")
    status = await change.look_after(step.what)
    if report.applied != "no" and not isinstance(_judged(change, step.name, status), Done):
        status = await change.look_after_barrier(step.what)
        if not isinstance(_judged(change, step.name, status), Done):
            # It never will have: whatever is seen to be there later is somebody else's.
            report = replace(report, applied="no")
    change.reports.setdefault(step.what, []).append(report)
    return report, ended, status


async def _wait(change: Change, turn: Turn, step: Step, wait: Wait, launch: LaunchOrder | None) -> ClusterStatus | None:
    """Waits until the verdict changes; without the turn where others could meanwhile mend what is waited for."""
    change.board.waits_for(wait.reason)
    if not step.waits_without_turn:
        return await change.wait(step.wait, step.name, f"wait: {wait.reason}", launch)
    await turn.give_back()
    if wait.foreign:
        limit = change.facts.policy.foreign_learner_timeout
        reason = f"{wait.reason}, for longer than foreign_learner_timeout ({format_duration(limit)})"
        hint = "not this service's to take away: promote it with etcdctl or `memberflow remove` it, then try again"
        change.clocks.start("foreign_learner_timeout", limit, Stop("clock", Failure.FOREIGN_LEARNER, reason, hint))
    await change.wait(step.wait, step.name, f"wait: {wait.reason}", foreign=wait.foreign)
    change.clocks.end("foreign_learner_timeout")
    await turn.take()
    return None


@dataclass(frozen=True)
class _Refused:
    """An act without effect, when it ended (workflow time), and how many there were before it."""

    report: ActReport
    ended: float
    before: int


async def _pause(change: Change, turn: Turn, step: Step, refused: _Refused) -> None:
    """The time that the looks after the act took counts. Others go first where the cluster is what must get well."""
    report = refused.report
    seconds = min(_LONGEST_PAUSE, _PAUSES.get(report.error, _PAUSE) * 1.5 ** min(refused.before, _LONGEST_AFTER))
    others_first = step.waits_without_turn and refused.before > 0 and report.error in ("Unhealthy", "TooManyLearners")
    if others_first:
        await turn.give_back()
    why = f"{seconds:.1f} s before another {step.what}: {report.reason or 'no effect seen'}"
    await change.pause(refused.ended + seconds, why)
    if others_first:
        await turn.take()


def _judged(change: Change, step: str, status: ClusterStatus) -> Verdict:
    return judge(step, status, change.facts)
