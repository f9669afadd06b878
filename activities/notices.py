"""Tells the receiver of a cluster how a change ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from temporalio import activity
from temporalio.client import Client, WorkflowExecutionDescription
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError, RPCStatusCode

from activities.callers import NotTrusted
from activities.clusters_file import Clusters
from activities.counters import count_notice
from activities.early_ends import moves_on_at_shutdown, named_failures
from activities.heartbeat import beating_while
from activities.taking_turns import until_closed
from activities.temporal import Temporal
from messages.ids import WORKFLOW_TYPES, change_in
from messages.notices import Message, NotDelivered, Notified, NotWanted, Receiver
from messages.queues import served_queue

#: Reads the end of a closed change from Temporal, as the content of a message.
ReadEnd = Callable[[Client, WorkflowExecutionDescription], Awaitable[dict[str, Any]]]

# Receivers that are silent at the same time. Others wait, and nothing but notices waits with them.
_THREADS = 32


class Notices:
    """Sends messages. Its only payload is ignored: Temporal itself says which change started the workflow."""

    def __init__(self, clusters: Clusters, temporal: Temporal, read_end: ReadEnd) -> None:
        self._clusters = clusters
        self._client = temporal.client
        self._read_end = read_end
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="notice")

    @activity.defn
    async def send_end(self, _: None = None) -> Notified:
        """
        Waits until the change has closed, reads its end, and sends that to the receiver in this worker's clusters file.

        Raises NotTrusted unless a change of this service started the workflow of this activity.
        """
        with named_failures(final=(NotTrusted, NotWanted)):
            async with moves_on_at_shutdown():
                return await beating_while(self._send_end())

    async def _send_end(self) -> Notified:
        change, cluster = await self._change()
        await until_closed(self._client.get_workflow_handle(change.id, run_id=change.run_id))
        receiver = await self._in_thread(lambda: self._clusters.receiver(cluster))
        if receiver is None:
            return Notified()
        closed = await self._describe(change.id, change.run_id)
        message = Message(f"msg_{change.run_id}", await self._read_end(self._client, closed))
        await self._send(cluster, receiver, message)
        return Notified(message.id, receiver.origin)

    async def _send(self, cluster: str, receiver: Receiver, message: Message) -> None:
        try:
            await self._in_thread(lambda: receiver.send(message))
        except NotWanted as error:
            count_notice(cluster, error.name)
            raise
        except NotDelivered as error:
            count_notice(cluster, error.name)
            activity.logger.warning("not delivered, and sent again: %s", error)
            # Benign, because a line in the log is enough: the SDK would log a traceback for each attempt of a day.
            benign = ApplicationErrorCategory.BENIGN
            raise ApplicationError(str(error), error.hint, type=error.name, category=benign) from None
        count_notice(cluster, "delivered")

    async def _in_thread(self, blocks: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, blocks)

    async def _change(self) -> tuple[WorkflowExecutionDescription, str]:
        """The change that started the workflow of this activity, by Temporal's own word, and its cluster."""
        info = activity.info()
        own = await self._describe(info.workflow_id or "", info.workflow_run_id or "")
        if not (own.parent_id and own.parent_run_id):
            raise NotTrusted(f"no change started {own.id}")
        change = await self._describe(own.parent_id, own.parent_run_id)
        cluster, verb = change_in(change.id)
        is_change = bool(verb) and change.workflow_type == WORKFLOW_TYPES[verb]
        # A caller with a worker of its own can run any code under a change's name, on a queue of its own.
        if not is_change or change.task_queue != served_queue(info.task_queue):
            raise NotTrusted(f"{change.id} is not a change that these workers ran")
        return change, cluster

    async def _describe(self, workflow_id: str, run_id: str) -> WorkflowExecutionDescription:
        try:
            return await self._client.get_workflow_handle(workflow_id, run_id=run_id).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise NotTrusted(f"Temporal does not have this run of {workflow_id}, or no longer") from None
            raise
