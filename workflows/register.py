"""Every workflow of a worker."""

from __future__ import annotations

from workflows.cluster_turns import ClusterTurns
from workflows.deployed import DeployedTurns
from workflows.inspect import InspectCluster, ListClusters
from workflows.join import JoinMember
from workflows.plan import PlanChange
from workflows.remove import RemoveMember
from workflows.replace import ReplaceMember

WORKFLOWS: tuple[type, ...] = (JoinMember, RemoveMember, ReplaceMember, InspectCluster, ListClusters, PlanChange)


def turns_of(deployment: object | None) -> type:
    """The workflow type `ClusterTurns`, for workers with or without a deployment."""
    return ClusterTurns if deployment is None else DeployedTurns
