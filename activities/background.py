"""Calls that run beside others, in threads that do not keep the process from ending."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def in_background(call: Callable[[], T], name: str) -> Future[T]:
    """Runs `call` in a daemon thread of this name."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001  (the future's reader gets it)
            future.set_exception(error)

    # The trace of an activity goes on in its threads.
    context = contextvars.copy_context()
    Thread(target=lambda: context.run(run), daemon=True, name=name).start()
    return future
