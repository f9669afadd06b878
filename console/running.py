"""Starts a change or attaches to one, follows it, and tells how it went."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from temporalio.client import Client, WorkflowExecutionStatus

from console.changes import Ended, Handle, find, start_change, summary
from console.display import Display
from console.follow import Sight, follow, see
from console.output import DONE, FAILED, REFUSED, STILL_RUNNING, USAGE, Leave, print_json, say
from console.temporal import caller, connect, require_worker
from membership.model import Handover
from membership.requests import REQUESTS, ChangeRequest, Outcome, OutcomeKind, Verb
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


def make_request(verb: Verb, **given: Any) -> ChangeRequest:
    """The request of the command line; raises Leave with USAGE, naming the field, when it is wrong."""
    try:
        return REQUESTS[verb].model_validate({**given, "requested_by": given.get("requested_by") or caller()})
    except ValidationError as error:
        raise Leave(USAGE, explain(error)) from None


async def run(request: ChangeRequest, waiting: Waiting, *, json: bool) -> int:
    settings = read_settings()
    client = await connect(settings)
    await require_worker(client, settings)
    handle, attached = await start_change(client, settings, request)
    say(f"{'attached to' if attached else 'started'} {handle.id}")
    if waiting.no_wait:
        return tell(await _still(client, handle, "started"), json=json, code=DONE)

    def hand_over(handover: Handover) -> None:
        if waiting.env_file:
            write_env(waiting.env_file, handover)
            say(f"the learner is added; wrote {waiting.env_file}")
        elif not json:
            say("the learner is added; start the new member with:")
            for key, value in handover.env().items():
                say(f"  {key}={value}")

    with Display(summary(request)) as display:
        end = await follow(
            client,
            handle,
            display,
            until_added=waiting.until == "added",
            timeout=waiting.timeout,
            on_handover=hand_over,
        )
    if isinstance(end, Sight) and waiting.until == "added" and end.handover:
        return tell(await _still(client, handle, "added"), json=json, code=DONE)
    return await tell_end(client, handle, end, json=json)


async def watch(cluster: str, name: str, verb: str | None, timeout: timedelta | None, *, json: bool) -> int:
    client, handle = await find_change(cluster, name, verb)
    with Display(handle.id) as display:
        end = await follow(client, handle, display, timeout=timeout)
    return await tell_end(client, handle, end, json=json)


async def env(cluster: str, name: str, *, json: bool) -> int:
    client, handle = await find_change(cluster, name, None, verbs=("join", "replace"))
    seen = await see(client, handle)
    completed = seen.description.status is WorkflowExecutionStatus.COMPLETED
    going_back = seen.view is not None and seen.view.stage == "rollback"
    if going_back or not (seen.is_running or completed):
        raise Leave(FAILED, "the join did not succeed, so its handover is dead", "run the join again")
    if seen.handover is None:
        raise Leave(FAILED, "the learner is not added yet", "`memberflow join ... --until added` waits for it")
    if json:
        print_json(seen.handover.env())
    else:
        print(_env_text(seen.handover), end="")
    return DONE


def write_env(path: Path, handover: Handover) -> None:
    """Writes the handover at once: a boot script never reads half of it."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(_env_text(handover))
    Path(file.name).chmod(0o644)
    os.replace(file.name, path)


def _env_text(handover: Handover) -> str:
    return "".join(f"{key}={value}\n" for key, value in handover.env().items())


async def find_change(
    cluster: str, name: str, verb: str | None, verbs: tuple[Verb, ...] = ("join", "remove", "replace")
) -> tuple[Client, Handle]:
    """A client, and the one change of this name; raises Leave when there is none or several."""
    if verb not in (None, *verbs):
        raise Leave(USAGE, f"--verb: {verb!r} is not known", f"one of: {', '.join(verbs)}")
    client = await connect(read_settings())
    return client, await find(client, cluster, name, tuple(v for v in verbs if verb in (None, v)))


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


async def tell_end(client: Client, handle: Handle, end: Ended | Sight, *, json: bool) -> int:
    if isinstance(end, Sight):
        held = bool(end.view and end.view.held)
        kind: OutcomeKind = "held" if held else "added" if end.handover else "started"
        return tell(await _still(client, handle, kind), json=json, code=STILL_RUNNING)
    if end.is_usage:
        code = USAGE
    elif end.outcome.outcome in _GOOD:
        code = DONE
    else:
        code = REFUSED if end.outcome.outcome == "refused" else FAILED
    return tell(end.outcome, json=json, code=code, error=end.error)


def tell(outcome: Outcome, *, json: bool, code: int, error: str = "") -> int:
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
