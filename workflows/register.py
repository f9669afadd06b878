"""Every workflow of a worker."""

from __future__ import annotations

from workflows.apply import ApplyMembers
from workflows.cluster_turns import ClusterTurns
from workflows.deployed import DeployedTurns
from workflows.inspect import InspectCluster, ListClusters
from workflows.join import JoinMember
from workflows.notify import NotifyEnd
from workflows.plan import PlanChange
from workflows.plan_apply import PlanApply
from workflows.remove import RemoveMember
from workflows.replace import ReplaceMember

WORKFLOWS: tuple[type, ...] = (
    *(JoinMember, RemoveMember, ReplaceMember, ApplyMembers),
    *(InspectCluster, ListClusters, PlanChange, PlanApply, NotifyEnd),
)


def turns_of(deployment: object | None) -> type:
    """The workflow type `ClusterTurns`, for workers with or without a deployment."""
    return ClusterTurns if deployment is None else DeployedTurns
