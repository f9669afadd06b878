"""Workflows that a stranger starts or signals in ways in which no part of memberflow does."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from opentelemetry.sdk.trace import TracerProvider
from temporalio.api.common.v1 import Payload
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import PollWorkflowTaskQueueRequest
from temporalio.client import (
    Client,
    Interceptor,
    OutboundInterceptor,
    SignalWorkflowInput,
    WorkflowHistoryEventFilterType,
)
from temporalio.common import RetryPolicy

import temporal_workers
from client.trace_interceptor import ChangeTraces
from membership.model import ClusterStatus
from membership.policy import Policy
from messages.ids import change_id, turns_id
from messages.requests import JoinRequest
from messages.turns import AddedLearner, Ticket, TurnsState
from support.memory.cluster import MemoryCluster
from support.memory.faulty import MemoryClusters
from support.memory.scenes import Scene, cancelled, failure_of, until, url
from temporal_workers import make_workers, running

# Twice the worker's places for short activities.
STUCK = 120
# Of these, so many are asked at a time.
ASKED = 100


async def end_of_run(made: Scene, run_id: str, workflow_id: str) -> tuple[str, str]:
    """The failure of a run of a cron schedule, and the ID of the next run."""
    run = made.client.get_workflow_handle(workflow_id, run_id=run_id)
    close = [
        event
        async for event in run.fetch_history_events(
            wait_new_event=True, event_filter_type=WorkflowHistoryEventFilterType.CLOSE_EVENT
        )
    ]
    end = close[-1].workflow_execution_continued_as_new_event_attributes
    return end.failure.application_failure_info.type, end.new_execution_run_id


@pytest.mark.parametrize("kind", ["ClusterTurns", "JoinMember"])
async def test_a_cron_schedule_hands_no_state_over(scene, kind):
    """Its second run follows another one and has the caller's argument: it was taken for the state of the first."""
    made = scene()
    foreign = made.cluster.add_learner((url("foreign"),))
    turns = TurnsState(learners=(AddedLearner(foreign.id, Ticket(change_id(made.name, "join", "x"), str(uuid4()))),))
    join = {"request": {"cluster": made.name, "name": "etcd-9", "peer_urls": [url("etcd-9")]}, "so_far": {}}
    starts: dict[str, tuple[str, Any]] = {
        "ClusterTurns": (turns_id(made.name), turns),
        "JoinMember": (change_id(made.name, "join", "etcd-9"), join),
    }
    workflow_id, argument = starts[kind]
    first = await made.client.start_workflow(
        kind, argument, id=workflow_id, task_queue=made.queue, cron_schedule="@every 1s"
    )
    run_id = first.first_execution_run_id
    for _ in range(2):
        failure, run_id = await asyncio.wait_for(end_of_run(made, run_id, workflow_id), 30)
        assert failure == "InvalidRequest"
    await made.client.get_workflow_handle(workflow_id).terminate()
    assert [member.id for member in made.cluster.members.values() if member.is_learner] == [foreign.id]


async def test_a_retry_policy(scene):
    """The next run would have the ticket of the first one. A change repeats its own steps."""
    made = scene()
    request = JoinRequest(cluster=made.name, name="etcd-9", peer_urls=(url("etcd-9"),))
    join = await made.client.start_workflow(
        "JoinMember",
        request,
        id=change_id(made.name, "join", "etcd-9"),
        task_queue=made.queue,
        retry_policy=RetryPolicy(maximum_attempts=5),
    )
    assert await failure_of(join, 30) == "InvalidRequest"
    assert made.applied == []


async def test_changes_that_never_answer_hold_up_no_other_cluster(temporal, monkeypatch):
    """The turns ask them again and again, for seconds, and never so many that acts and looks have no place."""
    monkeypatch.setattr(temporal_workers, "_SHORT_PLACES", ASKED + 10)
    queue, silent = f"flooded-{uuid4()}", f"silent-{uuid4()}"
    clusters = MemoryClusters(queue)
    flooded, quiet = (memory_scene(temporal, clusters, queue) for _ in range(2))
    # Temporal gives questions to a queue that was polled, although nobody takes them.
    polling = asyncio.create_task(poll(temporal, silent))
    async with running(make_workers(temporal, clusters, queue, [queue])):
        stuck = [await never_answers(flooded, number, silent) for number in range(STUCK)]
        turns = temporal.get_workflow_handle(turns_id(flooded.name))

        async def asked():
            pending = (await turns.describe()).raw_description.pending_activities
            return len(pending) == ASKED

        await until(asked, "the questions to the changes")
        quiet.starts_at_once()
        outcome = await asyncio.wait_for((await quiet.join()).result(), 20)
        assert outcome.outcome == "promoted"
        for handle in (turns, *stuck):
            await handle.terminate()
    polling.cancel()


