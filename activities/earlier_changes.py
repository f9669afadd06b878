"""
Reads the record of earlier changes from Temporal.

The caller that starts a workflow chooses its memo. So a memo only tells which histories to read. The answer comes from
the histories, which only the workflow itself can write.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError
from temporalio import activity
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus

from activities.temporal import Temporal
from membership.missing_key import MissingKey
from membership.record import Record
from messages.ids import WORKFLOW_TYPES, change_id, turns_id
from messages.next_run import request_in
from messages.orders import LookOrder
from messages.outcomes import Outcome

# How many changes of a cluster are listed, the latest first, and how many histories are read for one question.
_LISTED = 100
_HISTORIES = 10

_BEGUN = TypeAdapter(tuple[str, int, int])


@dataclass(frozen=True)
class EarlierRuns:
    """A question about the earlier runs of a replace."""

    workflow_id: str
    #: The ID of the old member.
    old: str


class EarlierChanges:
    """Reads earlier runs, as long as Temporal keeps them."""

    def __init__(self, temporal: Temporal) -> None:
        self._temporal = temporal

    @activity.defn
    async def began_with(self, earlier: EarlierRuns) -> tuple[int, int] | None:
        """
        Voters and spare that the latest run of the replace that changed anything began with, if it did not succeed.

        None where there is no such run for this member, or Temporal no longer keeps it.
        """
        client = self._temporal.client
        query = f"WorkflowId = '{earlier.workflow_id}' AND WorkflowType = '{WORKFLOW_TYPES['replace']}'"
        runs = [run async for run in client.list_workflows(query, limit=20)]
        own = activity.info().workflow_run_id
        # The listed status may lag behind: a run that has just failed may still be listed as running.
        for run in sorted(runs, key=lambda run: run.start_time, reverse=True):
            if run.status is WorkflowExecutionStatus.COMPLETED:
                break
            begun = None if run.run_id == own else await _begun(client, run)
            if begun and begun.old_id == earlier.old:
                return begun.voters, begun.spare
        return None


@dataclass(frozen=True)
class _Begun:
    """A replace that began to change something, by its history."""

    #: The old member, as the request gives it.
    asked: str
    old_id: str
    #: Voters and spare before its first act.
    voters: int
    spare: int


async def read_record(client: Client, look: LookOrder) -> Record:
    """The record of the latest changes of the cluster, and of the member that is to leave."""
    types = ", ".join(f"'{name}'" for name in WORKFLOW_TYPES.values())
    query = f"WorkflowId STARTS_WITH '{turns_id(look.cluster)}:' AND WorkflowType IN ({types})"
    listed = [run async for run in client.list_workflows(query, limit=_LISTED)]
    runs = sorted(listed, key=lambda run: run.start_time, reverse=True)
    done = [run for run in runs if run.status is WorkflowExecutionStatus.COMPLETED]
    latest = await _outcome(client, done[0]) if done else None
    same = next((run for run in done if look.leaving and run.id == look.change), None)
    removed_id, was_removed = await _removed(client, same, look.leaving) if same else ("", False)
    joining = change_id(look.cluster, "join", look.leaving)
    return Record(
        cluster_id=(latest.cluster_id or "") if latest else "",
        removed_id=removed_id,
        was_removed=was_removed or bool(look.leaving and await _was_replaced(client, done, look.leaving)),
        is_joining=any(run.id == joining and run.status is WorkflowExecutionStatus.RUNNING for run in runs),
    )


async def _removed(client: Client, run: WorkflowExecution, leaving: str) -> tuple[str, bool]:
    """The ID of the member that this run removed, and whether this run or an earlier one removed a member at all."""
    if run.workflow_type == WORKFLOW_TYPES["replace"]:
        begun = await _begun(client, run)
        return (begun.old_id, True) if begun and begun.asked == leaving else ("", False)
    outcome = await _outcome(client, run)
    if outcome is None:
        return "", False
    # A repeated removal hands on the knowledge of the earlier runs: `verified` is false where there is none.
    return outcome.member_id or "", outcome.verified is not False or outcome.outcome == "removed"


async def _was_replaced(client: Client, runs: list[WorkflowExecution], old: str) -> bool:
    replaces = [run for run in runs if run.workflow_type == WORKFLOW_TYPES["replace"] and await _may_be_of(run, old)]
    for run in replaces[:_HISTORIES]:
        begun = await _begun(client, run)
        if begun and begun.asked == old:
            return True
    return False


async def _may_be_of(run: WorkflowExecution, old: str) -> bool:
    """False if the memo shows another old member. Another client may have started the replace without a memo."""
    if "request" not in run.raw_info.memo.fields:
        return True
    try:
        request = (await run.memo())["request"]
    except Exception:  # noqa: BLE001  (whatever a converter raises for a payload that it cannot read)
        return False
    return isinstance(request, dict) and request.get("old") == old


async def _begun(client: Client, run: WorkflowExecution) -> _Begun | None:
    """The state that the workflow wrote down when it began to change something, None if it has not begun."""
    if "began_with" not in run.raw_info.memo.fields:
        return None
    asked, written = [], []
    async for event in client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history_events():
        if event.HasField("workflow_execution_started_event_attributes"):
            asked = list(event.workflow_execution_started_event_attributes.input.payloads)
        fields = event.workflow_properties_modified_event_attributes.upserted_memo.fields
        if "began_with" in fields:
            written = [fields["began_with"]]
    if not (asked and written):
        return None
    try:
        request, begun = await client.data_converter.decode([asked[0], written[0]])
        old = str(request_in(request)["old"])
        return _Begun(old, *_BEGUN.validate_python(begun))
    except Exception:  # noqa: BLE001  (a foreign worker may have written anything)
        return None


async def _outcome(client: Client, run: WorkflowExecution) -> Outcome | None:
    """The outcome of a completed change, None where its result is not an outcome."""
    try:
        return Outcome.model_validate(
            await client.get_workflow_handle(run.id, run_id=run.run_id).result(follow_runs=False)
        )
    except (ValidationError, MissingKey):
        return None
