"""Watches a launched container, while the wait for its member lasts."""

from __future__ import annotations

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.clusters_file import Clusters
from activities.heartbeat import BEAT_EVERY, beating
from membership.errors import MemberflowError
from membership.failures import Failure
from membership.model import SyncProgress
from messages.orders import StepOrder

# Seconds between two looks at a launched container.
CONTAINER_EVERY = 2.0
# For so many seconds the container may be found between two starts.
RESTARTING_FOR = 10.0


class ContainerWatch:
    """Watches the launched container of the learner, where there is one."""

    def __init__(self, clusters: Clusters, order: StepOrder) -> None:
        self._clusters = clusters
        self._order = order.launch
        self._asked = float("-inf")
        self._down_since: float | None = None

    def consider(self, now: float, progress: SyncProgress) -> None:
        """Fails when the container has ended, or was found between two starts for RESTARTING_FOR seconds."""
        if self._order is None or now - self._asked < CONTAINER_EVERY:
            return
        self._asked = now
        try:
            with beating(BEAT_EVERY, progress):
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
        told = str(state) if state else "another client removed it"
        raise ApplicationError(
            f"the container of the new member is gone: {told}",
            "its last lines say why: correct the launcher in the clusters file, then run the same command again",
            type=Failure.LAUNCHED_MEMBER_DIED,
            non_retryable=True,
        )
