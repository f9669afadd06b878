"""join, watch, env, cancel: starts a change or attaches to one, and tells how it went."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import cast

from pydantic import ValidationError
from temporalio.client import Client, WorkflowExecutionStatus

from console.changes import Ended, Handle, find, start_join
from console.display import Display
from console.follow import Sight, follow, see
from console.output import DONE, FAILED, REFUSED, STILL_RUNNING, USAGE, Leave, print_json, say
from console.temporal import caller, connect, require_worker
from membership.model import Handover
from membership.requests import JoinRequest, Outcome, OutcomeKind, Verb
from membership.validation import explain
from settings import read_settings

_GOOD = {"promoted", "already-voter", "removed", "already-removed", "replaced"}


@dataclass(frozen=True)
class Waiting:
    """How long the command waits, and where the handover goes."""

    no_wait: bool = False
    until: str | None = None
    timeout: timedelta | None = None
    env_file: Path | None = None

    def __post_init__(self) -> None:
        if self.until not in (None, "added"):
            raise Leave(USAGE, f"--until: {self.until!r} is not known", "the one value is 'added'")
        if self.no_wait and (self.until or self.env_file):
            raise Leave(USAGE, "--no-wait returns before the handover is known", "use --until added instead")
        if self.env_file and not self.env_file.parent.is_dir():
            raise Leave(USAGE, f"--env-file: no such directory: {self.env_file.parent}")


def make_request(
    cluster: str, name: str, peer_urls: list[str], hold_before: str | None, requested_by: str
) -> JoinRequest:
    """The request of the command line; raises Leave with USAGE, naming the field, when it is wrong."""
    try:
        return JoinRequest.model_validate(
            {
                "cluster": cluster,
                "name": name,
                "peer_urls": peer_urls,
                "hold_before": hold_before,
                "requested_by": requested_by or caller(),
            }
        )
    except ValidationError as error:
        raise Leave(USAGE, explain(error)) from None


async def join(request: JoinRequest, waiting: Waiting, *, json: bool) -> int:
    settings = read_settings()
    client = await connect(settings)
    await require_worker(client, settings)
    handle, attached = await start_join(client, settings, request)
    say(f"{'attached to' if attached else 'started'} {handle.id}")
    if waiting.no_wait:
        return _tell(await _still(client, handle, "started"), json=json, code=DONE)

    def hand_over(handover: Handover) -> None:
        if waiting.env_file:
            write_env(waiting.env_file, handover)
            say(f"the learner is added; wrote {waiting.env_file}")
        elif not json:
            say("the learner is added; start the new member with:")
            for key, value in handover.env().items():
                say(f"  {key}={value}")

    with Display(f"{request.name} joins {request.cluster}") as display:
        end = await follow(
            client,
            handle,
            display,
            until_added=waiting.until == "added",
            timeout=waiting.timeout,
            on_handover=hand_over,
        )
    if isinstance(end, Sight) and waiting.until == "added" and end.handover:
        return _tell(await _still(client, handle, "added"), json=json, code=DONE)
    return await _tell_end(client, handle, end, json=json)


async def watch(cluster: str, name: str, verb: str | None, timeout: timedelta | None, *, json: bool) -> int:
    client, handle = await _find(cluster, name, verb)
    with Display(handle.id) as display:
        end = await follow(client, handle, display, timeout=timeout)
    return await _tell_end(client, handle, end, json=json)


async def env(cluster: str, name: str, *, json: bool) -> int:
    client, handle = await _find(cluster, name, "join")
    seen = await see(client, handle)
    completed = seen.description.status is WorkflowExecutionStatus.COMPLETED
    if not (seen.is_running or completed):
        raise Leave(FAILED, "the join did not succeed, so its handover is dead", "run the join again")
    if seen.handover is None:
        raise Leave(FAILED, "the learner is not added yet", "`memberflow join ... --until added` waits for it")
    if json:
        print_json(seen.handover.env())
    else:
        print(_env_text(seen.handover), end="")
    return DONE


async def cancel(cluster: str, name: str, verb: str | None, *, json: bool) -> int:
    client, handle = await _find(cluster, name, verb)
    if not (await see(client, handle)).is_running:
        raise Leave(
            FAILED, f"{handle.id} is not running any more", f"`memberflow watch {cluster} {name}` tells how it ended"
        )
    await handle.cancel(reason=f"cancelled by {caller()}")
    with Display(f"cancelling {handle.id}") as display:
        end = await follow(client, handle, display)
    assert isinstance(end, Ended)
    code = DONE if end.outcome.outcome == "cancelled" else FAILED
    return _tell(end.outcome, json=json, code=code)


def write_env(path: Path, handover: Handover) -> None:
    """Writes the handover at once: a boot script never reads half of it."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(_env_text(handover))
    Path(file.name).chmod(0o644)
    os.replace(file.name, path)


def _env_text(handover: Handover) -> str:
    return "".join(f"{key}={value}\n" for key, value in handover.env().items())


async def _find(cluster: str, name: str, verb: str | None) -> tuple[Client, Handle]:
    if verb not in (None, "join", "remove", "replace"):
        raise Leave(USAGE, f"--verb: {verb!r} is not known", "one of: join, remove, replace")
    client = await connect(read_settings())
    return client, await find(client, cluster, name, cast("Verb | None", verb))


async def _still(client: Client, handle: Handle, kind: OutcomeKind) -> Outcome:
    """The outcome of a change that goes on."""
    seen = await see(client, handle)
    _, cluster, _, member = handle.id.split(":")
    view = seen.view
    return Outcome(
        cluster=cluster,
        member=member,
        member_id=(view.member_id or None) if view else None,
        outcome=kind,
        attempts=view.attempts if view else {},
        seconds=view.seconds if view else {},
        workflow_id=handle.id,
        run_id=seen.description.run_id or "",
        reason=(view.held or seen.waits_for or None) if view else None,
    )


async def _tell_end(client: Client, handle: Handle, end: Ended | Sight, *, json: bool) -> int:
    if isinstance(end, Sight):
        held = bool(end.view and end.view.held)
        kind: OutcomeKind = "held" if held else "added" if end.handover else "started"
        return _tell(await _still(client, handle, kind), json=json, code=STILL_RUNNING)
    if end.is_usage:
        code = USAGE
    elif end.outcome.outcome in _GOOD:
        code = DONE
    else:
        code = REFUSED if end.outcome.outcome == "refused" else FAILED
    return _tell(end.outcome, json=json, code=code, error=end.error)


def _tell(outcome: Outcome, *, json: bool, code: int, error: str = "") -> int:
    if json:
        print_json(outcome.model_dump(mode="json", exclude_none=True))
        return code
    say(_sentence(outcome, error))
    for warning in outcome.warnings:
        say(f"  warning: {warning}")
    if outcome.hint:
        say(f"  hint: {outcome.hint}")
    return code


def _sentence(outcome: Outcome, error: str) -> str:
    member = f"{outcome.member} ({outcome.member_id})" if outcome.member_id else outcome.member
    text = f"{member} in {outcome.cluster}: {outcome.outcome}"
    if outcome.voters:
        text += f"; voters: {', '.join(outcome.voters)}"
    if outcome.reason:
        text += f": {error + ': ' if error else ''}{outcome.reason}"
    total = outcome.seconds.get("total")
    return f"{text} ({total:.1f} s)" if total is not None else text
