"""What went wrong, as the exit code, message and hint with which the command leaves."""

from __future__ import annotations

import traceback

from temporalio.api.errordetails.v1 import NamespaceNotFoundFailure
from temporalio.service import RPCError, RPCStatusCode

from console.output import FAILED, OUT_OF_REACH, USAGE, Leave
from membership.errors import MemberflowError
from settings import read_settings

_AWAY = {
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.CANCELLED,  # how the SDK tells that its own deadline has passed
    RPCStatusCode.RESOURCE_EXHAUSTED,
}
_NOT_ALLOWED = {RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED}
# How the SDK's connect tells the same.
_NOT_ALLOWED_WORDS = ("PermissionDenied", "Unauthenticated")

START_A_SERVER = "set TEMPORAL_ADDRESS (and TEMPORAL_NAMESPACE), or start a server: `temporal server start-dev`"
_WHO_ASKS = "check TEMPORAL_API_KEY, TEMPORAL_TLS and the client certificate, and what they may do in this namespace"


def leave_of(error: Exception) -> Leave:
    """How to leave after any error; one that nobody expected is printed with its traceback first."""
    match error:
        case Leave():
            return error
        case MemberflowError():
            return Leave(USAGE, str(error), error.hint)
        case RPCError():
            return _of_temporal(error)
        case BrokenPipeError():
            return Leave(FAILED)
    traceback.print_exception(error)
    return Leave(FAILED, f"unexpected error: {type(error).__name__}: {error}", "this is a fault of memberflow")


def is_no_namespace(error: RPCError) -> bool:
    """Whether the namespace is not there: of a workflow or a task queue NOT_FOUND says something else."""
    details = error.grpc_status.details if error.status is RPCStatusCode.NOT_FOUND else ()
    return any(detail.Is(NamespaceNotFoundFailure.DESCRIPTOR) for detail in details)


def is_not_allowed(error: Exception) -> bool:
    """Whether Temporal knows who asks, and says no; or doesn't know."""
    if isinstance(error, RPCError):
        return error.status in _NOT_ALLOWED
    return any(word in str(error) for word in _NOT_ALLOWED_WORDS)


def not_allowed(error: Exception) -> Leave:
    return Leave(USAGE, f"Temporal at {read_settings().address} does not let this command in: {error}", _WHO_ASKS)


def _of_temporal(error: RPCError) -> Leave:
    settings = read_settings()
    if is_no_namespace(error):
        return Leave(
            USAGE,
            f"Temporal at {settings.address} has no namespace {settings.namespace!r}",
            "set TEMPORAL_NAMESPACE to one that it has (`temporal operator namespace list`), or create this one: "
            f"`temporal operator namespace create --namespace {settings.namespace}`",
        )
    if is_not_allowed(error):
        return not_allowed(error)
    if error.status in _AWAY:
        hint = f"a change that was started goes on; {START_A_SERVER}"
        return Leave(OUT_OF_REACH, f"Temporal at {settings.address} is out of reach: {error}", hint)
    return Leave(FAILED, f"Temporal at {settings.address} refused: {error} ({error.status.name})")
