"""Requests as text, for a person."""

from __future__ import annotations

from typing import Any

from messages.requests import Request

#: Two requests for the same change may differ in these fields.
NOT_COMPARED = {"cluster", "requested_by"}


def asked_beside(request: Request) -> str:
    """The fields of the request that have a value, except cluster and requester."""
    given = request.model_dump(exclude=NOT_COMPARED)
    return ", ".join(f"{key} {shown(getattr(request, key))}" for key in given)


def static_details(request: Request) -> str:
    """The request, and who asked, for Temporal's UI."""
    return f"{asked_beside(request)}\n\nRequested by {request.requested_by}"


def shown(value: Any) -> str:
    """The value of a field."""
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    if isinstance(value, bool):
        return "on" if value else "off"
    return "not set" if value is None else str(value)
