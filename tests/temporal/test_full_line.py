"""A full line: joins that come in the same moment fill it, and no more than it holds."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import islice

from temporalio.service import RPCError

from membership.allow import Allow
from support.memory.scenes import failure_of, held_join, until


async def test_a_burst(scene, memory):
    """Fifty joins at once behind a held one: five wait, and the others are refused at once."""
    clusters, _ = memory
    made = scene(5)
    clusters.allows[made.name] = Allow(max_waiting=5)
    holder = await held_join(made)
    joins = await asyncio.gather(*(made.join(f"etcd-{n}") for n in range(50, 100)))
    ends = [asyncio.create_task(failure_of(join)) for join in joins]
    first = [await end for end in islice(asyncio.as_completed(ends, timeout=180), 45)]
    assert set(first) == {"LineFull"}
    waiting = (await made.turns()).waiting
    assert len(waiting) == 5
    assert made.applied == ["add"], "the holder's own"
    assert {ticket.workflow_id for ticket in waiting} == {
        join.id for join, end in zip(joins, ends, strict=True) if not end.done()
    }
    for end in ends:
        end.cancel()
    for change in (holder, *joins):
        await end_from_outside(change)


async def test_a_full_line_costs_no_look(scene, memory):
    """A thousand joins that find no room would look a thousand times, and others would wait for it."""
    clusters, _ = memory
    made = scene(5)
    clusters.allows[made.name] = Allow(max_waiting=1)
    holder = await held_join(made)
    waiter = await made.join("etcd-10")
    await until(lambda: in_line(made, waiter), "the join in line")
    refused = await made.join("etcd-11")
    assert await failure_of(refused) == "LineFull"
    events = (await refused.fetch_history()).events
    asked = {e.activity_task_scheduled_event_attributes.activity_type.name for e in events}
    assert asked - {""} == {"read_profile"}
    for change in (waiter, holder):
        await end_from_outside(change)


async def test_a_forged_signal_turns_no_change_away(scene, memory):
    """A change asks its turns whether they said so."""
    made = scene()
    holder = await held_join(made)
    join = await made.join("etcd-10")
    await until(lambda: in_line(made, join), "the join in line")
    await join.signal("line_is_full")
    await until(lambda: has_asked(join), "its question to the turns")
    await holder.cancel()
    await until(lambda: came_in(made), "the turn of the join")
    await end_from_outside(join)


async def end_from_outside(change) -> None:
    with suppress(RPCError):
        await change.terminate()


async def in_line(made, join) -> bool:
    return any(ticket.workflow_id == join.id for ticket in (await made.turns()).waiting)


async def has_asked(join) -> bool:
    events = (await join.fetch_history()).events
    return any(e.activity_task_scheduled_event_attributes.activity_type.name == "read_turns" for e in events)


async def came_in(made) -> bool:
    return made.applied == ["add", "remove", "add"]
