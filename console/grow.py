"""memberflow grow"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.app import CHANGE, app, examples, run
from console.options import ChangeOutput, Cluster, Json, Launch, RequestedBy, Timeout

if TYPE_CHECKING:
    from temporalio.client import Client

    from client.change_request import Handle
    from client.sight import Sight
    from console.members_file import Members
    from messages.outcomes import Outcome
    from messages.requests import ChangeRequest
    from settings import Settings

# Seconds. A join that cannot reach its cluster delays the next join no longer than this.
_IN_LINE = 10.0
_QUERY_DEADLINE = timedelta(seconds=2)

_NOTE = "A line of the file: `etcd-4 https://10.0.0.14:2380` or `etcd-4=https://10.0.0.14:2380,https://etcd-4:2380`."


@app.command(
    rich_help_panel=CHANGE,
    epilog=examples("memberflow grow prod --from members.txt --env-dir handovers", note=_NOTE),
)
def grow(
    cluster: Cluster,
    file: Annotated[Path, typer.Option("--from", help="The new members: name and peer URLs, one member a line.")],
    env_dir: Annotated[
        Path | None, typer.Option("--env-dir", help="Write the ETCD_* values of each member here, as NAME.env.")
    ] = None,
    launch: Launch = None,
    timeout: Timeout = None,
    requested_by: RequestedBy = "",
    output: ChangeOutput = None,
    json: Json = False,
) -> None:
    """
    Add several members, one after the other, in the file's order.

    Run the command again to go on: members that are already in the cluster stay as they are.
    """
    from console.members_file import read_members

    members = read_members(file)
    if env_dir:
        _make_env_dir(env_dir, members)
    again = ["memberflow", "grow", cluster, "--from", str(file)]
    again += ["--env-dir", str(env_dir)] if env_dir else []
    again += ["--launch", launch] if launch else []
    growth = Growth(cluster, members, env_dir, launch, requested_by, timeout)
    run(_grow(growth), json=json, output=output, attach=shlex.join(again))


@dataclass(frozen=True)
class Growth:
    """The arguments of the command."""

    cluster: str
    members: Members
    #: None: no files are written.
    env_dir: Path | None
    #: None: no launcher starts the members.
    launcher: str | None
    #: Empty: user@host.
    requested_by: str
    #: None: no limit.
    timeout: timedelta | None


@dataclass
class Row:
    """One join of a growth."""

    request: ChangeRequest
    handle: Handle
    #: The last look. None: no look yet.
    seen: Sight | None = None
    wrote_env: bool = False

    @property
    def outcome(self) -> Outcome | None:
        """The outcome of the join so far. None when the server has been away from the start."""
        from client.sight import outcome_so_far

        if self.seen is None:
            return None
        return self.seen.end.outcome if self.seen.end else outcome_so_far(self.seen)

    @property
    def cells(self) -> tuple[str, str]:
        """The stage or outcome, and the reason for waiting or failing."""
        if self.seen is None:
            return "started", ""
        if self.seen.end:
            return self.seen.end.outcome.outcome, self.seen.end.outcome.reason or ""
        return self.seen.stage or "started", self.seen.figures or self.seen.waits_for


def _make_env_dir(folder: Path, members: Members) -> None:
    """Raises CommandError with USAGE when a handover could not be written there."""
    from client.exit_codes import USAGE, CommandError
    from console.handover import check_writable

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(USAGE, f"--env-dir: {folder} can't be made: {error.strerror}") from None
    for name, _ in members:
        check_writable("--env-dir", folder / f"{name}.env")


async def _grow(growth: Growth) -> int:
    """The exit code of all joins if they have the same, or otherwise FAILED. STILL_RUNNING if one has not ended."""
    from client.exit_codes import FAILED, STILL_RUNNING
    from console.session import with_worker
    from console.terminal.output import print_answer
    from console.terminal.print_outcome import as_object

    requests = _requests(growth)
    client, settings = await with_worker("nothing was started")
    rows = await _start(client, settings, requests)
    await _follow(client, rows, growth)
    outcomes = [outcome for row in rows if (outcome := row.outcome)]
    shown = {"cluster": growth.cluster, "joins": [as_object(outcome) for outcome in outcomes]}
    print_answer(shown, names=[row.handle.id for row in rows])
    ends = [row.seen.end if row.seen else None for row in rows]
    if not all(ends):
        return STILL_RUNNING
    codes = {end.code for end in ends if end}
    return codes.pop() if len(codes) == 1 else FAILED


def _requests(growth: Growth) -> list[ChangeRequest]:
    from client.change_request import make_request

    asked = {"cluster": growth.cluster, "launcher": growth.launcher, "requested_by": growth.requested_by}
    return [make_request("join", name=name, peer_urls=urls, **asked) for name, urls in growth.members]


async def _start(client: Client, settings: Settings, requests: list[ChangeRequest]) -> list[Row]:
    """Starts the joins so that they stand in line in the file's order."""
    from client.start import start_change
    from console.terminal.output import busy

    rows = []
    for request in requests:
        async with busy(f"starting the join of {request.subject}"):
            rows.append(Row(request, (await start_change(client, settings, request))[0]))
            await _until_in_line(client, rows[-1])
    return rows


async def _until_in_line(client: Client, row: Row) -> None:
    """Waits until the join stands in line, at most _IN_LINE seconds: it may be unable to reach its cluster."""
    import asyncio
    from contextlib import suppress

    with suppress(TimeoutError):
        async with asyncio.timeout(_IN_LINE):
            while True:
                if await _is_in_line(client, row):
                    return
                await asyncio.sleep(0.2)


async def _is_in_line(client: Client, row: Row) -> bool:
    """Whether the join stands in line, or has ended already."""
    from temporalio.client import WorkflowExecutionStatus, WorkflowQueryFailedError
    from temporalio.service import RPCError

    from messages.requests import turns_id
    from messages.turns import TurnsState

    turns = client.get_workflow_handle(turns_id(row.request.cluster))
    try:
        if (await row.handle.describe()).status is not WorkflowExecutionStatus.RUNNING:
            return True
        state = await turns.query("turns", result_type=TurnsState, rpc_timeout=_QUERY_DEADLINE)
    except (RPCError, WorkflowQueryFailedError):
        return False
    return any(ticket and ticket.workflow_id == row.handle.id for ticket in (state.holder, *state.waiting))


async def _follow(client: Client, rows: list[Row], growth: Growth) -> None:
    """Follows the joins to their end, draws them, and writes each handover as soon as it is known."""
    from contextlib import aclosing

    from client.follow import Away, follow
    from console.terminal.joins import JoinsDisplay

    by_id = {row.handle.id: row for row in rows}

    def shown() -> list[tuple[str, str, str]]:
        return [(row.request.subject, *row.cells) for row in rows]

    with JoinsDisplay() as display:
        async with aclosing(follow(client, *(row.handle for row in rows), timeout=growth.timeout)) as sights:
            async for seen in sights:
                if isinstance(seen, Away):
                    display.show(shown(), seen.text)
                    continue
                row = by_id[seen.handle.id]
                row.seen = seen
                _write_env(row, growth)
                display.show(shown())


def _write_env(row: Row, growth: Growth) -> None:
    from console.handover import write_env

    if growth.env_dir and row.seen and row.seen.handover and not row.wrote_env:
        write_env(growth.env_dir / f"{row.request.subject}.env", row.seen.handover, growth.cluster)
        row.wrote_env = True
