"""One cluster in memory whose changes are recorded, and the folder of the recorded histories."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowHistory

from membership.duration import parse_duration
from membership.policy import Policy
from messages.ids import WORKFLOW_TYPES, change_id
from messages.requests import ChangeRequest, JoinRequest
from support.memory.cluster import MemoryCluster, Process
from support.memory.faulty import MemoryClusters, Trouble

FOLDER = Path(__file__).parents[2] / "histories" / version("memberflow")
QUEUE = "histories"
URL = "http://etcd-4:2380"
LOOSE = Policy(min_voters=1, min_spare=0)
HASTY = LOOSE.model_copy(update={"start_timeout": parse_duration("1s")})


@dataclass
class Scene:
    """One cluster in memory, and the changes of it; a new member starts by itself when it `starts`."""

    client: Client
    clusters: MemoryClusters
    name: str
    policy: Policy = field(default_factory=Policy)
    starts: bool = True
    troubles: tuple[Trouble, ...] = ()

    def __post_init__(self) -> None:
        self.cluster = self.clusters.add(self.name, MemoryCluster(3), self.policy, *self.troubles)
        self.added = asyncio.Event()
        loop = asyncio.get_running_loop()

        def on_added(member: Process) -> None:
            if self.starts:
                self.start(member)
            loop.call_soon_threadsafe(self.added.set)

        self.cluster.on_added = on_added

    def start(self, member: Process) -> None:
        self.cluster.start(member.id, f"etcd-{member.peer_urls[0][-6]}")

    def learner(self) -> Process:
        return next(m for m in self.cluster.members.values() if m.is_learner)

    async def begin(self, request: ChangeRequest) -> WorkflowHandle[Any, Any]:
        workflow_id = change_id(self.name, request.verb, request.subject)
        return await self.client.start_workflow(WORKFLOW_TYPES[request.verb], request, id=workflow_id, task_queue=QUEUE)

    async def join(self, url: str = URL, **more: Any) -> WorkflowHandle[Any, Any]:
        """Begins the join of the member that its URL names."""
        return await self.begin(JoinRequest(cluster=self.name, name=url[7:13], peer_urls=(url,), **more))

    async def abandoned(self) -> None:
        """Leaves a learner behind: its join is terminated."""
        join = await self.join()
        await self.added.wait()
        await join.execute_update("wait_until_added")
        await join.terminate()

    async def save(self, handle: WorkflowHandle[Any, Any], name: str, ends: str) -> None:
        """Once it has ended, and as it should: a history is what its name says."""
        try:
            result = await handle.result()
            end = result["outcome"] if result else "completed"
        except WorkflowFailureError as failure:
            end = getattr(failure.cause, "type", None) or "cancelled"
        assert ends == end, f"{name} ended as {end}"
        write(await handle.fetch_history(), name)

    async def saved(self, request: ChangeRequest, name: str, ends: str) -> None:
        await self.save(await self.begin(request), name, ends)


def write(history: WorkflowHistory, name: str) -> None:
    """Stack traces and identities name folders and machines. They are left out, since replay never looks at them."""
    text = re.sub(r'"(stackTrace|identity)": "(?:[^"\\]|\\.)*"', r'"\1": ""', history.to_json())
    (FOLDER / f"{name}.json").write_text(text + "\n")


Set = Callable[..., Scene]


async def first_run(client: Client, workflow_id: str) -> WorkflowHistory:
    last = await client.get_workflow_handle(workflow_id).fetch_history()
    first = last.events[0].workflow_execution_started_event_attributes.first_execution_run_id
    return await client.get_workflow_handle(workflow_id, run_id=first).fetch_history()
