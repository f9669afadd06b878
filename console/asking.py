"""Asks the workers: a question is a workflow that only looks."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError

from console.changes import CONFIGURATION, NO_WORKER
from console.output import FAILED, OUT_OF_REACH, USAGE, Leave
from settings import Settings

# A look that nobody takes, or that meets nobody, is an answer after 12 s (GLANCE).
_PATIENCE = 16.0
# A question whose worker died is still there for the next one who asks, and ends later than whoever waits.
_KEPT = timedelta(seconds=30)


async def ask(
    client: Client, settings: Settings, workflow: str, result_type: type[Any], request: BaseModel | None = None
) -> Any:
    """
    Runs a question's workflow; callers that ask the same at the same time share one.

    Raises Leave when there is no answer: with OUT_OF_REACH where a worker is missing.
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
        return await asyncio.wait_for(handle.result(), _PATIENCE)
    except WorkflowFailureError as failure:
        raise _refusal(failure) from None
    except TimeoutError:
        hint = f"has it just died? Start one with `memberflow worker`, for the task queue {settings.task_queue!r}"
        raise Leave(OUT_OF_REACH, f"no worker answered within {_PATIENCE:.0f} s", hint) from None


def _refusal(failure: WorkflowFailureError) -> Leave:
    error = failure.cause
    if not isinstance(error, ApplicationError):
        return Leave(OUT_OF_REACH, f"no worker answered: {error}", "is one running?")
    kind = error.type or ""
    code = USAGE if kind in CONFIGURATION else OUT_OF_REACH if kind == NO_WORKER else FAILED
    return Leave(code, f"{kind}: {error.message}", str(error.details[0]) if error.details else "")
