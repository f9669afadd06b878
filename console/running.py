"""Starts a change or attaches to one, follows it, and tells how it went."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from console.changes import start_change, summary
from console.display import Display
from console.finding import find_change
from console.follow import Sight, follow, see
from console.handover import check_writable, write_env
from console.outcomes import still, tell, tell_end
from console.output import DONE, USAGE, Leave, say
from console.temporal import caller, connect, require_worker
from membership.model import Handover
from messages.requests import REQUESTS, ChangeRequest, Verb
from messages.validation import explain
from settings import read_settings


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
        if self.env_file:
            check_writable("--env-file", self.env_file)


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
        return tell(still(handle, await see(client, handle), "started"), json=json, code=DONE)

    def hand_over(handover: Handover) -> None:
        if waiting.env_file:
            write_env(waiting.env_file, handover, request.cluster)
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
        return tell(still(handle, end, "added"), json=json, code=DONE)
    return tell_end(handle, end, json=json)


async def watch(cluster: str, name: str, verb: str | None, timeout: timedelta | None, *, json: bool) -> int:
    client, handle = await find_change(cluster, name, verb)
    with Display(handle.id) as display:
        end = await follow(client, handle, display, timeout=timeout)
    return tell_end(handle, end, json=json)
