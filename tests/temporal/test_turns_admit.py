"""The turns tell the admission of a worker how far a change is: it goes on to an act, or it has ended."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHandle
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.admission import MOST, QUIET, QUIET_IN_TURN, Admission
from activities.taking_turns import Turns
from activities.temporal import Temporal
from messages.ids import WORKFLOW_TYPES, change_id, turns_id
from messages.turns import ChangeQuestion, Ticket, TurnRequest
from support.memory.clock import Clock
from support.memory.inside import inside, ticket


@workflow.defn(name=WORKFLOW_TYPES["join"])
class Ends:
    @workflow.run
    async def run(self) -> None:
        pass


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cluster():
    return f"c-{uuid4()}"


@pytest.fixture
def full(clock, cluster):
    """As many clusters begin as may, this one among them."""
    admission = Admission(clock)
    change = change_id(cluster, "join", "etcd-4")
    assert [admission.delay(f"{cluster}{n or ''}", change) for n in range(MOST)] == [0.0] * MOST
    return admission


async def test_a_change_that_asks_for_its_turn_keeps_its_place_for_longer(temporal, full, clock, cluster):
    turns, environment = Turns(Temporal(temporal), None, full), inside("ask_turn", cluster=cluster)
    await environment.run(turns.ask_turn, TurnRequest(cluster, ticket(environment)))
    await temporal.get_workflow_handle(turns_id(cluster)).terminate()
    clock.now += QUIET_IN_TURN - 0.1
    assert QUIET_IN_TURN > QUIET
    assert [full.delay(f"late{n}", "b") for n in range(MOST - 1)] == [0.0] * (MOST - 1)
    assert full.delay("one too many", "b") > 0


async def test_a_change_that_has_ended_makes_room(temporal, full, cluster):
    queue, change = f"ends-{uuid4()}", change_id(cluster, "join", "etcd-4")
    worker = Worker(temporal, task_queue=queue, workflows=[Ends], workflow_runner=UnsandboxedWorkflowRunner())
    async with worker:
        run: WorkflowHandle[object, None] = await temporal.start_workflow(Ends.run, id=change, task_queue=queue)
        await run.result()
    environment = inside("ask_change")
    environment.info = replace(environment.info, workflow_id=turns_id(cluster))
    assert full.delay("late", "b") > 0
    question = ChangeQuestion(Ticket(change, str(run.first_execution_run_id)))
    word = await environment.run(Turns(Temporal(temporal), None, full).ask_change, question)
    assert word.status == "COMPLETED"
    assert full.delay("late", "b") == 0.0
