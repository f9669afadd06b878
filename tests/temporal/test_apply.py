"""An apply: its changes one after the other, and everything that can come between them."""

from __future__ import annotations

import asyncio
from threading import Event
from uuid import uuid4

import pytest
from apply_scenes import (
    added,
    begin,
    failed,
    held_after_the_first,
    request,
    runs,
    seen,
    shown,
    starts_each,
    voters,
)
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError, WorkflowUpdateStage

from membership.allow import Allow
from membership.model import Handover
from membership.policy import Policy
from messages.apply import ApplyPlan
from messages.ids import apply_id
from support.memory.cluster import MemoryCluster
from support.memory.faulty import MemoryClusters
from support.memory.scenes import LOOSE, Scene, cancelled, until, url, waits
from temporal_workers import make_workers, running


async def test_a_list_of_new_names_replaces_every_member(scene):
    """One after the other, the leader last, in one move of leadership; and each is a change of its own."""
    made = scene(3)
    starts_each(made)
    end = await (await begin(made, "etcd-4", "etcd-5", "etcd-6")).result()
    assert (end.outcome, voters(made)) == ("applied", {"etcd-4", "etcd-5", "etcd-6"})
    assert shown(end) == [(f"replace:{name}", "replaced") for name in ("etcd-4", "etcd-5", "etcd-6")]
    assert made.applied == ["add", "promote", "remove", "add", "promote", "remove", "add", "promote", "move", "remove"]
    assert made.cluster.lost_quorum == []
    assert (end.voters, end.left) == (("etcd-4", "etcd-5", "etcd-6"), ())


async def test_again_it_changes_nothing(scene):
    """The members are as listed: one look, no change, and a short history."""
    made = scene(3)
    apply = await begin(made, "etcd-3", "etcd-1", "etcd-2")
    end = await apply.result()
    assert (end.outcome, end.changes, made.applied) == ("no-changes", (), [])
    assert len([event async for event in apply.fetch_history_events()]) < 30


async def test_without_prune_members_join_and_none_leaves(scene):
    """So a cluster grows, in the list's order."""
    made = scene(1, **LOOSE)
    starts_each(made)
    end = await (await begin(made, "etcd-3", "etcd-2", prune=False)).result()
    assert shown(end) == [("join:etcd-3", "promoted"), ("join:etcd-2", "promoted")]
    assert voters(made) == {"etcd-1", "etcd-2", "etcd-3"}


async def test_what_others_did_meanwhile_is_respected(scene):
    """The list is compared anew before each change: a member that another client let in is not added again."""
    made = scene(3)
    apply = await held_after_the_first(made, "etcd-4", "etcd-5")
    other = made.cluster.add_learner((url("etcd-5"),))
    made.cluster.start(other.id, "etcd-5")
    made.cluster.members[other.id].match = made.cluster.index
    made.cluster.promote(other.id)
    await apply.execute_update("resume")
    assert shown(await apply.result()) == [("join:etcd-4", "promoted")]


async def test_held_between_two_members_and_resumed(scene):
    """A hold lets the running change end, and shows meanwhile that it is asked for."""
    made = scene(3)
    apply = await held_after_the_first(made, "etcd-4", "etcd-5")
    starts_each(made)
    await apply.execute_update("resume")
    assert shown(await apply.result()) == [("join:etcd-4", "promoted"), ("join:etcd-5", "promoted")]


async def test_cancelled_while_held_between_two_members(scene):
    """Nothing of it is under way, so nothing is taken back."""
    made = scene(3)
    apply = await held_after_the_first(made, "etcd-4", "etcd-5")
    await apply.execute_update("cancel")
    await cancelled(apply)
    assert (made.applied, (await seen(apply)).running) == (["add", "promote"], None)


async def test_a_cancel_takes_the_running_change_along(scene):
    """The unfinished join is rolled back, the finished one stays, and the rest does not begin."""
    made = scene(3)
    starts_each(made)
    apply = await begin(made, "etcd-4", "etcd-5", "etcd-6", prune=False)
    made.cluster.on_added = lambda m: made.cluster.start(m.id, "etcd-4") if m.peer_urls == (url("etcd-4"),) else None
    running = await runs(apply, "etcd-5")
    await added(made)
    await apply.cancel()
    await cancelled(apply)
    await cancelled(made.client.get_workflow_handle(running))
    assert voters(made) == {"etcd-1", "etcd-2", "etcd-3", "etcd-4"}
    assert not [m for m in made.cluster.members.values() if m.is_learner]
    view = await seen(apply)
    assert ([each.outcome for each in view.done], [step.member for step in view.left]) == (
        ["promoted"],
        ["etcd-5", "etcd-6"],
    )


