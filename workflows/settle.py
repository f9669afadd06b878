"""
settle: look, judge, act, look again.

The central idea of memberflow. The only retry of an act is another round of this loop, and each round begins with
a look. So an act whose effect is there is never repeated, even if its answer was lost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from temporalio import workflow

from workflows.change import Change
from workflows.cluster import ActOf, WaitOf
from workflows.new_run import BACK, FORWARD, NewRun, history_used, is_due
from workflows.pauses import pause_after

with workflow.unsafe.imports_passed_through():
    from activities.acts import Acts
    from activities.trust import NotAllowed
    from activities.waits import Waits
    from membership.duration import format_duration
    from membership.etcd import EFFECT, EVERYTHING, MEMBERS, Scope
    from membership.etcd_errors import NO_ACCESS
    from membership.failures import Failure
    from membership.judgements import StepName
    from membership.model import ClusterStatus
    from membership.verdicts import Done, Ready, Refuse, Wait
    from messages.orders import ActReport, LaunchOrder
    from workflows.carried import Tries
    from workflows.stop import Stop


@dataclass(frozen=True)
class Step:
    """One step of a change. A step with an act has `what`. A step without an act only waits."""

    #: Names the judgement.
    name: StepName
    #: Brings the step about. None where only time does.
    act: ActOf | None = None
    #: The act's name for a person.
    what: str = ""
    #: Waits until the step is done or ready.
    wait: WaitOf = Waits.wait_for_cluster
    #: While it waits there is nothing of ours in the cluster, and others may go first.
    waits_without_turn: bool = False
    #: The act takes a member out, which must not be asked for anything from then on.
    removes: bool = False
    #: How much the look before the step asks, and the look that shows the effect of the act.
    before: Scope = MEMBERS
    after: Scope = MEMBERS


ADD = Step("add", Acts.add_learner, "add", waits_without_turn=True, after=EFFECT)
SYNC = Step("sync", wait=Waits.wait_for_sync, before=EVERYTHING)
PROMOTE = Step("promote", Acts.promote_learner, "promote", wait=Waits.wait_for_sync, before=EVERYTHING, after=EFFECT)
ROLLBACK = Step("rollback", Acts.remove_learner, "remove", removes=True)
CLEAR = Step("rollback", Acts.remove_learner, "remove of a learner left behind", removes=True)
MOVE = Step("move", Acts.move_leader, "move leader")
REMOVE = Step("remove", Acts.remove_member, "remove", removes=True)

# Seconds before another look at a refusal: right after an election a live member may not follow yet.
_DOUBTS = (1.0, 2.0, 4.0, 8.0)
_DOUBTFUL = Failure.QUORUM_AT_RISK

# Waiting does not help: the looks succeed, so etcd knows the caller and refuses it, or the clusters file forbids it.
_HOPELESS = {error.__name__: error.hint for error in (*NO_ACCESS, NotAllowed)}


async def settle(
    change: Change[Any],
    step: Step,
    status: ClusterStatus | None = None,
    launch: LaunchOrder | None = None,
    before: Callable[[ClusterStatus], Awaitable[ClusterStatus]] | None = None,
) -> ClusterStatus:
    """
    Brings a step about, and returns the look that shows it.

    `status` is a look of this moment, where there is one. `launch` is a launched container that must not die meanwhile.
    `before` makes room after each look, and returns the look that shows it.
    Raises Stop when the step is refused, or the change interrupted. No act is under way then, and the effect of the
    last act is known.
    """
    refusals, tries = Refusals(change), change.renewal.tries_of(step.what)
    while True:
        was_held = await change.interruptions.safe_point()
        if status is None or was_held:
            status = await change.look(f"look before {step.what or step.name}", step.before)
        if before:
            status = await before(status)
        match change.cluster.judge(step.name, status):
            case Done():
                return status
            case Refuse() as refused:
                await refusals.doubt(refused)
                status = None
            case Wait() as wait:
                status = await _wait(change, step, wait, launch)
            case Ready():
                # An act that took effect is never called interrupted: no safe point lies between act and effect.
                if effect := await _act(change, step, status, tries):
                    return effect
                status = None
        check_history(change, tries)


def check_history(change: Change[Any], tries: Tries) -> None:
    """
    Raises NewRun when the history of this run has become long.

    Raises Stop before Temporal would end the change for it, where no new run is possible: on its way back.
    """
    if is_due(change.interruptions):
        raise NewRun(tries)
    if history_used() > (BACK if change.interruptions.unstoppable else FORWARD):
        events = workflow.info().get_current_history_length()
        reason = f"the change has tried for too long ({events} events in its history)"
        raise Stop("failed", Failure.TOO_MANY_ATTEMPTS, reason, "look at its last attempts, then run it again")


class Refusals:
    """The treatment of a refusal in a change that has begun: the looks of one moment are not the last word."""

    def __init__(self, change: Change[Any]) -> None:
        self._change = change
        self._doubts = iter(_DOUBTS)

    async def doubt(self, refused: Refuse) -> None:
        """Returns when it is time to look again. Raises Stop where no doubt is left."""
        pause = next(self._doubts, None) if refused.error == _DOUBTFUL else None
        if pause is None:
            raise Stop("refused", refused.error, refused.reason, refused.hint)
        await self._change.interruptions.pause(workflow.time() + pause, f"another look, since {refused.reason}")


async def verify(change: Change[Any], step: StepName, status: ClusterStatus, why: str) -> tuple[ClusterStatus, bool]:
    """
    Waits, for a while, until the members confirm the step's effect. Returns the look, and whether they do.

    Raises Stop where they contradict. Silence is no failure, and the board warns of it.
    """
    blind = ""
    if not isinstance(change.cluster.judge(step, status), Done):
        try:
            status = await change.cluster.wait(Waits.wait_for_verification, step, why)
        except Stop as stop:
            if stop.error != Failure.UNVERIFIED:
                raise
            blind = stop.reason
    match change.cluster.judge(step, status):
        case Refuse(error, reason, hint):
            raise Stop("failed", error, reason, hint)
        case Wait(reason):
            change.board.warn(f"it took effect, but is not verified: {blind or reason}")
            return status, False
    return status, True


async def _act(change: Change[Any], step: Step, status: ClusterStatus, tries: Tries) -> ClusterStatus | None:
    """Acts once: the look that shows the effect, or None when it is time to look and judge again."""
    report, ended, status = await _act_and_look(change, step, status)
    if isinstance(change.cluster.judge(step.name, status), Done):
        return status
    if report.error in _HOPELESS:
        raise Stop("failed", report.error, report.reason, _HOPELESS[report.error])
    if report.turn_lost:
        await change.turn.take()
    else:
        tries.count(ended)
        await _pause(change, step, report, tries)
    return None


async def _act_and_look(
    change: Change[Any], step: Step, status: ClusterStatus
) -> tuple[ActReport, float, ClusterStatus]:
    """Acts, and looks until the effect is known. Returns report, time of the end, and look. Not interruptible."""
    assert step.act, f"{step.name} has no act, so it is never Ready"
    cluster, before = change.cluster, status
    change.board.waits_for("")
    change.unsettled.begin(step.name, before)
    report = await cluster.act(step.act, step.name, step.what)
    ended = workflow.time()
    if report.answer_lost:
        change.board.warn(f"the answer to {step.what} was lost on the way, but the member list shows its effect")
    if step.removes:
        cluster.avoid(status)
    status = await cluster.look_after(step.what, step.after)
    if report.applied != "no" and not isinstance(cluster.judge(step.name, status), Done):
        # An effect that is in a log shows then, and needs no second call.
        status = await cluster.look_after_barrier(step.what)
    has_effect = isinstance(cluster.judge(step.name, status), Done)
    if not has_effect:
        cluster.avoid_nothing()  # the member is still there, and is asked again
    cluster.reports.note(step.what, report)
    change.unsettled.note(step.name, report, before, has_effect=has_effect)
    return report, ended, status


async def _wait(change: Change[Any], step: Step, wait: Wait, launch: LaunchOrder | None) -> ClusterStatus | None:
    """Waits until the verdict changes, without the turn where others could meanwhile repair the cluster."""
    change.board.waits_for(wait.reason)
    if not step.waits_without_turn:
        return await change.cluster.wait(step.wait, step.name, f"wait: {wait.reason}", launch)
    if not await _lets_others_go(change):
        return await change.cluster.wait(step.wait, step.name, f"wait: {wait.reason}", foreign=wait.foreign)
    clocks = change.interruptions.clocks
    if wait.foreign:
        limit = change.cluster.facts.policy.foreign_learner_timeout
        reason = f"{wait.reason}, for longer than foreign_learner_timeout ({format_duration(limit)})"
        hint = (
            "memberflow did not add it, so it stays: promote it with etcdctl or `memberflow remove` it, then try again"
        )
        clocks.start("foreign_learner_timeout", limit, Stop("clock", Failure.FOREIGN_LEARNER, reason, hint))
    await change.cluster.wait(step.wait, step.name, f"wait: {wait.reason}", foreign=wait.foreign)
    clocks.end("foreign_learner_timeout")
    await change.turn.take()
    return None


async def _lets_others_go(change: Change[Any]) -> bool:
    """Leaves the line, but not while a call of this change may take effect during another change."""
    if not await change.unsettled.settle_soon():
        return False
    await change.turn.give_back()
    return True


async def _pause(change: Change[Any], step: Step, report: ActReport, tries: Tries) -> None:
    """The time of the looks after the act counts. Others go first where the cluster itself must recover."""
    seconds = pause_after(report.error, tries.attempts, tries.last - tries.first)
    others_first = step.waits_without_turn and tries.attempts > 1 and report.error in ("Unhealthy", "TooManyLearners")
    others_first = others_first and await _lets_others_go(change)
    why = f"{seconds:.1f} s before another {step.what}: {report.reason or 'no effect seen'}"
    await change.interruptions.pause(tries.last + seconds, why)
    if others_first:
        await change.turn.take()
