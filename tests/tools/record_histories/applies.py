"""Applies of lists of members."""

from __future__ import annotations

from typing import Any

from temporalio.client import WorkflowHandle

from messages.apply import ApplyRequest, ApplyView
from messages.ids import apply_id
from support.memory import scenes
from tools.record_histories.scene import HASTY, LOOSE, QUEUE, Scene, Set, first_run, write


async def begin_apply(one: Scene, *numbers: int) -> WorkflowHandle[Any, Any]:
    """Begins the apply of exactly these members."""
    members = [{"name": f"etcd-{n}", "peer_urls": [f"http://etcd-{n}:2380"]} for n in numbers]
    request = ApplyRequest.model_validate({"cluster": one.name, "members": members, "prune": True})
    return await one.client.start_workflow("ApplyMembers", request, id=apply_id(one.name), task_queue=QUEUE)


async def applied(scene: Set) -> None:
    """Two replacements, the leader last. Then a removal, and then nothing is left."""
    one = scene("applied", policy=LOOSE)
    await one.save(await begin_apply(one, 2, 4, 5), "apply-applied", "applied")
    await one.save(await begin_apply(one, 2, 4), "apply-removed", "applied")
    await one.save(await begin_apply(one, 4, 2), "apply-no-changes", "no-changes")


async def apply_held(scene: Set) -> None:
    """Held between two members, and resumed."""
    one = scene("apply-held", policy=LOOSE, starts=False)
    apply = await begin_apply(one, 1, 2, 3, 4, 5)
    await one.added.wait()
    await apply.execute_update("wait_until_added", "etcd-4")
    await apply.execute_update("hold", "alice")
    one.starts = True
    one.start(one.learner())
    await scenes.held(apply)
    await apply.execute_update("resume")
    await one.save(apply, "apply-held", "applied")


async def apply_cancelled(scene: Set) -> None:
    """Together with the running change."""
    one = scene("apply-cancelled", policy=LOOSE, starts=False)
    apply = await begin_apply(one, 1, 2, 3, 4)
    await one.added.wait()
    await apply.cancel()
    await one.save(apply, "apply-cancelled", "cancelled")


async def apply_failed(scene: Set) -> None:
    """By the failure of its change."""
    one = scene("apply-failed", policy=HASTY, starts=False)
    await one.save(await begin_apply(one, 1, 2, 3, 4), "apply-failed", "StartTimeout")


async def apply_waited(scene: Set) -> None:
    """For the same change of another caller."""
    one = scene("apply-waited", policy=LOOSE, starts=False)
    join = await one.join()
    await one.added.wait()
    apply = await begin_apply(one, 1, 2, 3, 4)
    await scenes.until(lambda: waits_for_others(apply), "the apply to wait for the join")
    one.start(one.learner())
    await join.result()
    await one.save(apply, "apply-waited", "no-changes")


async def apply_renewed(scene: Set) -> None:
    """An apply that goes on in a new run between two of its changes."""
    one = scene("apply-renewed", policy=LOOSE)
    apply = one.client.get_workflow_handle((await begin_apply(one, 1, 2, 3, 4, 5)).id)
    await one.save(apply, "apply-continued", "applied")
    write(await first_run(one.client, apply.id), "apply-continues")


async def waits_for_others(apply: WorkflowHandle[Any, Any]) -> bool:
    running = (await apply.query("progress", result_type=ApplyView)).running
    return running is not None and running.of_others


APPLIES = (applied, apply_held, apply_cancelled, apply_failed, apply_waited)
# On a server that suggests a new run early.
LONG_APPLIES = (apply_renewed,)
