"""The command line's connection to Temporal."""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError

from console.faults import START_A_SERVER, is_not_allowed, not_allowed
from console.output import OUT_OF_REACH, Leave
from settings import Settings, quiet_runtime

CONNECT_DEADLINE = 8.0
WORKFLOW_TASKS = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
ACTIVITY_TASKS = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
# A worker's poll lasts a minute at most; one that has not polled for longer is gone.
_POLLED_WITHIN = timedelta(seconds=75)


def caller() -> str:
    """Who asks, for the audit trail; in a container perhaps a number."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


async def connect(settings: Settings) -> Client:
    """
    A client of Temporal.

    Raises Leave, within seconds: with OUT_OF_REACH when the server doesn't answer, with USAGE when it lets nobody in.
    """
    options = {"identity": f"memberflow {caller()} {os.getpid()}", **settings.temporal}
    try:
        async with asyncio.timeout(CONNECT_DEADLINE):
            return await Client.connect(**options, data_converter=pydantic_data_converter, runtime=quiet_runtime())
    except (RuntimeError, TimeoutError, RPCError) as error:
        if is_not_allowed(error):
            raise not_allowed(error) from error
        why = str(error) or f"no answer within {CONNECT_DEADLINE:.0f} s"
        told = f"Temporal at {settings.address} is out of reach: {why}"
        raise Leave(OUT_OF_REACH, told, START_A_SERVER) from error


async def polled_lately(client: Client, task_queue: str, kind: TaskQueueType.ValueType = WORKFLOW_TASKS) -> list[str]:
    """The identities of the workers that have polled the queue for this kind of task within the last poll's time."""
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace, task_queue=TaskQueue(name=task_queue), task_queue_type=kind
        )
    )
    oldest = datetime.now(UTC) - _POLLED_WITHIN
    return [p.identity for p in answer.pollers if p.last_access_time.ToDatetime(UTC) > oldest]


async def workflow_pollers(client: Client, task_queue: str) -> list[str]:
    """The identities of the workers that poll for workflows; one that has just been started is waited for."""
    for pause in (0.3, 0.7):
        if pollers := await polled_lately(client, task_queue):
            return pollers
        await asyncio.sleep(pause)
    return await polled_lately(client, task_queue)


async def require_worker(client: Client, settings: Settings) -> None:
    """Raises Leave with OUT_OF_REACH when no worker polls the task queue: nothing would ever happen."""
    if await workflow_pollers(client, settings.task_queue):
        return
    raise Leave(
        OUT_OF_REACH,
        f"no worker polls the task queue {settings.task_queue!r} in namespace {settings.namespace!r}",
        "start one with `memberflow worker`; nothing was started",
    )
