"""Starts and stops members through a launcher. Every activity here may be repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from temporalio import activity
from temporalio.exceptions import CancelledError
from temporalio.service import RPCError

from activities.callers import NotTrusted
from activities.clusters_file import Clusters
from activities.early_ends import again_later, end_if_unwanted, named_failures
from activities.heartbeat import beating
from activities.temporal import Temporal
from activities.tries import tried
from activities.trust import NotAllowed, Trust
from membership.errors import InvalidConfiguration, MemberflowError, UnknownLauncher
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

        with _waits_for_the_file("the launch"):
            self._clusters.launcher(order.launcher)
        launched = self._tried("the launch", order, start, *final)
        return f"container {launched.container} ({launched.container_id}) on {launched.engine}"

    def _go_on(self, *, ask: bool = False) -> None:
        end_if_unwanted("the launch")
        if not ask:
            return
        try:
            why = self._temporal.call(self._temporal.why_unwanted(activity.info().task_token, "the launch"))
        except (RPCError, TimeoutError) as error:
            why = str(error) or "no answer"
            told = f"nothing was started: Temporal did not say whether the launch is still wanted ({why})"
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
        final: tuple[type[MemberflowError], ...] = (NotTrusted, NotAllowed, UnknownLauncher, *hopeless)

        def do_or_wait() -> T:
            with _waits_for_the_file(what, unless=(UnknownLauncher,)):
                return do(self._clusters.launcher(order.launcher))

        with beating():
            return tried(what, do_or_wait, hopeless=final, pause=self._pause)


@contextmanager
def _waits_for_the_file(what: str, unless: tuple[type[InvalidConfiguration], ...] = ()) -> Iterator[None]:
    """
    Puts an activity off until a slip in the clusters file is corrected, as long as the change may last.

    The learner is added by now, so an edit in progress must not end the change. Errors in `unless` pass through.
    """
    try:
        yield
    except unless:
        raise
    except InvalidConfiguration as error:
        told = f"{what} waits for the clusters file: {error}"
        raise again_later(error.name, told, timedelta(seconds=5)) from error
