"""The end of a change, as the content of a message to a receiver."""

from __future__ import annotations

from typing import Any

from temporalio.client import Client, WorkflowExecutionDescription

from client.exit_codes import DONE, CommandError
from client.sight import see, with_end
from messages.ids import parts_of
from messages.notices import NotDelivered

EVENT = "change.ended"


async def read_end(client: Client, change: WorkflowExecutionDescription) -> dict[str, Any]:
    """
    The end of a closed change, by Temporal's record of this run.

    A cancelled change has no outcome there. Its figures are missing where no worker answers for it.

    Raises NotDelivered for an outcome that this version cannot read.
    """
    try:
        seen = await see(client, client.get_workflow_handle(change.id, run_id=change.run_id))
        end = (await with_end(client, seen)).end
    except CommandError as error:
        raise NotDelivered(str(error)) from None
    if end is None or change.close_time is None:
        raise NotDelivered(f"{change.id} has not ended")
    _, verb, _ = parts_of(change.id)
    told = {"verb": verb, "succeeded": end.code == DONE, "error": end.error}
    return {
        "type": EVENT,
        "timestamp": change.close_time.isoformat(timespec="milliseconds"),
        "data": {**told, **end.outcome.model_dump(mode="json", exclude_none=True)},
    }
