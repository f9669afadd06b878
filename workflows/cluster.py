"""The cluster of one change: looks at it, waits for it, acts on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows.activity_errors import last_told_receiver, so_far_of, stop_of
from workflows.board import Board
from workflows.interruptions import Interruptions
from workflows.reports import Reports
from workflows.timeouts import ACT, ASK, FIRST_LOOK, FIRST_LOOK_PATIENCE, LONG_WAIT, LOOK, LOOK_AGAIN, WAIT, start

with workflow.unsafe.imports_passed_through():
    from activities.acts import Acts
    from activities.clusters_file import ClusterProfile
    from activities.counters import UNKNOWN
    from activities.looks import Looks
    from activities.waits import Waits
    from membership.etcd import MEMBERS, Scope
    from membership.failures import Failure
    from membership.judgements import StepName, judge
    from membership.missing_key import MissingKey
    from membership.model import ClusterStatus
    from membership.verdicts import Facts, Verdict
    from messages.orders import ActReport, Beforehand, LaunchOrder, LookOrder, StepOrder, not_sent
    from messages.queues import waits_queue
    from messages.turns import Ticket
    from workflows.carried import Carried
    from workflows.stop import StopKind

S = TypeVar("S")
A = TypeVar("A")
T = TypeVar("T")

ActOf = Callable[[Acts, StepOrder], ActReport]
WaitOf = Callable[[Waits, StepOrder], ClusterStatus]

# Waits that end by themselves where the member is at fault: the policy says whether the change is held then.
_CLOCKS = (Failure.LEARNER_STALLED, Failure.LAUNCHED_MEMBER_DIED)


class Cluster:
    """The cluster of one change: its facts, and all looks, waits and acts."""

    def __init__(self, board: Board, interruptions: Interruptions, name: str, member: str, ticket: Ticket) -> None:
        #: The cluster's name in the clusters file.
        self.name = name
        #: The basis of the judgements, set by the preflight.
        self.facts: Facts
        #: The reports of every act so far.
        self.reports = Reports()
        #: The member that names the change.
        self.member = member
        self._board = board
        self._interruptions = interruptions
        self._ticket = ticket
        self._profile: ClusterProfile | None = None
        # etcd's own ID of the cluster, from the first look on: a change never goes on with another cluster.
        self._id = ""
        # Another worker may find the cluster at these URLs alone: the clusters file may list members that are gone.
        self.voter_urls: tuple[str, ...] = ()

    def restore(self, carried: Carried) -> None:
        """Goes on with the cluster of the run before."""
        self._profile, self.facts, self._id = carried.profile, carried.facts, carried.facts.cluster_id
        self.reports.restore(carried.reports)
        self.voter_urls = carried.voter_urls
        self._board.use_search_attributes(carried.profile.search_attributes)

    @property
    def known_name(self) -> str:
        """The name, or `unknown` where no worker has found it in its clusters file."""
        return self.name if self._profile else UNKNOWN

    @property
    def notifies(self) -> bool:
        """Whether a receiver hears how changes of the cluster end."""
        return self._profile is not None and self._profile.notifies

    @property
    def profile(self) -> ClusterProfile:
        assert self._profile is not None, "read by the preflight, before anything else"
        return self._profile

    def start(
        self, activity: Callable[[S, A], T], argument: A, limits: workflow.ActivityConfig, summary: str
    ) -> workflow.ActivityHandle[T]:
        """Starts an activity on the cluster's task queue. Its summary names the member."""
        return start(activity, argument, limits, f"{self.member}: {summary}", self.profile.task_queue)

    def start_wait(
        self, activity: Callable[[S, A], T], argument: A, limits: workflow.ActivityConfig, summary: str
    ) -> workflow.ActivityHandle[T]:
        """Starts a wait, on a task queue of its own: acts and looks never stand behind waits."""
        queue = waits_queue(self.profile.task_queue)
        return start(activity, argument, limits, f"{self.member}: {summary}", queue)

    # ---- before anything else ----

    async def read_profile(self, kind: StopKind) -> None:
        """Reads policy and task queue from the clusters file, once. A failure is a Stop of this kind."""
        if self._profile is not None:
            return
        try:
            self._profile = await self._interruptions.interruptible(
                lambda: start(Looks.read_profile, self.name, ASK, f"{self.member}: read the policy")
            )
        except ActivityError as error:
            raise stop_of(error, kind) from error
        self._board.use_search_attributes(self._profile.search_attributes)

    async def first_look(self, kind: StopKind, leaving: str) -> Beforehand:
        """
        The first look fails after a while, as a Stop of this kind. Later looks go on trying.

        No look fails because a worker is missing, or lacks the key of its payloads: Temporal gives it to the next.
        """
        look = LookOrder(
            self.name,
            member=self.member,
            change=workflow.info().workflow_id,
            patience=FIRST_LOOK_PATIENCE,
            leaving=leaving,
            cluster_id=self._id,
            voter_urls=self.voter_urls,
        )
        try:
            before = await self._interruptions.interruptible(
                lambda: self.start(Looks.look_beforehand, look, FIRST_LOOK, "first look at the cluster")
            )
        except ActivityError as error:
            raise stop_of(error, kind) from error
        self._id = before.status.cluster_id
        self._saw(before.status)
        return before

    # ---- looks ----

    async def look_with_turns(self, why: str) -> Beforehand:
        """A look, and the turns as they are. Temporal repeats it until it succeeds."""
        self._board.waits_for(f"a look at the cluster: {why}")
        before = await self._interruptions.interruptible(
            lambda: self.start(Looks.check_status_and_turns, self._look(), LOOK, why)
        )
        self._saw(before.status)
        return before

    async def look(self, why: str, scope: Scope = MEMBERS) -> ClusterStatus:
        """One look, repeated by Temporal until it succeeds."""
        self._board.waits_for(f"a look at the cluster: {why}")
        look = self._look(scope=scope)
        return self._saw(
            await self._interruptions.interruptible(lambda: self.start(Looks.check_status, look, LOOK, why))
        )

    async def look_after(self, act: str, scope: Scope = MEMBERS) -> ClusterStatus:
        """The look that shows the effect of an act. Nothing interrupts it, and without quorum it waits."""
        self._board.waits_for(f"a look at the cluster, for the effect of {act}")
        look = self._look(LOOK_AGAIN, scope)
        return self._saw(await self.start(Looks.check_status, look, LOOK, f"look for the effect of {act}"))

    async def look_after_barrier(self, act: str) -> ClusterStatus:
        """A look that shows for good whether an ambiguous act took effect. Without quorum it waits."""
        self._board.waits_for(f"one more raft entry to commit, which decides the fate of {act}")
        why = f"decide the fate of {act}"
        return self._saw(await self.start(Looks.check_after_barrier, self._look(LOOK_AGAIN), LOOK, why))

    def _saw(self, status: ClusterStatus) -> ClusterStatus:
        self.voter_urls = status.voter_urls or self.voter_urls
        return status

    def judge(self, step: StepName, status: ClusterStatus) -> Verdict:
        return judge(step, status, self.facts)

    # ---- waits ----

    async def wait(
        self, activity: WaitOf, step: StepName, why: str, launch: LaunchOrder | None = None, foreign: str = ""
    ) -> ClusterStatus:
        """A wait, as one heartbeating activity, or two where it is long. Raises Stop with the name of its end."""
        order = StepOrder(step, self.facts, self._ticket, launch, foreign, voter_urls=self.voter_urls)
        try:
            try:
                return await self._wait(activity, order, WAIT, why)
            except ActivityError as error:
                so_far = so_far_of(error)
                if so_far.phase != "unknown":
                    self._board.note(so_far)
                order = replace(order, so_far=so_far)
                return await self._wait(activity, order, LONG_WAIT, f"long wait: {so_far.reason}")
        except ActivityError as error:
            stop = stop_of(error, "failed")
            stop.kind = "clock" if stop.error in _CLOCKS else "failed"
            raise stop from error

    async def _wait(
        self, activity: WaitOf, order: StepOrder, limits: workflow.ActivityConfig, why: str
    ) -> ClusterStatus:
        return self._saw(await self._interruptions.interruptible(lambda: self.start_wait(activity, order, limits, why)))

    # ---- acts ----

    async def act(self, activity: ActOf, step: StepName, what: str) -> ActReport:
        """Has one call sent, at most. An activity that was lost may have sent it."""
        attempt = self._board.view.attempts.get(what, 0) + 1
        order = StepOrder(step, self.facts, self._ticket, voter_urls=self.voter_urls)
        try:
            report = await self.start(activity, order, ACT, f"{what}, attempt {attempt}")
        except ActivityError as error:
            stop = stop_of(error, "failed")
            if stop.error == MissingKey.__name__:
                report = not_sent(stop.reason)  # the worker could not read the order
            else:
                report = ActReport(True, "maybe", stop.error, stop.reason, sent_to=last_told_receiver(error))
        if report.sent:
            self._board.sent(what)
        told = {"act": what, "applied": report.applied, "error": report.error, "reason": report.reason}
        workflow.logger.info("act", extra={**told, "cluster": self.name, "member": self.member})
        return report

    def avoid(self, status: ClusterStatus) -> None:
        """
        From now on the member of the step is not asked for anything. `status` shows its client URLs.

        etcd crashes a member that is asked for its status in the moment of its removal (etcd#21966).
        """
        member_id = self.facts.member_id
        self.facts = replace(self.facts, avoid=(member_id, *status.endpoints_of(member_id)))

    def avoid_nothing(self) -> None:
        self.facts = replace(self.facts, avoid=())

    def _look(self, patience: float = 0.0, scope: Scope = MEMBERS) -> LookOrder:
        return LookOrder(
            self.name,
            self.facts.avoid,
            self.member,
            patience,
            scope,
            cluster_id=self.facts.cluster_id,
            voter_urls=self.voter_urls,
        )
