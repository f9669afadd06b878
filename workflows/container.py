"""The container of a new member, where a launcher starts it: launched, described, and stopped again."""

from __future__ import annotations

from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows.activity_errors import stop_of
from workflows.change import Change
from workflows.timeouts import LAUNCH

with workflow.unsafe.imports_passed_through():
    from activities.launch import Launching
    from membership.model import ClusterStatus, Member
    from messages.launching import Launch
    from messages.orders import LaunchOrder
    from workflows.stop import Stop


class Container:
    """The new member's container. Without a launcher there is none, and every method does nothing."""

    def __init__(self, change: Change[Any], name: str, launcher: str | None) -> None:
        self._change = change
        self._name = name
        self._launcher = launcher
        #: The launch of this change, None before it.
        self.launched: LaunchOrder | None = None

    async def check(self) -> None:
        """Part of the preflight: an unusable engine is reported before anything is done."""
        if not self._launcher or self._change.renewal.goes_on:
            return
        order = self._order(self._name, "")
        try:
            await self._change.cluster.start(Launching.check_launcher, order, LAUNCH, f"check {order.launcher}")
        except ActivityError as error:
            raise stop_of(error, self._change.unseen) from error

    async def launch(self, status: ClusterStatus) -> None:
        """Starts the learner. A learner that runs already is left as it is."""
        change, member = self._change, status.member(self._change.cluster.facts.member_id)
        if not self._launcher or member is None or not member.is_learner:
            return
        assert change.handover
        launch = Launch(
            cluster=change.request.cluster,
            name=self._name,
            member_id=member.id,
            environment=change.handover.env(),
            change=change.ticket.workflow_id,
            members=tuple(m.id for m in status.members),
            cluster_id=change.cluster.facts.cluster_id,
        )
        order = LaunchOrder(self._launcher, launch)
        change.board.waits_for(f"launcher {order.launcher} to start the member")
        try:
            if member.name and not await self._describe(order, "is it launched?"):
                change.board.warn("the member runs already, and memberflow did not launch it: nothing was launched")
                return
            self.launched = order
            await change.interruptions.interruptible(
                lambda: change.cluster.start(Launching.launch_member, order, LAUNCH, f"launch with {order.launcher}")
            )
        except ActivityError as error:
            raise stop_of(error, "failed") from error

    async def stop(self) -> None:
        """Takes `launch` back: removes the container and its data."""
        if self.launched:
            await self._stop(self.launched, "stop the launched container")

    async def stop_old(self, old: Member) -> None:
        """Stops the container of a replaced member, if the same launcher had started it."""
        if self._launcher and old.name:
            await self._stop(self._order(old.name, old.id), f"stop the container of {old.name}")

    async def explain(self, stop: Stop) -> None:
        """Adds the state of the launched container to the reason."""
        if self.launched is None:
            return
        try:
            state = await self._describe(self.launched, "how is its container?")
        except ActivityError:
            return
        if state and state not in stop.reason:
            stop.reason = f"{stop.reason}; {state}"

    async def _describe(self, order: LaunchOrder, why: str) -> str:
        return await self._change.cluster.start(Launching.describe_launched, order, LAUNCH, why)

    async def _stop(self, order: LaunchOrder, why: str) -> None:
        try:
            await self._change.cluster.start(Launching.stop_launched, order, LAUNCH, why)
        except ActivityError as error:
            self._change.board.warn(f"a launched container could not be stopped: {stop_of(error, 'failed').reason}")

    def _order(self, name: str, member_id: str) -> LaunchOrder:
        """An order that starts nothing, so it needs no handover."""
        assert self._launcher
        cluster_id = self._change.cluster.facts.cluster_id
        return LaunchOrder(
            self._launcher, Launch(self._change.request.cluster, name, member_id, {}, cluster_id=cluster_id)
        )
