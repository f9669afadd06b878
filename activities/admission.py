"""Admission: how many clusters begin with changes at the same time at one worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

# Clusters whose changes begin at the same time. Where hundreds did, a worker could not keep their workflows in memory
# between two of their steps, and replayed each of them at every step (docs/benchmarks.md).
MOST = 40
# Seconds without an answered look after which a cluster no longer counts: its change has ended, or cannot go on.
QUIET = 5.0
# A change that must wait asks again after this many seconds at least, and all of them together so often in a second.
SOONEST = 0.5
ASKED = 20.0


class Admission:
    """
    Lets changes begin. All changes of a cluster begin together, since they stand in one line.

    So a caller who starts a thousand changes of one cluster holds up no other cluster.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        #: When each cluster that begins last answered a look, or was let in.
        self._beginning: dict[str, float] = {}
        self._next = float("-inf")

    def delay(self, cluster: str) -> float:
        """Seconds after which a change of the cluster should ask again. 0: it may begin."""
        with self._lock:
            now = self._clock()
            self._beginning = {name: at for name, at in self._beginning.items() if now - at < QUIET}
            if cluster in self._beginning or len(self._beginning) < MOST:
                self._beginning[cluster] = now
                return 0.0
            self._next = max(now + SOONEST, self._next + 1 / ASKED)
            return self._next - now

    def note(self, cluster: str) -> None:
        """A look at the cluster was answered: its changes, if they begin, go on."""
        with self._lock:
            if cluster in self._beginning:
                self._beginning[cluster] = self._clock()

    def end(self, cluster: str) -> None:
        """A change of the cluster waits, so it does not begin any more."""
        with self._lock:
            self._beginning.pop(cluster, None)
