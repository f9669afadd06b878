"""A workflow's argument, as callers in any language send it."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ExecuteWorkflowInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

with workflow.unsafe.imports_passed_through():
    from membership.failures import Failure
    from messages.requests import LONGEST_REQUESTER
    from messages.validation import explain

M = TypeVar("M", bound=BaseModel)


# The longest list of an apply has some 200,000. Workflow code that reads megabytes holds up the other changes.
_MOST_BYTES = 256 * 1024

_LONGEST_REASON = 500

#: No argument was sent.
NOTHING = RawValue(Payload())


def parse(model: type[M], argument: RawValue) -> M:
    """
    A workflow's argument as `model`.

    Raises an ApplicationError of type InvalidRequest, which names the field, for anything else: a caller in any
    language gets a failed workflow instead of a workflow that never ends.
    """
    if argument is NOTHING:
        raise invalid(f"one argument is required: a {model.__name__} as a JSON object")
    if (size := len(argument.payload.data)) > _MOST_BYTES:
        raise invalid(f"the argument has {size} bytes, and a request has {_MOST_BYTES} at most")
    try:
        value: Any = workflow.payload_converter().from_payload(argument.payload)
    except Exception as error:  # noqa: BLE001  (whatever a converter raises for a payload that it can't read)
        raise invalid(f"the argument is not readable as JSON: {error}") from None
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid(explain(error)) from None


def check_requester(by: str) -> None:
    """Raises an ApplicationError of type InvalidRequest for a name that no request could have in `requested_by`."""
    if len(by) > LONGEST_REQUESTER or not by.isprintable():
        expected = f"use {LONGEST_REQUESTER} printable characters at most"
        raise ApplicationError(f"by: {expected}", type=Failure.INVALID_REQUEST, non_retryable=True)


def reason_of_cancel() -> str:
    """The reason that the caller of a cancel gave, cut to a length that an outcome can carry."""
    return (workflow.cancellation_reason() or "cancelled")[:_LONGEST_REASON]


class PlainStarts(Interceptor):
    """
    Fails a workflow whose start no part of this service makes.

    Its code would never see a second argument. A cron schedule or a retry policy starts another run with the caller's
    argument. That run would take it for the state of the run before.
    """

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:
        return _PlainStarts


class _PlainStarts(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        info = workflow.info()
        if info.cron_schedule or info.retry_policy:
            raise invalid("start it without a cron schedule and without a retry policy: it repeats its own steps")
        if len(input.args) > 1:
            raise invalid(f"one argument is expected, the request as a JSON object, and {len(input.args)} came")
        return await self.next.execute_workflow(input)


def invalid(text: str) -> ApplicationError:
    hint = "`memberflow schema` prints the JSON Schema of a request"
    return ApplicationError(f"{text} ({hint})", type=Failure.INVALID_REQUEST, non_retryable=True)
