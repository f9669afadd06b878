"""What activities ask of Temporal itself; for activities in threads as well as on the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine, Iterator
from typing import Any, TypeVar

from temporalio.client import AsyncActivityCancelledError, Client, WorkflowHandle, WorkflowQueryRejectedError
from temporalio.common import QueryRejectCondition
from temporalio.service import RPCError, RPCStatusCode

from messages.requests import turns_id
from messages.turns import Ticket, TurnsState

T = TypeVar("T")

ASK_DEADLINE = 3.0
SHUN_FOR = 1.0
ASK_AGAIN_AFTER = 3.0


class Avoided(Collection[str]):
    """`known`, and what `live` says at the moment of the question: a look in two parts asks before each of them."""

    def __init__(self, known: Collection[str], live: Callable[[], tuple[str, ...]]) -> None:
        self._known = known
        self._live = live

    def __contains__(self, item: object) -> bool:
        return item in self._known or item in self._live()

    def __iter__(self) -> Iterator[str]:
        return iter({*self._known, *self._live()})

    def __len__(self) -> int:
        return len(list(iter(self)))


class Temporal:
    """A client and the event loop that it belongs to; made on that loop."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._loop = asyncio.get_running_loop()
        self._shunned: dict[str, tuple[float, tuple[str, ...]]] = {}

    def call(self, question: Coroutine[Any, Any, T]) -> T:
        """The answer to `question`, for a caller in a thread; raises TimeoutError after ASK_DEADLINE seconds."""
        return asyncio.run_coroutine_threadsafe(question, self._loop).result(ASK_DEADLINE)

    def avoided(self, cluster: str, known: Collection[str]) -> Avoided:
        """`known`, and the member that is being removed at this moment; for a caller in a thread."""
        return Avoided(known, lambda: self._shunned_of(cluster))

    def _shunned_of(self, cluster: str) -> tuple[str, ...]:
        """
        ID and client URLs of the member that is being removed.

        Known for SHUN_FOR seconds; where Temporal can't be asked, what was known last (no removal is sent without it).
        """
        asked, (until, known) = time.monotonic(), self._shunned.get(cluster, (float("-inf"), ()))
        if asked >= until:
            try:
                state = self.call(self.turns_state(cluster))
            except (RPCError, TimeoutError):
                until = time.monotonic() + ASK_AGAIN_AFTER
            else:
                known = state.removing if state else ()
                # A slow answer holds for a moment too: a look asks several times.
                until = max(asked + SHUN_FOR, time.monotonic() + SHUN_FOR / 2)
            self._shunned[cluster] = (until, known)
        return known

    def turns(self, cluster: str) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(turns_id(cluster))

    async def turns_state(self, cluster: str) -> TurnsState | None:
        """What the cluster's turns are at this moment; None when nobody keeps them."""
        try:
            state: TurnsState = await self.turns(cluster).query(
                "turns", result_type=TurnsState, reject_condition=QueryRejectCondition.NOT_OPEN
            )
        except WorkflowQueryRejectedError:
            return None
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise
        return state

    async def why_not_send(self, cluster: str, ticket: Ticket, task_token: bytes, sent_to: str) -> tuple[str, bool]:
        """
        Asked right before an act sends: the reason why it must not, and whether that is the lost turn.

        An act that timed out while its worker was frozen learns here that Temporal gave it up, and one whose
        change was cancelled that nobody wants it any more. The question is a heartbeat: Temporal learns with it which
        member is about to be sent the call.
        """
        details = ("about to send", sent_to)
        beat, turns = await asyncio.gather(
            self.why_unwanted(task_token, "the act", *details), self.turns_state(cluster)
        )
        if beat:
            return beat, False
        if turns is None or turns.holder != ticket:
            return "this change does not have the turn", True
        return "", False

    async def why_unwanted(self, task_token: bytes, what: str, *details: object) -> str:
        """
        Why nobody wants the activity of this token any more, though its worker may not know yet; empty if wanted.

        It asks with a heartbeat, which carries `details`.
        """
        try:
            await self.client.get_async_activity_handle(task_token=task_token).heartbeat(*details)
        except AsyncActivityCancelledError:
            return f"{what} was cancelled"
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return f"{what} took too long and Temporal gave it up"
            raise
        return ""
