"""Calls whose effect may still come: who may have them, and when they are settled."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from made_up_looks import NEW_ID, NEW_URL, cluster, learner, voter
from temporalio.testing import ActivityEnvironment

from activities.settling import Settling
from membership import etcd_errors as e
from membership.sent_calls import MOMENT, has_effect, is_heard, is_over, may_still_come, sent_call, suspects, unheard
from messages.orders import SettleOrder
from support.memory.cluster import CLUSTER_ID, MemoryCluster
from support.memory.etcd import MemoryEtcd

BEFORE = cluster(3)
ADD = sent_call("add", BEFORE, "1", "", (NEW_URL,))
PROMOTE = sent_call("promote", cluster(3, learner()), "1", NEW_ID, ())
REMOVE = sent_call("remove", BEFORE, "1", "3", ())
MOVE = sent_call("move leader", BEFORE, "1", "1", ())


@pytest.mark.parametrize(
    ("call", "without", "with_effect"),
    [
        (ADD, cluster(3), cluster(3, learner(name=""))),
        (PROMOTE, cluster(3, learner()), cluster(3, replace(learner(), is_learner=False))),
        (REMOVE, cluster(3), cluster(2)),
        (MOVE, cluster(3, leader="1"), cluster(3, leader="2")),
    ],
    ids=lambda value: getattr(value, "act", ""),
)
def test_an_effect_is_seen(call, without, with_effect):
    """By the state of the cluster alone."""
    assert (has_effect(call, without), has_effect(call, with_effect)) == (False, True)


def test_a_promote_of_a_removed_member_comes_no_more():
    """Its ID never comes back."""
    assert has_effect(PROMOTE, cluster(3))


def test_no_leader_is_no_effect_of_a_move():
    """During an election nobody knows."""
    assert not has_effect(MOVE, cluster(3, leader=""))


SEEN_ADDED = cluster(3, learner(name=""))


def test_the_effect_of_a_call_ends_it():
    """No other call can have brought it about, and the same call once more is refused."""
    assert is_over(ADD, [ADD], SEEN_ADDED)
    assert not is_over(ADD, [ADD], cluster(3))


def test_of_two_adds_one_may_still_come():
    """The learner is the other one's; a rollback that removes it makes room for the second."""
    assert not is_over(ADD, [ADD, ADD], SEEN_ADDED)
    assert not is_over(replace(ADD, outdone=True), [ADD], SEEN_ADDED)


def test_what_cannot_be_undone_needs_no_owner():
    """A voter stays one, and a removed ID never comes back."""
    assert is_over(REMOVE, [REMOVE, REMOVE], cluster(2))
    assert is_over(replace(PROMOTE, outdone=True), [PROMOTE], cluster(3, replace(learner(), is_learner=False)))


def ids(voters):
    return [v.id for v in voters]


def test_the_receiver_alone_may_have_the_call():
    """Within a term of it: what it forwards goes to the leader of today."""
    assert ids(suspects(PROMOTE, cluster(3, learner(), term=3))) == ["1"]


@pytest.mark.parametrize("call", [replace(PROMOTE, sent_to=""), replace(PROMOTE, sent_to="7")], ids=["", "unknown"])
def test_without_a_known_receiver_any_voter_may_have_the_call(call):
    """Its worker died before anybody learnt to whom it was sent."""
    assert ids(suspects(call, cluster(3, learner()))) == ["1", "2", "3"]


def test_after_several_elections_any_voter_may_have_the_call():
    """The receiver may have forwarded it to a leader that is frozen by now."""
    assert ids(suspects(PROMOTE, cluster(3, learner(), term=4))) == ["1", "2", "3"]


def test_a_member_that_is_to_be_removed_is_not_waited_for():
    """It did not lead when its removal was sent, and it is not asked any more."""
    assert ids(suspects(replace(REMOVE, sent_to=""), BEFORE)) == ["1", "2"]


def test_a_voter_that_was_down_before_the_call_is_not_waited_for():
    """It did not lead then, and may never come back."""
    before = cluster(3, learner(), down=("3",))
    assert ids(suspects(sent_call("promote", before, "", NEW_ID, ()), before)) == ["1", "2"]


def test_who_is_no_member_has_no_call():
    """Members drop what a removed one sends."""
    assert ids(unheard(ADD, cluster(3), ())) == ["1"]
    without_1 = replace(BEFORE, members=(voter(2), voter(3)), leader="2")
    assert unheard(ADD, without_1, ()) == ()
    assert unheard(ADD, cluster(3), {"1"}) == ()


def test_who_follows_nobody_is_not_heard():
    """Without a leader it holds requests back until it knows one."""
    assert is_heard("1", cluster(3))
    assert not is_heard("1", cluster(3, leader=""))
    assert not is_heard("1", cluster(3, down=("1",), leader="2"))


def test_the_reason_names_member_and_call():
    """And says which of two states it is in."""
    who = REMOVE.voters[:1]
    silent = "etcd-1 (1) was sent the removal and is silent: its effect may still come"
    assert may_still_come(REMOVE, who, cluster(3, down=("1",), leader="2")) == silent
    assert may_still_come(REMOVE, who, None) == silent
    fresh = "etcd-1 (1) was sent the removal and has only just answered: its effect may still come"
    assert may_still_come(REMOVE, who, cluster(3)) == fresh
    either = "one of etcd-1 (1), etcd-2 (2) may have been sent the removal and is silent: its effect may still come"
    assert may_still_come(replace(REMOVE, sent_to=""), REMOVE.voters, None) == either


