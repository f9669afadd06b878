"""The longest line: the state of the turns must fit into one payload."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from temporalio import activity
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from messages.ids import change_id, turns_id
from messages.turns import Ticket, TurnsState
from workflows.cluster_turns import ClusterTurns


async def test_changes_beyond_the_limit_are_left_out(temporal, monkeypatch):
    """The turns ask those alone that have a place in line, and no answer has come yet."""
    monkeypatch.setattr("workflows.cluster_turns._MOST_CHANGES", 4)
    cluster, queue = f"c-{uuid4()}", f"line-{uuid4()}"
    changes = [Ticket(change_id(cluster, "join", f"etcd-{n}"), str(uuid4())) for n in range(6)]
    answered = asyncio.Event()

    @activity.defn
    async def find_changes(of):
        return []

    @activity.defn
    async def ask_change(question):
        await answered.wait()

    worker = Worker(
        temporal,
        task_queue=queue,
        workflows=[ClusterTurns],
        activities=[find_changes, ask_change],
        # The sandbox would read the limit from the file.
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with worker:
        turns = await temporal.start_workflow("ClusterTurns", id=turns_id(cluster), task_queue=queue)
        for change in changes:
            await turns.signal("claim", change)
        await turns.query("turns", result_type=TurnsState)  # answered after the signals
        scheduled = [event.activity_task_scheduled_event_attributes async for event in turns.fetch_history_events()]
        asked = [str(each.input) for each in scheduled if each.activity_type.name == "ask_change"]
        assert len(asked) == 4
        assert all(change.workflow_id in text for change, text in zip(changes[:4], asked, strict=True))
        await turns.terminate()
        answered.set()
