"""The clocks of a change. Time held doesn't count, nor does time in line behind others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.carried import CarriedClock
    from workflows.stop import Stop


class Clock:
    """Calls `on_end` with `stop` when its time has passed. It has a timer of its own, whatever else happens."""

    def __init__(self, limit: timedelta, stop: Stop, on_end: Callable[[Stop], None]) -> None:
        self._left = limit.total_seconds()
        #: The reason of the stop when it rings.
        self.stop = stop
        self._on_end = on_end
        self._started = 0.0
        self._timer: asyncio.Task[None] | None = None
        #: It has rung, or was ended.
        self.over = False

    @property
    def left(self) -> float:
        """Seconds until it rings."""
        return self._left - (workflow.time() - self._started if self._timer else 0.0)

    def start(self) -> None:
        """Starts it, or goes on after `pause`."""
        if self._left <= 0:
            self._ring()  # it was paused in the very moment of its end
        elif self._timer is None:
            self._started = workflow.time()
            self._timer = asyncio.create_task(self._run())

    def pause(self) -> None:
        if self._timer is not None:
            self._left = self.left
            self._timer.cancel()
            self._timer = None

    def end(self) -> None:
        """Stops it for good."""
        self.pause()
        self.over = True

    async def _run(self) -> None:
        await workflow.sleep(timedelta(seconds=self._left), summary=self.stop.error)
        self._timer = None
        self._left = 0.0
        self._ring()

    def _ring(self) -> None:
        if not self.over:
            self.over = True
            self._on_end(self.stop)


class Clocks:
    """The running clocks of a change, by name."""

    def __init__(self, on_end: Callable[[Stop], None]) -> None:
        self._on_end = on_end
        self._clocks: dict[str, Clock] = {}
        self._pauses = 0
        # Clocks of the run before this one: their steps begin again, and must not start them anew.
        self._carried: set[str] = set()

    def carry(self) -> tuple[CarriedClock, ...]:
        """The clocks that have not rung, for the next run."""
        return tuple(
            CarriedClock(name, clock.left, clock.stop.error, clock.stop.reason, clock.stop.hint)
            for name, clock in self._clocks.items()
            if not clock.over
        )

    def restore(self, carried: tuple[CarriedClock, ...]) -> None:
        """The clocks of the run before go on."""
        for clock in carried:
            self.start(clock.name, timedelta(seconds=clock.left), Stop("clock", clock.error, clock.reason, clock.hint))
            self._carried.add(clock.name)

    def start(self, name: str, limit: timedelta, stop: Stop) -> None:
        """Starts the named clock anew, unless it goes on from the run before."""
        if name in self._carried:
            self._carried.discard(name)
            return
        self.end(name)
        self._clocks[name] = Clock(limit, stop, self._on_end)
        if not self._pauses:
            self._clocks[name].start()

    def end(self, *names: str) -> None:
        """Ends the named clocks, or all clocks when none is named."""
        for name in names or tuple(self._clocks):
            self._carried.discard(name)
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
