"""Reads the pending activities of a change: live figures, and work that no worker takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pydantic import TypeAdapter, ValidationError
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client, WorkflowExecutionDescription
from temporalio.service import RPCError

from client.command_errors import is_not_allowed
from client.connect import ACTIVITY_TASKS, polled_lately
from membership.model import SyncProgress
from messages.queues import served_queue

# A worker takes an activity at once. After this long it is overdue.
_TAKEN_WITHIN = timedelta(seconds=5)

# Looks have no figures, and are repeated until they succeed.
_LOOKS = ("check_status", "check_after_barrier", "look_beforehand")

_PROGRESS = TypeAdapter(SyncProgress)


async def heartbeat(client: Client, description: WorkflowExecutionDescription) -> tuple[SyncProgress | None, str]:
    """The live figures and the reason of the pending wait. Otherwise the error that makes a look repeat."""
    pending_activities = description.raw_description.pending_activities
    for pending in pending_activities:
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
    looks = [p for p in pending_activities if p.activity_type.name.startswith(_LOOKS)]
    return None, next((f"a look fails: {p.last_failure.message}" for p in looks if p.last_failure.message), "")


def overdue(description: WorkflowExecutionDescription) -> PendingActivityInfo | None:
    """A pending activity that no worker has taken for some seconds."""
    for pending in description.raw_description.pending_activities:
        waited = datetime.now(UTC) - _due(pending)
        if pending.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED and waited >= _TAKEN_WITHIN:
            return pending
    return None


async def why_untaken(client: Client, pending: PendingActivityInfo) -> str:
    """Why no worker has taken the activity, with its task queue."""
    queue = pending.activity_options.task_queue.name
    if not queue:
        return "no worker takes the activities of this cluster: is one running with --serve for its task queue?"
    untaken = f"no worker has taken {pending.activity_type.name} from the task queue {queue!r} yet"
    try:
        if await polled_lately(client, queue, ACTIVITY_TASKS):
            return untaken
    except RPCError as error:
        if is_not_allowed(error):
            return untaken
        raise
    command = f"memberflow worker --serve {served_queue(queue)}"
    return f"no worker polls the task queue {queue!r} of this cluster: `{command}`"


def _due(pending: PendingActivityInfo) -> datetime:
    """The time from which a worker can take it. Between two attempts this is in the future."""
    return max(at.ToDatetime(UTC) for at in (pending.scheduled_time, pending.next_attempt_schedule_time))
