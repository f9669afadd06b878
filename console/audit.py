"""changes: the audit trail."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from rich.table import Table
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus

from console.changes import Handle, how_it_ended, request_of
from console.follow import see
from console.inspection import check_cluster
from console.open_changes import changes_query
from console.output import DONE, print_json, stdout
from console.temporal import connect
from settings import read_settings


async def changes(cluster: str, limit: int, *, json: bool) -> int:
    """Running and recent changes, the latest first: from Temporal's visibility, as long as it keeps them."""
    check_cluster(cluster)
    client = await connect(read_settings())
    listed = [e async for e in client.list_workflows(changes_query(cluster), limit=limit)]
    found = await asyncio.gather(*(_audit(client, execution) for execution in listed))
    if json:
        print_json({"cluster": cluster, "changes": found})
        return DONE
    table = Table(title=f"changes of {cluster}", title_justify="left")
    for column in ("began", "verb", "member", "outcome", "took", "asked for by", "reason"):
        table.add_column(column, overflow="fold")
    for row in found:
        table.add_row(*(str(row[key]) for key in ("began", "verb", "member", "outcome", "took", "by", "reason")))
    stdout.print(table if found else f"no change of {cluster} is known to Temporal")
    return DONE


async def _audit(client: Client, execution: WorkflowExecution) -> dict[str, object]:
    _, _, verb, member = execution.id.split(":")
    handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
    outcome, reason = await _how_it_stands(client, handle, execution.status)
    request = (await execution.memo()).get("request") or await request_of(client, handle)
    took = (execution.close_time or datetime.now(UTC)) - execution.start_time
    return {
        "began": execution.start_time.astimezone().isoformat(timespec="seconds"),
        "verb": verb,
        "member": member,
        "outcome": outcome,
        "took": f"{took.total_seconds():.1f} s",
        "seconds": round(took.total_seconds(), 3),
        "by": request.get("requested_by", "") if isinstance(request, dict) else "",
        "reason": reason,
        "workflow_id": execution.id,
        "run_id": execution.run_id,
    }


async def _how_it_stands(client: Client, handle: Handle, status: WorkflowExecutionStatus | None) -> tuple[str, str]:
    """Its outcome and the reason; of a running one whether it is held, where a worker tells."""
    if status is WorkflowExecutionStatus.RUNNING:
        view = (await see(client, handle)).view
        return ("held", view.held) if view and view.held else ("running", "")
    assert status
    end = await how_it_ended(client, handle, status, handle.run_id or "")
    return end.outcome.outcome, end.outcome.reason or ""
