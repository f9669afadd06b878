"""Admission: how many changes begin at the same time at one worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

# Clusters whose changes begin at the same time, and changes of one cluster that do. Where hundreds did, a worker could
# not keep their workflows in memory between two of their steps, and replayed each of them at every step
# (docs/benchmarks.md).
MOST = 40
MOST_OF_ONE = 20
# Seconds without news after which a change and its cluster no longer count: the change has ended, or cannot go on.
QUIET = 5.0
# The same for a cluster whose change has asked for its turn. It goes on to an act, and a busy worker needs longer.
QUIET_IN_TURN = 20.0
# A change that must wait asks again after this many seconds at least, and all of them together so often in a second.
SOONEST = 0.5
ASKED = 10.0


@dataclass
class _Beginning:
    """A cluster that begins: when there was news of it, and how long without news it counts."""

    at: float
    quiet: float = QUIET
    #: When there was news of each change that has not asked for its turn.
    changes: dict[str, float] = field(default_factory=dict)

    def counts(self, now: float) -> bool:
        return now - self.at < self.quiet

    def admits(self, change: str, now: float) -> bool:
        self.changes = {name: at for name, at in self.changes.items() if now - at < QUIET}
        if change not in self.changes and len(self.changes) >= MOST_OF_ONE:
            return False
        self.at = self.changes[change] = now
        return True

    def note(self, change: str, now: float) -> None:
        self.at = now
        if change in self.changes:
            self.changes[change] = now


class Admission:
    """Lets changes begin. A caller who starts a thousand changes of one cluster holds up no other cluster."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._clusters: dict[str, _Beginning] = {}
        self._next = float("-inf")

    def delay(self, cluster: str, change: str) -> float:
        """Seconds after which the change of the cluster should ask again. 0: it may begin."""
        with self._lock:
            now = self._clock()
            self._clusters = {name: x for name, x in self._clusters.items() if x.counts(now)}
            if cluster not in self._clusters and len(self._clusters) < MOST:
                self._clusters[cluster] = _Beginning(now)
            if cluster in self._clusters and self._clusters[cluster].admits(change, now):
                return 0.0
            self._next = max(now + SOONEST, self._next + 1 / ASKED)
            return self._next - now

    def note(self, cluster: str, change: str) -> None:
        """The cluster answered a look of the change: if that begins, it goes on."""
        with self._lock:
            if known := self._clusters.get(cluster):
                known.note(change, self._clock())

    def note_asked(self, cluster: str, change: str) -> None:
        """The change asked for its turn. It makes room for the next one of its cluster, which counts for longer."""
        with self._lock:
            if known := self._clusters.get(cluster):
                known.changes.pop(change, None)
                known.at, known.quiet = self._clock(), QUIET_IN_TURN

    def end(self, cluster: str, change: str) -> None:
        """The change waits or has ended, so it does not begin any more. Nor does its cluster, if no other one does."""
        with self._lock:
            if known := self._clusters.get(cluster):
                known.changes.pop(change, None)
                if not known.changes:
                    del self._clusters[cluster]
