"""What a change knows of those before it: which cluster it was, who was removed, and whose name was used again."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError

from messages.ids import change_id
from messages.outcomes import Outcome
from messages.requests import RemoveRequest, ReplaceRequest
from support.memory.scenes import LOOSE, Scene, failure, until, url


async def removal(made: Scene, member: str):
    return await made.start(RemoveRequest(cluster=made.name, member=member))


async def remembered(made: Scene, handle) -> None:
    """Waits until Temporal lists a change as completed: what it lists lags behind."""

    async def listed() -> bool:
        query = f"WorkflowId = '{handle.id}' AND RunId = '{handle.result_run_id or handle.first_execution_run_id}'"
        return any([r.status is WorkflowExecutionStatus.COMPLETED async for r in made.client.list_workflows(query)])

    await until(listed, "the change in the list")


async def test_a_voter_that_says_nothing_is_not_verified(scene):
    """It may have lost its disk: the outcome says so, and how it is replaced, by its ID; nothing is handed over."""
    made = scene(3)
    silent = made.member("etcd-3")
    join = await made.join("etcd-3")
    well = await join.result()
    assert (well.outcome, well.verified, well.warnings) == ("already-voter", True, ())
    assert await join.query("handover")
    made.cluster.kill(silent.id)
    join = await made.join("etcd-3")
    end = await join.result()
    assert (end.outcome, end.verified) == ("already-voter", False)
    assert await join.query("handover") is None
    [told] = [warning for warning in end.warnings if "does not answer" in warning]
    assert f"memberflow replace {made.name} {silent.id} etcd-3 --peer-url http://etcd-3:2380" in told
    assert "learner" not in told


async def test_a_removal_by_a_name_that_was_used_again(scene):
    """A mistyped name is noticed, a removed member counts as removed, and a new member of its name stays."""
    made = scene(4, **LOOSE)
    slip = await (await removal(made, "ectd-4")).result()
    assert (slip.outcome, slip.verified) == ("already-removed", False)
    assert any("no member has the name or ID ectd-4" in warning for warning in slip.warnings)
    gone = made.member("etcd-4").id
    first = await removal(made, "etcd-4")
    assert (await first.result()).outcome == "removed"
    await remembered(made, first)
    again = await removal(made, "etcd-4")
    end = await again.result()
    assert (end.outcome, end.verified, end.member_id) == ("already-removed", None, gone)
    await remembered(made, again)
    made.starts_as("etcd-4")
    assert (await (await made.join("etcd-4", at="http://etcd-4b:2380")).result()).outcome == "promoted"
    error, refused = await failure(await removal(made, "etcd-4"))
    assert (error, refused.outcome) == ("NameReused", "refused")
    new = made.member("etcd-4").id
    assert new in refused.hint
    assert (await (await removal(made, str(int(new, 16)))).result()).outcome == "removed"


async def test_another_cluster_under_the_name(scene, memory):
    """A fresh etcd on the port of the last endpoint is refused, until an operator says that this is the cluster now."""
    made = scene(3)
    before = await made.join("etcd-3")
    assert (await before.result()).cluster_id == made.cluster.cluster_id
    await remembered(made, before)
    made.cluster.cluster_id = "beef"
    error, end = await failure(await made.join("etcd-9"))
    assert (error, end.outcome) == ("WrongCluster", "refused")
    assert 'write cluster_id = "beef"' in end.hint
    assert made.applied == []
    clusters, _ = memory
    clusters.cluster_ids[made.name] = "beef"
    assert (await (await made.join("etcd-3")).result()).outcome == "already-voter"


async def replace_of_a_voter(made: Scene, memo: dict[str, Any]):
    """A replace between its halves: the new member is a voter too."""
    request = ReplaceRequest(cluster=made.name, old=made.member("etcd-1").id, name="etcd-3", peer_urls=(url("etcd-3"),))
    workflow_id = change_id(made.name, "replace", "etcd-3")
    return await made.client.start_workflow(
        "ReplaceMember", request, id=workflow_id, task_queue=made.queue, memo=memo, result_type=Outcome
    )


@pytest.mark.parametrize("key", ["began_with", "handover"])
async def test_a_caller_cannot_write_what_a_change_remembers(scene, key):
    """A change with such a memo is refused, and none of it is believed by the next one."""
    made = scene(3, min_voters=3)
    forged = await replace_of_a_voter(made, {key: [made.member("etcd-1").id, 1, -1]})
    with pytest.raises(WorkflowFailureError) as failed:
        await forged.result()
    assert failed.value.cause.type == "InvalidRequest"

    async def listed() -> bool:
        return any([run async for run in made.client.list_workflows(f"WorkflowId = '{forged.id}'")])

    await until(listed, "the forged change in the list")
    error, _ = await failure(await replace_of_a_voter(made, {}))
    assert (error, made.applied) == ("TooFewVoters", [])


async def test_a_replace_that_removed_nothing_is_no_removal(scene):
    """It was asked for a member that was not there: a removal of that name knows nothing of it, either."""
    made = scene(3, **LOOSE)
    slip = ReplaceRequest(cluster=made.name, old="ectd-1", name="etcd-3", peer_urls=(url("etcd-3"),))
    replace = await made.start(slip)
    assert (await replace.result()).outcome == "replaced"
    await remembered(made, replace)
    never = await (await removal(made, "ectd-1")).result()
    assert (never.outcome, never.verified) == ("already-removed", False)


async def test_a_replaced_member_is_remembered(scene):
    """By the history of its replace, so that its removal is known to be done."""
    made = scene(4, **LOOSE)
    old = made.member("etcd-1").id
    replace = await replace_of_a_voter(made, {})
    assert (await replace.result()).outcome == "replaced"
    await remembered(made, replace)
    again = await (await removal(made, old)).result()
    assert (again.outcome, again.verified) == ("already-removed", None)
