"""Asks the workers. A question is a workflow that only looks."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar

from pydantic import BaseModel
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from client.ended import CONFIGURATION, with_name
from client.exit_codes import FAILED, OUT_OF_REACH, USAGE, CommandError
from membership.failures import Failure
from settings import Settings

A = TypeVar("A")

# Seconds. A look that no worker takes, or that reaches no member, is an answer after 12 s (GLANCE).
_PATIENCE = 16.0
# A question whose worker died stays for the next caller. It ends later than any caller's patience.
_KEPT = timedelta(seconds=30)


async def ask(
    client: Client, settings: Settings, workflow: str, result_type: type[A], request: BaseModel | None = None
) -> A:
    """
    Runs a question's workflow. Callers that ask the same question at the same time share one workflow.

    Raises CommandError when there is no answer, with OUT_OF_REACH when a worker is missing.
    """
    name = f"{workflow}:{hashlib.sha256(request.model_dump_json().encode()).hexdigest()[:16]}" if request else workflow
    handle = await client.start_workflow(
        workflow,
        args=[request] if request else [],
        id=f"memberflow:ask:{name}",
        task_queue=settings.task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        run_timeout=_KEPT,
        result_type=result_type,
    )
    try:
        answer: A = await asyncio.wait_for(handle.result(), _PATIENCE)
        return answer
    except WorkflowFailureError as failure:
        raise _why_failed(failure) from None
    except TimeoutError:
        with suppress(RPCError):
            await handle.terminate("no worker answered in time")
        hint = f"it may have died: start another with `memberflow worker`, for the task queue {settings.task_queue!r}"
        raise CommandError(OUT_OF_REACH, f"no worker answered within {_PATIENCE:.0f} s", hint) from None


def _why_failed(failure: WorkflowFailureError) -> CommandError:
    error = failure.cause
    if not isinstance(error, ApplicationError):
        return CommandError(OUT_OF_REACH, f"no worker answered: {error}", "is a worker running?")
    kind = error.type or ""
    code = USAGE if kind in CONFIGURATION else OUT_OF_REACH if kind == Failure.NO_WORKER else FAILED
    return CommandError(code, with_name(kind, error.message), str(error.details[0]) if error.details else "")
