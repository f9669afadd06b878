"""The audit trail of a cluster, from Temporal's visibility store, for as long as that keeps changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import get_args

from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.service import RPCError

from client.change_request import Handle, request_of
from client.ended import how_it_ended
from client.exit_codes import USAGE, CommandError
from client.open_changes import changes_query
from client.sight import Sight, see, with_end
from messages.ids import parts_of
from messages.outcomes import OutcomeKind

_OUTCOMES = ("running", "held", *get_args(OutcomeKind))
# At most so many runs of a change are read to find the latest that was not refused.
_RUNS = 20


@dataclass(frozen=True)
class PastChange:
    """One run of a change, ended or not."""

    #: Local time, ISO 8601.
    began: str
    verb: str
    #: Empty for an apply, which has a list of members.
    member: str
    #: `held` or `running` while the change runs.
    outcome: str
    #: The duration for a person, in seconds.
    took: str
    #: The duration, so far for a change that runs.
    seconds: float
    #: The requester. Empty: the request names none.
    by: str
    #: Empty: no reason is known.
    reason: str
    workflow_id: str
    run_id: str


@dataclass(frozen=True)
class Wanted:
    """The changes to list."""

    #: At most so many, the latest.
    limit: int
    #: join, remove, replace or apply. None: all kinds.
    verb: str | None = None
    #: Outcomes, `running` or `held`. Empty: all.
    outcomes: tuple[str, ...] = ()
    #: Only changes that began within this time. None: all.
    since: timedelta | None = None

    def __post_init__(self) -> None:
        """Raises CommandError with USAGE for an outcome that no change has."""
        for outcome in self.outcomes:
            if outcome not in _OUTCOMES:
                raise CommandError(USAGE, f"--outcome: {outcome!r} is not known", f"one of: {', '.join(_OUTCOMES)}")

    def query(self, cluster: str) -> str:
        """Temporal's visibility query. It knows no outcomes."""
        # A change that went on in new runs is one change, and its last run stands for it.
        query = f"{changes_query(cluster, self.verb)} AND ExecutionStatus != 'ContinuedAsNew'"
        if self.since is not None:
            query += f" AND StartTime >= '{(datetime.now(UTC) - self.since).isoformat()}'"
        return query


async def past_changes(client: Client, cluster: str, wanted: Wanted) -> list[PastChange]:
    """Running and past changes of the cluster, the latest first."""
    found: list[PastChange] = []
    renewed = await _renewed(client, cluster)
    async with aclosing(_batches(client.list_workflows(wanted.query(cluster)), wanted.limit)) as batches:
        async for batch in batches:
            read = await asyncio.gather(*(_audit(client, execution, renewed) for execution in batch))
            found += [change for change in read if change.outcome in (wanted.outcomes or _OUTCOMES)]
            if len(found) >= wanted.limit:
                break
    return found[: wanted.limit]


async def _batches(listed: AsyncIterator[WorkflowExecution], size: int) -> AsyncGenerator[list[WorkflowExecution]]:
    batch = []
    async for execution in listed:
        batch.append(execution)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


async def before_refusals(client: Client, seen: Sight) -> Sight:
    """
    The latest run of the change that was not refused.

    A refused run proposed nothing, so it must not hide an earlier success. Returns the same sight when there is no
    earlier run, or when Temporal cannot list it.
    """
    if seen.is_running or not await _was_refused(client, seen):
        return seen
    with suppress(RPCError):
        async for run in client.list_workflows(f"WorkflowId = '{seen.handle.id}'", limit=_RUNS):
            earlier = await see(client, client.get_workflow_handle(run.id, run_id=run.run_id))
            if not await _was_refused(client, earlier):
                return earlier
    return seen


async def _was_refused(client: Client, seen: Sight) -> bool:
    end = (await with_end(client, seen)).end
    return end is not None and end.outcome.outcome == "refused"


async def _renewed(client: Client, cluster: str) -> set[str]:
    """The workflow IDs of changes that went on in new runs."""
    query = f"{changes_query(cluster)} AND ExecutionStatus = 'ContinuedAsNew'"
    return {run.id async for run in client.list_workflows(query)}


async def _began(client: Client, execution: WorkflowExecution) -> datetime:
    """The beginning of the first run. Temporal's list has the beginning of the last one alone."""
    with suppress(RPCError):  # Temporal may have forgotten the first run
        last = await client.get_workflow_handle(execution.id, run_id=execution.run_id).describe()
        first_run = last.raw_description.workflow_execution_info.first_run_id
        return (await client.get_workflow_handle(execution.id, run_id=first_run).describe()).start_time
    return execution.start_time


async def _audit(client: Client, execution: WorkflowExecution, renewed: Collection[str]) -> PastChange:
    _, verb, member = parts_of(execution.id)
    handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
    outcome, reason = await _how_it_stands(client, handle, execution.status)
    request = (await execution.memo()).get("request") or await request_of(client, handle)
    began = await _began(client, execution) if execution.id in renewed else execution.start_time
    took = (execution.close_time or datetime.now(UTC)) - began
    return PastChange(
        began=began.astimezone().isoformat(timespec="seconds"),
        verb=verb,
        member=member,
        outcome=outcome,
        took=f"{took.total_seconds():.1f} s",
        seconds=round(took.total_seconds(), 3),
        by=request.get("requested_by", "") if isinstance(request, dict) else "",
        reason=reason,
        workflow_id=execution.id,
        run_id=execution.run_id,
    )


async def _how_it_stands(client: Client, handle: Handle, status: WorkflowExecutionStatus | None) -> tuple[str, str]:
    """The outcome and the reason. A running change is `held`, if a worker says so, or otherwise `running`."""
    if status is WorkflowExecutionStatus.RUNNING:
        view = (await see(client, handle)).view
        return ("held", view.held) if view and view.held else ("running", "")
    assert status
    end = await how_it_ended(client, handle, status, handle.run_id or "")
    return end.outcome.outcome, end.outcome.reason or ""