def memory_scene(client: Client, clusters: MemoryClusters, queue: str) -> Scene:
    name = f"c-{uuid4()}"
    cluster = clusters.add(name, MemoryCluster(3), Policy())
    return Scene(client, queue, name, cluster, clusters.etcds[name], clusters.policies)


async def poll(client: Client, queue: str) -> None:
    """Takes the first task of a queue, and does nothing with it."""
    wanted = PollWorkflowTaskQueueRequest(namespace=client.namespace, task_queue=TaskQueue(name=queue))
    await client.workflow_service.poll_workflow_task_queue(wanted, timeout=timedelta(seconds=60))


async def never_answers(made: Scene, number: int, silent: str):
    """A join on a queue whose only worker does nothing, named to the turns."""
    name = f"etcd-{number}"
    join = await made.client.start_workflow(
        "JoinMember",
        JoinRequest(cluster=made.name, name=name, peer_urls=(url(name),)),
        id=change_id(made.name, "join", name),
        task_queue=silent,
    )
    await made.client.start_workflow(
        "ClusterTurns",
        TurnsState(),
        id=turns_id(made.name),
        task_queue=made.queue,
        start_signal="claim",
        start_signal_args=[Ticket(join.id, join.first_execution_run_id)],
    )
    return join


class Headers(Interceptor):
    """Sends this header with each signal."""

    def __init__(self, header: Payload) -> None:
        self._header = header

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        header = self._header

        class Sending(OutboundInterceptor):
            async def signal_workflow(self, input: SignalWorkflowInput) -> None:
                await super().signal_workflow(replace(input, headers={"_tracer-data": header}))

        return Sending(next)


async def test_a_forged_trace_context_stops_no_workflow(temporal):
    """A worker with traces reads it from each signal. An error there failed every task of the workflow for ever."""
    queue = f"traced-{uuid4()}"
    clusters = MemoryClusters(queue)
    made = memory_scene(temporal, clusters, queue)
    traced = Client(**{**temporal.config(), "interceptors": [ChangeTraces(TracerProvider().get_tracer("test"))]})
    stranger = Client(**{**temporal.config(), "interceptors": [Headers(Payload(data=b"\xff"))]})
    async with running(make_workers(traced, clusters, queue, [queue])):
        join = await made.join()
        await until(lambda: added(made), "the learner")
        ticket = Ticket(join.id, join.first_execution_run_id)
        for workflow_id, signal, argument in (
            (join.id, "note_progress", {"reason": "x"}),
            (turns_id(made.name), "claim", ticket),
        ):
            await stranger.get_workflow_handle(workflow_id).signal(signal, argument)
        made.cluster.start(made.added().id, "etcd-9")
        assert (await asyncio.wait_for(join.result(), 30)).outcome == "promoted"


async def added(made: Scene) -> bool:
    return made.applied == ["add"]


async def test_a_forged_answer_of_a_wait_promotes_no_member(scene):
    """Temporal lets a writer answer an activity by its ID, without any worker. The act looks for itself."""
    made = scene()
    join = await made.join()
    wait = await until(lambda: pending(join, "wait_for_sync"), "the wait for the member")
    run = made.client.get_async_activity_handle(workflow_id=join.id, run_id=None, activity_id=wait)
    await run.complete(caught_up(made))
    await until(lambda: has_ended(join, "promote_learner"), "the promote that is not sent")
    await until(lambda: pending(join, "wait_for_sync"), "another wait for the member")
    assert made.applied == ["add"]
    await join.cancel()
    await cancelled(join)
    assert made.applied == ["add", "remove"]


def caught_up(made: Scene) -> ClusterStatus:
    """A look that shows the learner started and caught up, which it is not."""
    seen = made.etcd.look()
    [learner], leader = seen.learners, seen.statuses[seen.leader]
    told = replace(leader, member_id=learner.id, is_learner=True, urls=(url("etcd-9"),))
    started = tuple(replace(m, name="etcd-9") if m == learner else m for m in seen.members)
    progress = {**seen.progress, learner.id: seen.progress[seen.leader]}
    return replace(seen, members=started, statuses={**seen.statuses, learner.id: told}, silent={}, progress=progress)


async def pending(change, name: str) -> str:
    """The ID of an activity under way."""
    of_name = (a for a in (await change.describe()).raw_description.pending_activities if a.activity_type.name == name)
    return next((activity.activity_id for activity in of_name), "")


async def has_ended(change, name: str) -> bool:
    events = (await change.fetch_history()).events
    scheduled = {e.event_id for e in events if e.activity_task_scheduled_event_attributes.activity_type.name == name}
    return any(e.activity_task_completed_event_attributes.scheduled_event_id in scheduled for e in events)
