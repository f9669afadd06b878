"""Starts and stops members through a launcher. Every activity here may be repeated."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from temporalio import activity
from temporalio.exceptions import CancelledError
from temporalio.service import RPCError

from activities.clusters_file import Clusters
from activities.early_ends import again_later, end_if_unwanted, named_failures
from activities.heartbeat import beating
from activities.temporal import Temporal
from activities.tries import tried
from activities.trust import NotAllowed, NotTrusted, Trust
from membership.errors import InvalidConfiguration, MemberflowError
from messages.launching import ContainerState, LaunchConflict, Launched, Launcher, LaunchFailed
from messages.orders import LaunchOrder

T = TypeVar("T")


class Launching:
    """The launchers of this worker's clusters file. After a failed try, the next try follows in `pause` seconds."""

    def __init__(self, clusters: Clusters, temporal: Temporal, pause: float = 1.0) -> None:
        self._clusters = clusters
        self._temporal = temporal
        self._trust = Trust(clusters, temporal)
        self._pause = pause

    @activity.defn(no_thread_cancel_exception=True)
    def check_launcher(self, order: LaunchOrder) -> None:
        """Fails, before anything is done, when there is no such launcher or it could not start the member."""
        with beating(), named_failures(final=(MemberflowError,)):
            self._trust.launch(order)
            self._clusters.launcher(order.launcher).check(order.launch)

    @activity.defn(no_thread_cancel_exception=True)
    def launch_member(self, order: LaunchOrder) -> str:
        """
        Starts the member, or finds it running, and returns the container and its engine, for a person.

        Ends between two steps, and in the middle of a pull, when it is cancelled or its worker stops. Right before
        it changes anything it asks Temporal: an attempt that was given up while its worker was frozen changes nothing.
        """
        final = (LaunchConflict, LaunchFailed)

        def start(launcher: Launcher) -> Launched:
            self._trust.launch(order)
            return launcher.start(order.launch, self._go_on)

        try:
            self._clusters.launcher(order.launcher)
        except InvalidConfiguration as error:
            # The learner is added. So the launch waits for the correction of a slip in the clusters file, as long as
            # the change may last.
            told = f"the launch waits for the clusters file: {error}"
            raise again_later(error.name, told, timedelta(seconds=5)) from error

        launched = self._tried("the launch", order, start, *final)
        return f"container {launched.container} ({launched.container_id}) on {launched.engine}"

    def _go_on(self, *, ask: bool = False) -> None:
        end_if_unwanted("the launch")
        if not ask:
            return
        try:
            why = self._temporal.call(self._temporal.why_unwanted(activity.info().task_token, "the launch"))
        except (RPCError, TimeoutError) as error:
            told = f"nothing was started, since Temporal could not be asked whether to: {str(error) or 'no answer'}"
            raise again_later("NotLaunched", told, timedelta(seconds=1)) from error
        if why:
            raise CancelledError(why)

    @activity.defn(no_thread_cancel_exception=True)
    def describe_launched(self, order: LaunchOrder) -> str:
        """The container's state and the last lines of its log, empty when there is none."""

        def look(launcher: Launcher) -> ContainerState | None:
            self._trust.question(order)
            return launcher.state(order.launch)

        return str(self._tried("the question to the engine", order, look) or "")

    @activity.defn(no_thread_cancel_exception=True)
    def stop_launched(self, order: LaunchOrder) -> bool:
        """Removes the container and the volume of a member that is no voter. True if there was anything."""

        def stop(launcher: Launcher) -> bool:
            self._trust.stop(order)
            return launcher.stop(order.launch)

        return self._tried("the stop of the container", order, stop, LaunchConflict)

    def _tried(self, what: str, order: LaunchOrder, do: Callable[[Launcher], T], *hopeless: type[MemberflowError]) -> T:
        final: tuple[type[MemberflowError], ...] = (NotTrusted, NotAllowed, *hopeless)
        with beating():
            return tried(what, lambda: do(self._clusters.launcher(order.launcher)), hopeless=final, pause=self._pause)
