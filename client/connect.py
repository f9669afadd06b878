"""The connection to Temporal, and the workers that poll there."""

from __future__ import annotations

import asyncio
import getpass
import os
import re
import socket
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.runtime import Runtime
from temporalio.service import RPCError

from client.command_errors import START_A_SERVER, brief, is_not_allowed, not_allowed
from client.encryption import data_converter
from client.exit_codes import OUT_OF_REACH, CommandError
from client.payload_keys import read_keys
from client.traces import interceptors
from settings import Settings, quiet_runtime

# Seconds.
CONNECT_DEADLINE = 8.0
WORKFLOW_TASKS = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
ACTIVITY_TASKS = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
# A worker's poll lasts a minute at most. A worker that has not polled for longer is gone.
_POLLED_WITHIN = timedelta(seconds=75)


def caller() -> str:
    """`user@host` of this process, for the audit trail. In a container the user may be a number."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


async def connect(settings: Settings, runtime: Runtime | None = None) -> Client:
    """
    Connects to Temporal within seconds. Without `runtime` it has a runtime without metrics.

    Raises CommandError: with OUT_OF_REACH when the server does not answer, with USAGE when it refuses the caller.
    Raises InvalidConfiguration for a file that is no key for payloads.
    """
    runtime = runtime or quiet_runtime()
    options = {"identity": f"memberflow {caller()} {os.getpid()}", **settings.temporal}
    converter = data_converter(read_keys(settings.payload_keys))
    try:
        async with asyncio.timeout(CONNECT_DEADLINE):
            tracing = interceptors(settings)
            return await Client.connect(**options, data_converter=converter, runtime=runtime, interceptors=tracing)
    except (RuntimeError, TimeoutError, RPCError) as error:
        if is_not_allowed(error):
            raise not_allowed(error) from error
        why = plain_reason(str(error)) or f"no answer within {CONNECT_DEADLINE:.0f} s"
        message = f"Temporal at {settings.address} is out of reach: {why}"
        raise CommandError(OUT_OF_REACH, message, START_A_SERVER) from error


def plain_reason(text: str) -> str:
    """The operating system's own words, taken out of the SDK's dump of its types."""
    found = re.search(r'message: "([^"]+)"', text)
    return found[1] if found else text


async def polled_lately(client: Client, task_queue: str, kind: TaskQueueType.ValueType = WORKFLOW_TASKS) -> list[str]:
    """The identities of the workers that have polled the queue for this kind of task lately."""
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace, task_queue=TaskQueue(name=task_queue), task_queue_type=kind
        )
    )
    oldest = datetime.now(UTC) - _POLLED_WITHIN
    return [p.identity for p in answer.pollers if p.last_access_time.ToDatetime(UTC) > oldest]


async def workflow_pollers(client: Client, task_queue: str) -> list[str]:
    """The identities of the workers that poll for workflows. Waits a second for a worker that has just started."""
    for pause in (0.3, 0.7):
        if pollers := await polled_lately(client, task_queue):
            return pollers
        await asyncio.sleep(pause)
    return await polled_lately(client, task_queue)


async def require_worker(client: Client, settings: Settings, hint: str = "") -> str:
    """
    Raises CommandError with OUT_OF_REACH when no worker polls the task queue. `hint` is added to the advice.

    Returns why this could not be checked. Empty when it was checked. A caller without the right to ask goes on all the
    same.
    """
    try:
        if await workflow_pollers(client, settings.task_queue):
            return ""
    except RPCError as error:
        if is_not_allowed(error):
            return f"cannot check whether a worker polls {settings.task_queue!r}: {brief(error)}"
        raise
    raise CommandError(
        OUT_OF_REACH,
        f"no worker polls the task queue {settings.task_queue!r} in namespace {settings.namespace!r}",
        "; ".join(part for part in ("start one with `memberflow worker`", hint) if part),
    )
