"""A caller's words of megabytes, to a change that runs: none of them keeps it from ending."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.client import WorkflowUpdateFailedError

from messages.ids import apply_id
from support.memory.scenes import cancelled, failure, held_join, until, url, view, waits

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


@pytest.mark.parametrize("reason", ["nearly there", "x" * 1_900_000], ids=["short", "long"])
async def test_a_forged_note_ends_no_clock(scene, reason):
    """A member that never starts is not waited for longer than `start_timeout`, and the change can say why it ended."""
    made = scene(3, start_timeout="2s")
    join = await made.join()
    await waits(join, "sync")
    await join.signal("note_progress", {"reason": reason, "phase": "replicating", "percent": 99.0})
    error, end = await asyncio.wait_for(failure(join), 60)
    assert (error, end.outcome, made.applied) == ("StartTimeout", "rolled-back", ["add", "remove"])
    assert len(end.reason) < 2000


async def test_a_member_that_started_may_sync_for_longer_than_the_clock(scene):
    """The clock of the start rings in its sync. Etcd is asked, and the change goes on."""
    made = scene(3, start_timeout="1s", max_lag_entries=0, stall_timeout="1h")
    synced = asyncio.Event()
    sync = made.cluster.sync
    made.cluster.sync = lambda: sync() if synced.is_set() else None
    join = await made.join()
    await waits(join, "sync")
    made.cluster.start(made.added().id, "etcd-9")
    await until(lambda: rang(join), "the clock and the look for it")
    assert made.applied == ["add"]
    synced.set()
    outcome = await asyncio.wait_for(join.result(), 60)
    assert (outcome.outcome, made.applied) == ("promoted", ["add", "promote"])


async def rang(change) -> bool:
    """Whether the clock has rung, and another wait began."""
    events = (await change.fetch_history()).events
    waits_of = [e.activity_task_scheduled_event_attributes.activity_type.name for e in events]
    return any(e.HasField("timer_fired_event_attributes") for e in events) and waits_of.count("wait_for_sync") == 2
