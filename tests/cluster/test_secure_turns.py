"""Forged words about the turns of a cluster with TLS and auth."""

from __future__ import annotations

import asyncio
from itertools import islice
from uuid import uuid4

from messages.ids import change_id, turns_id
from messages.requests import RemoveRequest
from messages.turns import Ticket, TurnsState
from messages.views import ChangeView
from support.memory.scenes import failure_of, until
from support.parts.secure_worker import NAME, Secure, handover_of, join

MAX_WAITING = 3
BURST = 60


async def test_forged_words_move_no_turn_and_no_member(secure):
    """A stranger gives turns away, claims the learner of a join and every voter, and is believed in neither."""
    voters = {member.id for member in secure.cluster.look().members}
    new = secure.cluster.new_member("etcd-15")
    holder = await secure.start(join(new.peer_url, "etcd-15", hold_before="promote"))
    env = (await handover_of(secure, holder)).env()
    [learner] = {member.id for member in secure.cluster.look().members} - voters
    waiter = await secure.start(join(peer_url(1), "etcd-17"))
    await until(lambda: waits(secure, waiter), "the other join in line")
    liar = await secure.lie({"state": "holds", "held": False, "added": [*voters, learner], "had_turn": True})
    turns = secure.client.get_workflow_handle(turns_id(NAME))
    for ticket in (ticket_of(liar), Ticket(liar.id, str(uuid4())), Ticket(change_id(NAME, "join", "x"), "y")):
        await turns.signal("claim", ticket)
    for change in (holder, waiter):
        await change.signal("turn_granted", ticket_of(liar))
        await change.signal("turn_granted", ticket_of(waiter))
        await change.signal("holder_is_held")
        await change.signal("line_is_full")
    await holder.signal("note_progress", {"reason": "ready", "phase": "replicating", "percent": 100.0})
    await until(lambda: knows(secure, liar), "the turns to have asked the liar")
    assert (await state_of(secure)).holder == ticket_of(holder)
    await waiter.cancel()
    await liar.terminate()
    new.start(env)
    secure.cluster.members.append(new)
    await until(lambda: is_held(holder), "the join to be held", 60)
    assert {member.id for member in secure.cluster.look().members} == voters | {learner}
    await holder.execute_update("resume", "an operator")
    assert (await asyncio.wait_for(holder.result(), 60)).outcome == "promoted"
    gone = await (await secure.start(RemoveRequest(cluster=NAME, member="etcd-15"))).result()
    assert (gone.outcome, {member.id for member in secure.cluster.look().members}) == ("removed", voters)
    secure.cluster.members.remove(new)
    new.stop()


async def test_a_burst_of_joins_fills_the_line_and_no_more(secure):
    """All others are refused as LineFull, and the change that has the turn goes on to its end."""
    secure.allow(max_waiting=MAX_WAITING)
    new = secure.cluster.new_member("etcd-18")
    holder = await secure.start(join(new.peer_url, "etcd-18", hold_before="promote"))
    env = (await handover_of(secure, holder)).env()
    burst = await asyncio.gather(*(secure.start(join(peer_url(n), f"burst-{n}")) for n in range(BURST)))
    ends = [asyncio.create_task(failure_of(change)) for change in burst]
    new.start(env)
    secure.cluster.members.append(new)
    refused = [await end for end in islice(asyncio.as_completed(ends, timeout=120), BURST - MAX_WAITING)]
    assert set(refused) == {"LineFull"}
    state = await state_of(secure)
    assert (state.holder, len(state.waiting)) == (ticket_of(holder), MAX_WAITING)
    for change in burst:
        if ticket_of(change) in state.waiting:
            await change.cancel()
    assert not (await asyncio.wait(ends, timeout=60))[1], "the cancelled ones leave the line"
    await until(lambda: is_held(holder), "the join to be held", 60)
    await holder.execute_update("resume", "an operator")
    assert (await asyncio.wait_for(holder.result(), 60)).outcome == "promoted"
    secure.allow()
    gone = await (await secure.start(RemoveRequest(cluster=NAME, member="etcd-18"))).result()
    assert gone.outcome == "removed"
    secure.cluster.members.remove(new)
    new.stop()


async def state_of(secure: Secure) -> TurnsState:
    turns = secure.client.get_workflow_handle(turns_id(NAME))
    return await turns.query("turns", result_type=TurnsState)


def ticket_of(change) -> Ticket:
    return Ticket(change.id, change.first_execution_run_id)


async def waits(secure: Secure, change) -> bool:
    return ticket_of(change) in (await state_of(secure)).waiting


async def knows(secure: Secure, liar) -> bool:
    """Whether the turns have noted the learners that the liar calls its own."""
    return any(learner.ticket == ticket_of(liar) for learner in (await state_of(secure)).learners)


async def is_held(change) -> bool:
    return bool((await change.query("progress", result_type=ChangeView)).held)


def peer_url(number: int) -> str:
    """The address of a member that never starts."""
    return f"https://127.0.0.1:{10_000 + number}"
