"""Changes of clusters in memory, on a real Temporal server, for what is hard to time on real etcd."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError, CancelledError

from membership.errors import InvalidConfiguration
from membership.policy import Policy
from messages.ids import change_id, turns_id
from messages.outcomes import Outcome
from messages.requests import ChangeRequest, JoinRequest, ReplaceRequest, Verb
from messages.turns import TurnsState
from messages.views import ChangeView
from support.memory.cluster import MemoryCluster, Process
from support.memory.faulty import FaultyEtcd

LOOSE = {"min_voters": 1, "min_spare": 0}
WORKFLOWS: dict[Verb, str] = {"join": "JoinMember", "remove": "RemoveMember", "replace": "ReplaceMember"}


def url(name: str) -> str:
    return f"http://{name}:2380"


@dataclass
class Scene:
    """A cluster in memory, and the changes of it."""

    client: Client
    queue: str
    name: str
    cluster: MemoryCluster
    etcd: FaultyEtcd
    policies: dict[str, Policy]

    async def start(self, request: ChangeRequest) -> WorkflowHandle[Any, Outcome]:
        workflow_id = change_id(self.name, request.verb, request.subject)
        return await self.client.start_workflow(
            WORKFLOWS[request.verb], request, id=workflow_id, task_queue=self.queue, result_type=Outcome
        )

    async def join(self, name: str = "etcd-9", **more: Any) -> WorkflowHandle[Any, Outcome]:
        return await self.start(JoinRequest(cluster=self.name, name=name, peer_urls=(more.pop("at", url(name)),)))

    async def replace(self, old: str = "etcd-3", at: str = url("etcd-9")) -> WorkflowHandle[Any, Outcome]:
        return await self.start(ReplaceRequest(cluster=self.name, old=old, name="etcd-9", peer_urls=(at,)))

    def member(self, name: str) -> Process:
        return next(m for m in self.cluster.members.values() if m.name == name)

    def added(self) -> Process:
        return next(m for m in self.cluster.members.values() if m.is_learner)

    def starts_at_once(self) -> None:
        self.starts_as("etcd-9")

    def starts_as(self, name: str) -> None:
        self.cluster.on_added = lambda member: self.cluster.start(member.id, name)

    @property
    def applied(self) -> list[str]:
        return [what for what, _ in self.cluster.applied]

    async def turns(self) -> TurnsState:
        return await self.client.get_workflow_handle(turns_id(self.name)).query("turns", result_type=TurnsState)


async def view(handle: WorkflowHandle[Any, Any]) -> ChangeView:
    return await handle.query("progress", result_type=ChangeView)


async def until(condition, what: str, timeout: float = 30.0):
    """The first true value of an async condition."""
    deadline = time.monotonic() + timeout
    while not (value := await condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s for: {what}")
        await asyncio.sleep(0.05)
    return value


async def held(handle: WorkflowHandle[Any, Any]) -> str:
    async def why() -> str:
        return (await view(handle)).held

    return await until(why, "the change to be held")


async def held_join(made: Scene):
    """A join that has the turn and a learner, and is held."""
    made.starts_at_once()
    request = JoinRequest(cluster=made.name, name="etcd-9", peer_urls=(url("etcd-9"),), hold_before="promote")
    join = await made.start(request)
    await held(join)
    return join


async def waits(handle: WorkflowHandle[Any, Any], stage: str) -> None:
    async def there() -> bool:
        return (await view(handle)).stage == stage

    await until(there, f"the stage {stage}")


async def failure(handle: WorkflowHandle[Any, Any]) -> tuple[str, Outcome]:
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    return failed.value.cause.type, Outcome.model_validate(failed.value.cause.details[0])


async def cancelled(handle: WorkflowHandle[Any, Any]) -> None:
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    assert isinstance(failed.value.cause, CancelledError)


async def failure_of(handle: WorkflowHandle[Any, Any], within: float | None = None) -> str:
    """The type of the failure by which a workflow ends, CancelledError where it was cancelled. `within`: seconds."""
    with pytest.raises(WorkflowFailureError) as failed:
        await asyncio.wait_for(handle.result(), within)
    cause = failed.value.cause
    return str(cause.type) if isinstance(cause, ApplicationError) else type(cause).__name__


def looked(scene: Scene, then) -> None:
    """Calls `then` after each look, when its answer is on its way."""
    look = scene.etcd.look

    def looks(*args, **more):
        status = look(*args, **more)
        then(status)
        return status

    scene.etcd.look = looks


def misconfigured(*_args, **_more):
    raise InvalidConfiguration("a typing error")
