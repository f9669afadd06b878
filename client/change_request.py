"""Makes the request of a change, reads it from a running change, and compares requests."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from temporalio.client import Client, WorkflowHandle

from client.connect import caller
from client.exit_codes import USAGE, CommandError
from messages.next_run import request_in
from messages.requests import REQUESTS, ChangeRequest, Request, Verb
from messages.texts import NOT_COMPARED, shown
from messages.validation import explain

Handle = WorkflowHandle[Any, Any]


def make_request(verb: Verb, **given: Any) -> ChangeRequest:
    """The request of a caller. Raises CommandError with USAGE, and the field's name, when it is wrong."""
    try:
        return REQUESTS[verb].model_validate({**given, "requested_by": given.get("requested_by") or caller()})
    except ValidationError as error:
        raise CommandError(USAGE, explain(error)) from None


def differences(asked: Request, running: Any) -> list[str]:
    """
    The fields in which the running change's request differs from this request, with both values.

    A field that this version does not know counts as a difference when it has a value: no version sends defaults.
    """
    fields = type(asked).model_fields
    unreadable = ["its request cannot be read"]
    if not isinstance(running, dict):
        return unreadable
    try:
        other = type(asked).model_validate({key: value for key, value in running.items() if key in fields})
    except ValidationError:
        return unreadable
    ours, theirs = _compared(asked), _compared(other)
    known = [f"{key}: {shown(theirs[key])} (yours: {shown(ours[key])})" for key in ours if ours[key] != theirs[key]]
    unknown = [f"{key}: {shown(value)}" for key, value in running.items() if key not in fields and value]
    return known + unknown


async def request_of(client: Client, change: Handle) -> Any:
    """
    The change's request, from its first event. None where it has none.

    Its memo may say something else: a caller can start a change with any memo.
    """
    async for event in change.fetch_history_events(page_size=1):
        payloads = event.workflow_execution_started_event_attributes.input.payloads
        return request_in((await client.data_converter.decode(payloads))[0]) if payloads else None
    return None


def _compared(request: Request) -> dict[str, Any]:
    values = {key: getattr(request, key) for key in type(request).model_fields if key not in NOT_COMPARED}
    return {key: sorted(map(str, value)) if isinstance(value, tuple) else value for key, value in values.items()}
