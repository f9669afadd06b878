"""Starts and stops members through a launcher; all of it may be repeated, and Temporal does."""

from __future__ import annotations

from temporalio import activity

from activities.failures import named_failures
from activities.heartbeat import beating
from membership.acts import LaunchOrder
from membership.errors import MemberflowError
from membership.launching import LaunchConflict, LaunchFailed
from membership.ports import Clusters


class Launching:
    """The launchers of this worker's clusters file."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters = clusters

    @activity.defn(no_thread_cancel_exception=True)
    def check_launcher(self, order: LaunchOrder) -> None:
        """Fails when there is no such launcher, or it could not start the member: before anything is done."""
        with beating(), named_failures(final=(MemberflowError,)):
            self._clusters.launcher(order.launcher).check(order.launch)

    @activity.defn(no_thread_cancel_exception=True)
    def launch_member(self, order: LaunchOrder) -> str:
        """Starts the member, or finds it running; what runs, for a person."""
        with beating(), named_failures(final=(LaunchConflict, LaunchFailed)):
            launched = self._clusters.launcher(order.launcher).start(order.launch)
        return f"container {launched.container} ({launched.container_id}) on {launched.engine}"

    @activity.defn(no_thread_cancel_exception=True)
    def describe_launched(self, order: LaunchOrder) -> str:
        """The container's state and the last lines of its log; empty when there is none."""
        with beating(), named_failures():
            return str(self._clusters.launcher(order.launcher).state(order.launch) or "")

    @activity.defn(no_thread_cancel_exception=True)
    def stop_launched(self, order: LaunchOrder) -> bool:
        """Removes the member's container and its volume; whether there was anything."""
        with beating(), named_failures(final=(LaunchConflict,)):
            return self._clusters.launcher(order.launcher).stop(order.launch)
