"""Changes that go on for so long that they continue as new, on a real Temporal server with a low limit."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from client.events import read_events
from client.past_changes import Wanted, past_changes
from client.sight import see
from local.temporal_server import temporal_cli
from membership.etcd_errors import LearnerNotReady
from membership.model import Handover
from membership.policy import Policy
from messages.ids import change_id, turns_id
from messages.notices import notice_id
from messages.requests import JoinRequest, RemoveRequest
from support.memory import faulty
from support.memory.cluster import MemoryCluster
from support.memory.faulty import MemoryClusters, Trouble
from support.memory.scenes import Scene, cancelled, failure, held, until, url, view
from support.parts.inbox import Inbox, secret_file
from support.parts.low_limits import LOW, replay_runs, runs_of
from temporal_workers import make_workers, running
from webhook.config import WebhookTable
from webhook.receiver import WebhookReceiver

SKIPPING = ("--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true")


@pytest.fixture
def scene(low_scene):
    """Makes a cluster whose changes go on in new runs."""
    return low_scene


def refused(method: str, times: int) -> tuple[Trouble, ...]:
    """The first calls of a method never reach etcd."""
    return tuple(Trouble(method, nth, "is refused on the way") for nth in range(1, times + 1))


async def in_a_new_run(made: Scene, handle: WorkflowHandle[Any, Any], after: str = "") -> None:
    """Waits for a new run, after a call of this act."""

    async def has_acted():
        return not after or after in (await view(handle)).attempts

    async def there():
        return await runs_of(made.client, handle) > before

    await until(has_acted, after or "the change")
    before = await runs_of(made.client, handle) if after else 1
    await until(there, "a new run")


@pytest.mark.parametrize(("method", "what"), [("add_learner", "add"), ("promote", "promote")])
async def test_a_join_goes_on_in_new_runs(scene, method, what):
    """Its attempts, its handover and its time are those of the whole change, and nothing happens twice."""
    made = scene(3, refused(method, 2))
    made.starts_at_once()
    join = await made.join()
    end = await join.result()
    assert (end.outcome, made.applied, end.attempts[what]) == ("promoted", ["add", "promote"], 3)
    assert end.verified
    assert await runs_of(made.client, join) > 1
    first = await made.client.get_workflow_handle(join.id, run_id=join.result_run_id).describe()
    last = await made.client.get_workflow_handle(join.id).describe()
    took = (last.close_time - first.start_time).total_seconds()
    assert (end.seconds["total"], sum(end.seconds.values())) == (
        pytest.approx(took, abs=0.5),
        pytest.approx(2 * took, abs=1),
    )
    seen = await see(made.client, made.client.get_workflow_handle(join.id))
    assert seen.handover
    assert seen.handover.env()["ETCD_NAME"] == "etcd-9"


async def test_the_end_is_told_once(scene, low, tmp_path):
    """The receiver of the cluster hears of the last run alone."""
    made = scene(3, refused("promote", 2))
    made.starts_at_once()
    inbox = Inbox()
    low[1].receivers[made.name] = WebhookReceiver(WebhookTable(url=inbox.url, secret_file=secret_file(tmp_path)))
    join = await made.join()
    end = await join.result()
    assert await runs_of(made.client, join) > 1
    notice = made.client.get_workflow_handle(notice_id(made.name, end.run_id))
    assert (await notice.result())["message_id"] == f"msg_{end.run_id}"
    [told] = inbox.of(made.name)
    assert (told.data["outcome"], told.data["attempts"]) == ("promoted", end.attempts)
    inbox.close()


async def test_the_history_of_every_run_replays(scene):
    """Restoring the state is as deterministic as the rest."""
    made = scene(3, refused("promote", 2))
    made.starts_at_once()
    join = await made.join()
    await join.result()
    assert await replay_runs(made.client, join.id) > 1


async def test_it_is_one_change_in_the_lists(scene):
    """`changes` has one row for it, with its own beginning, and `events` tells it from its beginning to its end."""
    made = scene(3, refused("promote", 2))
    made.starts_at_once()
    join = await made.join()
    await join.result()
    first = await made.client.get_workflow_handle(join.id, run_id=join.result_run_id).describe()

    async def listed():
        return await past_changes(made.client, made.name, Wanted(limit=10, outcomes=("promoted",)))

    [row] = await until(listed, "the change in Temporal's list")
    assert (row.outcome, row.began) == ("promoted", first.start_time.astimezone().isoformat(timespec="seconds"))
    told = await read_events(made.client, made.client.get_workflow_handle(join.id))
    assert [told[0].text, told[-1].text] == ["the change began", "the change ended"]
    assert [event.text for event in told].count("the change goes on in a new run") == await runs_of(
        made.client, join
    ) - 1
    assert [event.seconds for event in told] == sorted(event.seconds for event in told)
    assert sum("sent once" in event.result for event in told) == 4


async def test_the_turn_stays_with_the_change(scene):
    """A change that waits behind it gets the turn after its end, and not between two runs."""
    made = scene(3, refused("promote", 2))
    names = {url(name): name for name in ("etcd-9", "etcd-10")}
    made.cluster.on_added = lambda member: made.cluster.start(member.id, names[member.peer_urls[0]])
    first = await made.join()
    await in_a_new_run(made, first)
    second = await made.join("etcd-10")
    ends = [await first.result(), await second.result()]
    assert [end.outcome for end in ends] == ["promoted", "promoted"]
    assert made.applied == ["add", "promote", "add", "promote"]


async def test_cancelled_in_a_later_run(scene):
    """The learner that an earlier run added is removed."""
    made = scene(3, (Trouble("promote", None, "is refused on the way"),))
    made.starts_at_once()
    join = await made.join()
    await in_a_new_run(made, join)
    await join.execute_update("cancel")
    await cancelled(join)
    assert made.applied == ["add", "remove"]


async def test_a_call_without_an_answer_is_not_forgotten(scene, monkeypatch):
    """An earlier run sent a promote that comes late: the rollback waits for it, and removes no voter."""
    monkeypatch.setattr(faulty, "THAWED_AFTER", 10.0)
    made = scene(3, (Trouble("promote", 1, "freezes its receiver"), *refused("promote", 9)[1:]), settle_timeout="60s")
    made.starts_at_once()
    join = await made.join()
    await in_a_new_run(made, join, after="promote")
    await join.cancel()
    assert (await join.result()).outcome == "promoted"
    assert made.etcd.thawed.is_set()
    assert made.applied == ["add", "promote"]


async def test_a_clock_goes_on_in_a_new_run(scene):
    """`join_timeout` is the time of the whole change, and a new run does not begin it again."""
    made = scene(3, (Trouble("promote", None, "is refused on the way"),), join_timeout="9s")
    made.starts_at_once()
    join = await made.join()
    error, end = await failure(join)
    assert (error, end.outcome, made.applied) == ("JoinTimeout", "rolled-back", ["add", "remove"])
    assert await runs_of(made.client, join) > 1
    assert 9 <= end.seconds["total"] < 14


async def test_held_and_resumed_in_a_later_run(scene):
    """A hold is a state of the change, whichever run it is in."""
    made = scene(3, refused("promote", 2))
    made.starts_at_once()
    join = await made.join()
    await in_a_new_run(made, join)
    await join.execute_update("hold", "a person")
    assert "a person" in await held(join)
    await join.execute_update("resume")
    assert ((await join.result()).outcome, made.applied) == ("promoted", ["add", "promote"])


async def test_a_removal_goes_on_in_new_runs(scene, tmp_path):
    """With one snapshot of the database, although each run begins again."""
    made = scene(4, refused("remove", 3), snapshot_before_removal=str(tmp_path / "{cluster}-{time}.db"))
    removal = await made.start(RemoveRequest(cluster=made.name, member="etcd-4"))
    end = await removal.result()
    assert (end.outcome, end.verified, end.attempts["remove"], made.applied) == ("removed", True, 4, ["remove"])
    assert await runs_of(made.client, removal) > 1
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("dead", "troubles", "applied"),
    [
        (False, refused("promote", 2), ["add", "promote", "remove"]),
        (False, refused("remove", 2), ["add", "promote", "remove"]),
        (True, refused("add_learner", 2), ["remove", "add", "promote"]),
        (True, refused("remove", 2), ["remove", "add", "promote"]),
    ],
    ids=["in the join", "in the removal after it", "in the join after the removal", "in the removal"],
)
async def test_a_replace_goes_on_in_new_runs(scene, dead, troubles, applied):
    """In either half, and in either order."""
    made = scene(3, troubles)
    made.starts_at_once()
    if dead:
        made.cluster.kill(made.member("etcd-3").id)
    replace = await made.replace()
    end = await replace.result()
    assert (end.outcome, end.verified, made.applied) == ("replaced", True, applied)
    assert await runs_of(made.client, replace) > 1


async def test_a_caller_that_waits_is_told_to_ask_again(scene):
    """It waits for the handover as long as that is possible, since its question ends with the run."""
    made = scene(3)
    made.starts_at_once()
    add, refusals = made.etcd.add_learner, iter([LearnerNotReady("not yet")] * 5)

    def refused_for_a_while(*order):
        if error := next(refusals, None):
            raise error
        return add(*order)

    made.etcd.add_learner = refused_for_a_while
    join = await made.join()
    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await join.execute_update("wait_until_added")
    assert failed.value.cause.type == "AskAgain"
    await in_a_new_run(made, join)
    assert (await join.execute_update("wait_until_added", result_type=Handover)).env()["ETCD_NAME"] == "etcd-9"
    assert (await join.result()).outcome == "promoted"


async def test_a_cancel_in_the_moment_of_a_new_run_is_not_lost(scene):
    """Each of these joins is cancelled at another moment of its runs, and each ends cancelled, without its learner."""
    scenes = [scene(3, (Trouble("promote", None, "is refused on the way"),)) for _ in range(8)]

    async def join_and_cancel(made: Scene, after: float) -> None:
        made.starts_at_once()
        join = await made.join()
        await asyncio.sleep(after)
        await join.cancel()
        await cancelled(join)
        assert made.applied in (["add", "remove"], [])

    await asyncio.gather(*(join_and_cancel(made, 1 + 0.3 * place) for place, made in enumerate(scenes)))


async def test_a_caller_hands_no_state_over(scene):
    """Only the run before may: for a caller it is an unknown field of the request."""
    made = scene(3)
    request = JoinRequest(cluster=made.name, name="etcd-9", peer_urls=(url("etcd-9"),))
    forged = {"request": request.model_dump(mode="json"), "so_far": {"was_checked": True}}
    join = await made.client.start_workflow(
        "JoinMember", forged, id=change_id(made.name, "join", "etcd-9"), task_queue="q"
    )
    with pytest.raises(WorkflowFailureError) as failed:
        await join.result()
    assert failed.value.cause.type == "InvalidRequest"
    assert made.applied == []


async def test_a_change_in_line_goes_on_in_new_runs():
    """The turns of its cluster never answer. It looks after them every hour, and gets its turn once they do."""
    options = [*LOW, *SKIPPING]
    environment = await WorkflowEnvironment.start_time_skipping_v2(
        dev_server_existing_path=temporal_cli(), dev_server_extra_args=options, data_converter=pydantic_data_converter
    )
    async with environment:
        client, clusters = environment.client, MemoryClusters("q")
        async with running(make_workers(client, clusters, "q", ["q"])):
            cluster = clusters.add("c", MemoryCluster(3), Policy())
            made = Scene(client, "q", "c", cluster, clusters.etcds["c"], clusters.policies)
            made.starts_at_once()
            squatter = await client.start_workflow("Squatter", id=turns_id("c"), task_queue="without a worker")
            join = await made.join()
            await in_a_new_run(made, join)
            await squatter.terminate()
            assert ((await join.result()).outcome, made.applied) == ("promoted", ["add", "promote"])
