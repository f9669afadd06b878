"""What the pending activities of a change tell: live figures, and work that nobody takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pydantic import TypeAdapter, ValidationError
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client, WorkflowExecutionDescription

from console.temporal import ACTIVITY_TASKS, polled_lately
from membership.model import SyncProgress

# A worker takes what is there at once.
_TAKEN_WITHIN = timedelta(seconds=5)

# They have no figures, and are tried again until they succeed.
_LOOKS = ("check_status", "check_after_barrier", "look_beforehand")

_PROGRESS = TypeAdapter(SyncProgress)


async def heartbeat(client: Client, description: WorkflowExecutionDescription) -> tuple[SyncProgress | None, str]:
    """The live figures of the pending wait, and what it waits for; else why what is pending is tried again."""
    for pending in description.raw_description.pending_activities:
        payloads = pending.heartbeat_details.payloads
        details = await client.data_converter.decode(payloads) if payloads else []
        if details and isinstance(details[0], str):
            return None, details[0]
        try:
            if details and details[0]:
                progress = _PROGRESS.validate_python(details[0])
                return progress, progress.reason
        except ValidationError:
            continue
    looks = [p for p in description.raw_description.pending_activities if p.activity_type.name.startswith(_LOOKS)]
    return None, next((f"a look fails: {p.last_failure.message}" for p in looks if p.last_failure.message), "")


async def untaken(client: Client, description: WorkflowExecutionDescription) -> str:
    """Which task queue's work nobody has taken for a while; empty when all of it has been."""
    for pending in description.raw_description.pending_activities:
        waited = datetime.now(UTC) - _due(pending)
        if pending.state != PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED or waited < _TAKEN_WITHIN:
            continue
        queue = pending.activity_options.task_queue.name
        if not queue:
            return "no worker takes the activities of this cluster; is one running with --serve for its task queue?"
        if await polled_lately(client, queue, ACTIVITY_TASKS):
            return f"no worker has taken {pending.activity_type.name} from the task queue {queue!r} yet"
        return f"no worker polls the task queue {queue!r} of this cluster: `memberflow worker --serve {queue}`"
    return ""


def _due(pending: PendingActivityInfo) -> datetime:
    """Since when a worker could take it; between two attempts that is still to come."""
    return max(at.ToDatetime(UTC) for at in (pending.scheduled_time, pending.next_attempt_schedule_time))
