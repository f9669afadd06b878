"""Applies on clusters in memory, and how the tests see them."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError

from messages.apply import ApplyOutcome, ApplyRequest, ApplyView, WantedMember
from messages.ids import apply_id
from support.memory.cluster import Process
from support.memory.scenes import Scene, until, url

Apply = WorkflowHandle[Any, ApplyOutcome]


def request(scene: Scene, *names: str, **more: Any) -> ApplyRequest:
    """A list of these members, each at its own peer URL. Members that are not in it leave."""
    members = tuple(WantedMember(name=name, peer_urls=(url(name),)) for name in names)
    return ApplyRequest(cluster=scene.name, members=members, **{"prune": True, **more})


async def begin(scene: Scene, *names: str, **more: Any) -> Apply:
    return await scene.client.start_workflow(
        "ApplyMembers",
        request(scene, *names, **more),
        id=apply_id(scene.name),
        task_queue=scene.queue,
        result_type=ApplyOutcome,
    )


def starts_each(scene: Scene) -> None:
    """Every new member starts at once, under the name in its peer URL."""
    scene.cluster.on_added = lambda member: scene.cluster.start(member.id, member.peer_urls[0][7:-5])


def voters(scene: Scene) -> set[str]:
    return {member.name for member in scene.cluster.voters()}


def shown(end: ApplyOutcome) -> list[tuple[str, str]]:
    """The change and the outcome of each step."""
    return [(":".join(each.workflow_id.split(":")[2:]), each.outcome) for each in end.changes]


async def seen(apply: Apply) -> ApplyView:
    return await apply.query("progress", result_type=ApplyView)


async def runs(apply: Apply, member: str) -> str:
    """The workflow ID of the change of this member, once it runs."""

    async def running() -> str:
        step = (await seen(apply)).running
        return step.workflow_id if step and step.member == member else ""

    return await until(running, f"the change of {member}")


async def failed(apply: Apply) -> tuple[str, ApplyOutcome]:
    """The type of the failure, and the outcome that it carries."""
    with pytest.raises(WorkflowFailureError) as caught:
        await apply.result()
    error = caught.value.cause
    assert isinstance(error, ApplicationError), error
    return error.type or "", ApplyOutcome.model_validate(error.details[0])


async def held(apply: Apply) -> str:
    async def why() -> str:
        return (await seen(apply)).held

    return await until(why, "the hold")


async def added(scene: Scene) -> Process:
    """The learner, once it is there."""

    async def learner() -> Process | None:
        return next((m for m in scene.cluster.members.values() if m.is_learner), None)

    return await until(learner, "the learner")


async def held_after_the_first(scene: Scene, *names: str) -> Apply:
    """An apply without prune that is held when its first member has joined."""
    apply = await begin(scene, *names, prune=False)
    learner = await added(scene)
    asked = await apply.execute_update("hold", "alice", result_type=ApplyView)
    assert (asked.held, asked.hold_asked) == ("", True)
    scene.cluster.start(learner.id, names[0])
    assert await held(apply) == "asked for by alice"
    assert scene.applied == ["add", "promote"]
    return apply
