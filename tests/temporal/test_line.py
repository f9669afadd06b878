"""The turns, on a real Temporal server: a wait costs nothing, no signal is believed, and nothing is forgotten."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, Interceptor, OutboundInterceptor, QueryWorkflowInput, WorkflowFailureError
from temporalio.service import RPCError

from local.temporal_server import DevServer
from membership.policy import Policy
from messages.ids import change_id, turns_id
from messages.requests import JoinRequest, RemoveRequest
from messages.turns import AddedLearner, Ticket, TurnsState
from settings import quiet_runtime
from support.memory.cluster import MemoryCluster
from support.memory.faulty import MemoryClusters
from support.memory.scenes import LOOSE, Scene, cancelled, held, held_join, until, url, view, waits
from temporal_workers import make_workers, running

WATCHED_FOR = 10.0


class CountingQueries(Interceptor):
    """Counts the queries that a client sends, by name."""

    def __init__(self) -> None:
        self.queries: Counter[str] = Counter()

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        queries = self.queries

        class Counting(OutboundInterceptor):
            async def query_workflow(self, input: QueryWorkflowInput) -> Any:
                queries[input.query] += 1
                return await super().query_workflow(input)

        return Counting(next)


async def in_line(made: Scene, count: int) -> None:
    async def all_there():
        return len((await made.turns()).waiting) == count

    await until(all_there, f"{count} changes in line")


async def events(*handles) -> list[int]:
    return [(await handle.describe()).history_length for handle in handles]


async def settled_down(*handles) -> list[int]:
    """Their numbers of events, once these stay the same and each change in line knows which changes are ahead."""
    seen: list[list[int]] = [[]]

    async def nothing_happens():
        seen.append(await events(*handles))
        told = [(await view(handle)).waits_for for handle in handles[2:]]
        return seen[-1] == seen[-2] and all("behind" in text for text in told)

    await until(nothing_happens, "nothing to happen any more")
    return seen[-1]


async def activities_done(handle) -> int:
    history = handle.fetch_history_events()
    return len([e async for e in history if e.HasField("activity_task_completed_event_attributes")])


async def test_a_change_that_waits_in_line_costs_nothing(temporal):
    """No event, no query, no activity of its own; and its turns have one watch, whose heartbeats are no events."""
    counting, queue = CountingQueries(), f"line-{uuid4()}"
    clusters = MemoryClusters(queue)
    cluster = clusters.add("quiet", MemoryCluster(3), Policy())
    made = Scene(temporal, queue, "quiet", cluster, clusters.etcds["quiet"], clusters.policies)
    worked = Client(**{**temporal.config(), "interceptors": [counting]})
    workers = make_workers(worked, clusters, queue, [queue])
    async with running(workers):
        holder = await held_join(made)
        waiters = [await made.join(f"etcd-{n}") for n in range(10, 20)]
        await in_line(made, 10)
        all_of_them = (temporal.get_workflow_handle(turns_id("quiet")), holder, *waiters)
        before = await settled_down(*all_of_them)
        counting.queries.clear()
        await asyncio.sleep(WATCHED_FOR)
        assert await events(*all_of_them) == before
        assert not counting.queries
        pending = [(await handle.describe()).raw_description.pending_activities for handle in all_of_them]
        assert [len(activities) for activities in pending] == [1] + [0] * 11
        for handle in (*waiters, holder):
            await handle.cancel()
        for handle in (*waiters, holder):
            await cancelled(handle)
        assert made.applied == ["add", "remove"]


async def test_a_change_that_is_cancelled_in_line_leaves_it_at_once(scene):
    """While the one ahead goes on."""
    made = scene(3)
    holder, waiter = await held_join(made), await made.join("etcd-10")
    await in_line(made, 1)
    await waiter.cancel()
    await cancelled(waiter)
    await in_line(made, 0)
    assert (await made.turns()).holder
    await holder.cancel()
    await cancelled(holder)


async def test_no_signal_is_believed(scene):
    """A stranger names changes, gives turns and tells of held joins: nothing is done by anybody who may not."""
    made = scene(3)
    holder, ahead = await held_join(made), await made.join("etcd-11")
    await in_line(made, 1)
    waiter = await made.join("etcd-10")
    await in_line(made, 2)
    before = await made.turns()
    turns = made.client.get_workflow_handle(turns_id(made.name))
    first_run = Ticket(waiter.id, before.waiting[1].run_id)
    for ticket in (
        Ticket(change_id(made.name, "join", "none"), str(uuid4())),
        Ticket(change_id("other", "join", "etcd-10"), first_run.run_id),
        Ticket(waiter.id, str(uuid4())),
        Ticket(waiter.id, "no run"),
        Ticket("", ""),
        first_run,
    ):
        await turns.signal("claim", ticket)
    await turns.signal("claim", {"nonsense": True})
    await waiter.signal("holder_is_held")
    done = await activities_done(waiter)
    await waiter.signal("turn_granted", Ticket(waiter.id, str(uuid4())))
    await waiter.signal("turn_granted", first_run)

    async def asked():
        return await activities_done(waiter) > done + 1  # it looked whether it has the turn, and asked again

    await until(asked, "the change that was given the turn to wait again")
    assert (await view(waiter)).stage == "turn"
    assert (made.applied, await made.turns()) == (["add"], before)
    for join in (ahead, waiter, holder):
        await join.cancel()
    for join in (ahead, waiter, holder):
        await cancelled(join)
    assert made.applied == ["add", "remove"]


@pytest.mark.parametrize(
    ("cluster", "argument", "told"),
    [
        ("c", TurnsState(holder=Ticket("x", "y")), "only their own next run"),
        ("c", TurnsState(learners=(AddedLearner("a3", Ticket("x", "y")),)), "only their own next run"),
        ("c", {"waiting": 7}, "not a state of turns"),
        ("c:d:e", TurnsState(), "memberflow:<cluster>"),
    ],
)
async def test_turns_that_a_stranger_starts_are_refused(temporal, memory, cluster, argument, told):
    """They begin without a state: else they would say which learners are left behind, and may be removed."""
    workflow_id = f"memberflow:{cluster}{uuid4() if cluster == 'c' else ''}"
    handle = await temporal.start_workflow("ClusterTurns", argument, id=workflow_id, task_queue=memory[1])
    with pytest.raises(WorkflowFailureError) as failed:
        await asyncio.wait_for(handle.result(), 20)
    assert (failed.value.cause.type, told in failed.value.cause.message) == ("InvalidRequest", True)


async def test_a_change_under_another_workflow_id_is_refused(temporal, memory):
    """The turns would never ask it, and it would wait for ever."""
    request = JoinRequest(cluster="c", name="etcd-9", peer_urls=(url("etcd-9"),))
    handle = await temporal.start_workflow("JoinMember", request, id=f"mine-{uuid4()}", task_queue=memory[1])
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    assert (failed.value.cause.type, "memberflow:c:join:etcd-9" in failed.value.cause.message) == (
        "InvalidRequest",
        True,
    )


async def test_a_member_that_lives_again_preempts_nothing(scene):
    """It was dead when its removal began to wait. What counts is the moment at which the join is held."""
    made = scene(5, **LOOSE)
    join = await made.join()
    await waits(join, "sync")
    target = made.member("etcd-5")
    made.cluster.kill(target.id)
    removal = await made.start(RemoveRequest(cluster=made.name, member="etcd-5", preempt=True))
    await in_line(made, 1)
    made.cluster.revive(target.id)
    looks = await activities_done(removal)
    await join.execute_update("hold")

    async def judged():
        return await activities_done(removal) > looks

    await until(judged, "the member to be judged again")
    assert ((await view(join)).held != "", made.applied) == (True, ["add"])
    made.cluster.kill(target.id)
    await join.execute_update("resume")
    await join.execute_update("hold")
    await cancelled(join)
    assert (await removal.result()).outcome == "removed"
    assert made.applied == ["add", "remove", "remove"]


async def test_turns_continue_as_new_and_forget_nothing(tmp_path):
    """A line of joins goes through many runs of its turns, in order, none of them twice."""
    server = DevServer(tmp_path, extra_args=("--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=20"))
    client = await server.start(quiet_runtime())
    clusters = MemoryClusters("q")
    cluster = clusters.add("c", MemoryCluster(3), Policy())
    made = Scene(client, "q", "c", cluster, clusters.etcds["c"], clusters.policies)
    names = {url(name): name for name in ("etcd-9", "etcd-10", "etcd-11")}
    cluster.on_added = lambda member: cluster.start(member.id, names[member.peer_urls[0]])
    workers = make_workers(client, clusters, "q", ["q"])
    async with running(workers):
        request = JoinRequest(cluster="c", name="etcd-9", peer_urls=(url("etcd-9"),), hold_before="promote")
        first = await made.start(request)
        await held(first)
        others = []
        for name in ("etcd-10", "etcd-11"):
            others.append(await made.join(name))
            await in_line(made, len(others))
        run_id = (await client.get_workflow_handle(turns_id("c")).describe()).run_id
        await first.execute_update("resume")
        ends = [await join.result() for join in (first, *others)]
        assert [end.outcome for end in ends] == ["promoted"] * 3
        assert made.applied == ["add", "promote"] * 3

        async def ended():
            try:
                return (await client.get_workflow_handle(turns_id("c")).describe()).status.name == "COMPLETED"
            except RPCError:
                return False

        await until(ended, "the turns to end")
        assert (await client.get_workflow_handle(turns_id("c")).describe()).run_id != run_id
    await server.stop()
