"""Changes that end while a call of theirs may still take effect."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

from temporalio.client import WorkflowExecutionStatus, WorkflowHandle

from membership.etcd_errors import Unreachable
from messages.answers import Plan
from messages.ids import turns_id
from messages.outcomes import Outcome
from messages.requests import RemoveRequest
from support.memory.faulty import Trouble
from support.memory.scenes import LOOSE, Scene, cancelled, failure, until, url

FREEZES = (Trouble("remove", 1, "freezes its receiver"),)


async def test_a_removal_that_may_still_come(scene):
    """Cancelled, it waits for settle_timeout and fails then: `cancelled` would mean that the member stays."""
    made = scene(3, FREEZES, **LOOSE, settle_timeout="1s")
    receiver = made.cluster.leader
    removal = await made.start(RemoveRequest(cluster=made.name, member="etcd-3"))
    await asyncio.to_thread(made.etcd.frozen.wait)
    await removal.cancel()
    error, outcome = await failure(removal)
    assert error == "Unsettled"
    told = f"etcd-1 ({receiver}) was sent the removal and is silent: its effect may still come"
    assert (outcome.outcome, outcome.unsettled) == ("failed", (told,))
    assert told in outcome.reason
    assert "settle_timeout (1s)" in outcome.reason
    assert not made.applied
    await asyncio.to_thread(made.etcd.thawed.wait)
    assert made.applied == ["remove"]


async def test_a_receiver_that_died_keeps_no_change(scene):
    """Its process took the request along: the change ends as it was asked to."""
    made = scene(3, FREEZES, **LOOSE)
    receiver = made.cluster.leader
    removal = await made.start(RemoveRequest(cluster=made.name, member="etcd-3"))
    await asyncio.to_thread(made.etcd.frozen.wait)
    made.cluster.kill(receiver)
    await removal.cancel()
    await cancelled(removal)
    assert not made.applied


# ---- afterwards: the turns remember it ----


async def unsettled(made: Scene, change: WorkflowHandle[Any, Outcome]) -> str:
    """Cancels a change whose call froze its receiver. Returns that receiver, once the turns know of the call."""
    await asyncio.to_thread(made.etcd.frozen.wait)
    receiver = next(m.id for m in made.cluster.members.values() if m.frozen)
    await change.cancel()
    assert (await failure(change))[0] == "Unsettled"
    await remembered(made, 1)
    return receiver


async def remembered(made: Scene, count: int) -> None:
    async def as_many() -> bool:
        return len((await made.turns()).late) == count

    await until(as_many, f"the turns to remember {count} calls")


def frozen_at(scene, method: str, size: int = 3, **policy: Any) -> Scene:
    """A cluster whose leader freezes with this call, until the test thaws it."""
    made: Scene = scene(size, (Trouble(method, 1, "freezes its receiver"),), settle_timeout="1s", **policy)
    made.etcd.thaws = False
    return made


async def test_a_learner_that_comes_late_is_removed_first(scene):
    """By the next change of the cluster: it counts as left behind by the change that sent its add."""
    made = frozen_at(scene, "add_learner")
    receiver = await unsettled(made, await made.join())
    made.cluster.revive(receiver)
    assert made.applied == ["add"]
    made.starts_as("etcd-8")
    end = await (await made.join("etcd-8")).result()
    assert (end.outcome, made.applied) == ("promoted", ["add", "remove", "add", "promote"])
    assert any("left behind by" in warning and "etcd-9" in warning for warning in end.warnings)


async def test_a_learner_that_comes_late_is_its_own_joins(scene):
    """The same join goes on with it, and takes it back like a learner that it added."""
    made = frozen_at(scene, "add_learner", start_timeout="1s")
    receiver = await unsettled(made, await made.join())
    made.cluster.revive(receiver)
    error, outcome = await failure(await made.join())
    assert (error, outcome.outcome) == ("StartTimeout", "rolled-back")
    assert made.applied == ["add", "remove"]


async def test_a_learner_that_comes_even_later_is_its_own_joins(scene):
    """The same join has stopped waiting for it, and its own add never arrives: the late one brings the learner."""
    made = frozen_at(scene, "add_learner", 5, start_timeout="1s")
    receiver = await unsettled(made, await made.join())
    add = made.etcd.add_learner

    def refused(*_args, **_more):
        made.etcd.add_learner = add
        made.cluster.revive(receiver)
        raise Unreachable("failed to connect to all addresses", "UNAVAILABLE")

    made.etcd.add_learner = refused
    error, outcome = await failure(await made.join())
    assert (error, outcome.outcome) == ("StartTimeout", "rolled-back")
    assert made.applied == ["add", "remove"]


async def test_a_removal_that_may_still_come_is_reckoned_with(scene):
    """Four voters, one of which may go at any time, are three to the next removal. Once it came, they are."""
    made = frozen_at(scene, "remove", 4)
    receiver = await unsettled(made, await made.start(RemoveRequest(cluster=made.name, member="etcd-4")))
    other = RemoveRequest(cluster=made.name, member="etcd-3")
    error, outcome = await failure(await made.start(other))
    assert (error, outcome.outcome) == ("TooFewVoters", "refused")
    assert "the removal of etcd-4 (" in outcome.reason
    made.cluster.revive(receiver)
    forced = RemoveRequest(cluster=made.name, member="etcd-3", force=True)
    end = await (await made.start(forced)).result()
    assert (end.outcome, end.warnings, made.applied) == ("removed", (), ["remove", "remove"])
    await ended_turns(made)


async def test_a_receiver_that_is_heard_ends_the_memory(scene):
    """A call that its receiver refused when it was thawed can do nothing any more."""
    made = frozen_at(scene, "remove", **LOOSE)
    receiver = await unsettled(made, await made.start(RemoveRequest(cluster=made.name, member="etcd-3")))
    made.cluster.members[receiver].buffer.clear()
    made.cluster.revive(receiver)
    made.starts_at_once()
    end = await (await made.join()).result()
    assert (end.outcome, end.warnings) == ("promoted", ())
    await ended_turns(made)


async def test_a_learner_whose_promote_may_still_come_is_removed_first(scene):
    """It is an orphan like any other. Its promote can do nothing once it is gone."""
    made = frozen_at(scene, "promote")
    made.starts_at_once()
    receiver = await unsettled(made, await made.join())
    made.starts_as("etcd-8")
    other = await made.join("etcd-8")

    async def removed() -> bool:
        return made.applied == ["add", "remove"]

    await until(removed, "the learner to be removed")
    made.cluster.revive(receiver)
    end = await other.result()
    assert (end.outcome, made.applied) == ("promoted", ["add", "remove", "add", "promote"])
    assert any("was sent the promote and is silent" in warning for warning in end.warnings)


async def test_a_change_that_is_terminated_in_its_add(scene):
    """Its call was under way: the learner that it brings is not a foreign one to the next change, as its plan shows."""
    made = frozen_at(scene, "add_learner")
    join = await made.join()
    await asyncio.to_thread(made.etcd.frozen.wait)
    receiver = next(m.id for m in made.cluster.members.values() if m.frozen)
    await join.terminate()
    await remembered(made, 1)
    assert {"late call"} <= {check.name for check in (await plan_of_another_join(made)).checks}
    made.cluster.revive(receiver)
    orphan = next(check for check in (await plan_of_another_join(made)).checks if check.name == "orphan")
    assert f"learner {made.added().id}, left behind by {join.id}, would be removed first" in orphan.evidence


async def plan_of_another_join(made: Scene) -> Plan:
    question = {"verb": "join", "request": {"cluster": made.name, "name": "etcd-8", "peer_urls": [url("etcd-8")]}}
    return await made.client.execute_workflow(
        "PlanChange", question, id=f"plan-{uuid4()}", task_queue=made.queue, result_type=Plan
    )


async def ended_turns(made: Scene) -> None:
    """Nothing is left to remember."""
    turns = made.client.get_workflow_handle(turns_id(made.name))

    async def ended() -> bool:
        return (await turns.describe()).status is WorkflowExecutionStatus.COMPLETED

    await until(ended, "the turns to end")
