"""The ways to interrupt a change: its clocks, a cancel, a hold."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Protocol, TypeVar

from temporalio import workflow

from workflows.clocks import Clocks

with workflow.unsafe.imports_passed_through():
    from membership.failures import Failure
    from workflows.stop import Stop

T = TypeVar("T")


class Shows(Protocol):
    """Where a person sees that a change is held, or why it waits."""

    def held(self, why: str) -> None:
        """It is held. Empty: it is not held any more."""

    def waits_for(self, reason: str) -> None:
        """It waits for this. Empty: it waits for nothing."""


class Interruptions:
    """
    Stops or holds a change, at its safe points only.

    Activities that only read or wait can be interrupted. An act can not, and neither can the looks that show its
    effect. Once `unstoppable` is set, nothing can.
    """

    def __init__(self, board: Shows) -> None:
        self.clocks = Clocks(self.stop)
        self.unstoppable = False
        #: The length of the history, in events, when a new run was due first. 0: none is due.
        self.due_at = 0
        #: No more waiting for the new run. Callers that wait for an answer must ask that run.
        self.is_pressed = False
        self._board = board
        #: Called when a hold begins and when it ends. The board shows which.
        self.on_hold: Callable[[], None] = lambda: None
        self._stop: Stop | None = None
        self._hold = ""

    def stop(self, stop: Stop) -> None:
        """Stops the change at its next safe point. A cancel comes before a clock."""
        if self._stop is None or stop.kind == "cancelled":
            self._stop = stop

    def end_clocks(self) -> None:
        """From now on nothing takes too long. This also forgets a clock that rang during an act."""
        self.clocks.end()
        if self._stop is not None and self._stop.kind == "clock":
            self._stop = None

    def end_clock(self, name: str, error: Failure) -> None:
        """Ends one clock. This also forgets its ring, if no safe point has heard it."""
        self.clocks.end(name)
        if self._stop is not None and self._stop.error == error:
            self._stop = None

    def hold(self, why: str) -> None:
        """Holds the change at its next safe point, until `resume` or a cancel."""
        self._hold = why

    def resume(self) -> None:
        self._hold = ""

    @property
    def is_held(self) -> bool:
        """Whether it is held, or will be at its next safe point."""
        return bool(self._hold)

    async def safe_point(self) -> bool:
        """
        Waits while the change is held, and returns whether it was. Nothing of ours is under way here.

        Raises Stop when the change must stop.
        """
        if self.unstoppable:
            return False
        was_held = bool(self._hold) and self._stop is None
        if was_held:
            with self.clocks.paused():
                self._board.held(self._hold)
                self.on_hold()
                await workflow.wait_condition(lambda: not self._hold or self._stop is not None)
                self._board.held("")
                self.on_hold()
        if self._stop is not None:
            stop, self._stop = self._stop, None
            raise stop
        return was_held

    async def interruptible(self, start: Callable[[], workflow.ActivityHandle[T]]) -> T:
        """
        The result of an activity that only reads or waits.

        When interrupted it is cancelled and has ended before this raises Stop. After a hold it starts again.
        """
        while True:
            await self.safe_point()
            handle = start()
            interrupted = await self._was_interrupted(handle)
            if handle.cancelled() or (interrupted and handle.exception() is not None):
                continue
            return handle.result()

    async def _was_interrupted(self, handle: workflow.ActivityHandle[T]) -> bool:
        """Waits for the end. An interrupted activity counts as interrupted even if the hold is over by then."""
        await workflow.wait_condition(lambda: handle.done() or self.pending)
        interrupted = self.pending
        if not handle.done():
            handle.cancel()
            await workflow.wait_condition(handle.done)
        return interrupted

    async def pause(self, until: float, why: str) -> None:
        """Waits before another attempt, until this moment of the workflow's time."""
        seconds = until - workflow.time()
        if seconds <= 0:
            return
        self._board.waits_for(why)
        timeout = timedelta(seconds=seconds)
        with suppress(TimeoutError):
            await workflow.wait_condition(lambda: self.pending, timeout=timeout, timeout_summary=why[:200])

    @property
    def is_stopped(self) -> bool:
        """Whether the next safe point stops the change."""
        return not self.unstoppable and self._stop is not None

    @property
    def pending(self) -> bool:
        """Whether the next safe point stops or holds the change."""
        return not self.unstoppable and bool(self._stop or self._hold)
