"""The claim of a change on the turn of its cluster, and the signal that the claim has changed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from messages.ids import turns_id
    from messages.turns import Claim, Ticket


class Standing:
    """
    The claim of one change.

    ClusterTurns asks for it by query. A signal to ClusterTurns only says that there is something to ask, so a lost
    signal costs time and nothing else.
    """

    def __init__(self, cluster: str, ticket: Ticket) -> None:
        self.claim = Claim()
        self._cluster = cluster
        self._ticket = ticket
        self._signals: set[asyncio.Task[bool]] = set()

    def note(self, **changes: Any) -> None:
        """Changes these fields of the claim, and sends no signal."""
        self.claim = replace(self.claim, **changes)

    def say(self, **changes: Any) -> None:
        """Changes these fields of the claim, and sends a signal if the change is in line or has the turn."""
        before = self.claim
        self.note(**changes)
        if self.claim != before and self.claim.state in ("waits", "holds"):
            task = asyncio.create_task(self.tell())
            self._signals.add(task)
            task.add_done_callback(self._signals.discard)

    async def tell(self) -> bool:
        """Has ClusterTurns ask this change. False if ClusterTurns does not run."""
        turns = workflow.get_external_workflow_handle(turns_id(self._cluster))
        try:
            await turns.signal("claim", self._ticket)
        except FailureError:
            return False
        return True
