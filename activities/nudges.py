"""The nudge for a learner that has the whole log and does not answer."""

from __future__ import annotations

from temporalio import activity

from activities.heartbeat import BEAT_EVERY, beating
from membership.errors import MemberflowError
from membership.etcd import Etcd
from membership.model import ClusterStatus, SyncProgress

# Seconds for which a learner may stay silent although the leader sees it fully matched. Then it is nudged: etcd 3.6
# and 3.7 can leave it silent for ever in an idle cluster, and one more raft entry frees it (measured, no upstream
# issue).
NUDGE_AFTER = 12.0


class Nudges:
    """Frees a learner that is fully matched at the leader and yet does not answer."""

    def __init__(self, member_id: str) -> None:
        self._member_id = member_id
        self._silent_since: float | None = None

    def consider(self, etcd: Etcd, status: ClusterStatus, now: float, progress: SyncProgress) -> None:
        """Has one raft entry committed when the learner has been matched and silent for NUDGE_AFTER seconds."""
        if not self._matched_and_silent(status):
            self._silent_since = None
            return
        self._silent_since = now if self._silent_since is None else self._silent_since
        if now - self._silent_since < NUDGE_AFTER:
            return
        self._silent_since = now
        activity.logger.warning(
            "learner %s has the whole log but is silent: one more raft entry may free it", self._member_id
        )
        try:
            with beating(BEAT_EVERY, progress):
                etcd.commit()
        except MemberflowError as error:
            activity.logger.warning("the nudge failed: %s", error)

    def _matched_and_silent(self, status: ClusterStatus) -> bool:
        own, leader = status.progress.get(self._member_id), status.progress.get(status.leader)
        matched = own is not None and leader is not None and own.match >= leader.match
        return matched and self._member_id not in status.statuses
