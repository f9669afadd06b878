"""The looks: activities that only read, and that Temporal may therefore retry."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import timedelta

from temporalio import activity
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.service import RPCError

from activities.admission import Admission
from activities.clusters_file import ClusterProfile, Clusters
from activities.counters import counted_look
from activities.earlier_changes import read_record
from activities.early_ends import again_later, end_if_unwanted, named_failures
from activities.heartbeat import beating
from activities.temporal import ASK_DEADLINE, PATIENT_DEADLINE, Temporal
from membership.allow import Allow
from membership.checks import Check
from membership.errors import (
    ClusterUnreachable,
    InvalidConfiguration,
    MemberflowError,
    WrongCluster,
)
from membership.etcd import Etcd
from membership.etcd_errors import NO_ACCESS
from membership.model import ClusterStatus, SyncProgress
from membership.record import NO_RECORD, Record
from messages.answers import Reachability
from messages.ids import SEARCH_ATTRIBUTES, WORKFLOW_TYPES
from messages.orders import MOST_PATIENCE, Beforehand, LookOrder
from messages.turns import TurnsState

# Seconds between two looks of one activity.
PAUSE = 0.1
_LONGEST_PAUSE = 5.0
LOOK_BEAT = timedelta(seconds=1)
# No repetition of a look helps against these.
_HOPELESS = (*NO_ACCESS, InvalidConfiguration, WrongCluster)


class Looks:
    """The looks, on the clusters of this worker."""

    def __init__(self, clusters: Clusters, temporal: Temporal, admission: Admission) -> None:
        self._clusters = clusters
        self._temporal = temporal
        self._admission = admission

    @activity.defn
    async def read_profile(self, cluster: str) -> ClusterProfile:
        """The cluster's policy and task queue, from the clusters file, and the search attributes that may be set."""
        with named_failures(final=(MemberflowError,)):
            # Threads: a file may be on a mount that hangs, and the event loop sends the heartbeats of all activities.
            policy = await asyncio.to_thread(self._clusters.policy, cluster)
            task_queue = await asyncio.to_thread(self._clusters.task_queue, cluster)
            allow = await asyncio.to_thread(self._clusters.allow, cluster)
            endpoints = await asyncio.to_thread(self._clusters.endpoints, cluster)
            notifies = await asyncio.to_thread(self._notifies, cluster)
        waiting = await self._waiting(cluster, allow)
        if activity.info().workflow_type in WORKFLOW_TYPES.values() and allow.has_room(waiting):
            self._admit(cluster)  # without room it is refused, and does not begin
        names = await self._search_attributes()
        return ClusterProfile(policy, task_queue, names, allow, endpoints, notifies, waiting)

    def _admit(self, cluster: str) -> None:
        """Lets a change begin, or has it ask again when many others are about to begin."""
        if delay := self._admission.delay(cluster, activity.info().workflow_id or ""):
            message = f"many changes begin at this worker, and this one asks again in {delay:.0f} s"
            raise again_later("ManyBegin", message, timedelta(seconds=delay))

    async def _waiting(self, cluster: str, allow: Allow) -> int:
        """How many other changes are in line. 0 where Temporal does not answer in time: the first look asks again."""
        if allow.max_waiting is None:
            return 0
        try:
            state = await asyncio.wait_for(self._temporal.turns_state(cluster), ASK_DEADLINE)
        except (RPCError, TimeoutError):
            return 0
        own = activity.info().workflow_id
        return sum(ticket.workflow_id != own for ticket in state.waiting) if state else 0

    def _notifies(self, cluster: str) -> bool:
        """An error in the receiver's table stops no change: its message waits until the table is corrected."""
        try:
            return self._clusters.receiver(cluster) is not None
        except InvalidConfiguration:
            return True

    @activity.defn
    async def list_clusters(self, _: None = None) -> list[Reachability]:
        """The clusters of the clusters file and the queues that their activities run on."""
        with named_failures(final=(MemberflowError,)):
            return await asyncio.to_thread(self._reachabilities)

    def _reachabilities(self) -> list[Reachability]:
        return [self._reachability(name) for name in self._clusters.names()]

    def _reachability(self, name: str) -> Reachability:
        problem = self._clusters.problem(name)
        try:
            queue, endpoints = self._clusters.task_queue(name), self._clusters.endpoints(name)
            receiver, receiver_problem = self._receiver(name)
            found = Reachability(name, queue, problem=problem, endpoints=endpoints)
            return replace(found, receiver=receiver, receiver_problem=receiver_problem)
        except InvalidConfiguration as error:
            return Reachability(name, "", problem=f"{error.name}: {problem or error}")

    def _receiver(self, name: str) -> tuple[str, str]:
        """The receiver of a cluster's messages, and its problem."""
        try:
            receiver = self._clusters.receiver(name)
        except InvalidConfiguration as error:
            return "unknown", str(error)
        return (receiver.origin, receiver.problem()) if receiver else ("", "")

    @activity.defn(no_thread_cancel_exception=True)
    def check_status(self, look: LookOrder) -> ClusterStatus:
        """One look: a linearizable member list, every member's own status, the leader's view of their logs."""
        with named_failures(), beating(LOOK_BEAT):
            return self._look(self._connect(look), look)

    @activity.defn(no_thread_cancel_exception=True)
    def look_beforehand(self, look: LookOrder) -> Beforehand:
        """
        One look, and the turns: a change must know from the beginning which learners were left behind.

        A look with patience begins anew in this same attempt, and its last error is final. Another attempt, after a
        worker died or was missing, has the whole patience again.
        """
        with named_failures(final=(MemberflowError,) if look.patience else _HOPELESS):
            status = self._look_patiently(look)
            with beating(LOOK_BEAT):
                self._clusters.saw(look.cluster, status.cluster_id)
                return Beforehand(status, self._turns(look), self._record(look), _access(self._connect(look)))

    @activity.defn(no_thread_cancel_exception=True)
    def check_access(self, look: LookOrder) -> Check | None:
        """A refusal where this worker's credentials may not change the cluster's members."""
        with named_failures(), beating(LOOK_BEAT):
            return _access(self._connect(look))

    def _look_patiently(self, look: LookOrder) -> ClusterStatus:
        """A look that succeeds within the look's patience. The heartbeat says why it has not succeeded yet."""
        deadline, pause, reason = _deadline(look), PAUSE, SyncProgress("")
        while True:
            try:
                with beating(LOOK_BEAT, reason):
                    return self._look_once(self._connect(look), look)
            except _HOPELESS:
                raise
            except MemberflowError as error:
                if time.monotonic() + pause >= deadline:
                    raise
                reason = SyncProgress(f"a look fails: {error}")
            activity.heartbeat(reason)
            activity.wait_for_cancelled_sync(pause)
            end_if_unwanted("the first look")
            pause = min(_LONGEST_PAUSE, pause * 1.4)

    def _turns(self, look: LookOrder) -> TurnsState:
        """The turns at this moment. An unanswered question must not refuse a change: it asks for its turn again."""
        try:
            return self._temporal.call(self._temporal.turns_state(look.cluster)) or TurnsState()
        except (RPCError, TimeoutError) as error:
            activity.logger.warning("the turns of %s cannot be read: %s", look.cluster, error or "no answer")
            return TurnsState()

    def _record(self, look: LookOrder) -> Record:
        """Temporal's record of earlier changes. Empty where Temporal cannot be asked: that must not stop a change."""
        try:
            record = self._temporal.call(read_record(self._temporal.client, look))
        except (RPCError, TimeoutError) as error:
            activity.logger.warning("earlier changes of %s cannot be read: %s", look.cluster, error or "no answer")
            return NO_RECORD
        # An ID in the clusters file is an operator's word, and every look is checked against it.
        return replace(record, cluster_id="") if self._clusters.cluster_id(look.cluster) else record

    @activity.defn(no_thread_cancel_exception=True)
    def check_status_and_turns(self, look: LookOrder) -> Beforehand:
        """One look, and the turns: the situation of a change when it gets its turn."""
        with named_failures(), beating(LOOK_BEAT):
            turns = self._temporal.call(self._temporal.turns_state(look.cluster), PATIENT_DEADLINE)
            return Beforehand(self._look(self._connect(look), look), turns or TurnsState())

    @activity.defn(no_thread_cancel_exception=True)
    def check_after_barrier(self, look: LookOrder) -> ClusterStatus:
        """
        A look after one more raft entry has committed.

        The proposal of an earlier, ambiguous call is then either in this look or lost: entries commit in order, and
        a proposal that a new leader's log doesn't have is lost.
        """
        with named_failures(), beating(LOOK_BEAT):
            etcd = self._connect(look)
            self._look(etcd, look)
            etcd.commit()
            return self._look(etcd, look)

    def _connect(self, look: LookOrder) -> Etcd:
        return self._clusters.connect(look.cluster).expecting(look.cluster_id, look.voter_urls)

    def _look(self, etcd: Etcd, look: LookOrder) -> ClusterStatus:
        """A look that succeeds within the look's patience: Temporal's own retries are a second or more apart."""
        deadline = _deadline(look)
        while True:
            try:
                return self._look_once(etcd, look)
            except ClusterUnreachable:
                if time.monotonic() >= deadline or activity.is_cancelled():
                    raise
                time.sleep(PAUSE)

    def _look_once(self, etcd: Etcd, look: LookOrder) -> ClusterStatus:
        with counted_look(look.cluster):
            status = etcd.look(look.avoid, look.scope)
        # Not before: a cluster that does not answer must not keep others from beginning.
        self._admission.note(look.cluster, activity.info().workflow_id or "")
        return status

    async def _search_attributes(self) -> tuple[str, ...]:
        """Our search attributes that exist with the right type. None where the namespace can't be asked."""
        request = ListSearchAttributesRequest(namespace=self._temporal.client.namespace)
        try:
            listed = await self._temporal.client.operator_service.list_search_attributes(request)
        except RPCError:
            return ()
        keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
        return tuple(name for name in SEARCH_ATTRIBUTES if listed.custom_attributes.get(name) == keyword)


def _deadline(look: LookOrder) -> float:
    """The end of the look's patience. A forged order must not keep a place of this worker for ever."""
    return time.monotonic() + min(MOST_PATIENCE, look.patience)


def _access(etcd: Etcd) -> Check | None:
    try:
        etcd.check_access()
    except NO_ACCESS as error:
        return Check("access", "refuse", str(error), error.hint, error.name)
    return None
