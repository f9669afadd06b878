"""The receiver of `[notify]` hears how changes ended, and never holds one up."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import WorkflowFailureError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from local.processes import free_port
from messages.ids import change_id
from messages.notices import NOTIFY_TYPE, notice_id
from messages.queues import watches_queue
from messages.requests import RemoveRequest
from support.memory.scenes import Scene, cancelled, failure, held_join, until
from support.parts.inbox import Inbox, secret_file
from webhook.config import WebhookTable
from webhook.receiver import WebhookReceiver

EXAMPLE = Path(__file__).parents[2] / "deploy" / "provisioning" / "webhook" / "receive.py"


@pytest.fixture
def inbox():
    """A receiver that takes everything."""
    inbox = Inbox()
    yield inbox
    inbox.close()


@pytest.fixture
def notified(scene, memory, tmp_path):
    """Makes a cluster whose receiver listens at this URL."""

    def make(url: str, *args, **policy) -> Scene:
        made = scene(*args, **policy)
        table = WebhookTable(url=url, secret_file=secret_file(tmp_path))
        memory[0].receivers[made.name] = WebhookReceiver(table)
        return made

    return make


async def delivered(inbox, made, count=1):
    """The deliveries about a cluster, as soon as there are so many."""

    async def come():
        found = inbox.of(made.name)
        return found if len(found) >= count else []

    return await until(come, f"{count} messages")


async def test_a_success(notified, inbox):
    """Signed, with the outcome that the change's own caller gets."""
    made = notified(inbox.url)
    made.starts_at_once()
    join = await made.join()
    outcome = await join.result()
    [delivery] = await delivered(inbox, made)
    assert (delivery.genuine, delivery.id) == (True, f"msg_{outcome.run_id}")
    told = {"verb": "join", "succeeded": True, "error": ""}
    assert delivery.data == {**told, **outcome.model_dump(mode="json", exclude_none=True)}


async def test_a_refusal(notified, inbox):
    """Also of a change that had no turn."""
    made = notified(inbox.url, min_voters=3)
    error, outcome = await failure(await made.start(RemoveRequest(cluster=made.name, member="etcd-3")))
    [delivery] = await delivered(inbox, made)
    assert (delivery.data["outcome"], delivery.data["error"], delivery.data["succeeded"]) == ("refused", error, False)
    assert delivery.data["reason"] == outcome.reason


async def test_a_rollback_and_a_cancel(notified, inbox):
    """A cancelled change has no outcome in its history: its view has the figures."""
    made = notified(inbox.url, start_timeout="1s")
    assert (await failure(await made.join("etcd-8")))[0] == "StartTimeout"
    join = await held_join(made)
    await join.cancel(reason="enough")
    await cancelled(join)
    back, ended = await delivered(inbox, made, 2)
    assert (back.data["outcome"], back.data["error"]) == ("rolled-back", "StartTimeout")
    assert (ended.data["outcome"], ended.data["reason"]) == ("cancelled", "enough")
    assert ended.data["attempts"]["add"] == 1


async def test_a_receiver_that_refuses_holds_nothing_up(notified, inbox):
    """The change is closed and the next one has the turn, while the message is sent again, as the same message."""
    inbox.answers = 503
    made = notified(inbox.url)
    made.starts_at_once()
    join = await made.join()
    await join.result()
    removal = await made.start(RemoveRequest(cluster=made.name, member="etcd-3"))
    assert (await removal.result()).outcome == "removed"
    await delivered(inbox, made, 2)
    inbox.answers = 200
    done = await notice_of(made, join).result()
    assert done["receiver"] == f"http://127.0.0.1:{inbox.port}"
    sent = [each for each in inbox.of(made.name) if each.data["verb"] == "join"]
    assert len(sent) > 1
    assert len({(each.id, each.body) for each in sent}) == 1


def notice_of(made, change):
    return made.client.get_workflow_handle(notice_id(made.name, change.result_run_id or change.first_execution_run_id))


async def test_a_receiver_that_comes_later(notified):
    """Its port was closed when the change ended."""
    port = free_port()
    made = notified(f"http://127.0.0.1:{port}/")
    made.starts_at_once()
    join = await made.join()
    await join.result()
    notice = notice_of(made, join)

    async def failed_once():
        pending = (await notice.describe()).raw_description.pending_activities
        return pending and pending[0].last_failure.message

    assert await until(failed_once, "the first attempt") == (
        f"http://127.0.0.1:{port} did not take it: Connection refused"
    )
    inbox = Inbox(port)
    assert (await delivered(inbox, made))[0].genuine
    inbox.close()


async def test_a_receiver_that_wants_no_more(notified, inbox):
    """410 is a final answer, and no fault of the change. A reset sends the message again."""
    inbox.answers = 410
    made = notified(inbox.url)
    made.starts_at_once()
    join = await made.join()
    assert (await join.result()).outcome == "promoted"
    notice = notice_of(made, join)
    assert await why(notice) == "NotWanted"
    assert len(inbox.of(made.name)) == 1
    inbox.answers = 200
    ended = await notice.describe()
    execution = WorkflowExecution(workflow_id=ended.id, run_id=ended.run_id)
    reset = {"namespace": made.client.namespace, "workflow_execution": execution, "request_id": str(uuid4())}
    await made.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(**reset, workflow_task_finish_event_id=4)
    )
    first, second = await delivered(inbox, made, 2)
    assert first.id == second.id


