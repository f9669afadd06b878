"""A change that is held, resumed or cancelled at an awkward moment."""

from __future__ import annotations

import asyncio
from typing import Any

from temporalio.client import WorkflowExecutionStatus, WorkflowHandle

from membership.etcd_errors import DeadlineExceeded
from membership.policy import Policy
from messages.ids import turns_id
from messages.outcomes import Outcome
from messages.requests import RemoveRequest
from support.memory.faulty import Trouble
from support.memory.scenes import LOOSE, Scene, cancelled, failure, held, misconfigured, until, view, waits


async def refused_removal(made: Scene, *dead: str) -> WorkflowHandle[Any, Outcome]:
    """The removal of etcd-5, once a call of it was refused, with these members down."""
    for name in dead:
        made.cluster.kill(made.member(name).id)
    removal = await made.start(RemoveRequest(cluster=made.name, member="etcd-5"))

    async def was_refused():
        return (await view(removal)).attempts

    await until(was_refused, "a refused removal")
    return removal


async def test_resumed_too_early(scene):
    """The first look after a hold fails: held again, and its learner stays."""
    made = scene(3, start_timeout="1s", on_failure="hold")
    join = await made.join()
    assert "StartTimeout" in await held(join)
    look, made.etcd.look = made.etcd.look, misconfigured
    await join.execute_update("resume")

    async def again():
        return "InvalidConfiguration" in (await view(join)).held

    await until(again, "the join to be held again")
    made.etcd.look = look
    assert made.applied == ["add"]
    made.cluster.start(made.added().id, "etcd-9")
    await join.execute_update("resume")
    assert (await join.result()).outcome == "promoted"
    assert made.applied == ["add", "promote"]


async def test_held_between_two_calls_of_its_removal(scene):
    """It is judged by what the member is afterwards: alive, and needed."""
    made = scene(5, (Trouble("remove", None, "is refused on the way"),))
    removal = await refused_removal(made, "etcd-4", "etcd-5")
    await removal.execute_update("hold")
    made.etcd._troubles = ()
    made.cluster.revive(made.member("etcd-5").id)
    await removal.execute_update("resume")
    error, _ = await failure(removal)
    assert (error, made.applied) == ("QuorumAtRisk", [])


async def test_a_member_that_lives_again_is_asked_again(scene):
    """Once a look shows that it is still there."""
    made = scene(5, (Trouble("remove", None, "is refused on the way"),))
    removal = await refused_removal(made, "etcd-4", "etcd-5")
    made.cluster.revive(made.member("etcd-5").id)
    error, _ = await failure(removal)
    assert (error, made.applied) == ("QuorumAtRisk", [])


async def test_held_without_the_turn_that_it_had(scene):
    """A hold in line gives the place back."""
    made = scene(5, (Trouble("remove", None, "is refused on the way"),), **LOOSE)
    removal = await refused_removal(made, "etcd-5")
    await made.client.get_workflow_handle(turns_id(made.name)).terminate()

    async def waits_in_line():
        return "its turn" in (await view(removal)).waits_for

    await until(waits_in_line, "the removal to wait in line")
    await removal.execute_update("hold")
    await held(removal)

    async def has_left_the_line():
        turns = await made.turns()
        return (turns.holder, turns.waiting) == (None, ())

    await until(has_left_the_line, "the turns to hear of the hold")
    await removal.terminate()


async def test_a_clock_rang_while_the_promote_was_unknown(scene):
    """The join of a replacement is in, so it took no longer than it may; the removal goes on."""
    made = scene(3, **LOOSE, join_timeout="4s")
    made.starts_at_once()
    promote, look = made.etcd.promote, made.etcd.look

    def lost(*args):
        promote(*args)
        made.etcd.look = misconfigured
        raise DeadlineExceeded("Deadline Exceeded", "DEADLINE_EXCEEDED")

    made.etcd.promote = lost
    replace = await made.replace()

    async def rang():
        events = (await replace.fetch_history()).events
        clocks = {e.event_id for e in events if b"JoinTimeout" in e.user_metadata.summary.data}
        return any(e.timer_fired_event_attributes.started_event_id in clocks for e in events)

    await until(rang, "the clock to ring")
    made.etcd.look = look
    assert (await replace.result()).outcome == "replaced"
    assert made.applied == ["add", "promote", "remove"]


async def test_no_clock_runs_in_line(scene):
    """A change never fails because another one runs; what is left of its time runs when its turn has come."""
    made = scene(5, (Trouble("remove", None, "is refused on the way"),), **LOOSE, join_timeout="6s", on_failure="hold")
    down = [made.member(name) for name in ("etcd-4", "etcd-5")]
    for member in down:
        made.cluster.kill(member.id)
    join = await made.join("etcd-6")
    await waits(join, "add")
    made.policies[made.name] = Policy(**LOOSE)  # for the changes after it
    ahead = await made.start(RemoveRequest(cluster=made.name, member="etcd-5"))
    await waits(ahead, "remove")
    made.cluster.revive(down[0].id)

    async def waits_in_line():
        return (await made.turns()).waiting

    await until(waits_in_line, "the join to wait in line")
    await asyncio.sleep(7)  # longer than it has left
    assert not (await view(join)).held
    assert await waits_in_line()
    made.etcd._troubles = ()
    assert (await ahead.result()).outcome == "removed"
    assert "JoinTimeout" in await held(join)
    assert made.applied == ["remove", "add"]
    await join.cancel()
    await cancelled(join)


async def test_somebody_promotes_what_a_cancelled_replacement_would_take_back(scene):
    """The old one is removed and the new one is in: it is replaced, whatever was asked for meanwhile."""
    made = scene(3, **LOOSE)
    made.cluster.kill(made.member("etcd-3").id)
    replace = await made.replace()
    await waits(replace, "sync")
    await replace.execute_update("hold")
    new = made.added()
    made.cluster.start(new.id, "etcd-9")
    new.match, new.is_learner = made.cluster.index, False
    await replace.cancel()
    assert (await replace.result()).outcome == "replaced"
    assert (await replace.describe()).status is WorkflowExecutionStatus.COMPLETED
    assert made.applied == ["remove", "add"]
