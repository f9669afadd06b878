"""Heartbeats beside a call that blocks."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread
from typing import Any, TypeVar

from temporalio import activity

T = TypeVar("T")

# Between two heartbeats during a note, a nudge or a call to the engine.
BEAT_EVERY = timedelta(seconds=2)


@contextmanager
def beating(every: timedelta = timedelta(seconds=5), *details: object) -> Iterator[None]:
    """Heartbeats `details` until the block ends. So Temporal notices a dead worker, and tolerates a slow call."""
    ended = Event()

    def beat() -> None:
        while not ended.wait(every.total_seconds()):
            activity.heartbeat(*details)

    context = contextvars.copy_context()
    thread = Thread(target=lambda: context.run(beat), daemon=True, name="heartbeat")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


async def beating_while(work: Coroutine[Any, Any, T], every: timedelta = BEAT_EVERY) -> T:
    """The result of `work`, with heartbeats until it has ended. For activities on the event loop."""
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=every.total_seconds()))[0]:
            activity.heartbeat()
        return await task
    finally:
        task.cancel()
