"""The same suite for what a removal needs of the port `Etcd`: leadership moves, members go, data is saved."""

from __future__ import annotations

import hashlib
import time
from contextlib import nullcontext, suppress

import pytest
from worlds import DEADLINE, add, add_started

from membership import etcd_errors as e
from membership.errors import ClusterUnreachable
from membership.sent_calls import MOMENT, is_heard
from support.parts.lab import eventually


def follower(world):
    """A voter that doesn't lead."""
    status = world.etcd.look()
    return next(m for m in status.voters if m.id != status.leader)


def dead_follower(world):
    """One that the leader knows to be gone: until then it takes changes that it would refuse."""
    member = follower(world)
    world.kill(member.id)
    eventually(lambda: _refuses_adds(world), "etcd to notice that a member is down")
    return member


def _refuses_adds(world):
    try:
        world.etcd.look()
        world.etcd.remove(add(world).id, DEADLINE)
    except e.Unhealthy:
        return True
    except e.MemberExist:
        pass  # within the same second the same URL makes the same ID
    return False


def agreed(world):
    """A look in which everybody follows one leader; None while they don't."""
    try:
        status = world.etcd.look()
    except ClusterUnreachable:
        return None
    return status if status.leader and len(status.live_voters) == len(status.voters) else None


def led_by(world, member_id):
    return eventually(lambda: (status := agreed(world)) and status.leader == member_id and status, "a new leader")


# ---- a receiver that freezes ----


def test_a_frozen_receiver_keeps_its_call(world):
    """Neither its caller's time-out nor an entry that commits at the next leader ends the call: its thaw does."""
    receiver, target = world.etcd.look().leader, follower(world)
    world.keep_call("MemberRemove")
    world.freeze(receiver)
    with pytest.raises(e.DeadlineExceeded):
        world.etcd.remove(target.id, 2.0)
    eventually(lambda: leads_now(world) not in ("", receiver), "another leader")
    world.etcd.commit()
    assert target.id in {m.id for m in world.etcd.members()}
    world.thaw(receiver)
    # The call comes now, or is refused. Heard for a while, the receiver has it no more.
    since = time.monotonic()
    eventually(lambda: heard_since(world, receiver, since), "the receiver to be heard")
    world.etcd.commit()
    came = target.id not in {m.id for m in world.etcd.members()}
    world.etcd.look()
    with pytest.raises(e.MemberNotFound) if came else nullcontext():
        world.etcd.remove(target.id, DEADLINE)
    assert target.id not in {m.id for m in world.etcd.members()}


def leads_now(world):
    """The leader's ID, empty while there is none."""
    try:
        return world.etcd.look().leader
    except ClusterUnreachable:
        return ""


def heard_since(world, member_id, since):
    """Whether the member has answered and followed the leader for as long as a call needs to be settled."""
    status = agreed_by(world, member_id)
    return status is not None and time.monotonic() - since >= MOMENT


def agreed_by(world, member_id):
    """A look in which this member follows a leader, or None."""
    try:
        status = world.etcd.look()
    except ClusterUnreachable:
        return None
    return status if is_heard(member_id, status) else None


# ---- leadership ----


def test_leadership_moves_to_a_voter(world):
    """To the one that was named, in a later term; the members stay."""
    before, heir = world.etcd.look(), follower(world)
    world.etcd.move_leader(heir.id, DEADLINE)
    after = led_by(world, heir.id)
    assert after.term > before.term
    assert before.members == after.members


def test_leadership_never_moves_to_a_learner(world):
    """However well it has caught up."""
    member = add_started(world)
    leader = world.etcd.look().leader
    with pytest.raises(e.BadLeaderTransferee):
        world.etcd.move_leader(member.id, DEADLINE)
    assert leader == world.etcd.look().leader


def test_leadership_never_moves_to_nobody(world):
    """An ID that no member has."""
    leader = world.etcd.look().leader
    with pytest.raises(e.BadLeaderTransferee):
        world.etcd.move_leader("abc", DEADLINE)
    assert leader == world.etcd.look().leader


def test_leadership_that_is_there_already_stays(world):
    """Moving it to its holder is no error, and no election."""
    before = world.etcd.look()
    world.etcd.move_leader(before.leader, DEADLINE)
    after = world.etcd.look()
    assert (before.leader, before.term) == (after.leader, after.term)


