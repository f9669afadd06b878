"""How often the waits of a worker wake their workflows."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

# A wake costs a workflow task, and a replay where the workflow has left the memory. A thousand joins that began at once
# would otherwise wake at once, too, and stand before the joins that still begin (docs/benchmarks.md).
AT_ONCE = 20
A_SECOND = 3.0


class Wakes:
    """Wakes that are not urgent: so many at once, and from then on so many a second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._left = float(AT_ONCE)
        self._at = clock()

    def take(self) -> bool:
        """Whether a workflow may be woken now. If not, its wait asks at its next look."""
        with self._lock:
            now = self._clock()
            self._left = min(AT_ONCE, self._left + (now - self._at) * A_SECOND)
            self._at = now
            if self._left < 1:
                return False
            self._left -= 1
            return True
