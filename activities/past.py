"""What earlier runs of a change left behind in Temporal."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio import activity
from temporalio.client import WorkflowExecutionStatus

from activities.temporal import Temporal


@dataclass(frozen=True)
class Earlier:
    """A question about the runs of a replace before this one; `old` is the old member's ID."""

    workflow_id: str
    old: str


class Past:
    """Reads earlier runs, as long as Temporal keeps them."""

    def __init__(self, temporal: Temporal) -> None:
        self._temporal = temporal

    @activity.defn
    async def began_with(self, earlier: Earlier) -> tuple[int, int] | None:
        """
        Voters and spare that the latest run of the replace began with, if it was about this member and failed.

        None where there is no such run, or Temporal keeps it no longer.
        """
        query = f"WorkflowId = '{earlier.workflow_id}' AND ExecutionStatus != 'Running'"
        runs = [run async for run in self._temporal.client.list_workflows(query, limit=20)]
        latest = max(runs, key=lambda run: run.start_time, default=None)
        if latest is None or latest.status is WorkflowExecutionStatus.COMPLETED:
            return None
        old, voters, spare = (await latest.memo()).get("began_with", ("", 0, 0))
        return (voters, spare) if old == earlier.old else None
