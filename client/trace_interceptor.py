"""
One trace for each change: its start, its workflow, its activities.

The trace context crosses Temporal in the header `_tracer-data`. A change keeps it in its history, so the trace goes on
at another worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry.trace import Tracer
from temporalio.api.common.v1 import Payload
from temporalio.client import OutboundInterceptor, StartWorkflowInput, WorkflowHandle
from temporalio.contrib.opentelemetry import TracingInterceptor, TracingWorkflowInboundInterceptor
from temporalio.converter import PayloadConverter
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)


class ChangeTraces(TracingInterceptor):
    """Temporal's own interceptor, without the traces of single questions, of `ClusterTurns` and of its watches."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__(tracer)
        self.payload_converter = _Carriers()

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[TracingWorkflowInboundInterceptor]:
        super().workflow_interceptor_class(input)
        return _TracedWorkflow

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        return _Starts(next, super().intercept_client(next))

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Traced(next, super().intercept_activity(next), self.header_key)


class _Starts(OutboundInterceptor):
    """A trace begins with the start of a workflow. Queries would make a trace each."""

    def __init__(self, next: OutboundInterceptor, traced: OutboundInterceptor) -> None:
        super().__init__(next)
        self._traced = traced

    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
        # ClusterTurns is started by a signal. It serves many changes, and belongs to no trace.
        interceptor = self.next if input.start_signal else self._traced
        return await interceptor.start_workflow(input)


class _Traced(ActivityInboundInterceptor):
    """An activity has spans where its workflow has a trace."""

    def __init__(self, next: ActivityInboundInterceptor, traced: ActivityInboundInterceptor, header: str) -> None:
        super().__init__(next)
        self._traced = traced
        self._header = header

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        interceptor = self._traced if self._header in input.headers else self.next
        return await interceptor.execute_activity(input)


class _TracedWorkflow(TracingWorkflowInboundInterceptor):
    """A workflow has spans, whatever a caller wrote into the header."""

    def __init__(self, next: WorkflowInboundInterceptor) -> None:
        super().__init__(next)
        self.payload_converter = _Carriers()


class _Carriers(PayloadConverter):
    """
    Reads and writes the trace context of a header. A context that cannot be read is none.

    Every writer of the namespace chooses the headers of its signals. An error here would stop the workflow's tasks.
    """

    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        return self.default.to_payloads(values)

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        return [self._carrier(payload) for payload in payloads]

    def _carrier(self, payload: Payload) -> dict[str, str]:
        try:
            carrier = self.default.from_payloads([payload])[0]
        except Exception:  # noqa: BLE001  (whatever a converter raises for a payload that it can't read)
            return {}
        told = carrier.items() if isinstance(carrier, dict) else ()
        return {key: value for key, value in told if isinstance(key, str) and isinstance(value, str)}
