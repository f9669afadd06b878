"""Finds the change that a name means."""

from __future__ import annotations

from collections.abc import Sequence

from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from client.change_request import Handle
from client.command_errors import is_no_namespace
from client.exit_codes import USAGE, CommandError
from messages.ids import apply_id, change_id
from messages.requests import Verb

VERBS: tuple[Verb, ...] = ("join", "remove", "replace")


async def find_change(
    client: Client, cluster: str, name: str, verb: str | None, verbs: tuple[Verb, ...] = VERBS
) -> Handle:
    """
    The running change of this name, or otherwise the latest. Without a name it is the apply of the cluster.

    Raises CommandError with USAGE when there is none, or when several run and `verb` does not decide.
    """
    if verb not in (None, *verbs):
        raise CommandError(USAGE, f"--verb: {verb!r} is not known", f"one of: {', '.join(verbs)}")
    if not name:
        return await find_apply(client, cluster)
    found = await _described(client, cluster, name, [each for each in verbs if verb in (None, each)])
    if not found:
        hint = f"`memberflow changes {cluster}` lists the changes of this cluster, and `memberflow join` starts one"
        raise CommandError(USAGE, f"no change of {name} in cluster {cluster} is known", hint)
    running = [each for each, run in found.items() if run.status is WorkflowExecutionStatus.RUNNING]
    if len(running) > 1:
        raise CommandError(USAGE, f"several changes of {name}: {', '.join(running)}", "choose one with --verb")
    chosen = running[0] if running else max(found, key=lambda each: found[each].start_time)
    return client.get_workflow_handle(change_id(cluster, chosen, name))


async def find_apply(client: Client, cluster: str) -> Handle:
    """The running apply of the cluster, or otherwise the latest. Raises CommandError with USAGE when there is none."""
    handle = client.get_workflow_handle(apply_id(cluster))
    try:
        await handle.describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND or is_no_namespace(error):
            raise
        hint = f"`memberflow changes {cluster}` lists the changes of this cluster: give the NAME of a change"
        raise CommandError(USAGE, f"no apply of cluster {cluster} is known", hint) from None
    return handle


async def _described(
    client: Client, cluster: str, name: str, verbs: Sequence[Verb]
) -> dict[Verb, WorkflowExecutionDescription]:
    """The changes of this name that Temporal knows."""
    found = {}
    for verb in verbs:
        try:
            found[verb] = await client.get_workflow_handle(change_id(cluster, verb, name)).describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND or is_no_namespace(error):
                raise
    return found
