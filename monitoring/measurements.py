"""Measures the gauges when they are asked for: never twice at once, and not more often than they change."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

_log = logging.getLogger("memberflow.metrics")

# Seconds. Gauges are not measured more often. An answer does not wait longer for them: it then has the last values.
EVERY = 5.0
PATIENCE = 4.0


class Measurements:
    """Measures all `parts`, one measurement after the other. For use on one event loop."""

    def __init__(self, *parts: Callable[[], Awaitable[None]], every: float = EVERY, patience: float = PATIENCE) -> None:
        self._parts = parts
        self._every = every
        self._patience = patience
        self._ended = float("-inf")
        self._under_way: asyncio.Task[None] | None = None
        #: Why the last measurement failed. Empty: it did not.
        self._problem = ""

    async def refresh(self) -> None:
        """Begins a measurement where one is due, and waits for its end, but not for long."""
        if self._under_way is None and time.monotonic() - self._ended >= self._every:
            self._under_way = asyncio.create_task(self._measure())
        if self._under_way:
            await asyncio.wait({self._under_way}, timeout=self._patience)

    async def _measure(self) -> None:
        """A part that fails ends no other part, and the next measurement waits for all of them."""
        results = await asyncio.gather(*(part() for part in self._parts), return_exceptions=True)
        told = "; ".join(f"{type(e).__name__}: {e}" for e in results if isinstance(e, BaseException))
        if told and told != self._problem:
            _log.warning("the metrics could not be measured: %s", told)
        self._problem = told
        self._ended = time.monotonic()
        self._under_way = None
