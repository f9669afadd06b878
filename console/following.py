"""Starts a change, follows it on the terminal, and prints the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from client.exit_codes import DONE, USAGE, CommandError
from console.handover import check_writable, write_env
from console.session import with_worker
from console.terminal.output import answer, busy, say

if TYPE_CHECKING:
    from temporalio.client import Client

    from client.change_request import Handle
    from client.sight import Sight
    from messages.outcomes import Outcome, OutcomeKind
    from messages.requests import ChangeRequest

# In these stages the change waits for the new member.
_AWAITED = ("add", "sync", "promote")


@dataclass(frozen=True)
class Waiting:
    """How long the command waits, and where it writes the handover."""

    no_wait: bool = False
    #: `added` or `voter`. None: until the change has ended.
    until: str | None = None
    #: None: no limit.
    timeout: timedelta | None = None
    #: None: no file is written.
    env_file: Path | None = None

    def __post_init__(self) -> None:
        if self.until not in (None, "added", "voter"):
            raise CommandError(USAGE, f"--until: {self.until!r} is not known", "one of: added, voter")
        if self.no_wait and (self.until or self.env_file):
            raise CommandError(USAGE, "--no-wait returns before the handover is known", "use --until added instead")
        if self.env_file:
            check_writable("--env-file", self.env_file)

    def is_over(self, seen: Sight) -> bool:
        """Whether the change has come as far as the caller needs."""
        if self.until == "added":
            return seen.handover is not None
        return self.until == "voter" and seen.is_voter


async def start_and_follow(request: ChangeRequest, waiting: Waiting) -> int:
    """Starts the change or attaches to it, follows it, and prints the result. Returns the exit code."""
    from client.sight import outcome_so_far, see
    from client.start import start_change
    from console.terminal.print_outcome import print_end, print_outcome

    client, settings = await with_worker("nothing was started")
    async with busy(f"starting: {request.summary}"):
        handle, attached = await start_change(client, settings, request)
    say(f"{'attached to' if attached else 'started'} {handle.id}")
    if waiting.no_wait:
        return print_outcome(outcome_so_far(await see(client, handle), "started"), DONE)
    hand_over = _Handover(request, waiting.env_file)
    seen = await follow_on_terminal(
        client, handle, request.summary, timeout=waiting.timeout, look=hand_over, enough=waiting.is_over
    )
    if seen and seen.end:
        hand_over.explain(seen.end.outcome)
    if seen and not seen.end and waiting.is_over(seen):
        kind: OutcomeKind = "voter" if waiting.until == "voter" else "added"
        return print_outcome(outcome_so_far(seen, kind), DONE)
    return print_end(seen)


async def follow_on_terminal(
    client: Client,
    handle: Handle,
    title: str,
    *,
    timeout: timedelta | None = None,
    look: Callable[[Sight], None] = lambda _: None,
    enough: Callable[[Sight], bool] = lambda _: False,
) -> Sight | None:
    """
    Draws the change until it ends, is far `enough`, or the wait ends. `look` also gets every sight.

    Returns the last sight. None when Temporal never answered.
    """
    from contextlib import aclosing

    from client.follow import Away, follow
    from console.terminal.apply_display import ApplyDisplay
    from console.terminal.display import Display
    from messages.ids import APPLY, parts_of

    last = None
    is_apply = parts_of(handle.id)[1] == APPLY
    with ApplyDisplay(title) if is_apply else Display(title) as display:
        async with aclosing(follow(client, handle, timeout=timeout)) as sights:
            async for seen in sights:
                display.show(seen)
                if isinstance(seen, Away):
                    continue
                last = seen
                look(seen)
                if enough(seen):
                    break
    return last


class _Handover:
    """Gives out the handover once, as soon as it is known."""

    def __init__(self, request: ChangeRequest, file: Path | None) -> None:
        self._request = request
        self._file = file
        self._given = False

    def __call__(self, seen: Sight) -> None:
        if self._given or not seen.handover:
            return
        if self._file:
            write_env(self._file, seen.handover, self._request.cluster)
            say(f"wrote {self._file}")
        elif not self._is_awaited(seen):
            return
        elif not answer.is_object:
            say("the learner is added. Start the new member with:")
            for key, value in seen.handover.env().items():
                say(f"  {key}={value}")
        self._given = True

    def explain(self, end: Outcome) -> None:
        """Says why a file was not written although the change succeeded."""
        if self._file and not self._given and end.outcome in ("already-voter", "replaced"):
            say(
                f"{self._file} is left as it is: {end.member} is a voter already and could not be verified. "
                "These values would start it even if its data is lost, and that endangers the data of the cluster"
            )

    def _is_awaited(self, seen: Sight) -> bool:
        """Whether an operator must still start the new member: it is no voter yet, and no launcher starts it."""
        launched = getattr(self._request, "launcher", None)
        is_learner = seen.view is None or seen.view.stage in _AWAITED
        return is_learner and seen.is_running and not launched
