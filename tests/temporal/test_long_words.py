"""A caller's words of megabytes, to a change that runs: none of them keeps it from ending."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.client import WorkflowUpdateFailedError

from messages.ids import apply_id
from support.memory.scenes import cancelled, held_join, until, url, view, waits

MEGABYTE = "x" * 1_000_000
WORDS = [MEGABYTE, "a\nb", "\x1b[2J"]


@pytest.mark.parametrize("by", WORDS, ids=["long", "two lines", "escape"])
@pytest.mark.parametrize("update", ["hold", "resume", "cancel"])
async def test_a_name_that_no_request_could_have(scene, update, by):
    """Who asks is named as in a request. The update is refused, and the change goes on."""
    made = scene(3)
    join = await held_join(made)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await join.execute_update(update, by)
    assert (refused.value.cause.type, "by: " in str(refused.value.cause)) == ("InvalidRequest", True)
    await join.execute_update("resume", "an operator")
    assert (await join.result()).outcome == "promoted"


async def test_a_name_for_an_apply(scene):
    """As for a change."""
    made = scene(3)
    members = [{"name": "etcd-9", "peer_urls": [url("etcd-9")]}]
    apply = await made.client.start_workflow(
        "ApplyMembers", {"cluster": made.name, "members": members}, id=apply_id(made.name), task_queue=made.queue
    )

    for update in ("hold", "cancel"):
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await apply.execute_update(update, MEGABYTE)
        assert refused.value.cause.type == "InvalidRequest"
    await apply.cancel()
    await asyncio.wait_for(cancelled(apply), 60)


async def test_a_long_reason_of_a_cancel(scene):
    """The change takes its learner back, and ends."""
    made = scene(3)
    join = await held_join(made)
    await join.cancel(reason=MEGABYTE)
    await asyncio.wait_for(cancelled(join), 60)

    async def reason():
        return (await view(join)).end

    end = await until(reason, "the end on the page")
    assert len(str(end)) < 2000


@pytest.mark.parametrize("progress", [{"reason": MEGABYTE}, {"reason": "stalled", "idle": 1e9, "percent": 100.0}])
async def test_a_forged_note_of_progress(scene, progress):
    """The signal is shown and not obeyed: the learner is promoted when it has caught up, and not before."""
    made = scene(3)
    join = await made.join()
    await waits(join, "sync")
    await join.signal("note_progress", progress)

    async def shown():
        return (await view(join)).waits_for.startswith(progress["reason"][:7])

    await until(shown, "the note")
    assert made.applied == ["add"]
    made.cluster.start(made.added().id, "etcd-9")
    outcome = await asyncio.wait_for(join.result(), 60)
    assert (outcome.outcome, made.applied) == ("promoted", ["add", "promote"])
