"""The clocks of a change. Time held doesn't count, nor does time in line behind others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.stop import Stop


class Clock:
    """Calls `on_end` with `stop` when its time has passed. It has a timer of its own, whatever else happens."""

    def __init__(self, limit: timedelta, stop: Stop, on_end: Callable[[Stop], None]) -> None:
        self._left = limit.total_seconds()
        self._stop = stop
        self._on_end = on_end
        self._started = 0.0
        self._timer: asyncio.Task[None] | None = None
        self._over = False

    def start(self) -> None:
        """Starts it, or goes on after `pause`."""
        if self._left <= 0:
            self._ring()  # it was paused in the very moment of its end
        elif self._timer is None:
            self._started = workflow.time()
            self._timer = asyncio.create_task(self._run())

    def pause(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._left -= workflow.time() - self._started

    def end(self) -> None:
        """Stops it for good."""
        self.pause()
        self._over = True

    async def _run(self) -> None:
        await workflow.sleep(timedelta(seconds=self._left), summary=self._stop.error)
        self._timer = None
        self._left = 0.0
        self._ring()

    def _ring(self) -> None:
        if not self._over:
            self._over = True
            self._on_end(self._stop)


class Clocks:
    """The running clocks of a change, by name."""

    def __init__(self, on_end: Callable[[Stop], None]) -> None:
        self._on_end = on_end
        self._clocks: dict[str, Clock] = {}
        self._pauses = 0

    def start(self, name: str, limit: timedelta, stop: Stop) -> None:
        """Starts the named clock anew."""
        self.end(name)
        self._clocks[name] = Clock(limit, stop, self._on_end)
        if not self._pauses:
            self._clocks[name].start()

    def end(self, *names: str) -> None:
        """Ends the named clocks, or all clocks when none is named."""
        for name in names or tuple(self._clocks):
            if clock := self._clocks.pop(name, None):
                clock.end()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Pauses all clocks. Pauses may be nested."""
        self._pauses += 1
        for clock in self._clocks.values():
            clock.pause()
        try:
            yield
        except GeneratorExit:
            raise  # the worker drops the workflow from its memory: nothing of it may run any more
        except BaseException:
            self._go_on()
            raise
        self._go_on()

    def _go_on(self) -> None:
        self._pauses -= 1
        if not self._pauses:
            for clock in self._clocks.values():
                clock.start()
