"""A change that is held, resumed or cancelled at an awkward moment."""

from __future__ import annotations

from faulty import Trouble
from scenes import LOOSE, cancelled, failure, held, misconfigured, until, view, waits
from temporalio.client import WorkflowExecutionStatus

from membership.requests import Policy, RemoveRequest


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


async def test_held_while_its_removal_is_announced(scene):
    """It may be asked again as long as that lasts, and is judged by what it is then: alive, and needed."""
    made = scene(5, (Trouble("remove", None, "is refused on the way"),))
    for name in ("etcd-4", "etcd-5"):
        made.cluster.kill(made.member(name).id)
    removal = await made.start(RemoveRequest(cluster=made.name, member="etcd-5"))

    async def announced():
        return (await view(removal)).attempts and (await made.turns()).removing

    await until(announced, "the announcement")
    await removal.execute_update("hold")
    assert (await made.turns()).removing == ()
    made.etcd._troubles = ()
    made.cluster.revive(made.member("etcd-5").id)
    await removal.execute_update("resume")
    error, _ = await failure(removal)
    assert (error, made.applied) == ("QuorumAtRisk", [])


async def test_a_clock_ends_a_wait_in_line(scene):
    """Held, it leaves the line: nobody waits behind it for a person."""
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
    assert "JoinTimeout" in await held(join)
    assert [t.workflow_id for t in (await made.turns()).waiting] == []
    made.etcd._troubles = ()
    assert (await ahead.result()).outcome == "removed"
    assert (await view(join)).held
    next_one = await made.start(RemoveRequest(cluster=made.name, member="etcd-4"))
    assert (await next_one.result()).outcome == "removed"
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
