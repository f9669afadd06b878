"""Waits until calls of a change whose answers were lost can no longer take effect."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from temporalio import activity

from activities.clusters_file import Clusters
from activities.counters import counted_look
from activities.early_ends import end_if_unwanted
from activities.heartbeat import beating
from membership.errors import MemberflowError
from membership.etcd import MEMBERS, Etcd
from membership.model import ClusterStatus, SyncProgress
from membership.sent_calls import (
    MOMENT,
    SentCall,
    Voter,
    has_effect,
    is_heard,
    is_over,
    may_still_come,
    suspects,
    unheard,
)
from messages.orders import Settlement, SettleOrder

# Seconds between two looks: a fiftieth of the time waited, within these bounds.
_SHORTEST_PAUSE = 0.25
_LONGEST_PAUSE = 5.0
_BEAT = timedelta(seconds=2)


class Settling:
    """The wait for calls to be settled, on the clusters of this worker."""

    def __init__(self, clusters: Clusters, clock: Callable[[], float] = time.monotonic) -> None:
        self._clusters = clusters
        self._clock = clock

    @activity.defn(no_thread_cancel_exception=True)
    def wait_until_settled(self, order: SettleOrder) -> Settlement:
        """
        Waits until every member that may still have a call was heard or is gone, and one more entry has committed.

        After the order's time-out it returns the calls that are left. The heartbeat says which member is silent.
        """
        hearing = _Hearing(order.calls)
        last: ClusterStatus | None = None
        progress = SyncProgress("a look at the members that were sent a call")
        while True:
            end_if_unwanted("the wait for calls to be settled")
            why = ""
            activity.heartbeat(progress)
            try:
                with beating(_BEAT, progress):
                    etcd = self._clusters.connect(order.cluster).expecting(order.cluster_id, order.voter_urls)
                    with counted_look(order.cluster):
                        last = etcd.look(order.avoid, MEMBERS)
                    hearing.note(self._clock(), last, etcd)
                    if not hearing.left(last):
                        etcd.commit()
                        last = etcd.look(order.avoid, MEMBERS)
                        return Settlement(last, came=hearing.came(last))
            except MemberflowError as error:
                why = f"cannot look: {error.name}: {error}"
                hearing.lost()
            reasons = hearing.reasons(last)
            waited = _waited()
            if waited >= order.timeout:
                return Settlement(last, hearing.left(last), reasons, hearing.came(last))
            progress = SyncProgress("; ".join(filter(None, (*reasons, why))), elapsed=waited)
            activity.wait_for_cancelled_sync(min(_LONGEST_PAUSE, max(_SHORTEST_PAUSE, waited / 50)))


class _Hearing:
    """The members that were heard, since when without a break, and the members that certainly have no call any more."""

    def __init__(self, calls: tuple[SentCall, ...]) -> None:
        self._calls = calls
        self._since: dict[str, float] = {}
        self._proved: set[str] = set()

    def note(self, now: float, status: ClusterStatus, etcd: Etcd) -> None:
        """Takes the evidence of this look."""
        for voter in self._suspects(status):
            if is_heard(voter.id, status):
                since = self._since.setdefault(voter.id, now)
                if now - since >= MOMENT:
                    self._proved.add(voter.id)
                continue
            self._since.pop(voter.id, None)
            if etcd.nothing_listens(voter.urls):
                self._proved.add(voter.id)

    def lost(self) -> None:
        """A look failed: members that were heard must be heard anew."""
        self._since.clear()

    def left(self, status: ClusterStatus | None) -> tuple[SentCall, ...]:
        """The calls that may still take effect."""
        if status is None:
            return self._calls
        return tuple(c for c in self._calls if not is_over(c, self._calls, status) and unheard(c, status, self._proved))

    def came(self, status: ClusterStatus | None) -> tuple[SentCall, ...]:
        """The calls whose effect is seen."""
        return tuple(call for call in self._calls if status and has_effect(call, status))

    def reasons(self, status: ClusterStatus | None) -> tuple[str, ...]:
        """Why they may still take effect, for a person."""
        return tuple(may_still_come(call, self._unheard(call, status), status) for call in self.left(status))

    def _unheard(self, call: SentCall, status: ClusterStatus | None) -> tuple[Voter, ...]:
        return call.voters if status is None else unheard(call, status, self._proved)

    def _suspects(self, status: ClusterStatus) -> set[Voter]:
        return {v for call in self._calls for v in suspects(call, status) if v.id not in self._proved}


def _waited() -> float:
    """Seconds since the first attempt was scheduled."""
    return (datetime.now(UTC) - activity.info().scheduled_time).total_seconds()
