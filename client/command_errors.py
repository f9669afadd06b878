"""Turns any error into the exit code, message and hint with which a command ends."""

from __future__ import annotations

import traceback

from temporalio.api.errordetails.v1 import NamespaceNotFoundFailure
from temporalio.service import RPCError, RPCStatusCode

from client.exit_codes import FAILED, OUT_OF_REACH, USAGE, CommandError
from membership.errors import MemberflowError
from settings import read_settings

_AWAY = {
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.CANCELLED,  # the SDK's own deadline has passed
    RPCStatusCode.RESOURCE_EXHAUSTED,
}
_NOT_ALLOWED = {RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED}
# The SDK's connect reports it only in these words.
_NOT_ALLOWED_WORDS = ("PermissionDenied", "Unauthenticated")

START_A_SERVER = "set TEMPORAL_ADDRESS (and TEMPORAL_NAMESPACE), or start a server: `temporal server start-dev`"
_CHECK_ACCESS = "check TEMPORAL_API_KEY, TEMPORAL_TLS and the client certificate, and their rights in this namespace"


def command_error(error: Exception) -> CommandError:
    """The CommandError for any error. An unexpected error is printed with its traceback first."""
    match error:
        case CommandError():
            return error
        case MemberflowError():
            return CommandError(USAGE, str(error), error.hint)
        case RPCError():
            return _of_temporal(error)
        case BrokenPipeError():
            return CommandError(FAILED)
    traceback.print_exception(error)
    return CommandError(
        FAILED, f"unexpected error: {type(error).__name__}: {error}", "this is a bug of memberflow: please report it"
    )


def is_no_namespace(error: RPCError) -> bool:
    """Whether the namespace is missing. NOT_FOUND alone can also mean a workflow or a task queue."""
    details = error.grpc_status.details if error.status is RPCStatusCode.NOT_FOUND else ()
    return any(detail.Is(NamespaceNotFoundFailure.DESCRIPTOR) for detail in details)


def is_not_allowed(error: Exception) -> bool:
    """Whether Temporal refuses the caller: unknown, or without the rights."""
    if isinstance(error, RPCError):
        return error.status in _NOT_ALLOWED
    return any(word in str(error) for word in _NOT_ALLOWED_WORDS)


def not_allowed(error: Exception) -> CommandError:
    return CommandError(USAGE, f"Temporal at {read_settings().address} refuses this caller: {error}", _CHECK_ACCESS)


def brief(error: RPCError) -> str:
    """An error of an optional question, in a few words: the status and Temporal's text."""
    return f"{error.message} ({error.status.name})"


def _of_temporal(error: RPCError) -> CommandError:
    settings = read_settings()
    if is_no_namespace(error):
        return CommandError(
            USAGE,
            f"Temporal at {settings.address} has no namespace {settings.namespace!r}",
            "set TEMPORAL_NAMESPACE to an existing one (`temporal operator namespace list`), or create it: "
            f"`temporal operator namespace create --namespace {settings.namespace}`",
        )
    if is_not_allowed(error):
        return not_allowed(error)
    if error.status in _AWAY:
        hint = f"a change that was started goes on. To reach it, {START_A_SERVER}"
        return CommandError(OUT_OF_REACH, f"Temporal at {settings.address} is out of reach: {error}", hint)
    return CommandError(FAILED, f"Temporal at {settings.address} refused: {error} ({error.status.name})")
