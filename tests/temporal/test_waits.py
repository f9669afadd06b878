"""The waits, on the etcd in memory and with a clock that its looks move: when they end, fail, and nudge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities import nudges, repeated_looks
from activities.admission import Admission
from activities.nudges import NUDGE_AFTER
from activities.pace import LONG_AFTER
from activities.temporal import Temporal
from activities.waits import SPLIT_AFTER, VERIFY_FOR, Waits
from membership.allow import Allow
from membership.etcd import EVERYTHING
from membership.policy import Policy
from membership.verdicts import Facts
from messages.orders import StepOrder
from messages.turns import Ticket
from support.memory.cluster import CLUSTER_ID, MemoryCluster
from support.memory.etcd import MemoryEtcd
from support.parts.command import eventually

URL = "http://etcd-4:2380"
INDEX = 1000


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    """Looks move the clock, and no wait has to pass for real."""
    monkeypatch.setattr(repeated_looks, "pause_after", lambda waited, waits: 0.001)


@dataclass
class Timed(MemoryEtcd):
    """An etcd on which a look takes a second and a later question for progress a twentieth; `happens` by then."""

    cluster: MemoryCluster
    happens: Callable[[float], object] = lambda now: None
    now: float = 0.0
    peeks: int = 0
    commits: list[float] = field(default_factory=list)
    # Of each look, whether it asked for the leader's view.
    asked_raft: list[bool] = field(default_factory=list)

    def connect(self, name):
        return self

    def expecting(self, cluster_id, also=()):
        return self

    def allow(self, name):
        return Allow()

    def look(self, avoid=(), scope=EVERYTHING, **more):
        self.now += 1
        self.asked_raft.append(scope.raft)
        self.happens(self.now)
        return super().look(avoid, scope, **more)

    def raft_view(self):
        self.now += 0.05 if self.peeks else 0
        self.peeks += 1
        self.happens(self.now)
        return super().raft_view()

    def commit(self):
        self.commits.append(self.now)
        super().commit()


class World:
    """Three voters, and one more member that has come `match` entries far and comes no further by itself."""

    def __init__(self, client, *, match=0, alive=True, added=True, learner=True):
        self._temporal = Temporal(client)
        self.beats = []
        self.so_far = None
        self.cluster = MemoryCluster(3, index=INDEX)
        self.cluster.sync = lambda: None
        self.etcd = Timed(self.cluster)
        if added:
            row = self.cluster.add_learner((URL,))
            self.cluster.index = INDEX
            for voter in self.cluster.voters():
                voter.match = INDEX
            self.cluster.start(row.id, "etcd-4")
            self.new = self.cluster.members[row.id]
            self.new.match, self.new.alive, self.new.is_learner = match, alive, learner

    def script(self, *matches):
        """How far it is at each look; the last one for ever."""
        positions = dict(enumerate(matches, 1))
        self.etcd.happens = lambda now: setattr(self.new, "match", positions.get(int(now), matches[-1]))

    async def wait(self, activity, step="sync", **policy):
        """Runs one wait; gives its result and the heartbeats."""
        environment = ActivityEnvironment()
        environment.on_heartbeat = lambda *details: self.beats.extend(details)
        waits = Waits(self.etcd, self._temporal, Admission(), clock=lambda: self.etcd.now, patience=10_000)
        member_id = self.new.id if hasattr(self, "new") else ""
        facts = Facts("in-memory", CLUSTER_ID, Policy(**policy), "etcd-4", (URL,), member_id)
        order = StepOrder(step, facts, Ticket("w", "r"), so_far=self.so_far)
        return await asyncio.to_thread(environment.run, getattr(waits, activity), order), self.beats


async def test_the_first_look_at_a_caught_up_learner_ends_the_wait(temporal):
    """The act looks again itself, right before it sends."""
    world = World(temporal)
    world.script(10, 10, INDEX)
    status, _ = await world.wait("wait_for_sync")
    assert status.progress[world.new.id].match == INDEX
    assert world.etcd.now == 3


@pytest.mark.parametrize(("peeks", "looks"), [(3, 1), (30, 2)], ids=["it moves soon", "it moves after a while"])
async def test_a_member_that_has_nothing_yet_is_left_in_peace(temporal, peeks, looks):
    """It is not looked at for a second, or until the leader knows something of it."""
    world = World(temporal)
    world.etcd.happens = lambda _: setattr(world.new, "match", INDEX if world.etcd.peeks > peeks else 0)
    await world.wait("wait_for_sync")
    assert world.etcd.peeks == peeks + 1
    assert world.etcd.now == pytest.approx(looks + peeks * 0.05)


@pytest.mark.parametrize(("far", "asked"), [(False, [False]), (True, [True])], ids=["near", "still far"])
async def test_a_view_that_shows_the_member_near_is_not_read_again(temporal, far, asked):
    """The look after it asks the rest alone. Where the member is still far then, the look may show it near."""
    world = World(temporal)

    def moves(_):
        arrived = INDEX if world.etcd.asked_raft or not far else INDEX // 2
        world.new.match = arrived if world.etcd.peeks > 3 else 0

    world.etcd.happens = moves
    status, _ = await world.wait("wait_for_sync")
    assert (status.progress[world.new.id].match, world.etcd.asked_raft) == (INDEX, asked)


async def test_a_wait_that_has_become_long_goes_on_in_another_attempt(temporal):
    """With its clocks; that attempt has no such end."""
    world = World(temporal, match=500)
    world.etcd.happens = lambda now: now > 200 and setattr(world.new, "match", INDEX)
    with pytest.raises(ApplicationError) as failed:
        await world.wait("wait_for_sync")
    assert (failed.value.type, failed.value.non_retryable) == ("LongWait", True)
    [world.so_far] = failed.value.details
    assert LONG_AFTER <= world.so_far.elapsed <= LONG_AFTER + 1
    assert world.so_far.idle == pytest.approx(world.so_far.elapsed, abs=2)
    status, _ = await world.wait("wait_for_sync")
    assert status.progress[world.new.id].match == INDEX
    assert int(world.etcd.now) == 200


async def test_a_long_wait_goes_on_as_it_is_while_many_wake_their_workflows(temporal, monkeypatch, caplog):
    """It becomes another attempt, and sends its notes, when the workflows of a worker may be woken again."""
    monkeypatch.setattr("activities.wakes.AT_ONCE", 0)
    world = World(temporal, match=500)
    world.etcd.happens = lambda now: now > 200 and setattr(world.new, "match", INDEX)
    status, _ = await world.wait("wait_for_sync")
    assert status.progress[world.new.id].match == INDEX
    assert world.etcd.now <= 202
    assert "could not tell the workflow" not in caplog.text  # there is no workflow to be told


async def test_a_witness_speaks_for_a_learner_whose_status_hangs(temporal):
    """Once its peer port says that its data is restored: one raft entry, and the wait is over."""
    world = World(temporal, match=INDEX)
    world.new.mute, world.new.restored = True, False

    world.cluster.sync = lambda: setattr(world.new, "match", world.cluster.index)
    world.etcd.happens = lambda now: setattr(world.new, "restored", now > 5)
    status, _ = await world.wait("wait_for_sync")
    assert status.witnessed == (world.new.id,)
    assert world.etcd.commits == [6]


async def test_somebody_elses_promote_ends_the_wait_at_once(temporal):
    """There is nothing to confirm."""
    world = World(temporal, match=INDEX, learner=False)
    await world.wait("wait_for_sync")
    assert world.etcd.now == 1


async def test_a_stall_fails_by_name(temporal):
    """After `stall_timeout`, with what it last waited for."""
    world = World(temporal, match=500)
    with pytest.raises(ApplicationError) as failed:
        await world.wait("wait_for_sync", stall_timeout="30s")
    assert (failed.value.type, failed.value.non_retryable) == ("LearnerStalled", True)
    assert "500 raft entries behind" in failed.value.message
    assert world.etcd.now == 31


async def test_a_blind_watch_goes_on(temporal):
    """Without quorum it tells why it sees nothing, and doesn't fail."""
    world = World(temporal)
    followers = [m.id for m in world.cluster.voters() if m.id != world.cluster.leader]
    world.script(500, 500, 500, INDEX)
    moves = world.etcd.happens

    def happens(now):
        moves(now)
        for follower in followers:
            (world.cluster.kill if now in (1, 3) else world.cluster.revive)(follower)

    world.etcd.happens = happens
    _, beats = await world.wait("wait_for_sync")
    assert [word for beat in beats for word in ("cannot look", "behind") if word in beat.reason] == [
        "cannot look",
        "behind",
        "cannot look",
    ]


