"""grow: many joins by turns."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rich.live import Live
from rich.table import Table
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowQueryFailedError
from temporalio.service import RPCError

from console.changes import Ended, Handle, start_change
from console.follow import Sight, end_of, see, still_bearable
from console.handover import write_env
from console.members import Members
from console.outcomes import as_json, still
from console.output import FAILED, STILL_RUNNING, print_json, say, stderr
from console.running import make_request
from console.temporal import connect, require_worker
from messages.outcomes import Outcome
from messages.requests import ChangeRequest, turns_id
from messages.turns import TurnsState
from messages.views import percent_text
from settings import read_settings

# Seconds.
_IN_LINE = 10.0


@dataclass
class _Row:
    """One join of a growth."""

    request: ChangeRequest
    handle: Handle
    seen: Sight | None = None
    end: Ended | None = None
    wrote_env: bool = False

    @property
    def outcome(self) -> Outcome | None:
        """How it ended, or how it was last seen; None while the server has been away from the start."""
        if self.end:
            return self.end.outcome
        return still(self.handle, self.seen) if self.seen else None

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


async def grow(
    cluster: str,
    members: Members,
    env_dir: Path | None,
    launcher: str | None,
    requested_by: str,
    timeout: timedelta | None,
    *,
    json: bool,
) -> int:
    """
    Starts a join for every member of the file, or attaches to it; they take turns, in the file's order.

    The exit code of all of them, where it is the same; else FAILED.
    """
    asked = {"cluster": cluster, "launcher": launcher, "requested_by": requested_by}
    requests = [make_request("join", name=name, peer_urls=urls, **asked) for name, urls in members]
    settings = read_settings()
    client = await connect(settings)
    await require_worker(client, settings)
    rows = []
    for request in requests:
        rows.append(_Row(request, (await start_change(client, settings, request))[0]))
        await _until_in_line(client, rows[-1])
    await _follow(client, rows, env_dir, timeout)
    if json:
        print_json({"cluster": cluster, "joins": [as_json(outcome) for row in rows if (outcome := row.outcome)]})
    if not all(row.end for row in rows):
        return STILL_RUNNING
    codes = {row.end.code for row in rows if row.end}
    return codes.pop() if len(codes) == 1 else FAILED


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
    now = asyncio.get_running_loop().time
    answered = now()
    deadline = answered + (float("inf") if timeout is None else timeout.total_seconds())
    with Live(console=stderr, auto_refresh=False, transient=False) as live:
        while True:
            note = ""
            try:
                for row in rows:
                    await _look(client, row, env_dir)
                answered = now()
            except RPCError as error:  # the changes go on without us
                note = still_bearable(error, now() - answered)
            if stderr.is_terminal:
                live.update(_table(rows, note), refresh=True)
            else:
                _tell_news(rows, note, told)
            if all(row.end for row in rows) or now() >= deadline:
                return
            await asyncio.sleep(0.5)


async def _look(client: Client, row: _Row, env_dir: Path | None) -> None:
    if row.end:
        return
    row.seen = await see(client, row.handle)
    if row.seen.handover and env_dir and not row.wrote_env:
        write_env(env_dir / f"{row.request.subject}.env", row.seen.handover, row.request.cluster)
        row.wrote_env = True
    if not row.seen.is_running:
        row.end = await end_of(client, row.handle, row.seen)


def _tell_news(rows: list[_Row], note: str, told: dict[str, str]) -> None:
    if note and not told.get(""):
        say(note)
    told[""] = note
    for row in rows:
        stage, waits_for = row.told
        if told.get(row.request.subject) != stage:
            told[row.request.subject] = stage
            say(f"{row.request.subject}: {stage}" + (f" · {waits_for}" if waits_for else ""))


def _table(rows: list[_Row], note: str) -> Table:
    table = Table("member", "stage", "waits for", caption=note or None)
    for row in rows:
        table.add_row(row.request.subject, *row.told)
    return table
