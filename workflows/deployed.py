"""
The workflows where workers belong to one of Temporal's worker deployments.

Changes are pinned to the version under which they began. The turns of a cluster outlive every change, so they move on
to the current version. A versioning behaviour may stand on a workflow of a deployment only: elsewhere Temporal refuses
the workflow's tasks (measured on server 1.32).
"""

from __future__ import annotations

from temporalio import workflow
from temporalio.common import RawValue, VersioningBehavior

from workflows.arguments import NOTHING
from workflows.cluster_turns import ClusterTurns


@workflow.defn(name="ClusterTurns", versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class DeployedTurns(ClusterTurns):
    """`ClusterTurns`, moved on to the current version by Temporal."""

    @workflow.init
    def __init__(self, state: RawValue = NOTHING) -> None:
        super().__init__(state)

    @workflow.run
    async def run(self, state: RawValue = NOTHING) -> None:
        await super().run(state)
