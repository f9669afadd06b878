"""The error of an activity that failed or was lost: as a reason to stop, and with the last facts that it told."""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutType
from temporalio.exceptions import TimeoutError as TemporalTimeout

with workflow.unsafe.imports_passed_through():
    from membership.failures import Failure
    from membership.model import SyncProgress
    from messages.orders import GOES_ON
    from workflows.stop import Stop, StopKind


def stop_of(error: ActivityError, kind: StopKind) -> Stop:
    """The failed activity as a reason to stop, by the named error at the bottom of its causes."""
    cause: BaseException = error
    while cause.__cause__ is not None and not (isinstance(cause, ApplicationError) and cause.type):
        cause = cause.__cause__
    if isinstance(cause, TemporalTimeout) and cause.type is TimeoutType.SCHEDULE_TO_START:
        hint = "start a worker for this cluster's task queue: `memberflow worker --serve QUEUE`"
        return Stop(kind, Failure.NO_WORKER, "no worker took the work in time", hint)
    if isinstance(cause, ApplicationError):
        hint = str(cause.details[0]) if cause.details else ""
        return Stop(kind, cause.type or Failure.ACTIVITY_FAILED, cause.message, hint)
    return Stop(kind, type(cause).__name__, str(cause))


def why_unanswered(error: ActivityError) -> ApplicationError:
    """The end of a question whose activity failed. Its caller reads the name, the reason and the hint."""
    stop = stop_of(error, "failed")
    return ApplicationError(stop.reason, stop.hint, type=stop.error, non_retryable=True)


def so_far_of(error: ActivityError) -> SyncProgress:
    """How far a wait was when it had become long. Raises the error again where that is not its cause."""
    cause = error.cause
    if not isinstance(cause, ApplicationError) or cause.type != GOES_ON:
        raise error
    return SyncProgress(**cause.details[0])


def last_told_receiver(error: ActivityError) -> str:
    """The member that a lost act was about to send its call to, by its last heartbeat, empty without one."""
    told = error.cause.last_heartbeat_details if isinstance(error.cause, TemporalTimeout) else ()
    return str(told[1]) if len(told) == 2 else ""
