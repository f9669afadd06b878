"""
One trace for each change: its start, its workflow, its activities.

The trace context crosses Temporal in the header `_tracer-data`. A change keeps it in its history, so the trace goes on
at another worker.
"""

from __future__ import annotations

from typing import Any

from temporalio.client import OutboundInterceptor, StartWorkflowInput, WorkflowHandle
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput


class ChangeTraces(TracingInterceptor):
    """Temporal's own interceptor, without the traces of single questions, of `ClusterTurns` and of its watches."""

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
