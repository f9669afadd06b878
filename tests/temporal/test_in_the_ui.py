"""What Temporal's UI shows of a change that has ended and of the turns."""

from __future__ import annotations

import pytest
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowFailureError

from activities.pace import LONG_AFTER
from messages.ids import turns_id
from messages.requests import RemoveRequest
from messages.views import ChangeView
from support.memory.scenes import cancelled, until, waits


async def details(handle):
    """The text on the page of a workflow."""
    told = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    return told.current_details


async def test_a_refusal_reads_as_its_reason_and_the_next_step(scene):
    """Not as a Python stack trace with the paths of the worker's machine."""
    made = scene(3, min_voters=3)
    removal = await made.start(RemoveRequest(cluster=made.name, member="etcd-3"))
    with pytest.raises(WorkflowFailureError) as refused:
        await removal.result()
    failure = refused.value.cause.failure
    reason, hint, runbook = failure.message.splitlines()
    assert "min_voters" in reason
    assert hint.startswith("Next: ")
    assert runbook == "Runbook: docs/runbook.md#a-change-is-refused"
    assert (failure.stack_trace, failure.HasField("cause")) == ("", False)
    shown = await details(removal)
    assert "**Ended:** refused (`TooFewVoters`)" in shown
    assert "**Why:** " in shown
    assert "docs/runbook.md#a-change-is-refused" in shown


async def test_a_success_shows_its_end(scene):
    """The page says how it ended, without a payload being opened."""
    made = scene(3)
    made.starts_as("etcd-9")
    join = await made.join("etcd-9")
    await join.result()
    assert "**Ended:** promoted" in await details(join)


async def test_a_cancel_shows_its_reason(scene):
    """Temporal keeps it in an event that a person would have to look for."""
    waiting = await scene(3).join("etcd-9")
    await waits(waiting, "sync")
    await waiting.cancel(reason="cancelled by a test")
    await cancelled(waiting)
    assert "**Why:** cancelled by a test" in await details(waiting)


async def test_the_second_bar_of_a_long_wait_says_its_reason(scene):
    """It begins a minute later, when the reason of the first is old."""
    made = scene(3)
    join = await made.join("etcd-9")
    await waits(join, "sync")

    async def second_bar():
        scheduled = [e async for e in join.fetch_history_events() if e.user_metadata.HasField("summary")]
        return [e for e in scheduled if b"etcd-9: long wait: " in e.user_metadata.summary.data]

    [bar] = await until(second_bar, "the second bar")
    assert b"has not started" in bar.user_metadata.summary.data
    view = await join.query("progress", result_type=ChangeView)
    assert view.progress.elapsed >= LONG_AFTER, "the details are as new as the bar"


async def test_the_turns_show_the_holder_and_the_line(scene, temporal):
    """Since when, by name, and which change comes next."""
    made = scene(3)
    first = await made.join("etcd-9")
    await waits(first, "sync")
    second = await made.start(RemoveRequest(cluster=made.name, member="etcd-3", force=True))
    turns = temporal.get_workflow_handle(turns_id(made.name))

    async def in_line():
        shown = await details(turns)
        return shown if "waits, place 1" in shown else ""

    shown = await until(in_line, "the removal to be in line")
    assert f"- **{first.id}** has had the turn since " in shown
    assert f"- {second.id} waits, place 1" in shown