async def test_a_synced_but_silent_learner_is_nudged(temporal):
    """One raft entry, again after as long as before; the learner takes each, and is silent until it isn't."""
    world = World(temporal, match=INDEX, alive=False)

    def happens(now):
        world.new.match, world.new.alive = world.cluster.index, now > 30

    world.etcd.happens = happens
    await world.wait("wait_for_sync")
    assert world.etcd.commits == [1 + NUDGE_AFTER, 1 + 2 * NUDGE_AFTER]
    assert world.etcd.now == 31


async def test_a_slow_answer_does_not_silence_the_wait(temporal, monkeypatch):
    """While a nudge, a note or a look at the container takes its time, the last progress is told again."""
    monkeypatch.setattr(nudges, "BEAT_EVERY", timedelta(milliseconds=10))
    world = World(temporal, match=INDEX, alive=False)

    def commit():
        told = len(world.beats)
        eventually(lambda: len(world.beats) > told + 1, "heartbeats in the middle of a nudge", 5)
        assert world.beats[told - 1] == world.beats[-1]
        world.new.alive = True

    world.etcd.commit = commit
    world.etcd.happens = lambda _: setattr(world.new, "match", world.cluster.index)
    await world.wait("wait_for_sync")
    assert world.new.alive


async def test_a_learner_that_is_behind_is_not_nudged(temporal):
    """Entries come anyway."""
    world = World(temporal, alive=False)

    def happens(now):
        world.new.match, world.new.alive = (INDEX, True) if now > 30 else (INDEX - 1, False)

    world.etcd.happens = happens
    await world.wait("wait_for_sync")
    assert not world.etcd.commits
    assert world.etcd.now == 31


