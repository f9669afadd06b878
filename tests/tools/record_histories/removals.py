"""Removals and replacements. The first member leads."""

from __future__ import annotations

import tempfile

from messages.requests import RemoveRequest, ReplaceRequest
from support.memory import scenes
from tools.record_histories.scene import HASTY, LOOSE, URL, Set

NEW = {"name": "etcd-4", "peer_urls": (URL,)}


async def removed(scene: Set) -> None:
    one = scene("removed", policy=LOOSE)
    await one.saved(RemoveRequest(cluster=one.name, member="etcd-1"), "remove-removed", "removed")


async def removed_after_a_snapshot(scene: Set) -> None:
    with tempfile.TemporaryDirectory() as folder:
        saved = LOOSE.model_copy(update={"snapshot_before_removal": f"{folder}/{{time}}.db"})
        one = scene("saved", policy=saved)
        await one.saved(RemoveRequest(cluster=one.name, member="etcd-3"), "remove-after-a-snapshot", "removed")


async def preempted(scene: Set) -> None:
    """A held join, by the removal of a dead member."""
    one = scene("preempted", policy=LOOSE)
    join = await one.join(hold_before="promote")
    await scenes.held(join)
    one.cluster.kill("a3")
    removal = await one.begin(RemoveRequest(cluster=one.name, member="etcd-3", preempt=True))
    await one.save(join, "join-preempted", "cancelled")
    await one.save(removal, "remove-preempting", "removed")


async def removal_refused(scene: Set) -> None:
    one = scene("few")
    await one.saved(RemoveRequest(cluster=one.name, member="etcd-1"), "remove-refused", "TooFewVoters")


async def replaced_healthy(scene: Set) -> None:
    one = scene("healthy", policy=LOOSE)
    await one.saved(ReplaceRequest(cluster=one.name, old="etcd-2", **NEW), "replace-healthy", "replaced")


async def replaced_dead(scene: Set) -> None:
    one = scene("dead", policy=LOOSE)
    one.cluster.kill("a2")
    await one.saved(ReplaceRequest(cluster=one.name, old="etcd-2", **NEW), "replace-dead", "replaced")


async def replaced_half(scene: Set) -> None:
    one = scene("half", policy=HASTY, starts=False)
    one.cluster.kill("a2")
    await one.saved(ReplaceRequest(cluster=one.name, old="etcd-2", **NEW), "replace-half", "StartTimeout")


REMOVALS = (
    *(removed, removed_after_a_snapshot, preempted, removal_refused),
    *(replaced_healthy, replaced_dead, replaced_half),
)
