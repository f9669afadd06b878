"""What earlier runs of a change left behind in Temporal."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError
from temporalio import activity
from temporalio.client import WorkflowExecutionStatus

from activities.temporal import Temporal
from membership.requests import ReplaceRequest


@dataclass(frozen=True)
class Earlier:
    """A question about the runs before this one."""

    workflow_id: str
    request: ReplaceRequest


class Past:
    """Reads earlier runs, as long as Temporal keeps them."""

    def __init__(self, temporal: Temporal) -> None:
        self._temporal = temporal

    @activity.defn
    async def began_with(self, earlier: Earlier) -> tuple[int, int] | None:
        """
        Voters and spare that the latest run of the same replace began with, if it did not complete.

        None where there is no such run, or Temporal keeps it no longer.
        """
        query = f"WorkflowId = '{earlier.workflow_id}' AND ExecutionStatus != 'Running'"
        runs = [run async for run in self._temporal.client.list_workflows(query, limit=20)]
        for run in sorted(runs, key=lambda run: run.start_time, reverse=True)[:1]:
            memo = await run.memo()
            try:
                same = earlier.request.same_change(ReplaceRequest.model_validate(memo.get("request")))
            except ValidationError:
                return None
            if same and run.status is not WorkflowExecutionStatus.COMPLETED and "began_with" in memo:
                voters, spare = memo["began_with"]
                return voters, spare
        return None
