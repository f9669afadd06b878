"""The course of a change, in words, from its history in Temporal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from client.change_request import Handle
from client.ended import with_name

# These send a call to etcd, and report its effect.
_ACTS = ("add_learner", "promote_learner", "remove_learner", "remove_member", "move_leader")


@dataclass(frozen=True)
class Event:
    """One thing that happened in a change."""

    #: Local time, ISO 8601.
    at: str
    #: Seconds since the change began.
    seconds: float
    text: str
    #: The result, or the error. Empty: there is nothing to add.
    result: str = ""


async def read_events(client: Client, handle: Handle) -> list[Event]:
    """
    The events of the change, in order, from all its runs that Temporal keeps.

    Temporal's own bookkeeping is left out: workflow tasks, search attributes, and timers that did not ring. Raises
    RPCError when Temporal does not answer or has forgotten the last run.
    """
    runs = [[event async for event in handle.fetch_history_events()]]
    with suppress(RPCError):
        while before := _run_before(runs[0]):
            run = client.get_workflow_handle(handle.id, run_id=before)
            runs.insert(0, [event async for event in run.fetch_history_events()])
    begin = runs[0][0].event_time.ToDatetime(UTC).timestamp()
    told = [_Telling(client, begin).events(run) for run in runs]
    return [event for events in told async for event in events]


def _run_before(history: Sequence[HistoryEvent]) -> str:
    """The ID of the run that went on in this run. Empty for the first run."""
    return history[0].workflow_execution_started_event_attributes.continued_execution_run_id


class _Telling:
    """Turns the events of one history into words. An activity or timer is told by its end, with its start's summary."""

    def __init__(self, client: Client, begin: float) -> None:
        self._client = client
        # By the ID of the event that started it: the summary and the type of an activity, the summary of a timer.
        self._started: dict[int, tuple[str, str]] = {}
        # Seconds since the epoch at which the change began.
        self._begin = begin

    async def events(self, history: Sequence[HistoryEvent]) -> AsyncIterator[Event]:
        for event in history:
            time = event.event_time.ToDatetime(UTC)
            if told := await self._tell(event):
                at = time.astimezone().isoformat(timespec="milliseconds")
                yield Event(at, round(time.timestamp() - self._begin, 3), *told)

    async def _tell(self, event: HistoryEvent) -> tuple[str, str] | None:
        """The event and its result in words. None for bookkeeping."""
        return await self._activity_or_timer(event) or await self._request(event) or await self._course(event)

    async def _activity_or_timer(self, event: HistoryEvent) -> tuple[str, str] | None:
        match event.event_type:
            case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                activity = event.activity_task_scheduled_event_attributes.activity_type.name
                self._started[event.event_id] = (await self._summary(event, activity), activity)
            case EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                completed = event.activity_task_completed_event_attributes
                summary, activity = self._started.pop(completed.scheduled_event_id)
                return summary, await self._effect(activity, completed.result.payloads)
            case EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED:
                failed = event.activity_task_failed_event_attributes
                return self._started.pop(failed.scheduled_event_id)[0], await self._failure(failed.failure)
            case EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
                late = event.activity_task_timed_out_event_attributes
                return self._started.pop(late.scheduled_event_id)[0], "no answer: the worker was lost, or was too slow"
            case EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED:
                stopped = event.activity_task_canceled_event_attributes
                return self._started.pop(stopped.scheduled_event_id)[0], "stopped"
            case EventType.EVENT_TYPE_TIMER_STARTED:
                self._started[event.event_id] = (await self._summary(event, "a timer"), "")
            case EventType.EVENT_TYPE_TIMER_FIRED:
                return self._started.pop(event.timer_fired_event_attributes.started_event_id)[0], "the time has passed"
        return None

    async def _request(self, event: HistoryEvent) -> tuple[str, str] | None:
        """Something that others asked of the change."""
        match event.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
                return _SIGNALS.get(event.workflow_execution_signaled_event_attributes.signal_name)
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
                asked = event.workflow_execution_update_accepted_event_attributes.accepted_request.input
                by = await self._value(asked.args.payloads)
                return f"asked to {asked.name.replace('_', ' ')}", f"by {by}" if by else ""
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
                return "asked to cancel", event.workflow_execution_cancel_requested_event_attributes.identity
        return None

    async def _course(self, event: HistoryEvent) -> tuple[str, str] | None:
        """The begin and the end of the change, and a worker that cannot go on."""
        match event.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
                begun = event.workflow_execution_started_event_attributes
                goes_on = bool(begun.continued_execution_run_id)
                return ("the change goes on in a new run", "") if goes_on else ("the change began", begun.identity)
            case EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                error = event.workflow_task_failed_event_attributes.failure
                return "a worker could not run the change, and tries again", await self._failure(error)
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
                outcome = await self._value(event.workflow_execution_completed_event_attributes.result.payloads)
                return "the change ended", str(outcome.get("outcome", "")) if isinstance(outcome, dict) else ""
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
                error = event.workflow_execution_failed_event_attributes.failure
                return "the change failed", await self._failure(error)
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
                return "the change ended", "cancelled"
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
                return "the change was terminated", event.workflow_execution_terminated_event_attributes.reason
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
                return "the change ended", "Temporal's time-out"
        return None

    async def _summary(self, event: HistoryEvent, otherwise: str) -> str:
        """The summary without the member's name in front, which is the same in every event of a change."""
        if not event.user_metadata.HasField("summary"):
            return otherwise
        summary = str(await self._value([event.user_metadata.summary]))
        return summary.partition(": ")[2] or summary

    async def _effect(self, activity: str, result: Sequence[Payload]) -> str:
        if activity not in _ACTS:
            return ""
        report = await self._value(result)
        if not report.get("sent"):
            return f"nothing was sent: {report.get('reason')}"
        answer = "its answer was lost" if report.get("answer_lost") else report.get("error") or "answered"
        effect = {"yes": "applied", "no": "not applied"}.get(report.get("applied"), "its effect is not known yet")
        return f"sent once to member {report.get('sent_to')}: {answer}, {effect}"

    async def _failure(self, failure: Failure) -> str:
        """The innermost failure, after its name. The next lines of its message are advice for Temporal's UI."""
        error: BaseException = await self._client.data_converter.decode_failure(failure)
        while error.__cause__:
            error = error.__cause__
        kind = error.type or "" if isinstance(error, ApplicationError) else ""
        return with_name(kind, getattr(error, "message", str(error)).partition("\n")[0])

    async def _value(self, payloads: Sequence[Payload]) -> Any:
        """The first payload. None when there is none."""
        return (await self._client.data_converter.decode(payloads))[0] if payloads else None


_SIGNALS = {
    "turn_granted": ("got the turn", ""),
}
