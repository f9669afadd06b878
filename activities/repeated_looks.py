"""A look again and again, ever less often, as long as a wait lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Lock

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.admission import Admission
from activities.clusters_file import Clusters
from activities.counters import counted_look
from activities.early_ends import again_later, end_if_unwanted, long_wait
from activities.pace import LONG_AFTER, SHORTEST, pause_after
from activities.progress_meter import ProgressMeter
from activities.wakes import Wakes
from membership.errors import MemberflowError
from membership.etcd import Etcd
from membership.failures import Failure
from membership.model import ClusterStatus, RaftProgress
from membership.witness import RaftView
from messages.orders import StepOrder

# A linearizable read makes the leader send heartbeats. Heartbeats at the start of a member make its silence likelier
# (docs/benchmarks.md). So as long as the leader has nothing from the member, looks are rare: so many seconds apart
# and, in a long wait, only one look in so many questions to the leader.
LOOK_ANYHOW = 1.0
PEEKS = 4
# Seconds between two heartbeats, beside questions to the leader. Temporal waits 10 s for one of a young wait, and 30 s
# for one of a long wait.
YOUNG_BEAT, LONG_BEAT = 2.0, 8.0
# Waits at a worker at the same time.
PLACES = 2000
# Seconds that a wait lasts at a worker whose every place for a wait is taken, so that other waits get a place.
FULL_HOUSE_PATIENCE = 5.0

# A look, with the leader's view of a moment ago where there is one.
LookOf = Callable[[Etcd, RaftView | None], ClusterStatus]


class Places:
    """The places for waits at one worker."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._lock = Lock()
        #: Waits that run now.
        self.count = 0

    @property
    def are_full(self) -> bool:
        return self.count >= self._places

    @contextmanager
    def taken(self) -> Iterator[None]:
        with self._lock:
            self.count += 1
        try:
            yield
        finally:
            with self._lock:
                self.count -= 1


class RepeatedLooks:
    """
    The looks of all waits at one worker, which has `places` for them.

    An attempt lasts `patience` seconds at most. The next attempt follows after `pause`. So a long wait moves on when
    workers are replaced, and holds no place for days.
    """

    def __init__(
        self,
        clusters: Clusters,
        admission: Admission,
        wakes: Wakes,
        clock: Callable[[], float],
        *,
        patience: float = 3600.0,
        pause: timedelta = timedelta(seconds=1),
        places: int = PLACES,
    ) -> None:
        self._clusters = clusters
        self._admission = admission
        self._wakes = wakes
        self._clock = clock
        self._patience = patience
        self._pause = pause
        self._places = Places(places)

    def looks(
        self,
        order: StepOrder,
        meter: ProgressMeter,
        look: LookOf,
        *,
        until_moves: bool = False,
        blind_for: float = float("inf"),
    ) -> Iterator[tuple[Etcd, ClusterStatus]]:
        """
        Looks again and again, ever less often, until the consumer has seen enough.

        `until_moves`: while the leader has nothing from the order's member, it is asked only about that, and looks are
        rare.
        A look that fails after `blind_for` seconds ends the wait. Fails with LongWait when the wait has become long.
        """
        self._admission.end(order.cluster, activity.info().workflow_id or "")
        started = self._clock()
        before: RaftProgress | None = None
        nothing_yet = until_moves
        with self._places.taken():
            while True:
                end_if_unwanted("the wait")
                self._make_room(self._clock() - started)
                is_long = order.so_far is None and meter.waited(self._clock()) >= LONG_AFTER
                if is_long and self._wakes.take():
                    raise long_wait(meter.last)
                try:
                    etcd = self._clusters.connect(order.cluster).expecting(order.facts.cluster_id, order.voter_urls)
                    seen = self._peek(etcd, before, order, meter) if nothing_yet else None
                    nothing_yet = False
                    with counted_look(order.cluster):
                        status = look(etcd, seen)
                except MemberflowError as error:
                    progress = meter.blind(self._clock(), f"cannot look: {error.name}: {error}")
                    activity.heartbeat(progress)
                    if progress.elapsed >= blind_for:
                        raise ApplicationError(progress.reason, type=Failure.UNVERIFIED, non_retryable=True) from error
                else:
                    yield etcd, status
                    before = status.progress.get(order.facts.member_id) if until_moves else None
                    nothing_yet = before is not None and before.match == 0
                    if nothing_yet:
                        continue
                activity.wait_for_cancelled_sync(self._pause_of(meter))

    def _make_room(self, passed: float) -> None:
        """Hands the wait to another attempt when its time is up, sooner where other waits may have no place."""
        if passed > self._patience:
            raise again_later("StillWaiting", "the wait goes on in a new attempt", self._pause)
        if self._places.are_full and passed > FULL_HOUSE_PATIENCE:
            raise again_later("FullHouse", "the wait makes room for others, and goes on after them", timedelta(0))

    def _pause_of(self, meter: ProgressMeter) -> float:
        return pause_after(meter.waited(self._clock()), self._places.count)

    def _peek(self, etcd: Etcd, before: RaftProgress | None, order: StepOrder, meter: ProgressMeter) -> RaftView | None:
        """
        Returns the leader's view when that of the order's member differs from `before`, or None when a look is due.

        Without `before`, it returns when the leader knows anything of the member's log, or nothing at all.
        """
        pause, began = self._pause_of(meter), self._clock()
        beaten, beat_after = began, YOUNG_BEAT if order.so_far is None else LONG_BEAT
        look_at = began + max(LOOK_ANYHOW, PEEKS * pause)
        while self._clock() < look_at and not activity.is_cancelled() and not activity.is_worker_shutdown():
            activity.wait_for_cancelled_sync(SHORTEST if before is None else pause)
            view = etcd.raft_view()
            now = view.progress.get(order.facts.member_id) if view else None
            if before is None and now and now.match == 0:
                before = now
            if now != before or now is None:
                return view
            if self._clock() - beaten >= beat_after:
                activity.heartbeat(meter.last)
                beaten = self._clock()
        return None
