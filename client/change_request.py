"""Makes the request of a change, reads it from a running change, and compares requests."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from temporalio.client import Client, WorkflowHandle

from client.connect import caller
from client.exit_codes import USAGE, CommandError
from messages.requests import REQUESTS, ChangeRequest, RemoveRequest, ReplaceRequest, Verb
from messages.validation import explain

Handle = WorkflowHandle[Any, Any]

# Two requests for the same change may differ in these fields.
_NOT_COMPARED = {"cluster", "requested_by"}


def make_request(verb: Verb, **given: Any) -> ChangeRequest:
    """The request of a caller. Raises CommandError with USAGE, and the field's name, when it is wrong."""
    try:
        return REQUESTS[verb].model_validate({**given, "requested_by": given.get("requested_by") or caller()})
    except ValidationError as error:
        raise CommandError(USAGE, explain(error)) from None


def summary(request: ChangeRequest) -> str:
    """The change in one line."""
    match request:
        case RemoveRequest():
            return f"{request.member} leaves {request.cluster}"
        case ReplaceRequest():
            return f"{request.name} replaces {request.old} in {request.cluster}"
    return f"{request.subject} joins {request.cluster}"


def differences(asked: ChangeRequest, running: Any) -> list[str]:
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
    known = [f"{key}: {_shown(theirs[key])} (yours: {_shown(ours[key])})" for key in ours if ours[key] != theirs[key]]
    unknown = [f"{key}: {_shown(value)}" for key, value in running.items() if key not in fields and value]
    return known + unknown


async def request_of(client: Client, change: Handle) -> Any:
    """The change's request: from its memo, or from its first event when another client started it."""
    memo = await (await change.describe()).memo()
    if "request" in memo:
        return memo["request"]
    async for event in change.fetch_history_events(page_size=1):
        payloads = event.workflow_execution_started_event_attributes.input.payloads
        return (await client.data_converter.decode(payloads))[0] if payloads else None
    return None


def asked_beside(request: ChangeRequest) -> str:
    """The fields of the request, except cluster and requester, for a person."""
    given = request.model_dump(mode="json", exclude=_NOT_COMPARED)
    return ", ".join(f"{key} {_shown(value)}" for key, value in given.items())


def _compared(request: ChangeRequest) -> dict[str, Any]:
    values = {key: getattr(request, key) for key in type(request).model_fields if key not in _NOT_COMPARED}
    return {key: sorted(value) if isinstance(value, tuple) else value for key, value in values.items()}


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    if isinstance(value, bool):
        return "on" if value else "off"
    return "not set" if value is None else str(value)
