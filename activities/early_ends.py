"""The failures by which activities end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory, CancelledError

from membership.errors import MemberflowError
from membership.model import SyncProgress
from messages.orders import GOES_ON


@contextmanager
def named_failures(*, final: tuple[type[MemberflowError], ...] = ()) -> Iterator[None]:
    """Raises an ApplicationError whose type is the error's name. Temporal may retry it, except errors in `final`."""
    try:
        yield
    except MemberflowError as error:
        never_again = isinstance(error, final)
        raise ApplicationError(str(error), error.hint, type=error.name, non_retryable=never_again) from error


@asynccontextmanager
async def moves_on_at_shutdown() -> AsyncIterator[None]:
    """Moves an activity on the event loop to another worker when this one stops: at once, as a benign failure."""
    stopping = asyncio.create_task(_cancel_at_shutdown(asyncio.current_task()))
    try:
        yield
    except asyncio.CancelledError:
        if activity.is_worker_shutdown():
            raise again_later("WorkerShutdown", "the worker stops, and another worker goes on", timedelta(0)) from None
        raise
    finally:
        stopping.cancel()


async def _cancel_at_shutdown(task: asyncio.Task[object] | None) -> None:
    await activity.wait_for_worker_shutdown()
    if task:
        task.cancel()


def end_if_unwanted(what: str) -> None:
    """Ends an activity in a thread, between two of its steps, when it is cancelled or its worker stops."""
    if activity.is_cancelled():
        raise CancelledError(f"{what} was cancelled")
    if activity.is_worker_shutdown():
        raise again_later("WorkerShutdown", f"the worker stops, and {what} goes on at another worker", timedelta(0))


def again_later(kind: str, message: str, delay: timedelta) -> ApplicationError:
    """A benign failure: the next attempt goes on after `delay`."""
    return ApplicationError(message, type=kind, next_retry_delay=delay, category=ApplicationErrorCategory.BENIGN)


def long_wait(so_far: SyncProgress) -> ApplicationError:
    """A benign failure: the wait goes on in another activity, which heartbeats less often."""
    message = "the wait has become long, and goes on with rarer heartbeats"
    benign = ApplicationErrorCategory.BENIGN
    return ApplicationError(message, so_far, type=GOES_ON, category=benign, non_retryable=True)
