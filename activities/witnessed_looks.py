"""Looks at which a second witness may count for a member while its own `Status` hangs."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import replace

from temporalio import activity

from activities.background import in_background
from membership.allow import Allow
from membership.errors import MemberflowError
from membership.etcd import LOGS, Etcd, Scope
from membership.model import ClusterStatus
from membership.witness import Evidence, PeerList, RaftView, accept, doubt, doubt_of_list, is_near, may_be_witnessed

# Seconds after which a learner's Status counts as hung where a witness may count for it.
HURRY = 0.05
# Seconds for the learner to acknowledge an entry, and between two looks at the acknowledgement.
ACKNOWLEDGED_WITHIN = 1.0
LOOK_EVERY = 0.01
# Seconds between two raft entries for the same member. The pause doubles after each, up to the second figure.
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
# Seconds until a hanging member gets etcd's usual deadline, and until it gets it again.
PATIENT_AFTER = 1.0
PATIENT_EVERY = 10.0


class WitnessedLooks:
    """
    Looks at one cluster for the sake of one member, which may lack at most `max_lag` raft entries.

    The member gets little time to answer, so that a witness can be asked soon. Without a witness, a patient look comes
    now and then: the member may just be far away.
    """

    def __init__(
        self,
        member_id: str,
        max_lag: int,
        allow: Callable[[], Allow],
        scope: Scope = LOGS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._member_id = member_id
        self._allow = allow
        self._max_lag = max_lag
        self._scope = scope
        self._clock = clock
        self._next = float("-inf")
        self._pause = FIRST_PAUSE
        self._patient_at: float | None = None
        # The peer URLs of the member, where the last look found that its Status hangs.
        self._hung_at: tuple[str, ...] = ()

    def look(self, etcd: Etcd, avoid: Collection[str], seen: RaftView | None = None) -> ClusterStatus:
        """
        A look, and the second witness where the member's Status hangs. While it hangs, both are asked at once.

        `seen` is the leader's view of a moment ago. It is used in place of another one where it has the member near.
        """
        urls = self._hung_at
        beside = in_background(lambda: etcd.peer_list(urls), "peer-list") if urls else None
        status = self._witnessed(etcd, self._hurried(etcd, avoid, seen), beside)
        if self._member_id not in status.hung or self._member_id in status.witnessed:
            self._patient_at, self._hung_at = None, ()
            return status
        self._hung_at = self._peer_urls(status)
        now = self._clock()
        self._patient_at = now + PATIENT_AFTER if self._patient_at is None else self._patient_at
        if now < self._patient_at:
            return status
        self._patient_at = now + PATIENT_EVERY
        return etcd.look(avoid, self._scope)

    def look_at_once(self, etcd: Etcd, avoid: Collection[str]) -> ClusterStatus:
        """As `look`, for an act, which looks only once. Without a witness a patient look follows at once."""
        status = self._witnessed(etcd, etcd.look(avoid, self._scope, hurry=HURRY))
        if self._member_id in status.hung and self._member_id not in status.witnessed:
            return etcd.look(avoid, self._scope)
        return status

    def _hurried(self, etcd: Etcd, avoid: Collection[str], seen: RaftView | None) -> ClusterStatus:
        if seen is None or not is_near(seen, self._member_id, self._max_lag):
            return etcd.look(avoid, self._scope, hurry=HURRY)
        status = etcd.look(avoid, replace(self._scope, raft=False), hurry=HURRY)
        if status.progress:
            return status  # a voter is silent, so the leader was asked again
        if (seen.member_id, seen.term) != (status.leader, status.term):
            return etcd.look(avoid, self._scope, hurry=HURRY)
        return replace(status, progress=seen.progress)

    def _peer_urls(self, status: ClusterStatus) -> tuple[str, ...]:
        """The URLs at which the member's peer port may be asked, by the clusters file."""
        member = status.member(self._member_id)
        return member.peer_urls if member and self._allow().fits(member.peer_urls) else ()

    def _witnessed(self, etcd: Etcd, status: ClusterStatus, beside: Future[PeerList] | None = None) -> ClusterStatus:
        if not may_be_witnessed(status, self._member_id, self._max_lag) or self._clock() < self._next:
            return status
        try:
            evidence = self._gather(etcd, status, beside)
        except MemberflowError as error:
            activity.logger.debug("no second witness for %s: %s", self._member_id, error)
            return status
        if evidence is None or doubt(status, self._member_id, evidence, self._max_lag):
            return status
        return accept(status, self._member_id, evidence)

    def _gather(self, etcd: Etcd, status: ClusterStatus, beside: Future[PeerList] | None) -> Evidence | None:
        """The peer port's answer shows that the data is restored. Raft, asked after it, shows that the member lives."""
        urls = self._peer_urls(status)
        if not urls:
            return None
        told = beside.result() if beside else etcd.peer_list(urls)
        if beside and doubt_of_list(status, self._member_id, told):
            told = etcd.peer_list(urls)  # it may have restored its data since the question
        if doubt_of_list(status, self._member_id, told):
            return None
        self._next = self._clock() + self._pause
        self._pause = min(LONGEST_PAUSE, 2 * self._pause)
        etcd.commit()
        committed = etcd.raft_view()
        if committed is None:
            return None
        view = self._acknowledged(etcd, committed)
        return Evidence(told, committed.commit, view)

    def _acknowledged(self, etcd: Etcd, committed: RaftView) -> RaftView:
        """The leader's view once the member has acknowledged the committed entry, or else the last view."""
        until, view = time.monotonic() + ACKNOWLEDGED_WITHIN, committed
        while time.monotonic() < until and not self._has(view, committed.commit):
            time.sleep(LOOK_EVERY)
            view = etcd.raft_view() or view
        return view

    def _has(self, view: RaftView, index: int) -> bool:
        raft = view.progress.get(self._member_id)
        return raft is not None and raft.match >= index
