"""Workflows as Temporal and its users see them: requests of any kind, histories, and what the UI shows."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowFailureError, WorkflowHistory
from temporalio.common import RawValue
from temporalio.worker import Replayer

from membership.policy import Policy
from messages.ids import change_id, turns_id
from messages.outcomes import Outcome
from messages.requests import JoinRequest
from support.faults.throttle import Throttle
from support.memory.cluster import MemoryCluster
from support.parts.lab import eventually
from workflows.register import WORKFLOWS, turns_of

# Events of a wait that has become long, and goes on in another activity.
HANDED_ON = 6
# The events of a note about a member that has not started: a signal, and its workflow task.
A_NOTE = 5
# A folder for each release.
HISTORIES = sorted((Path(__file__).parents[1] / "histories").glob("*/*.json"))
GOOD = {"cluster": "prod", "name": "etcd-4", "peer_urls": ["http://a:1"]}


def raw(data: bytes, encoding: bytes = b"json/plain") -> RawValue:
    return RawValue(Payload(metadata={"encoding": encoding} if encoding else {}, data=data))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "argument"),
        ([GOOD, 2], "one argument is expected"),
        ([{**GOOD, "name": "a b"}], "name: 'a b' is not a valid name"),
        ([{**GOOD, "peer_urls": ["x"]}], "peer_urls[0]: 'x' has the scheme"),
        ([{"cluster": "prod"}], "name: is required; peer_urls: is required"),
        ([None], "object with named fields"),
        ([["x"]], "object with named fields"),
        ([raw(b"{nope")], "not readable as JSON"),
        ([raw(b"\xff\x00", b"binary/plain")], ""),
        ([raw(b"x", b"")], "not readable as JSON"),
        ([raw(b"{}", b"json/protobuf")], "not readable as JSON"),
        ([{**GOOD, "peer_urls": ["x"] * 400_000}], "and a request has 262144 at most"),
        ([{**GOOD, **{f"{n}\n": 1 for n in range(20_000)}}], "4\\n: unknown key; and 19995 more"),
    ],
)
async def test_a_malformed_request_fails_by_name(temporal, memory, arguments, told):
    """From any client: never a workflow that runs for ever with failing tasks."""
    failure = await failed(temporal, memory, "JoinMember", arguments)
    assert failure.type == "InvalidRequest"
    assert told in failure.message


@pytest.mark.parametrize("arguments", [[], [None], [{"cluster": "a b"}], [{"name": "x"}], [raw(b"{nope")], [GOOD, 2]])
async def test_a_malformed_question_fails_by_name(temporal, memory, arguments):
    """The other workflows are started by foreign clients too."""
    assert (await failed(temporal, memory, "InspectCluster", arguments)).type == "InvalidRequest"


async def failed(temporal, memory, workflow, arguments):
    """How the workflow failed; soon, or not at all."""
    handle = await temporal.start_workflow(workflow, args=arguments, id=f"bad-{uuid4()}", task_queue=memory[1])
    with pytest.raises(WorkflowFailureError) as caught:
        await asyncio.wait_for(handle.result(), 20)
    return caught.value.cause


async def joined(temporal, memory, starts_after: float, syncs_for: float) -> tuple[int, int]:
    """
    A join whose member starts so many seconds after its add, and then takes so many for its sync.

    Gives the number of events in its history, and how often it had something to say to the turns.
    """
    clusters, queue = memory
    name = f"c-{uuid4()}"
    cluster = clusters.add(name, MemoryCluster(3), Policy(start_timeout=timedelta(hours=1)))
    cluster.index = 5000
    request = JoinRequest(cluster=name, name="etcd-4", peer_urls=("http://etcd-4:2380",))
    workflow_id = change_id(name, "join", "etcd-4")
    handle = await temporal.start_workflow("JoinMember", request, id=workflow_id, task_queue=queue, result_type=Outcome)
    await handle.execute_update("wait_until_added")
    await asyncio.sleep(starts_after)
    [learner] = [m for m in cluster.members.values() if m.is_learner]
    started = time.monotonic()

    def sync():
        for voter in cluster.voters():
            voter.match = cluster.index
        if learner.is_learner:
            learner.match = min(cluster.index, int(cluster.index * (time.monotonic() - started) / syncs_for))

    cluster.sync = sync
    cluster.start(learner.id, "etcd-4")
    assert (await handle.result()).outcome == "promoted"
    turns = temporal.get_workflow_handle(turns_id(name))
    claims = [
        e async for e in turns.fetch_history_events() if e.HasField("workflow_execution_signaled_event_attributes")
    ]
    return len([event async for event in handle.fetch_history_events()]), len(claims)


async def test_history_does_not_grow_with_the_wait(temporal, memory):
    """
    At most 125 events, and hardly more when start and sync take ten minutes (by the watch's clock).

    A few notes tell why the member has not started. The turns don't hear of them at all.
    """
    (quick, claims), (slow, more) = await asyncio.gather(
        joined(temporal, memory, 1, 0.07), joined(temporal, memory, 19, 19)
    )
    assert more == claims
    assert max(quick, slow) <= 125
    assert abs(slow - quick) <= 12 + HANDED_ON + 3 * A_NOTE, (quick, slow)


@pytest.mark.parametrize("file", HISTORIES, ids=lambda file: file.stem)
async def test_saved_histories_replay(temporal, file):
    """Workflows that began under this release go on under the next one."""
    replayer = Replayer(workflows=[*WORKFLOWS, turns_of(None)], data_converter=temporal.data_converter)
    history = json.loads(file.read_text())
    # What a change does depends on its workflow ID: its turns accept it under its own alone.
    workflow_id = history["events"][0]["workflowExecutionStartedEventAttributes"]["workflowId"]
    result = await replayer.replay_workflow(
        WorkflowHistory.from_json(workflow_id, history), raise_on_replay_failure=False
    )
    assert result.replay_failure is None, (
        f"{result.replay_failure}\nA change of {file.parent.name} would stop under this code. Keep the order of its "
        "commands, or let `workflow.patched` choose between the old and the new one (docs/upgrade.md). "
        "Only before a release is made may `make histories` record its histories again."
    )


def test_every_kind_of_join_has_a_saved_history():
    """And the turns as well."""
    kinds = {"promoted", "lost-answer", "rolled-back", "cancelled", "already-voter", "refused", "turns"}
    kinds |= {"held", "held-by-a-clock", "launched", "preempted", "adopted", "cleared", "turns-continued"}
    kinds |= {"foreign-learner", "removed-by-others", "unverified"}
    assert kinds <= {file.stem.removeprefix("join-") for file in HISTORIES}


def test_every_course_of_an_apply_has_a_saved_history():
    """So that each of them goes on under the next release."""
    courses = {"applied", "removed", "no-changes", "held", "cancelled", "failed", "waited"}
    assert courses <= {file.stem.removeprefix("apply-") for file in HISTORIES if file.stem.startswith("apply-")}


async def test_in_the_ui_a_join_reads_without_opening_a_payload(lab, temporal):
    """Summary, live details, plain activity summaries, search attributes, descriptions on every handler."""
    cluster = lab.cluster()
    new = cluster.new_member()
    join = cluster.join(new)
    await asyncio.to_thread(join.handover)
    workflow_id = cluster.workflow_id(new)
    handle = temporal.get_workflow_handle(workflow_id)

    def details():
        return lab.metadata(workflow_id)["currentDetails"]

    await asyncio.to_thread(eventually, lambda: "**Waits for:** member" in details(), "the details of the wait")
    described = await handle.describe()
    assert f"{new.name} joins {cluster.name}" == await described.static_summary()
    assert "- **sync: now**" in details()
    metadata = lab.metadata(workflow_id)["definition"]
    for kind in ("queryDefinitions", "signalDefinitions", "updateDefinitions"):
        for handler in metadata[kind]:
            assert handler.get("description") or handler["name"].startswith("__"), handler
    await asyncio.to_thread(join.start_member)
    assert (await asyncio.to_thread(join.wait)).code == 0
    assert "- verify: done" in details()
    summaries = [
        (await temporal.data_converter.decode([event.user_metadata.summary]))[0]
        async for event in handle.fetch_history_events()
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    assert f"{new.name}: promote, attempt 1" in summaries
    assert all(new.name in summary and not set("*`|") & set(summary) for summary in summaries)
    found = {a.key.name: a.value for a in (await handle.describe()).typed_search_attributes}
    assert (cluster.name, new.name, "ended") == tuple(found[k] for k in ("EtcdCluster", "EtcdMember", "EtcdStage"))


async def test_the_details_tell_how_far_a_long_sync_is(lab):
    """A snapshot has no percent, only its size and time; both reach the details while it is under way."""
    cluster = lab.cluster()
    await asyncio.to_thread(cluster.fill, 30)
    new = cluster.new_member()
    throttle = Throttle(new.peer_port, 4_000_000)
    new.peer = throttle.url
    cluster.at_end.append(throttle.close)
    join = cluster.join(new)
    await asyncio.to_thread(join.start_member)
    workflow_id = cluster.workflow_id(new)

    def details():
        return lab.metadata(workflow_id)["currentDetails"]

    await asyncio.to_thread(eventually, lambda: "MB under way" in details(), "the snapshot in the details")
    heard = await asyncio.to_thread(lab.heartbeat, workflow_id)
    assert "receiving snapshot" in heard
    assert (await asyncio.to_thread(join.wait)).code == 0


async def test_the_percent_of_replication_is_in_the_heartbeat(temporal, memory):
    """The number that the server itself divides, and an estimate of what is left."""
    clusters, queue = memory
    name = f"c-{uuid4()}"
    cluster = clusters.add(name, MemoryCluster(3), Policy())

    def slow(member):
        member.name, member.alive = "etcd-4", True
        cluster.sync = lambda: setattr(member, "match", min(cluster.index, member.match + 1))

    cluster.index = 5000
    for voter in cluster.voters():
        voter.match = 5000
    cluster.on_added = slow
    request = JoinRequest(cluster=name, name="etcd-4", peer_urls=("http://etcd-4:2380",))
    handle = await temporal.start_workflow(
        "JoinMember", request, id=change_id(name, "join", "etcd-4"), task_queue=queue
    )

    async def percent():
        for pending in (await handle.describe()).raw_description.pending_activities:
            payloads = pending.heartbeat_details.payloads
            told = (await temporal.data_converter.decode(payloads))[0] if payloads else None
            if isinstance(told, dict) and told.get("percent"):
                return told
        return None

    async with asyncio.timeout(30):
        while not (told := await percent()):  # noqa: ASYNC110 - Temporal has no event for a heartbeat
            await asyncio.sleep(0.1)
    assert ("replicating", cluster.index) == (told["phase"], told["target"])
    assert 0 < told["percent"] < 100
    await handle.terminate()