def test_leadership_that_a_dead_voter_should_take(world):
    """Nobody can tell at once: a time-out, and somebody leads afterwards."""
    dead = dead_follower(world)
    with pytest.raises(e.Ambiguous):
        world.etcd.move_leader(dead.id, 1.0)
    status = eventually(lambda: (seen := _looked(world)) and seen.leader and seen, "a leader")
    assert status.leader != dead.id


def _looked(world):
    try:
        return world.etcd.look()
    except ClusterUnreachable:
        return None


# ---- removals ----


def test_a_voter_leaves(world):
    """The others agree, and lead on."""
    member = follower(world)
    world.etcd.remove(member.id, DEADLINE)
    assert member.id not in {m.id for m in world.etcd.members()}
    status = eventually(lambda: agreed(world), "agreement")
    assert len(status.voters) == 2
    assert status.dissent == ()
    with pytest.raises(e.MemberNotFound):
        world.etcd.remove(member.id, DEADLINE)


def test_the_leader_leaves(world):
    """It may take the answer with it; another one leads then."""
    status = world.etcd.look()
    with suppress(e.Ambiguous):
        world.etcd.remove(status.leader, DEADLINE)
    after = eventually(lambda: agreed(world), "another leader")
    assert status.leader not in {m.id for m in after.members}
    assert {m.id for m in status.members} - {status.leader} == {m.id for m in after.voters}
    assert after.term > status.term


def test_a_healthy_voter_beside_a_dead_one_must_stay(world):
    """Neither a follower nor the leader may go then; the dead one may."""
    dead = dead_follower(world)
    status = world.etcd.look()
    for member in status.voters:
        if member.id != dead.id:
            with pytest.raises(e.Unhealthy):
                world.etcd.remove(member.id, DEADLINE)
    assert status.members == world.etcd.members()
    world.etcd.remove(dead.id, DEADLINE)
    assert {m.id for m in status.members} - {dead.id} == {m.id for m in world.etcd.members()}


def test_a_learner_may_go_beside_a_dead_voter(world):
    """It never counted."""
    member = add_started(world)
    world.kill(follower(world).id)
    world.etcd.remove(member.id, DEADLINE)
    assert member.id not in {m.id for m in world.etcd.members()}


@pytest.mark.voters(2)
def test_two_voters_become_one(world):
    """While both live."""
    member = follower(world)
    world.etcd.remove(member.id, DEADLINE)
    assert [m.id for m in world.etcd.members()] == [world.etcd.look().leader]


@pytest.mark.voters(1)
def test_the_last_voter_must_stay(world):
    """Nor is a learner another voter."""
    [member] = world.etcd.look().voters
    with pytest.raises(e.MemberNotEnoughStarted):
        world.etcd.remove(member.id, DEADLINE)
    add_started(world)
    with pytest.raises(e.MemberNotEnoughStarted):
        world.etcd.remove(member.id, DEADLINE)


# ---- snapshots ----


def test_a_snapshot_ends_with_its_digest(world):
    """The last 32 bytes are the SHA-256 of all before; what remains is told with each piece, down to nothing."""
    world.etcd.look()
    pieces = list(world.etcd.snapshot())
    whole = b"".join(piece for piece, _ in pieces)
    assert len(whole) > 32
    assert hashlib.sha256(whole[:-32]).digest() == whole[-32:]
    remaining = [left for _, left in pieces]
    assert sorted(remaining, reverse=True) == remaining
    assert remaining[-1] == 0


def test_a_snapshot_leaves_out_the_digest_when_it_counts(world):
    """As etcd does: the database's own size is what goes down to nothing."""
    world.etcd.look()
    pieces = list(world.etcd.snapshot())
    (first, left), size = pieces[0], sum(len(piece) for piece, _ in pieces)
    assert len(first) + left == size - 32


def test_a_snapshot_comes_from_nobody_who_must_not_be_asked(world):
    """With everybody to be avoided, there is none."""
    status = world.etcd.look()
    with pytest.raises(ClusterUnreachable):
        list(world.etcd.snapshot(avoid=[m.id for m in status.members]))
    assert list(world.etcd.snapshot(avoid=[m.id for m in status.members[1:]]))