async def test_a_cancel_takes_the_last_change_along(scene):
    """The list is not applied then, although nothing else was left."""
    made = scene(3)
    apply = await begin(made, "etcd-4", prune=False)
    await added(made)
    await apply.cancel()
    await cancelled(apply)
    assert voters(made) == {"etcd-1", "etcd-2", "etcd-3"}


async def test_a_cancel_that_is_too_late_for_the_last_change(scene):
    """The change went through, so the list is applied."""
    made = scene(3)
    promote, promoted = made.cluster.promote, Event()

    def promote_and_tell(member_id: str) -> None:
        promote(member_id)
        promoted.set()

    made.cluster.promote = promote_and_tell
    starts_each(made)
    apply = await begin(made, "etcd-4", prune=False)
    await asyncio.to_thread(promoted.wait, 30)
    await apply.cancel()
    end = await apply.result()
    assert (end.outcome, shown(end)) == ("applied", [("join:etcd-4", "promoted")])


async def test_a_change_that_fails_stops_the_apply_and_a_re_run_goes_on(scene):
    """The failure has the change's own name, says which change and what is left; again, only the rest is done."""
    made = scene(3, start_timeout="1s")
    made.cluster.on_added = lambda m: made.cluster.start(m.id, "etcd-4") if m.peer_urls == (url("etcd-4"),) else None
    kind, end = await failed(await begin(made, "etcd-4", "etcd-5", "etcd-6"))
    assert (kind, end.outcome) == ("StartTimeout", "failed")
    assert shown(end) == [("replace:etcd-4", "replaced"), ("replace:etcd-5", "rolled-back")]
    assert "etcd-5 replaces etcd-3" in end.reason
    assert [text.split()[0] for text in end.left] == ["etcd-6"]
    starts_each(made)
    again = await (await begin(made, "etcd-4", "etcd-5", "etcd-6")).result()
    assert shown(again) == [("replace:etcd-5", "replaced"), ("replace:etcd-6", "replaced")]
    assert voters(made) == {"etcd-4", "etcd-5", "etcd-6"}


async def test_a_refusal_before_anything_was_done(scene, memory):
    """A change that the caller may not ask for is refused at the first look, not in the middle of the list."""
    made = scene(4)
    memory[0].allows[made.name] = Allow(verbs=("join",))
    kind, end = await failed(await begin(made, "etcd-1", "etcd-2", "etcd-3", "etcd-5", "etcd-6"))
    assert (kind, end.outcome, made.applied) == ("NotAllowed", "refused", [])


async def test_the_same_join_of_another_caller_is_waited_for(scene):
    """It is not started twice, and not cancelled with the apply."""
    made = scene(3)
    join = await made.join("etcd-4")
    await waits(join, "sync")
    apply = await begin(made, "etcd-4", "etcd-5", prune=False)

    async def waiting() -> bool:
        step = (await seen(apply)).running
        return step is not None and step.of_others

    await until(waiting, "the apply to wait for the join")
    learner = made.added()
    starts_each(made)
    made.cluster.start(learner.id, "etcd-4")
    assert shown(await apply.result()) == [("join:etcd-5", "promoted")]
    assert (await join.result()).outcome == "promoted"


async def test_a_change_that_is_cancelled_by_another_client(scene):
    """The apply stops and says so: it does not begin the same change again."""
    made = scene(3)
    apply = await begin(made, "etcd-4", "etcd-5", prune=False)
    running = await runs(apply, "etcd-4")
    await added(made)
    await made.client.get_workflow_handle(running).cancel()
    kind, end = await failed(apply)
    assert (kind, end.changes) == ("StepEnded", ())
    assert "was cancelled by another client" in end.reason


async def test_what_others_undo_is_not_done_again(scene):
    """A member that joined is gone at the next look: another client works against the list."""
    made = scene(3)
    apply = await held_after_the_first(made, "etcd-4", "etcd-5")
    made.cluster.remove(made.member("etcd-4").id)
    await apply.execute_update("resume")
    kind, end = await failed(apply)
    assert (kind, shown(end)) == ("UndoneByOthers", [("join:etcd-4", "promoted")])


