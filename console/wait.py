"""memberflow wait"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING

from console.app import LOOK, app, examples, run
from console.options import ChangeOutput, Cluster, Json, Timeout

if TYPE_CHECKING:
    from temporalio.client import Client

# Seconds. Temporal's list shows the start and the end of a change some time later.
_LISTED_WITHIN = 2.0


@app.command(
    rich_help_panel=LOOK, epilog=examples("memberflow wait prod", "memberflow wait prod --timeout 30m && reboot")
)
def wait(cluster: Cluster, timeout: Timeout = None, output: ChangeOutput = None, json: Json = False) -> None:
    """Wait until no change of a cluster runs, is held or waits in line. Exit code 4 when `--timeout` is over first."""
    run(_wait(cluster, timeout), json=json, output=output)


async def _wait(cluster: str, timeout: timedelta | None) -> int:
    from client.exit_codes import DONE, STILL_RUNNING
    from client.open_changes import running_changes
    from console.session import connected
    from console.status import check_cluster
    from console.terminal.output import busy, print_answer, say

    check_cluster(cluster)
    client, _ = await connected()
    async with busy(f"looking for changes of {cluster}"):
        running = await running_changes(client, cluster) or await _listed_later(client, cluster)
    deadline = monotonic() + (float("inf") if timeout is None else timeout.total_seconds())
    while running and monotonic() < deadline:
        say(f"waiting for {', '.join(running)}")
        await _until_ended(client, running, deadline - monotonic())
        running = await _listed_later(client, cluster)
    if not print_answer({"cluster": cluster, "running": running}, names=running):
        say(f"still running: {', '.join(running)}" if running else f"no change of {cluster} runs")
    return STILL_RUNNING if running else DONE


async def _listed_later(client: Client, cluster: str) -> list[str]:
    from client.open_changes import running_changes

    await asyncio.sleep(_LISTED_WITHIN)
    return await running_changes(client, cluster)


async def _until_ended(client: Client, running: list[str], seconds: float) -> None:
    """Follows the changes, and tells how each ends."""
    from contextlib import aclosing

    from client.follow import Away, follow
    from console.terminal.output import say

    handles = [client.get_workflow_handle(workflow_id) for workflow_id in running]
    timeout = None if seconds == float("inf") else timedelta(seconds=max(0.0, seconds))
    async with aclosing(follow(client, *handles, timeout=timeout)) as sights:
        async for seen in sights:
            if isinstance(seen, Away):
                say(seen.text)
            elif seen.end:
                say(f"{seen.handle.id}: {seen.end.outcome.outcome}")