async def test_without_a_receiver(scene):
    """No workflow is started, so the histories of changes stay as they are."""
    made = scene()
    made.starts_at_once()
    join = await made.join()
    await join.result()
    kinds = {event.event_type for event in (await join.fetch_history()).events}
    assert not kinds & {29, 30, 31}, "a child workflow"


def example_of_a_receiver(secrets: Path, port: int) -> subprocess.Popen[str]:
    command = [sys.executable, EXAMPLE, secrets, str(port)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def post(url: str, headers: dict[str, str]) -> int:
    request = Request(url, b'{"data": {}}', {"Content-Type": "application/json", **headers})
    with pytest.raises(HTTPError) as refused:
        urlopen(request, timeout=10)
    refused.value.close()
    return refused.value.code


async def test_the_example_of_a_receiver(notified, tmp_path):
    """It prints the outcome once, and refuses a message that has no signature or somebody else's."""
    port = free_port()
    with example_of_a_receiver(secret_file(tmp_path), port) as example:
        made = notified(f"http://127.0.0.1:{port}/")
        made.starts_at_once()
        await (await made.join()).result()
        said = await asyncio.to_thread(example.stdout.readline)
        forged = {"webhook-id": "msg_2", "webhook-timestamp": str(int(time.time())), "webhook-signature": "v1,Zm9yZ2Vk"}
        refused = [post(f"http://127.0.0.1:{port}/", headers) for headers in ({}, forged)]
        example.terminate()
        assert example.stdout.read() == ""
    assert said.split() == [made.name, "join", "etcd-9", "promoted"]
    assert refused == [401, 401]


# ---- strangers ----


@workflow.defn(name="JoinMember", sandboxed=False)
class Forged:
    """A stranger's own code under a change's name: it has its lie told by our workers, and asks them directly."""

    @workflow.run
    async def run(self, order: dict[str, str]) -> dict[str, str]:
        if order["way"] == "child":
            await workflow.execute_child_workflow(NOTIFY_TYPE, id=f"x-{uuid4()}", task_queue=order["queue"])
        elif order["way"] == "abandoned":
            child = await workflow.start_child_workflow(
                NOTIFY_TYPE,
                id=order["notice"],
                task_queue=order["queue"],
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            )
            assert child.id
        return {
            "cluster": order["cluster"],
            "member": "etcd-9",
            "outcome": "promoted",
            "workflow_id": "x",
            "run_id": "y",
        }


async def why(handle):
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    return failed.value.cause.type


async def test_started_by_a_caller(notified, inbox, temporal, memory):
    """Nothing is sent: the workflow has no argument, and no change is its parent."""
    made = notified(inbox.url)
    for argument in ([], [{"cluster": made.name, "outcome": "promoted"}]):
        started = await temporal.start_workflow(
            NOTIFY_TYPE, args=argument, id=notice_id(made.name, str(uuid4())), task_queue=memory[1]
        )
        assert await why(started) == "NotTrusted"
    assert not inbox.of(made.name)


async def test_a_forged_change(notified, inbox, temporal, memory):
    """A change that another worker's code made up is not a change that these workers ran."""
    made = notified(inbox.url)
    own = f"stranger-{uuid4()}"
    notice = f"notice-{uuid4()}"
    order = {"way": "abandoned", "queue": memory[1], "cluster": made.name, "notice": notice}
    async with Worker(temporal, task_queue=own, workflows=[Forged], workflow_runner=UnsandboxedWorkflowRunner()):
        forged = await temporal.start_workflow(
            "JoinMember", order, id=change_id(made.name, "join", "etcd-9"), task_queue=own
        )
        await forged.result()
        assert await why(temporal.get_workflow_handle(notice)) == "NotTrusted"
    assert not inbox.of(made.name)


@workflow.defn(name=NOTIFY_TYPE, sandboxed=False)
class ForgedNotice:
    """A stranger's workflow that asks our workers for the message itself."""

    @workflow.run
    async def run(self, queue: str) -> None:
        await workflow.execute_activity(
            "send_end", None, task_queue=queue, schedule_to_close_timeout=timedelta(seconds=20)
        )


async def test_a_forged_order(notified, inbox, temporal, memory):
    """The activity asks Temporal which change started its workflow, and believes no payload."""
    made = notified(inbox.url)
    own = f"stranger-{uuid4()}"
    async with Worker(temporal, task_queue=own, workflows=[ForgedNotice], workflow_runner=UnsandboxedWorkflowRunner()):
        asked = await temporal.start_workflow(
            NOTIFY_TYPE, watches_queue(memory[1]), id=notice_id(made.name, str(uuid4())), task_queue=own
        )
        with pytest.raises(WorkflowFailureError) as failed:
            await asked.result()
    assert failed.value.cause.cause.type == "NotTrusted"
    assert not inbox.of(made.name)
