"""What runs in Temporal, asked by this process: one more process for each question would load the machine."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import Coroutine
from functools import cached_property
from threading import Thread
from typing import Any, TypeVar

from google.protobuf.json_format import MessageToDict
from temporalio.client import Client, WorkflowHandle, WorkflowHistory, WorkflowQueryFailedError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError, RPCStatusCode

from settings import quiet_runtime
from support.parts.command import eventually

Answer = TypeVar("Answer")

RUNNING = "WORKFLOW_EXECUTION_STATUS_RUNNING"


class Executions:
    """The workflows of one server. Tests run in the thread of pytest's own loop, so this has another; calls block."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._loop = asyncio.new_event_loop()
        Thread(target=self._loop.run_forever, daemon=True).start()

    def view(self, workflow_id: str) -> dict[str, Any]:
        """The answer to a change's `progress` query; the server takes one at a time, and others ask too."""

        def answer() -> dict[str, Any] | None:
            try:
                return self._do(self._handle(workflow_id).query("progress"))
            except RPCError as refused:
                if refused.status is RPCStatusCode.RESOURCE_EXHAUSTED:
                    return None
                raise

        return eventually(answer, "the server to take a query")

    def glimpse(self, workflow_id: str, field: str) -> str:
        """One field of `view`; empty when the change doesn't run yet."""
        try:
            return str(self.view(workflow_id)[field])
        except (RPCError, WorkflowQueryFailedError):
            return ""

    def describe(self, workflow_id: str) -> dict[str, Any]:
        return MessageToDict(self._do(self._handle(workflow_id).describe()).raw_description)

    def pending(self, workflow_id: str) -> list[dict[str, Any]]:
        """The activities that are under way."""
        return self.describe(workflow_id).get("pendingActivities", [])

    def heartbeat(self, workflow_id: str) -> str:
        """What the pending activities tell, as text; empty when the change doesn't run yet."""
        try:
            described = self._do(self._handle(workflow_id).describe()).raw_description
        except RPCError:
            return ""
        told = (payload.data for a in described.pending_activities for payload in a.heartbeat_details.payloads)
        return "\n".join(data.decode() for data in told)

    def history(self, workflow_id: str) -> list[dict[str, Any]]:
        """The events, as Temporal's JSON has them."""
        history: WorkflowHistory = self._do(self._handle(workflow_id).fetch_history())
        return history.to_json_dict()["events"]

    def clock_ended(self, workflow_id: str, error: str) -> bool:
        """Whether the clock whose end is this error has run out: its timer bears the name."""
        shown = self.history(workflow_id)
        fired = {e["timerFiredEventAttributes"]["timerId"] for e in shown if "timerFiredEventAttributes" in e}
        return any(
            started["timerId"] in fired and error == json.loads(b64decode(event["userMetadata"]["summary"]["data"]))
            for event in shown
            if (started := event.get("timerStartedEventAttributes"))
        )

    def running(self, cluster: str) -> list[str]:
        """The changes of a cluster that run; the list lags behind, so each is asked."""
        query = f"ExecutionStatus = 'Running' AND EtcdCluster = '{cluster}'"

        client = self._client

        async def listed() -> list[str]:
            return [execution.id async for execution in client.list_workflows(query)]

        return [i for i in self._do(listed()) if self.describe(i)["workflowExecutionInfo"]["status"] == RUNNING]

    def terminate(self, workflow_id: str) -> None:
        self._do(self._handle(workflow_id).terminate(reason="a test"))

    def _handle(self, workflow_id: str) -> WorkflowHandle[Any, Any]:
        return self._client.get_workflow_handle(workflow_id)

    @cached_property
    def _client(self) -> Client:
        connect = Client.connect(self._address, data_converter=pydantic_data_converter, runtime=quiet_runtime())
        return self._do(connect)

    def _do(self, coroutine: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)