async def test_a_new_voter_that_stays_silent_is_given_up(temporal):
    """Promoted all the same; that it could not be verified is for the workflow to say."""
    world = World(temporal, match=INDEX, alive=False, learner=False)
    await world.wait("wait_for_verification", "verify")
    assert world.etcd.now == VERIFY_FOR


async def test_a_split_view_fails_by_name(temporal):
    """The lists agree, and the member says otherwise for ten seconds."""
    world = World(temporal, match=INDEX, learner=False)
    world.cluster.denying.add(world.new.id)
    with pytest.raises(ApplicationError) as failed:
        await world.wait("wait_for_verification", "verify")
    assert (failed.value.type, failed.value.non_retryable) == ("SplitView", True)
    assert world.etcd.now == SPLIT_AFTER + 1


async def test_a_member_that_comes_round_is_no_split_view(temporal):
    """It only took a moment."""
    world = World(temporal, match=INDEX, learner=False)
    world.cluster.denying.add(world.new.id)
    world.etcd.happens = lambda now: now > 5 and world.cluster.denying.clear()
    await world.wait("wait_for_verification", "verify")
    assert world.etcd.now == 6


async def test_waiting_for_the_cluster_ends_with_the_reason(temporal):
    """Whatever the verdict is then."""
    world = World(temporal, added=False)
    leader = world.cluster.leader
    down = next(m.id for m in world.cluster.voters() if m.id != leader)

    def happens(now):
        (world.cluster.kill if now == 1 else world.cluster.revive)(down)
        world.cluster.leader = "" if now == 2 else leader

    world.etcd.happens = happens
    status, beats = await world.wait("wait_for_cluster", "add")
    assert status.leader == leader
    assert [word for beat in beats for word in ("voters are down", "no leader") if word in beat.reason] == [
        "voters are down",
        "no leader",
    ]
    assert world.etcd.now == 3
