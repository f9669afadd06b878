"""Admission: how many clusters begin with changes at the same time at one worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

# Clusters whose changes begin at the same time. Where hundreds did, a worker could not keep their workflows in memory
# between two of their steps, and replayed each of them at every step (docs/benchmarks.md).
MOST = 40
# Seconds without news after which a cluster no longer counts: its change has ended, or cannot go on.
QUIET = 5.0
# The same for a change that has asked for its turn. It goes on to an act, and a busy worker needs longer for that.
QUIET_IN_TURN = 20.0
# A change that must wait asks again after this many seconds at least, and all of them together so often in a second.
SOONEST = 0.5
ASKED = 10.0


@dataclass(frozen=True)
class _Beginning:
    """A cluster that begins: when there was news of it, and after how many seconds without news it no longer counts."""

    at: float
    quiet: float

    def counts(self, now: float) -> bool:
        return now - self.at < self.quiet


class Admission:
    """
    Lets changes begin. All changes of a cluster begin together, since they stand in one line.

    So a caller who starts a thousand changes of one cluster holds up no other cluster.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._clusters: dict[str, _Beginning] = {}
        self._next = float("-inf")

    def delay(self, cluster: str) -> float:
        """Seconds after which a change of the cluster should ask again. 0: it may begin."""
        with self._lock:
            now = self._clock()
            self._clusters = {name: x for name, x in self._clusters.items() if x.counts(now)}
            known = self._clusters.get(cluster)
            if known or len(self._clusters) < MOST:
                self._clusters[cluster] = _Beginning(now, known.quiet if known else QUIET)
                return 0.0
            self._next = max(now + SOONEST, self._next + 1 / ASKED)
            return self._next - now

    def note(self, cluster: str, *, has_asked: bool = False) -> None:
        """The cluster answered a look, or its change `has_asked` for the turn: if it begins, it goes on."""
        with self._lock:
            if known := self._clusters.get(cluster):
                quiet = QUIET_IN_TURN if has_asked else known.quiet
                self._clusters[cluster] = _Beginning(self._clock(), quiet)

    def end(self, cluster: str) -> None:
        """A change of the cluster waits or has ended, so it does not begin any more."""
        with self._lock:
            self._clusters.pop(cluster, None)
