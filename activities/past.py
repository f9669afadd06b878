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
        Voters and spare that the latest run of the replace that changed anything began with, if it did not succeed.

        None where there is no such run for this member, or Temporal keeps it no longer.
        """
        query = f"WorkflowId = '{earlier.workflow_id}'"
        runs = [run async for run in self._temporal.client.list_workflows(query, limit=20)]
        own = activity.info().workflow_run_id
        # Its status may lag behind: what has just failed can still be listed as running.
        for run in sorted(runs, key=lambda run: run.start_time, reverse=True):
            if run.status is WorkflowExecutionStatus.COMPLETED:
                break
            old, voters, spare = (await run.memo()).get("began_with", ("", 0, 0))
            if run.run_id != own and old == earlier.old:
                return voters, spare
        return None
