"""Changes that end while a call of theirs may still take effect."""

from __future__ import annotations

import asyncio

from messages.requests import RemoveRequest
from support.memory.faulty import Trouble
from support.memory.scenes import LOOSE, cancelled, failure

FREEZES = (Trouble("remove", 1, "freezes its receiver"),)


async def test_a_removal_that_may_still_come(scene):
    """Cancelled, it waits for settle_timeout and fails then: `cancelled` would mean that the member stays."""
    made = scene(3, FREEZES, **LOOSE, settle_timeout="1s")
    receiver = made.cluster.leader
    removal = await made.start(RemoveRequest(cluster=made.name, member="etcd-3"))
    await asyncio.to_thread(made.etcd.frozen.wait)
    await removal.cancel()
    error, outcome = await failure(removal)
    assert error == "Unsettled"
    told = f"etcd-1 ({receiver}) was sent the removal and is silent: its effect may still come"
    assert (outcome.outcome, outcome.unsettled) == ("failed", (told,))
    assert told in outcome.reason
    assert "settle_timeout (1s)" in outcome.reason
    assert not made.applied
    await asyncio.to_thread(made.etcd.thawed.wait)
    assert made.applied == ["remove"]


async def test_a_receiver_that_died_keeps_no_change(scene):
    """Its process took the request along: the change ends as it was asked to."""
    made = scene(3, FREEZES, **LOOSE)
    receiver = made.cluster.leader
    removal = await made.start(RemoveRequest(cluster=made.name, member="etcd-3"))
    await asyncio.to_thread(made.etcd.frozen.wait)
    made.cluster.kill(receiver)
    await removal.cancel()
    await cancelled(removal)
    assert not made.applied
