"""Questions about clusters, asked through the workers that can reach them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError

from workflows.activity_errors import stop_of, why_unanswered
from workflows.arguments import NOTHING, parse
from workflows.timeouts import ASK, GLANCE, start

with workflow.unsafe.imports_passed_through():
    from activities.clusters_file import ClusterProfile
    from activities.credentials import CheckFiles
    from activities.looks import Looks
    from activities.taking_turns import Turns
    from membership.checks import check_cluster
    from membership.endpoints import check_configured, check_endpoints
    from membership.etcd import EVERYTHING
    from membership.model import ClusterStatus
    from membership.preflight import find_member
    from messages.answers import ClusterList, FileFindings, Inspection, Reachability
    from messages.ids import removed_by
    from messages.orders import LookOrder
    from messages.requests import InspectRequest
    from messages.turns import TurnsState


@workflow.defn
class InspectCluster:
    """One look at a cluster, and whose turn it is to change it."""

    @workflow.run
    async def run(self, question: RawValue = NOTHING) -> Inspection:
        name = parse(InspectRequest, question).cluster
        try:
            profile: ClusterProfile = await start(Looks.read_profile, name, ASK, f"read the profile of {name}")
            turns = start(Turns.read_turns, name, ASK, f"who changes {name}")
            status = await start(
                Looks.check_status, LookOrder(name, scope=EVERYTHING), GLANCE, f"look at {name}", profile.task_queue
            )
            state = await turns
            return Inspection(name, status, state, _endpoint_warnings(profile, status, state))
        except ActivityError as error:
            raise why_unanswered(error) from error


def _endpoint_warnings(profile: ClusterProfile, status: ClusterStatus, turns: TurnsState) -> tuple[str, ...]:
    """Configured endpoints that lead nowhere, or whose voter is about to be removed."""
    told = [check.evidence for check in check_configured(status, profile.endpoints)]
    for ticket in (turns.holder, *turns.waiting):
        wanted = removed_by(ticket.workflow_id) if ticket else ""
        leaving = find_member(status, wanted) if wanted else None
        told += [
            f"{check.evidence}, and is being removed" for check in check_endpoints(status, profile.endpoints, leaving)
        ]
    return tuple(told)


@workflow.defn
class ListClusters:
    """The clusters in the workers' file, and whether a worker reaches each."""

    @workflow.run
    async def run(self) -> ClusterList:
        try:
            known = await start(Looks.list_clusters, None, ASK, "read the clusters file")
        except ActivityError as error:
            return ClusterList(problem=stop_of(error, "failed").reason)
        return ClusterList(tuple(await asyncio.gather(*(_reach(cluster) for cluster in known))))


async def _reach(cluster: Reachability) -> Reachability:
    if not cluster.task_queue:
        return cluster
    look = LookOrder(cluster.cluster, scope=EVERYTHING)
    looking = start(Looks.check_status, look, GLANCE, f"look at {cluster.cluster}", cluster.task_queue)
    files = await _findings(cluster)
    cluster = replace(cluster, certificate_days=files.certificate_days, warnings=files.warnings)
    try:
        status = await looking
        what = f"may {cluster.cluster} be changed?"
        refusal = await start(Looks.check_access, look, GLANCE, what, cluster.task_queue)
    except ActivityError as error:
        stop = stop_of(error, "failed")
        return replace(cluster, problem=f"{stop.error}: {stop.reason}", hint=stop.hint)
    if refusal:
        return replace(cluster, problem=f"{refusal.error}: {refusal.evidence}", hint=refusal.hint)
    checks = (*check_cluster(status), *check_configured(status, cluster.endpoints))
    warnings = (cluster.problem, *files.warnings, *(c.evidence for c in checks if c.verdict == "warn"))
    found = replace(cluster, members=len(status.members), leader=status.leader, cluster_id=status.cluster_id)
    return replace(found, warnings=tuple(filter(None, warnings)), problem="")


async def _findings(cluster: Reachability) -> FileFindings:
    """The findings of the worker at the cluster's site about its own files. Empty where it does not answer."""
    what = f"check the certificate files of {cluster.cluster}"
    try:
        return await start(CheckFiles.check_files, cluster.cluster, GLANCE, what, cluster.task_queue)
    except ActivityError:
        return FileFindings()  # the look fails for the same reason, and says so
