"""Why a change does not go on."""

from __future__ import annotations

from typing import Literal

from temporalio.exceptions import ActivityError, ApplicationError, TimeoutType
from temporalio.exceptions import TimeoutError as TemporalTimeout

from membership.failures import Failure

StopKind = Literal["refused", "clock", "failed", "cancelled"]


class Stop(Exception):
    """A change stops: a verdict refused it, a clock ran out, it failed otherwise, or it was cancelled."""

    def __init__(self, kind: StopKind, error: str, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        #: A "clock" may be answered by holding the change instead of rolling it back.
        self.kind = kind
        #: The type under which the workflow fails.
        self.error = error
        #: For a person, like `hint`: the cause, and the next thing to do.
        self.reason = reason
        self.hint = hint


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
