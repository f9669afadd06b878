"""Connects a command to Temporal, and says so when that takes a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.terminal.output import busy, say

if TYPE_CHECKING:
    from temporalio.client import Client

    from settings import Settings


async def connected() -> tuple[Client, Settings]:
    """A client of Temporal, and its settings."""
    from client.connect import connect
    from settings import read_settings

    settings = read_settings()
    async with busy(f"connecting to Temporal at {settings.address}"):
        return await connect(settings), settings


async def with_worker(hint: str = "") -> tuple[Client, Settings]:
    """The same, but raises CommandError with OUT_OF_REACH when no worker polls. `hint` is added to its advice."""
    from client.connect import require_worker

    client, settings = await connected()
    async with busy("looking for a worker"):
        note = await require_worker(client, settings, hint)
    if note:
        say(f"note: {note}")
    return client, settings