async def test_another_worker_goes_on(temporal):
    """The worker stops in the middle of the first change, and the next one makes the rest."""
    queue = f"restarted-{uuid4()}"
    clusters = MemoryClusters(queue)
    cluster = clusters.add(queue, MemoryCluster(3), Policy())
    made = Scene(temporal, queue, queue, cluster, clusters.etcds[queue], clusters.policies)
    async with running(make_workers(temporal, clusters, queue, [queue])):
        apply = await begin(made, "etcd-4", "etcd-5", "etcd-6")
        first = await added(made)
    starts_each(made)
    made.cluster.start(first.id, "etcd-4")
    async with running(make_workers(temporal, clusters, queue, [queue])):
        end = await apply.result()
    assert shown(end) == [(f"replace:{name}", "replaced") for name in ("etcd-4", "etcd-5", "etcd-6")]
    assert made.applied.count("add") == 3


async def test_a_terminated_apply_leaves_its_change_running(scene):
    """The change has its own safety; the apply, run again, waits for it and goes on."""
    made = scene(3)
    apply = await begin(made, "etcd-4", "etcd-5", prune=False)
    running = await runs(apply, "etcd-4")
    learner = await added(made)
    await apply.terminate()
    again = await begin(made, "etcd-4", "etcd-5", prune=False)
    starts_each(made)
    made.cluster.start(learner.id, "etcd-4")
    assert shown(await again.result()) == [("join:etcd-5", "promoted")]
    assert (await made.client.get_workflow_handle(running).result())["outcome"] == "promoted"


async def test_the_handovers_come_one_after_the_other(scene):
    """The update waits for the member's own change; it refuses a name that is not in the list, or needs none."""
    made = scene(3)
    apply = await begin(made, "etcd-1", "etcd-4", "etcd-5", prune=False)
    accepted = WorkflowUpdateStage.ACCEPTED
    second = await apply.start_update("wait_until_added", "etcd-5", wait_for_stage=accepted, result_type=Handover)
    first = await apply.execute_update("wait_until_added", "etcd-4")
    assert (first["name"], first["initial_advertise_peer_urls"]) == ("etcd-4", url("etcd-4"))
    for name, told in (("etcd-9", "is not in the list"), ("etcd-1", "no change of this apply adds etcd-1 now")):
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await apply.execute_update("wait_until_added", name)
        assert told in str(refused.value.cause)
    made.cluster.start(made.added().id, "etcd-4")
    assert (await second.result()).name == "etcd-5"
    made.cluster.start(made.added().id, "etcd-5")
    assert (await apply.result()).outcome == "applied"


async def test_a_plan_shows_the_changes_and_makes_none(scene):
    """In their order, with the checks of the cluster and the list."""
    made = scene(3)
    asked = request(made, "etcd-1", "etcd-4", "etcd-5", "etcd-6")
    plan: ApplyPlan = await made.client.execute_workflow(
        "PlanApply", asked, id=f"plan-{made.name}", task_queue=made.queue, result_type=ApplyPlan
    )
    assert [step.what.split(" (")[0] for step in plan.steps] == [
        "etcd-6 joins",
        "etcd-4 replaces etcd-2",
        "etcd-5 replaces etcd-3",
    ]
    assert {"leader", "voters", "list"} <= {check.name for check in plan.checks}
    assert made.applied == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"members": []}, "members: should have at least one item"),
        ({"members": [{"name": "a b", "peer_urls": [url("a")]}]}, "members[0].name: 'a b' is not a valid name"),
        ({"members": [{"name": "a", "peer_urls": [url("a")]}] * 2}, "members: the name a is there twice"),
        ({"cluster": "another"}, "the workflow ID of this apply is memberflow:another:apply"),
    ],
)
async def test_a_malformed_list_fails_by_name(scene, change, told):
    """From any client: never a workflow that runs for ever with failing tasks."""
    made = scene(3)
    asked = {**request(made, "etcd-4").model_dump(mode="json"), **change}
    apply = await made.client.start_workflow("ApplyMembers", asked, id=apply_id(made.name), task_queue=made.queue)
    with pytest.raises(WorkflowFailureError) as caught:
        await asyncio.wait_for(apply.result(), 20)
    assert caught.value.cause.type == "InvalidRequest"
    assert told in caught.value.cause.message
