"""A Nexus caller cancels changes of the operation's own kind, and no other workflow of the workers' namespace."""

from __future__ import annotations

from types import SimpleNamespace

import nexusrpc
import pytest
from temporalio import nexus
from temporalio.worker import ExecuteNexusOperationCancelInput

from client.own_operations import OwnOperations


class Noted:
    """The SDK's own cancel."""

    def __init__(self):
        self.tokens = []

    async def execute_nexus_operation_cancel(self, input):
        self.tokens.append(input.token)


def token(workflow_id):
    return nexus.WorkflowHandle("default", workflow_id).to_token()


async def cancelled(operation, text):
    """The tokens with which the SDK cancels."""
    noted = Noted()
    asked = ExecuteNexusOperationCancelInput(SimpleNamespace(operation=operation), text)
    await OwnOperations().intercept_nexus_operation(noted).execute_nexus_operation_cancel(asked)
    return noted.tokens


@pytest.mark.parametrize("verb", ["join", "remove", "replace"])
async def test_an_operation_is_cancelled(verb):
    """By the token that the operation began with."""
    own = token(f"memberflow:prod:{verb}:etcd-4")
    assert await cancelled(verb, own) == [own]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no token",
        token("payroll"),
        token("memberflow:prod"),
        token("memberflow:prod:apply"),
        token("memberflow:prod:remove:etcd-4"),
        token("memberflow:prod:join:etcd-4:x"),
        token("other:prod:join:etcd-4"),
    ],
)
async def test_nothing_else_is_cancelled(text):
    """Whoever writes the token: the payroll of the namespace, the turns, an apply, a change of another kind."""
    with pytest.raises(nexusrpc.HandlerError, match="does not belong to join"):
        await cancelled("join", text)
