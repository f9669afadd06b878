"""Whether a worker can do its work: Temporal answers it, and has seen it poll every queue that it serves."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from temporalio.client import Client
from temporalio.service import RPCError

from client.command_errors import brief, is_not_allowed
from client.connect import ACTIVITY_TASKS, polled_lately

# Seconds. A probe gives up soon after that.
_ANSWERS_WITHIN = 3.0


async def why_not_ready(client: Client, serves: Collection[str]) -> str:
    """Why the worker is not ready. Empty: it is. A worker that may not ask about its queues counts as ready."""
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN):
            for queue in serves:
                if client.identity not in await polled_lately(client, queue, ACTIVITY_TASKS):
                    return f"Temporal has not seen this worker poll the task queue {queue!r} yet"
    except TimeoutError:
        return f"Temporal has not answered within {_ANSWERS_WITHIN:.0f} s"
    except RPCError as error:
        if not is_not_allowed(error):
            return f"Temporal does not answer: {brief(error)}"
    return ""
