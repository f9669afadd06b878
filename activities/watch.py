"""
The waits: one heartbeating activity each, so that a wait of hours costs no more history than one of seconds.

They only look. Temporal retries them without limit; a retry goes on with the clocks of the last heartbeat.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta

from pydantic import TypeAdapter, ValidationError
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from activities.failures import again_later, leave_if_asked
from activities.heartbeat import beating
from activities.nudges import Nudges
from activities.ports import Clusters
from activities.progress import Notes, ProgressMeter
from activities.temporal import Temporal
from membership.errors import MemberflowError
from membership.failures import Failure
from membership.judge_join import contradicts
from membership.judgements import judge
from membership.model import ClusterStatus, RaftProgress, SyncProgress
from membership.ports import Etcd
from membership.verdicts import Done, Wait
from messages.orders import Order

# Seconds between looks: hardly any at first, when every look may be the one that lets a member in. After a snapshot
# etcd may keep a learner silent for its 7 s, and whoever speaks again is not to wait for us.
_INTERVALS = ((10.0, 0.05), (60.0, 0.25), (float("inf"), 0.5))
# A linearizable read makes the leader send heartbeats, and those that meet the start of a member make that silence
# likelier (docs/benchmarks.md), so as long as the leader has nothing from the member, a look is this rare.
LOOK_ANYHOW = 1.0
# Lists that agree and a member that contradicts them are given this long to meet, and a silent one as long to speak.
SPLIT_AFTER = 10.0
VERIFY_FOR = 15.0

# Temporal, etcd and the engine may each take their deadlines to answer, and the next look comes on top.
BEAT_EVERY = timedelta(seconds=2)
# Seconds between two questions whose learner is waited for.
TURNS_EVERY = 2.0
# Seconds between two looks at a launched container, and for which it may be found between two starts.
CONTAINER_EVERY = 2.0
RESTARTING_FOR = 10.0

_PROGRESS = TypeAdapter(SyncProgress)


class Watch:
    """
    The waits, on the clusters of this worker.

    An attempt lasts `patience` seconds at most and is then handed to the next one after `pause`, so that a long
    wait moves on when workers are replaced, and holds no slot for days.
    """

    def __init__(
        self,
        clusters: Clusters,
        temporal: Temporal,
        clock: Callable[[], float] = time.monotonic,
        patience: float = 3600.0,
        pause: timedelta = timedelta(seconds=1),
    ) -> None:
        self._clusters = clusters
        self._temporal = temporal
        self._clock = clock
        self._patience = patience
        self._pause = pause

    @activity.defn(no_thread_cancel_exception=True)
    def wait_for_cluster(self, order: Order) -> ClusterStatus:
        """
        Waits until the step's verdict on the cluster is no longer Wait, or another foreign learner is in the way.

        One that a change of ours added is waited for in line: it is in the way until that change has ended, and
        then it is gone, or left behind. The heartbeat tells the reason.
        """
        meter = ProgressMeter(self._clock(), _resumed())
        asked = float("-inf")
        for _, status in self._looks(order, meter):
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
    def wait_for_sync(self, order: Order) -> ClusterStatus:
        """
        Waits until the learner has caught up, on two consecutive looks; the heartbeat tells how far it is.

        Fails with LearnerStalled when nothing moved for the policy's `stall_timeout` although it could be seen, and
        with LaunchedMemberDied when the container that was launched for it is gone, or starts again and again.
        """
        resumed = _resumed()
        meter = ProgressMeter(self._clock(), resumed)
        notes = Notes(self._note_sender(), resumed)
        nudges = Nudges(order.facts.member_id)
        container = _Container(self._clusters, order)
        confirmed = False
        for etcd, status in self._looks(order, meter, until_moves=order.facts.member_id):
            verdict = judge(order.step, status, order.facts)
            if not isinstance(verdict, Wait):
                learner = status.member(order.facts.member_id)
                if confirmed or not isinstance(verdict, Done) or not (learner and learner.is_learner):
                    break
                confirmed = True
                continue
            confirmed = False
            progress = meter.see(self._clock(), status, order.facts.member_id, verdict)
            activity.heartbeat(progress)
            with beating(BEAT_EVERY, progress):
                notes.consider(progress)
                nudges.consider(etcd, status, self._clock())
                container.consider(self._clock())
            _check_stall(progress, order)
        return status

    @activity.defn(no_thread_cancel_exception=True)
    def wait_for_verification(self, order: Order) -> ClusterStatus:
        """
        Waits until the new voter and all others say that it is one, for VERIFY_FOR seconds at most.

        Silence is no failure; fails with SplitView when the lists say voter and the member, for SPLIT_AFTER
        seconds, says learner (etcd#18347), and with Unverified when the cluster can't be looked at for so long.
        """
        meter = ProgressMeter(self._clock(), _resumed())
        contradicted: float | None = None
        for _, status in self._looks(order, meter, blind_for=VERIFY_FOR):
            verdict, now = judge(order.step, status, order.facts), self._clock()
            if not isinstance(verdict, Wait):
                break
            progress = meter.see(now, status, order.facts.member_id, verdict)
            activity.heartbeat(progress)
            contradicted = (contradicted or now) if contradicts(status, order.facts) else None
            if contradicted is not None and now - contradicted >= SPLIT_AFTER:
                raise ApplicationError(
                    f"split view: {verdict.reason}; no promote will mend this",
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
                self._temporal.call(change.signal("note_progress", progress))
            except (RPCError, TimeoutError) as error:
                activity.logger.warning("could not tell the workflow of the progress: %s", error)
                return False
            return True

        return send

    def _looks(
        self, order: Order, meter: ProgressMeter, until_moves: str = "", blind_for: float = float("inf")
    ) -> Iterator[tuple[Etcd, ClusterStatus]]:
        """
        Looks again and again, ever less often, until the consumer has seen enough.

        While the leader has nothing from the member `until_moves`, it is asked about that alone, and looks are rare.
        When looks fail after `blind_for` seconds, that ends the wait.
        """
        started = self._clock()
        while True:
            leave_if_asked("the wait")
            passed = self._clock() - started
            if passed > self._patience:
                raise again_later("StillWaiting", "the wait goes on in a new attempt", self._pause)
            pause = next(pause for until, pause in _INTERVALS if passed < until)
            try:
                etcd = self._clusters.connect(order.cluster).expecting(order.facts.cluster_id)
                status = etcd.look(order.facts.avoid)
            except MemberflowError as error:
                progress = meter.blind(self._clock(), f"cannot look: {error.name}: {error}")
                activity.heartbeat(progress)
                if progress.elapsed >= blind_for:
                    raise ApplicationError(progress.reason, type=Failure.UNVERIFIED, non_retryable=True) from error
            else:
                yield etcd, status
                before = status.progress.get(until_moves)
                if before and before.match == 0:
                    self._peek(etcd, before, until_moves, pause)
                    continue
            activity.wait_for_cancelled_sync(pause)

    def _peek(self, etcd: Etcd, before: RaftProgress, member_id: str, pause: float) -> None:
        """Returns when the leader knows something else of the member than `before`, or after LOOK_ANYHOW seconds."""
        until = self._clock() + LOOK_ANYHOW
        while self._clock() < until and not activity.is_cancelled():
            activity.wait_for_cancelled_sync(pause)
            if etcd.progress().get(member_id) != before:
                return


class _Container:
    """Looks after the container that was launched for the learner, where one was."""

    def __init__(self, clusters: Clusters, order: Order) -> None:
        self._clusters = clusters
        self._order = order.launch
        self._asked = float("-inf")
        self._down_since: float | None = None

    def consider(self, now: float) -> None:
        """Fails when the container has ended, or was found between two starts for RESTARTING_FOR seconds."""
        if self._order is None or now - self._asked < CONTAINER_EVERY:
            return
        self._asked = now
        try:
            state = self._clusters.launcher(self._order.launcher).state(self._order.launch)
        except MemberflowError as error:
            activity.logger.warning("cannot look at the launched container: %s", error)
            return
        if state is not None and not state.died:
            self._down_since = None
            return
        self._down_since = now if self._down_since is None else self._down_since
        if state is not None and state.status == "restarting" and now - self._down_since < RESTARTING_FOR:
            return
        told = str(state) if state else "somebody removed it"
        raise ApplicationError(
            f"the container of the new member is gone: {told}",
            "its last lines say why; mend the launcher in the clusters file, then run the same command again",
            type=Failure.LAUNCHED_MEMBER_DIED,
            non_retryable=True,
        )


def _check_stall(progress: SyncProgress, order: Order) -> None:
    limit = order.facts.policy.stall_timeout.total_seconds()
    if progress.idle >= limit:
        raise ApplicationError(
            f"no progress for {progress.idle:.0f} s: {progress.reason}",
            "look at the new member's log, its disk, and its peer and client ports; stall_timeout is in the policy",
            type=Failure.LEARNER_STALLED,
            non_retryable=True,
        )


def _resumed() -> SyncProgress | None:
    """The progress of the attempt before this one, if it told any."""
    details = activity.info().heartbeat_details
    try:
        return _PROGRESS.validate_python(details[0]) if details else None
    except ValidationError:
        return None
