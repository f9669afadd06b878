"""Finds the change that a name means."""

from __future__ import annotations

from collections.abc import Sequence

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from console.changes import Handle
from console.faults import is_no_namespace
from console.output import USAGE, Leave
from console.temporal import connect
from messages.requests import Verb, change_id
from settings import read_settings

VERBS: tuple[Verb, ...] = ("join", "remove", "replace")


async def find_change(
    cluster: str, name: str, verb: str | None, verbs: tuple[Verb, ...] = VERBS
) -> tuple[Client, Handle]:
    """A client, and the one change of this name; raises Leave when there is none or several."""
    if verb not in (None, *verbs):
        raise Leave(USAGE, f"--verb: {verb!r} is not known", f"one of: {', '.join(verbs)}")
    client = await connect(read_settings())
    return client, await _find(client, cluster, name, tuple(v for v in verbs if verb in (None, v)))


async def _find(client: Client, cluster: str, name: str, verbs: Sequence[Verb]) -> Handle:
    """
    The change of this name that runs, or else the latest.

    Raises Leave with USAGE when there is none, or several run and no verb decides.
    """
    found = {}
    for each in verbs:
        try:
            found[each] = await client.get_workflow_handle(change_id(cluster, each, name)).describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND or is_no_namespace(error):
                raise
    if not found:
        raise Leave(USAGE, f"no change of {name} in cluster {cluster} is known", "`memberflow join` starts one")
    running = [v for v, seen in found.items() if seen.status is WorkflowExecutionStatus.RUNNING]
    if len(running) > 1:
        raise Leave(USAGE, f"several changes of {name}: {', '.join(running)}", "say which with --verb")
    verb = running[0] if running else max(found, key=lambda v: found[v].start_time)
    return client.get_workflow_handle(change_id(cluster, verb, name))
