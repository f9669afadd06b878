"""Follows changes to their end, with one polling policy for every command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count

from temporalio.client import Client, WorkflowFailureError
from temporalio.service import RPCError, RPCStatusCode

from client.change_request import Handle
from client.command_errors import is_no_namespace, is_not_allowed
from client.exit_codes import OUT_OF_REACH, CommandError
from client.sight import Sight, see, with_end

# Seconds. A server or a worker that is away for longer than _SILENCE is mentioned. After _GIVE_UP a server is given up.
_SILENCE = 5.0
_GIVE_UP = 60.0
# Age and pause in seconds: up to this age of the following, the pause between two rounds of looks. Then _PER_CALL.
_PACES = ((10.0, 0.2), (30.0, 1.0))
# Seconds until the next round for each call to Temporal in this round.
_PER_CALL = 2.4
# Seconds. A worker that answered is asked again after this long, even if nothing has happened.
_ASK_AGAIN = 10.0
# A change in these stages moves only when another change ends.
_IN_LINE = ("preflight", "turn")


@dataclass(frozen=True)
class Away:
    """Temporal has not answered for some seconds. Following goes on."""

    text: str


@dataclass
class _Followed:
    """A change that is followed. All times are seconds on the event loop's clock."""

    client: Client
    handle: Handle
    #: The last look. None before the first look.
    seen: Sight | None = None
    #: The time of a worker's latest answer.
    heard: float = 0.0
    #: The time since which no worker has answered. None while a worker answers.
    unheard: float | None = None
    #: Temporal's long poll for the end of the change. Done when the change may have ended. None: no poll runs.
    poll: asyncio.Task[None] | None = None

    @property
    def has_ended(self) -> bool:
        return bool(self.seen and self.seen.end)

    @property
    def is_in_line(self) -> bool:
        view = self.seen.view if self.seen else None
        return view is not None and (view.stage in _IN_LINE or bool(view.held))

    async def look(self, now: float) -> Sight:
        known = self.seen if now - self.heard < _ASK_AGAIN else None
        seen = await see(self.client, self.handle, known)
        if seen.view and not (known and seen.view is known.view):
            self.heard = now
        if seen.view or not seen.is_running:
            self.unheard = None
        elif self.unheard is None:
            self.unheard = now
        silent = self.unheard is not None and now - self.unheard > _SILENCE
        self.seen = await with_end(self.client, replace(seen, silent=silent))
        return self.seen

    def renew_poll(self, *, wanted: bool) -> None:
        """
        Starts the long poll if it is wanted and none runs.

        After a poll that is done, one round has no poll: a reset ends a run, but not the change.
        """
        if self.poll and self.poll.done():
            self.poll = None
        elif self.poll is None and wanted and not self.has_ended:
            self.poll = asyncio.create_task(_end(self.handle))

    def stop(self) -> None:
        if self.poll:
            self.poll.cancel()


async def follow(client: Client, *handles: Handle, timeout: timedelta | None = None) -> AsyncGenerator[Sight | Away]:
    """
    Yields each look at these changes until all have ended, across their resets and restarts of the server.

    The last look at a change has its `end`. Stops early after `timeout`, but looks at each change once.
    Among several changes, a change in line is looked at more rarely than the change that has the turn.
    After half a minute this costs at most one call in two seconds, beside a long poll for the end of the change.
    Raises CommandError with OUT_OF_REACH when the server stays away.
    """
    followed = [_Followed(client, handle) for handle in handles]
    try:
        async for seen in _rounds(followed, float("inf") if timeout is None else timeout.total_seconds()):
            yield seen
    finally:
        for each in followed:
            each.stop()


async def _rounds(followed: list[_Followed], timeout: float) -> AsyncGenerator[Sight | Away]:
    clock = asyncio.get_running_loop().time
    begun = answered = clock()
    for number in count():
        age = clock() - begun
        due = _due(followed, number, everybody=number == 0 or age < _PACES[-1][0])
        calls = 0
        try:
            for each in due:
                seen = await each.look(clock())
                calls += seen.calls
                yield seen
            answered = clock()
        except RPCError as error:
            if text := still_bearable(error, clock() - answered):
                yield Away(text)
        rest = timeout - (clock() - begun)
        if all(each.has_ended for each in followed) or rest <= 0:
            return
        await _pause(due, min(pause_after(age, calls), rest))


def pause_after(age: float, calls: int) -> float:
    """Seconds until the next round. `age`: seconds since the start. `calls`: calls to Temporal in this round."""
    return next((pace for until, pace in _PACES if age < until), _PER_CALL * max(calls, 1))


def still_bearable(error: RPCError, away: float) -> str:
    """
    The text about a server that has not answered for `away` seconds. Empty for a short silence.

    Raises the error, or CommandError with OUT_OF_REACH, when waiting longer is useless.
    """
    if is_no_namespace(error) or is_not_allowed(error):
        raise error
    if error.status is RPCStatusCode.NOT_FOUND:
        raise CommandError(OUT_OF_REACH, f"the change is gone from Temporal: {error}") from error
    if away > _GIVE_UP:
        raise CommandError(
            OUT_OF_REACH,
            f"Temporal has been out of reach for {away:.0f} s: {error}",
            "the change goes on when the server is back: attach to it with `memberflow watch`",
        ) from error
    return f"Temporal is out of reach ({error}), trying again" if away > _SILENCE else ""


def _due(followed: list[_Followed], rounds: int, *, everybody: bool) -> list[_Followed]:
    """
    The changes to look at in this round. At first these are all open changes.

    Later they are the changes that have the turn or come next, and one of the others by rotation.
    """
    still_open = [each for each in followed if not each.has_ended]
    if everybody or len(still_open) <= 1:
        return still_open
    moving = [each for each in still_open if not each.is_in_line] or still_open[:1]
    others = [each for each in still_open if each not in moving]
    return moving + others[rounds % len(others) :][:1] if others else moving


async def _pause(due: list[_Followed], seconds: float) -> None:
    """Waits that long, or until one of these changes ends."""
    for each in due:
        each.renew_poll(wanted=seconds > 1.0)
    polls = [each.poll for each in due if each.poll]
    if polls:
        await asyncio.wait(polls, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    else:
        await asyncio.sleep(seconds)


async def _end(handle: Handle) -> None:
    with suppress(WorkflowFailureError, RPCError):
        await handle.result()