# ---- the wait ----

URL = "http://etcd-4:2380"


class Timed(MemoryEtcd):
    """An etcd on which every look takes half a second; `script` holds what happens by then, in order."""

    def __init__(self, script):
        super().__init__(MemoryCluster(3))
        self.script = script
        self.now = 0.0
        self.seen = super().look()
        self.commits = 0

    def connect(self, name):
        return self

    def expecting(self, cluster_id, also=()):
        assert cluster_id == CLUSTER_ID
        return self

    def look(self, avoid=(), *scope, **more):
        self.now += 0.5
        while self.script and self.script[0][0] <= self.now:
            self.script.pop(0)[1](self.cluster)
        return super().look(avoid, *scope, **more)

    def commit(self):
        super().commit()
        self.commits += 1


def frozen_with_an_add(*script):
    """A cluster whose leader is frozen with an add in its buffer, and the call."""
    etcd = Timed(list(script))
    receiver = etcd.seen.leader
    etcd.cluster.freeze(receiver)
    with pytest.raises(e.DeadlineExceeded):
        etcd.add_learner((URL,), 1.0)
    return etcd, receiver, sent_call("add", etcd.seen, receiver, "", (URL,))


def settle(etcd, *calls, timeout=600.0, waited=0.0):
    """Runs the wait; its result, and what its heartbeats say."""
    environment, beats = ActivityEnvironment(), []
    now = datetime.fromtimestamp(datetime.now(UTC).timestamp() - waited, UTC)
    environment.info = replace(ActivityEnvironment.default_info(), scheduled_time=now)
    environment.on_heartbeat = lambda progress: beats.append(progress.reason)
    order = SettleOrder("prod", CLUSTER_ID, calls, timeout)
    settled = environment.run(Settling(etcd, clock=lambda: etcd.now).wait_until_settled, order)
    return settled, beats


def test_a_silent_receiver_is_waited_for():
    """Thawed, it sends the call on, and the last look shows the effect."""
    etcd, receiver, call = frozen_with_an_add((1.5, lambda cluster: cluster.revive(receiver)))
    settled, beats = settle(etcd, call)
    assert not settled.left
    assert settled.status.with_peer_urls((URL,))
    assert f"etcd-1 ({receiver}) was sent the add and is silent: its effect may still come" in beats


def test_a_receiver_without_the_call_is_heard_for_a_moment():
    """Then one more entry commits, and a look after that shows no effect."""
    etcd = Timed([])
    call = sent_call("add", etcd.seen, etcd.seen.leader, "", (URL,))
    settled, _ = settle(etcd, call)
    assert (settled.left, settled.status.learners, etcd.commits) == ((), (), 1)
    assert etcd.now >= MOMENT


def test_silence_within_the_moment_begins_it_anew():
    """A member that was thawed and frozen again has done nothing meanwhile."""
    etcd = Timed([])
    receiver = etcd.seen.leader
    etcd.script = [(1.5, lambda c: c.freeze(receiver)), (2.0, lambda c: c.revive(receiver))]
    settled, _ = settle(etcd, sent_call("add", etcd.seen, receiver, "", (URL,)))
    assert not settled.left
    assert etcd.now >= 2.0 + MOMENT


def test_a_process_that_is_gone_took_its_buffer_along():
    """Nothing listens at the client URLs at which it had answered."""
    etcd, receiver, call = frozen_with_an_add((0.5, lambda cluster: cluster.kill(receiver)))
    settled, _ = settle(etcd, call)
    assert (settled.left, settled.status.learners) == ((), ())
    assert etcd.now < MOMENT


def test_nothing_is_known_of_a_process_that_never_answered():
    """Its advertised URL may be that of another host, where nothing listens."""
    etcd, receiver, call = frozen_with_an_add((0.5, lambda cluster: cluster.kill(receiver)))
    unknown = replace(call, voters=tuple(replace(v, urls=()) for v in call.voters))
    settled, _ = settle(etcd, unknown, timeout=0.5)
    assert settled.left == (unknown,)


def test_a_receiver_that_was_removed_is_not_waited_for():
    """Its messages are refused by all members."""
    etcd, receiver, call = frozen_with_an_add((0.5, lambda cluster: cluster.remove(receiver)))
    assert not settle(etcd, call)[0].left


def test_an_effect_that_is_there_is_not_waited_for():
    """The same call once more would be refused."""
    etcd, _, call = frozen_with_an_add((0.2, lambda cluster: cluster.members.update(extra(cluster))))
    settled, _ = settle(etcd, call)
    assert (settled.left, len(settled.status.learners)) == ((), 1)


def extra(cluster):
    """The learner, from a proposal that the others had in their logs."""
    member = cluster._new((URL,), is_learner=True)
    return {member.id: member}


def test_after_settle_timeout_the_call_is_left():
    """With the reason, and the last look."""
    etcd, receiver, call = frozen_with_an_add()
    settled, _ = settle(etcd, call, waited=600.0)
    assert settled.left == (call,)
    assert settled.reasons == (f"etcd-1 ({receiver}) was sent the add and is silent: its effect may still come",)
    assert settled.status.leader != receiver
    assert etcd.commits == 0


def test_without_a_look_nothing_is_settled():
    """There is no quorum, so nobody knows who leads."""
    etcd, _, call = frozen_with_an_add()
    for voter_id in [m.id for m in etcd.cluster.voters() if not m.frozen]:
        etcd.cluster.kill(voter_id)
    settled, _ = settle(etcd, call, waited=600.0)
    assert (settled.left, settled.status) == ((call,), None)
