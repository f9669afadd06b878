"""
The acts: activities that change a cluster.

Each carries out its own step, and only for a change that has the turn (`activities.trust`). Each has one attempt and
sends at most one call. Before the call it repeats the look that its safety rests on. It also asks Temporal whether it
is still wanted and its change has the turn. If not, it answers `NotSent` with the reason. While its call is
outstanding it watches its own effect, so that a lost answer costs a moment and not a deadline.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.background import in_background
from activities.callers import NotTrusted
from activities.clusters_file import Clusters
from activities.counters import UNKNOWN, count_act, counted_look
from activities.temporal import Temporal
from activities.trust import NotAllowed, Trust
from activities.witnessed_looks import WitnessedLooks
from membership.errors import InvalidConfiguration, MemberflowError
from membership.etcd import BEFORE_ADD, BEFORE_PROMOTE, EVERYTHING, MEMBERS, Etcd, Scope
from membership.etcd_errors import EtcdError
from membership.judge_removal import transferee
from membership.judgements import StepName, judge
from membership.model import ClusterStatus
from membership.verdicts import Done, Ready, Refuse, Verdict
from messages.orders import ActReport, StepOrder, not_sent
from messages.turns import CALL_DEADLINE, SEND_WITHIN

EFFECT_INTERVAL = 0.1

# How much an act's own look asks. A removal compares the lists of all voters once more, and a move their logs.
_SCOPES: dict[StepName, Scope] = {"add": BEFORE_ADD, "move": EVERYTHING}

Call = Callable[[Etcd, ClusterStatus], object]
Effect = Callable[[Etcd], bool]


class Acts:
    """The acts, on the clusters of this worker."""

    def __init__(self, clusters: Clusters, temporal: Temporal, clock: Callable[[], float] = time.monotonic) -> None:
        self._clusters = clusters
        self._temporal = temporal
        self._trust = Trust(clusters, temporal)
        self._clock = clock

    @activity.defn(no_thread_cancel_exception=True)
    def add_learner(self, order: StepOrder) -> ActReport:
        """Sends MemberAdd for a learner, if the slot is still free."""
        peer_urls = order.facts.peer_urls

        def effect(etcd: Etcd) -> bool:
            return any(set(m.peer_urls) == set(peer_urls) for m in etcd.members())

        return self._act(order, lambda etcd, _: etcd.add_learner(peer_urls, CALL_DEADLINE), effect)

    @activity.defn(no_thread_cancel_exception=True)
    def promote_learner(self, order: StepOrder) -> ActReport:
        """Sends MemberPromote, if its own word or a witness shows the learner caught up and alive at this moment."""
        member_id = order.facts.member_id

        def effect(etcd: Etcd) -> bool:
            return any(m.id == member_id and not m.is_learner for m in etcd.members())

        return self._act(order, lambda etcd, _: etcd.promote(member_id, CALL_DEADLINE), effect)

    @activity.defn(no_thread_cancel_exception=True)
    def remove_learner(self, order: StepOrder) -> ActReport:
        """Sends MemberRemove for a learner that a change of this service added, if it is still a learner."""
        return self._remove(order)

    @activity.defn(no_thread_cancel_exception=True)
    def remove_member(self, order: StepOrder) -> ActReport:
        """Sends MemberRemove, if the policy allows it at this moment."""
        return self._remove(order)

    def _remove(self, order: StepOrder) -> ActReport:
        member_id = order.facts.member_id

        def effect(etcd: Etcd) -> bool:
            return all(m.id != member_id for m in etcd.members(avoid=(member_id,)))

        return self._act(order, lambda etcd, _: etcd.remove(member_id, CALL_DEADLINE), effect)

    @activity.defn(no_thread_cancel_exception=True)
    def move_leader(self, order: StepOrder) -> ActReport:
        """Sends MoveLeader to the healthy voter that is most caught up at this moment."""
        member_id = order.facts.member_id

        def call(etcd: Etcd, status: ClusterStatus) -> None:
            heir = transferee(status, order.facts)
            assert heir, "judged a moment ago"
            etcd.move_leader(heir.id, CALL_DEADLINE)

        def effect(etcd: Etcd) -> bool:
            return etcd.look(order.facts.avoid, MEMBERS).leader not in ("", member_id)

        return self._act(order, call, effect)

    def _act(self, order: StepOrder, call: Call, effect: Effect) -> ActReport:
        report = self._look_and_send(order, call, effect)
        count_act(self._known(order.cluster), report)
        if report.sent:
            activity.logger.info("sent once; applied: %s; %s", report.applied, report.reason or "answered")
        else:
            activity.logger.warning("nothing was sent: %s", report.reason)
        return report

    def _known(self, cluster: str) -> str:
        with suppress(InvalidConfiguration):
            if cluster in self._clusters.names():
                return cluster
        return UNKNOWN

    def _look_and_send(self, order: StepOrder, call: Call, effect: Effect) -> ActReport:
        started = self._clock()
        info = activity.info()
        if info.attempt > 1:
            return ActReport(sent=True, applied="maybe", error="Repeated", reason="an earlier attempt may have sent it")
        try:
            order = self._trust.act(order)
            etcd = self._clusters.connect(order.cluster).expecting(order.facts.cluster_id, order.voter_urls)
            etcd.authenticate(order.facts.avoid)
            with counted_look(order.cluster):
                status = self._last_look(etcd, order)
            if reason := _objection(judge(order.step, status, order.facts)):
                return not_sent(reason)
            # Temporal keeps the last heartbeat. If this worker dies in the call, it names the member that was sent it.
            question = self._temporal.why_not_send(order.cluster, order.ticket, info.task_token, status.leader)
            why, turn_lost = self._temporal.call(question)
        except NotTrusted as error:
            raise ApplicationError(str(error), error.hint, type=error.name, non_retryable=True) from error
        except NotAllowed as error:
            return ActReport(sent=False, applied="no", error=error.name, reason=str(error))
        except Exception as error:  # noqa: BLE001  (whatever it was, nothing was sent: an act that ends by it may have)
            return not_sent(f"the last look failed: {type(error).__name__}: {error}")
        if not why and self._clock() - started > SEND_WITHIN:
            why = f"more than {SEND_WITHIN:.0f} s passed between the look and the call"
        if why:
            return not_sent(why, turn_lost=turn_lost)
        report = self._watch_effect(etcd, in_background(lambda: call(etcd, status), "etcd-call"), effect, status.leader)
        return replace(report, sent_to=status.leader) if report.sent else report

    def _last_look(self, etcd: Etcd, order: StepOrder) -> ClusterStatus:
        """The look that the act's safety rests on. Before a promote a second witness counts, as in the wait."""
        if order.step != "promote":
            return etcd.look(order.facts.avoid, _SCOPES.get(order.step, MEMBERS))
        facts = order.facts
        looks = WitnessedLooks(
            facts.member_id, facts.policy.max_lag_entries, lambda: self._clusters.allow(order.cluster), BEFORE_PROMOTE
        )
        return looks.look_at_once(etcd, facts.avoid)

    def _watch_effect(self, etcd: Etcd, call: Future[object], effect: Effect, sent_to: str) -> ActReport:
        while True:
            activity.heartbeat("waiting for etcd's answer", sent_to)
            try:
                call.result(EFFECT_INTERVAL)
                return ActReport(sent=True, applied="yes")
            except TimeoutError:
                pass
            except MemberflowError as error:
                return _report(error)
            with suppress(MemberflowError):
                if effect(etcd) and not call.done():
                    return ActReport(sent=True, applied="yes", answer_lost=True)


def _objection(verdict: Verdict) -> str:
    match verdict:
        case Ready():
            return ""
        case Done():
            return "the effect is already there"
        case Refuse(reason=reason):
            return reason
    return verdict.reason


def _report(error: MemberflowError) -> ActReport:
    if isinstance(error, InvalidConfiguration):
        return not_sent(str(error))  # no connection was made
    applied = error.applied if isinstance(error, EtcdError) else "maybe"
    return ActReport(sent=True, applied=applied, error=error.name, reason=str(error))
