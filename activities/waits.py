"""
The waits: one heartbeating activity each, so that a wait of hours costs no more history than a wait of seconds.

They only look. Temporal retries them without limit. A retry goes on with the clocks of the last heartbeat.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Lock

from pydantic import TypeAdapter, ValidationError
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from activities.absence import Absence
from activities.clusters_file import Clusters
from activities.container_watch import ContainerWatch
from activities.counters import counted_look
from activities.early_ends import again_later, end_if_unwanted, long_wait
from activities.heartbeat import BEAT_EVERY, beating
from activities.nudges import Nudges
from activities.pace import LONG_AFTER, SHORTEST, pause_after
from activities.progress_meter import Notes, ProgressMeter
from activities.temporal import Temporal
from activities.witnessed_looks import WitnessedLooks
from membership.absence import absent_after
from membership.errors import MemberflowError
from membership.etcd import EVERYTHING, LOGS, MEMBERS, Etcd, Scope
from membership.failures import Failure
from membership.judge_join import contradicts
from membership.judgements import judge
from membership.model import ClusterStatus, RaftProgress, SyncProgress
from membership.verdicts import Wait
from membership.witness import RaftView
from messages.orders import StepOrder

# A linearizable read makes the leader send heartbeats. Heartbeats at the start of a member make its silence likelier
# (docs/benchmarks.md). So as long as the leader has nothing from the member, looks are rare: so many seconds apart
# and, in a long wait, only one look in so many questions to the leader.
LOOK_ANYHOW = 1.0
PEEKS = 4
# Seconds between two questions, above which every second question heartbeats: at most 10 s pass without a heartbeat.
BEAT_FROM = 0.2
QUESTIONS_PER_BEAT = 2
# Seconds for a member to stop contradicting the lists, and for a silent member to answer.
SPLIT_AFTER = 10.0
VERIFY_FOR = 15.0
# Seconds between two questions about the change that added a foreign learner.
TURNS_EVERY = 2.0
# Seconds that a wait lasts at a worker whose every place for a wait is taken, so that other waits get a place.
FULL_HOUSE_PATIENCE = 5.0

_PROGRESS = TypeAdapter(SyncProgress)

# A look, with the leader's view of a moment ago where there is one.
LookOf = Callable[[Etcd, RaftView | None], ClusterStatus]


class Waits:
    """
    The waits, on the clusters of this worker, which has `places` for them.

    An attempt lasts `patience` seconds at most. The next attempt follows after `pause`. So a long wait moves on when
    workers are replaced, and holds no place for days.
    """

    def __init__(
        self,
        clusters: Clusters,
        temporal: Temporal,
        clock: Callable[[], float] = time.monotonic,
        patience: float = 3600.0,
        pause: timedelta = timedelta(seconds=1),
        places: int = 1000,
    ) -> None:
        self._clusters = clusters
        self._temporal = temporal
        self._clock = clock
        self._patience = patience
        self._pause = pause
        self._places = places
        self._taken = 0
        self._lock = Lock()

    @activity.defn(no_thread_cancel_exception=True)
    def wait_for_cluster(self, order: StepOrder) -> ClusterStatus:
        """
        Waits until the step's verdict on the cluster is no longer Wait, or another foreign learner takes the slot.

        It also ends for a learner that a change of ours added. That learner is waited for in line: it takes the slot
        until its change has ended, and then it is gone, or left behind. The heartbeat has the reason.
        """
        meter = ProgressMeter(self._clock(), _resumed(order))
        asked = float("-inf")
        for _, status in self._looks(order, meter, lambda etcd, _: etcd.look(order.facts.avoid, MEMBERS)):
            verdict, now = judge(order.step, status, order.facts), self._clock()
            if not isinstance(verdict, Wait) or verdict.foreign != order.foreign:
                break
            if verdict.foreign and now - asked >= TURNS_EVERY:
                asked = now
                if self._is_ours(order.cluster, verdict.foreign):
                    break
            activity.heartbeat(meter.see(now, status, order.facts.member_id, verdict))
        return status

    def _is_ours(self, cluster: str, learner: str) -> bool:
        """Whether the turns know which change added this learner."""
        try:
            state = self._temporal.call(self._temporal.turns_state(cluster))
        except (RPCError, TimeoutError):
            return False
        return state is not None and any(x.member_id == learner for x in state.learners)

    @activity.defn(no_thread_cancel_exception=True)
    def wait_for_sync(self, order: StepOrder) -> ClusterStatus:
        """
        Waits until the learner has caught up. The heartbeat has its progress.

        The learner's own Status decides, or a second witness while the Status hangs. Fails with LearnerStalled when
        nothing moved for the policy's `stall_timeout` although progress could be seen. Fails with LaunchedMemberDied
        when its launched container is gone, or restarts again and again.
        """
        resumed = _resumed(order)
        meter = ProgressMeter(self._clock(), resumed)
        notes = Notes(self._note_sender(), resumed, absent_after(order.facts.policy.start_timeout))
        absence = Absence(order.facts, lambda: self._clusters.allow(order.cluster))
        nudges = Nudges(order.facts.member_id)
        container = ContainerWatch(self._clusters, order)
        for etcd, status in self._looks(order, meter, self._witnessed(order, LOGS), until_moves=order.facts.member_id):
            verdict, now = judge(order.step, status, order.facts), self._clock()
            if not isinstance(verdict, Wait):
                break
            verdict = absence.explain(etcd, status, meter.waited(now), verdict)
            progress = meter.see(now, status, order.facts.member_id, verdict)
            activity.heartbeat(progress)
            notes.consider(progress)
            nudges.consider(etcd, status, now, progress)
            container.consider(now, progress)
            _check_stall(progress, order)
        return status

    @activity.defn(no_thread_cancel_exception=True)
    def wait_for_verification(self, order: StepOrder) -> ClusterStatus:
        """
        Waits until the new voter and all others say that it is one, for VERIFY_FOR seconds at most.

        Silence is no failure. Fails with SplitView when the lists say voter and the member, for SPLIT_AFTER seconds,
        says learner (etcd#18347). Fails with Unverified when the cluster can't be looked at for VERIFY_FOR seconds.
        """
        meter = ProgressMeter(self._clock(), _resumed(order))
        contradicted: float | None = None
        for _, status in self._looks(order, meter, self._witnessed(order, EVERYTHING), blind_for=VERIFY_FOR):
            verdict, now = judge(order.step, status, order.facts), self._clock()
            if not isinstance(verdict, Wait):
                break
            progress = meter.see(now, status, order.facts.member_id, verdict)
            activity.heartbeat(progress)
            contradicted = (contradicted or now) if contradicts(status, order.facts) else None
            if contradicted is not None and now - contradicted >= SPLIT_AFTER:
                raise ApplicationError(
                    f"split view: {verdict.reason}. No promote will repair this",
                    "remove the member and join it anew with an empty data directory (etcd#18347)",
                    type=Failure.SPLIT_VIEW,
                    non_retryable=True,
                )
            if progress.elapsed >= VERIFY_FOR:
                break
        return status

    def _note_sender(self) -> Callable[[SyncProgress], bool]:
        info = activity.info()
        change = self._temporal.client.get_workflow_handle(info.workflow_id or "", run_id=info.workflow_run_id)

        def send(progress: SyncProgress) -> bool:
            try:
                with beating(BEAT_EVERY, progress):
                    self._temporal.call(change.signal("note_progress", progress))
            except (RPCError, TimeoutError) as error:
                activity.logger.warning("could not tell the workflow of the progress: %s", error)
                return False
            return True

        return send

    def _witnessed(self, order: StepOrder, scope: Scope) -> LookOf:
        """A look at which a second witness counts for the member."""
        looks = WitnessedLooks(
            order.facts.member_id,
            order.facts.policy.max_lag_entries,
            lambda: self._clusters.allow(order.cluster),
            scope,
            self._clock,
        )
        return lambda etcd, seen: looks.look(etcd, order.facts.avoid, seen)

    def _looks(
        self,
        order: StepOrder,
        meter: ProgressMeter,
        look: LookOf,
        until_moves: str = "",
        blind_for: float = float("inf"),
    ) -> Iterator[tuple[Etcd, ClusterStatus]]:
        """
        Looks again and again, ever less often, until the consumer has seen enough.

        While the leader has nothing from the member `until_moves`, it is asked only about that, and looks are rare.
        A look that fails after `blind_for` seconds ends the wait. Fails with LongWait when the wait has become long.
        """
        started = self._clock()
        before: RaftProgress | None = None
        nothing_yet = bool(until_moves)
        with self._place():
            while True:
                end_if_unwanted("the wait")
                self._make_room(self._clock() - started)
                if order.so_far is None and meter.waited(self._clock()) >= LONG_AFTER:
                    raise long_wait(meter.last)
                try:
                    etcd = self._clusters.connect(order.cluster).expecting(order.facts.cluster_id, order.voter_urls)
                    seen = self._peek(etcd, before, until_moves, meter) if nothing_yet else None
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
                    before = status.progress.get(until_moves)
                    nothing_yet = before is not None and before.match == 0
                    if nothing_yet:
                        continue
                activity.wait_for_cancelled_sync(pause_after(meter.waited(self._clock())))

    @contextmanager
    def _place(self) -> Iterator[None]:
        with self._lock:
            self._taken += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken -= 1

    def _make_room(self, passed: float) -> None:
        """Hands the wait to another attempt when its time is up, sooner where other waits may have no place."""
        if passed > self._patience:
            raise again_later("StillWaiting", "the wait goes on in a new attempt", self._pause)
        if self._taken >= self._places and passed > FULL_HOUSE_PATIENCE:
            raise again_later("FullHouse", "the wait makes room for others, and goes on after them", timedelta(0))

    def _peek(self, etcd: Etcd, before: RaftProgress | None, member_id: str, meter: ProgressMeter) -> RaftView | None:
        """
        Returns the leader's view when that of the member differs from `before`, or None when a look is due.

        Without `before`, it returns when the leader knows anything of the member's log, or nothing at all.
        """
        pause = pause_after(meter.waited(self._clock()))
        until, asked = self._clock() + max(LOOK_ANYHOW, PEEKS * pause), 0
        while self._clock() < until and not activity.is_cancelled() and not activity.is_worker_shutdown():
            activity.wait_for_cancelled_sync(SHORTEST if before is None else pause)
            view = etcd.raft_view()
            now = view.progress.get(member_id) if view else None
            if before is None and now and now.match == 0:
                before = now
            if now != before or now is None:
                return view
            asked += 1
            if pause > BEAT_FROM and asked % QUESTIONS_PER_BEAT == 0:
                activity.heartbeat(meter.last)
        return None


def _check_stall(progress: SyncProgress, order: StepOrder) -> None:
    limit = order.facts.policy.stall_timeout.total_seconds()
    if progress.idle >= limit:
        raise ApplicationError(
            f"no progress for {progress.idle:.0f} s: {progress.reason}",
            "look at the new member's log, its disk, and its peer and client ports (the limit is stall_timeout)",
            type=Failure.LEARNER_STALLED,
            non_retryable=True,
        )


def _resumed(order: StepOrder) -> SyncProgress | None:
    """The progress of the attempt before this one, if it reported any."""
    details = activity.info().heartbeat_details
    try:
        return _PROGRESS.validate_python(details[0]) if details else order.so_far
    except ValidationError:
        return order.so_far
