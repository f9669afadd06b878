"""
The permissions of activities, judged here, where the credentials are.

Every client that may write to the Temporal namespace can start any workflow and any activity, with any payload. So
an activity that changes something is judged by its own name, by the workflow that runs it and by this worker's
clusters file. Its payload counts only where that asks for less.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from temporalio import activity
from temporalio.client import Client

from activities.callers import NotTrusted, why_refused
from activities.clusters_file import Clusters
from activities.temporal import Temporal
from membership.allow import HINT, Asked
from membership.errors import MemberflowError
from membership.etcd import MEMBERS
from membership.judgements import StepName
from membership.names import MOST_PEER_URLS, check_name, check_peer_url
from membership.verdicts import Facts, Refuse
from messages.ids import verb_of
from messages.launching import Launch
from messages.orders import LaunchOrder, StepOrder
from messages.turns import Ticket

_NEWCOMERS = ("join", "replace")

_MEMBER_ID = re.compile(r"[0-9a-f]{0,16}")
_SNAPSHOT_TIME = re.compile(r"\d{8}T\d{6}Z")
_HANDOVER = ("ETCD_NAME", "ETCD_INITIAL_CLUSTER", "ETCD_INITIAL_CLUSTER_STATE", "ETCD_INITIAL_ADVERTISE_PEER_URLS")


class NotAllowed(MemberflowError):
    """The worker's clusters file does not allow it."""

    hint = HINT


#: The step whose judgement an act needs, by the name of the activity.
STEPS: Mapping[str, StepName] = {
    "add_learner": "add",
    "promote_learner": "promote",
    "remove_learner": "rollback",
    "remove_member": "remove",
    "move_leader": "move",
}


class Trust:
    """The judgement of this worker, by its clusters file. Every method is for a caller in an activity's thread."""

    def __init__(self, clusters: Clusters, temporal: Temporal) -> None:
        self._clusters = clusters
        self._temporal = temporal

    def act(self, order: StepOrder) -> StepOrder:
        """
        The order as this worker carries it out: with the activity's own step, and no weaker policy than in its file.

        Raises NotTrusted for an order that no change of this service gives, NotAllowed for a change that the
        clusters file does not allow.
        """
        step = STEPS[activity.info().activity_type]
        verb = self._verb_of_change(order.cluster)
        self._check_ticket(order.ticket)
        facts = order.facts
        _check_name(facts.name)
        _check_member_id(facts.member_id)
        facts = self._limited(replace(facts, peer_urls=_checked_urls(facts.peer_urls)), verb)
        if step != "rollback":
            # A rollback is always allowed, whatever the file says by now.
            urls = facts.peer_urls if verb in _NEWCOMERS else ()
            self._check_allowed(order.cluster, Asked(verb, urls, order.facts.force))
        return replace(order, step=step, facts=facts)

    def launch(self, order: LaunchOrder) -> None:
        """Raises NotTrusted or NotAllowed where this member must not be started."""
        verb = self.question(order)
        urls = _advertised(order.launch)
        self._check_allowed(order.cluster, Asked(verb, urls, launcher=order.launcher))

    def question(self, order: LaunchOrder) -> str:
        """The kind of the change that asks about its own launch. Raises NotTrusted for every other caller."""
        _check_launch(order.launch)
        return self._verb_of_change(order.cluster)

    def stop(self, order: LaunchOrder) -> None:
        """Raises NotTrusted unless a look of this moment shows that the member is no voter."""
        self.question(order)
        launch = order.launch
        if not launch.member_id:
            raise NotTrusted("no member ID was given, so the container may belong to a voter")
        status = self._clusters.connect(order.cluster).look(scope=MEMBERS)
        if launch.cluster_id != status.cluster_id:
            wanted = launch.cluster_id or "(none)"
            raise NotTrusted(
                f"the container belongs to cluster ID {wanted}, but {order.cluster} has the ID {status.cluster_id}"
            )
        member = status.member(launch.member_id)
        if member is not None and not member.is_learner:
            raise NotTrusted(f"member {member.label} is a voter, so its container and its data stay")

    def snapshot(self, cluster: str, time: str) -> Path:
        """The path of this snapshot, by this worker's own file. Raises NotTrusted or NotAllowed."""
        self._verb_of_change(cluster)
        if not _SNAPSHOT_TIME.fullmatch(time):
            raise NotTrusted(f"{time!r} is not the time of a snapshot")
        pattern = self._clusters.policy(cluster).snapshot_before_removal
        if not pattern:
            raise NotAllowed(f"snapshot_before_removal of {cluster} is not set in this worker's clusters file")
        return Path(pattern.replace("{cluster}", cluster).replace("{time}", time))

    def _verb_of_change(self, cluster: str) -> str:
        """The kind of the change that runs this activity. Raises NotTrusted if it must not run it for this cluster."""
        _check_name(cluster)
        info = activity.info()
        if why := why_refused(info, cluster):
            raise NotTrusted(why)
        return verb_of(cluster, info.workflow_id or "")

    def _check_ticket(self, ticket: Ticket) -> None:
        info = activity.info()
        if ticket.workflow_id != info.workflow_id:
            raise NotTrusted(
                f"the ticket belongs to {ticket.workflow_id!r}, but {info.workflow_id!r} runs this activity"
            )
        if ticket.run_id == info.workflow_run_id:
            return
        # After a reset, or in its next run, a change has another run ID, and keeps its ticket.
        if ticket.run_id != self._temporal.call(_first_run_id(self._temporal.client)):
            raise NotTrusted(f"the ticket belongs to another run of {info.workflow_id}")

    def _limited(self, facts: Facts, verb: str) -> Facts:
        """The facts without exceptions from the policy: only a replace has another half to count on."""
        own = self._clusters.policy(facts.cluster).with_limits_of(facts.policy)
        if verb != "replace":
            return replace(facts, policy=own, returning=0, began_with=None)
        return replace(facts, policy=own, returning=max(0, min(1, facts.returning)))

    def _check_allowed(self, cluster: str, asked: Asked) -> None:
        refused: Refuse | None = self._clusters.allow(cluster).objection(asked)
        if refused:
            raise NotAllowed(refused.reason)


