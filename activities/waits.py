"""
The waits: one heartbeating activity each, so that a wait of hours costs no more history than a wait of seconds.

They only look. Temporal retries them without limit. A retry goes on with the clocks of the last heartbeat.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter, ValidationError
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from activities.absence import Absence
from activities.admission import Admission
from activities.clusters_file import Clusters
from activities.container_watch import ContainerWatch
from activities.heartbeat import BEAT_EVERY, beating
from activities.nudges import Nudges
from activities.progress_meter import Notes, ProgressMeter
from activities.repeated_looks import LookOf, RepeatedLooks
from activities.temporal import Temporal
from activities.wakes import Wakes
from activities.witnessed_looks import WitnessedLooks
from membership.absence import absent_after
from membership.etcd import EVERYTHING, LOGS, MEMBERS, Scope
from membership.failures import Failure
from membership.judge_join import contradicts
from membership.judgements import judge
from membership.model import ClusterStatus, SyncProgress
from membership.verdicts import Wait
from messages.orders import StepOrder

# Seconds for a member to stop contradicting the lists, and for a silent member to answer.
SPLIT_AFTER = 10.0
VERIFY_FOR = 15.0
# Seconds between two questions about the change that added a foreign learner.
TURNS_EVERY = 2.0

_PROGRESS = TypeAdapter(SyncProgress)


class Waits:
    """The waits, on the clusters of this worker. `limits`: those of `RepeatedLooks`."""

    def __init__(
        self,
        clusters: Clusters,
        temporal: Temporal,
        admission: Admission,
        clock: Callable[[], float] = time.monotonic,
        **limits: Any,
    ) -> None:
        self._clusters = clusters
        self._temporal = temporal
        self._clock = clock
        self._wakes = Wakes(clock)
        self._looks = RepeatedLooks(clusters, admission, self._wakes, clock, **limits).looks

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
        notes = Notes(self._note_sender(), resumed, absent_after(order.facts.policy.start_timeout), order.so_far)
        absence = Absence(order.facts, lambda: self._clusters.allow(order.cluster))
        nudges = Nudges(order.facts.member_id)
        container = ContainerWatch(self._clusters, order)
        for etcd, status in self._looks(order, meter, self._witnessed(order, LOGS), until_moves=True):
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
            if not self._wakes.take():
                return False
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
