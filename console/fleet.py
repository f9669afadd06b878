"""grow and changes: many joins by turns, and the audit trail."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.live import Live
from rich.table import Table
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus, WorkflowQueryFailedError
from temporalio.service import RPCError

from console.changes import Ended, Handle, how_it_ended, request_of, start_change
from console.follow import Sight, end_of, see
from console.output import DONE, FAILED, STILL_RUNNING, USAGE, Leave, print_json, say, stderr, stdout
from console.running import make_request, write_env
from console.temporal import connect, require_worker
from membership.requests import ChangeRequest, turns_id
from membership.turns import TurnsState
from membership.view import percent_text
from settings import read_settings

Members = list[tuple[str, list[str]]]

# Seconds.
_IN_LINE = 10.0

_GOOD = ("promoted", "already-voter")


@dataclass
class _Row:
    """One join of a growth."""

    request: ChangeRequest
    handle: Handle
    seen: Sight | None = None
    end: Ended | None = None
    wrote_env: bool = False

    @property
    def told(self) -> tuple[str, str]:
        """Where it is, and what it waits for."""
        if self.end:
            return self.end.outcome.outcome, self.end.outcome.reason or ""
        if self.seen is None or self.seen.view is None:
            return "started", ""
        view = self.seen.view
        figures = percent_text(self.seen.progress) if self.seen.progress else ""
        return (f"held ({view.held})" if view.held else view.stage), figures or self.seen.waits_for


def read_members(path: Path) -> Members:
    """
    Names and peer URLs: a line each, `NAME PEER-URL[,PEER-URL...]`; `#` begins a comment.

    Raises Leave with USAGE, naming file and line, for anything else, and for a name or URL that is there twice.
    """
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise Leave(USAGE, f"--from: {path}: {error.strerror}") from None
    members: Members = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if len(words) != 2:
            raise Leave(
                USAGE, f"--from: {path}:{number}: expected a name and its peer URLs, e.g. `etcd-4 https://h:2380`"
            )
        members.append((words[0], words[1].split(",")))
        for what, value in (("name", words[0]), *(("peer URL", url) for url in members[-1][1])):
            if first := seen.get(value):
                raise Leave(USAGE, f"--from: {path}:{number}: the {what} {value} is in line {first} already")
            seen[value] = number
    if not members:
        raise Leave(USAGE, f"--from: {path}: no members in it")
    return members


async def grow(
    cluster: str,
    members: Members,
    env_dir: Path | None,
    launcher: str | None,
    timeout: timedelta | None,
    *,
    json: bool,
) -> int:
    """Starts a join for every member of the file, or attaches to it; they take turns, in the file's order."""
    requests = [make_request("join", cluster=cluster, name=n, peer_urls=urls, launcher=launcher) for n, urls in members]
    settings = read_settings()
    client = await connect(settings)
    await require_worker(client, settings)
    rows = []
    for request in requests:
        rows.append(_Row(request, (await start_change(client, settings, request))[0]))
        await _until_in_line(client, rows[-1])
    await _follow(client, rows, env_dir, timeout)
    ends = [row.end.outcome for row in rows if row.end]
    if json:
        print_json({"cluster": cluster, "joins": [e.model_dump(mode="json", exclude_none=True) for e in ends]})
    if len(ends) < len(rows):
        return STILL_RUNNING
    return DONE if all(e.outcome in _GOOD for e in ends) else FAILED


async def _until_in_line(client: Client, row: _Row) -> None:
    """The next one starts behind it; but nobody waits long for a join that can't look at its cluster."""
    turns = client.get_workflow_handle(turns_id(row.request.cluster))
    with suppress(TimeoutError):
        async with asyncio.timeout(_IN_LINE):
            while True:
                with suppress(RPCError, WorkflowQueryFailedError):
                    if (await row.handle.describe()).status is not WorkflowExecutionStatus.RUNNING:
                        return
                    state = await turns.query("turns", result_type=TurnsState)
                    if any(t and t.workflow_id == row.handle.id for t in (state.holder, *state.waiting)):
                        return
                await asyncio.sleep(0.1)


async def _follow(client: Client, rows: list[_Row], env_dir: Path | None, timeout: timedelta | None) -> None:
    told: dict[str, str] = {}
    with Live(console=stderr, auto_refresh=False, transient=False) as live:
        deadline = asyncio.get_running_loop().time() + (timeout.total_seconds() if timeout else float("inf"))
        while not all(row.end for row in rows) and asyncio.get_running_loop().time() < deadline:
            for row in rows:
                await _look(client, row, env_dir)
            if stderr.is_terminal:
                live.update(_table(rows), refresh=True)
            else:
                _tell_news(rows, told)
            await asyncio.sleep(0.5)


async def _look(client: Client, row: _Row, env_dir: Path | None) -> None:
    if row.end:
        return
    try:
        row.seen = await see(client, row.handle)
    except RPCError:
        return  # the server is away for a moment; the changes go on without us
    if row.seen.handover and env_dir and not row.wrote_env:
        write_env(env_dir / f"{row.request.subject}.env", row.seen.handover)
        row.wrote_env = True
    if not row.seen.is_running:
        row.end = await end_of(row.handle, row.seen)


def _tell_news(rows: list[_Row], told: dict[str, str]) -> None:
    for row in rows:
        stage, waits_for = row.told
        if told.get(row.request.subject) != stage:
            told[row.request.subject] = stage
            say(f"{row.request.subject}: {stage}" + (f" · {waits_for}" if waits_for else ""))


def _table(rows: list[_Row]) -> Table:
    table = Table("member", "stage", "waits for")
    for row in rows:
        table.add_row(row.request.subject, *row.told)
    return table


# ---- the audit trail ----


async def changes(cluster: str, limit: int, *, json: bool) -> int:
    """Running and recent changes, the latest first: from Temporal's visibility, as long as it keeps them."""
    client = await connect(read_settings())
    query = f"WorkflowId STARTS_WITH '{turns_id(cluster)}:'"
    found = [await _audit(client, e) async for e in client.list_workflows(query, limit=limit)]
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
    outcome, reason = "running", ""
    handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
    if execution.status and execution.status is not WorkflowExecutionStatus.RUNNING:
        end = await how_it_ended(handle, execution.status, execution.run_id)
        outcome, reason = end.outcome.outcome, end.outcome.reason or ""
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
