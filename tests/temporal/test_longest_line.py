"""The longest line: the state of the turns must fit into one payload."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from temporalio import activity
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from messages.ids import change_id, turns_id
from messages.turns import Claim, Ticket, Word
from workflows.cluster_turns import ClusterTurns


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.05)


async def test_changes_beyond_the_limit_are_left_out(temporal, monkeypatch):
    """Each is a change of this cluster that runs, and asks for the turn. A change in the line may be named again."""
    monkeypatch.setattr("workflows.cluster_turns._MOST_CHANGES", 4)
    cluster, queue = f"c-{uuid4()}", f"line-{uuid4()}"
    changes = [Ticket(change_id(cluster, "join", f"etcd-{n}"), str(uuid4())) for n in range(6)]

    @activity.defn
    async def find_changes(of):
        return changes[:3]

    asked = []

    @activity.defn
    async def ask_change(question):
        asked.append(question["ticket"]["workflow_id"])
        return Word("RUNNING", claim=Claim("waits"), is_join=True)

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
        in_line = {change.workflow_id for change in changes[:4]}
        await turns.signal("claim", changes[3])
        await until(lambda: in_line <= set(asked))
        before = len(asked)
        for change in (*changes[4:], changes[0]):
            await turns.signal("claim", change)
        await until(lambda: len(asked) > before)
        assert set(asked) == in_line
        await turns.terminate()