async def _first_run_id(client: Client) -> str:
    """The ID of the first run of this activity's workflow. Each of its runs, and each reset, begins with it."""
    info = activity.info()
    run = client.get_workflow_handle(info.workflow_id or "", run_id=info.workflow_run_id)
    async for event in run.fetch_history_events(page_size=1):
        return event.workflow_execution_started_event_attributes.first_execution_run_id
    return ""


def _check_launch(launch: Launch) -> None:
    """Raises NotTrusted unless the names are valid, and the environment is the handover and nothing else."""
    _check_name(launch.name)
    for member_id in (launch.member_id, launch.cluster_id, *launch.members):
        _check_member_id(member_id)
    for key, value in launch.environment.items():
        if key not in _HANDOVER or not value.isprintable():
            raise NotTrusted(f"{key!r} is not a value of a handover")
    if launch.environment and launch.environment.get("ETCD_NAME") != launch.name:
        raise NotTrusted(f"the handover is for another member than {launch.name}")
    _advertised(launch)


def _advertised(launch: Launch) -> tuple[str, ...]:
    """The peer URLs of the handover. Raises NotTrusted for others than a request may have."""
    return _checked_urls(filter(None, launch.environment.get("ETCD_INITIAL_ADVERTISE_PEER_URLS", "").split(",")))


def _check_name(name: str) -> None:
    try:
        check_name(name)
    except ValueError as error:
        raise NotTrusted(str(error)) from None


def _checked_urls(urls: Iterable[str]) -> tuple[str, ...]:
    """The peer URLs in their one spelling, as in a request. Raises NotTrusted for others, and for too many."""
    try:
        checked = tuple(check_peer_url(url) for url in urls)
    except ValueError as error:
        raise NotTrusted(str(error)) from None
    if len(checked) > MOST_PEER_URLS:
        raise NotTrusted(f"{len(checked)} peer URLs are too many: a member has {MOST_PEER_URLS} at most")
    return checked


def _check_member_id(member_id: str) -> None:
    if not _MEMBER_ID.fullmatch(member_id):
        raise NotTrusted(f"{member_id!r} is not a member ID")
