"""Learners and late calls that the turns remember, beside what a look shows."""

from __future__ import annotations

from dataclasses import replace

from made_up_looks import NEW_ID, NEW_URL, cluster, learner

from membership.sent_calls import SentCall
from messages.learners import learners_beside, orphans_beside, still_to_come, with_late_learners
from messages.orders import Beforehand
from messages.requests import JoinRequest
from messages.turns import AddedLearner, LateCall, Ticket, TurnsState

ENDED, HOLDER = Ticket("memberflow:prod:join:etcd-9", "run-1"), Ticket("memberflow:prod:join:etcd-8", "run-2")
OTHER_URL = "http://10.0.0.7:2380"


def late(act, *, member_id="", peer_urls=(), ticket=ENDED) -> LateCall:
    """A call of an ended change, which went to the first voter."""
    return LateCall(SentCall(act, member_id, peer_urls, "1", 2, ()), ticket)


def added(member_id=NEW_ID, ticket=ENDED) -> AddedLearner:
    return AddedLearner(member_id, ticket)


ADD = late("add", peer_urls=(NEW_URL,))


def test_a_learner_at_the_urls_of_a_late_add_is_its_changes():
    """The turns knew no ID of it, since the add was never answered."""
    turns = with_late_learners(TurnsState(late=(ADD,)), cluster(3, learner()))
    assert turns.learners == (added(),)
    assert turns.orphans == (added(),)
    assert turns.late == (ADD,)


def test_the_order_of_the_peer_urls_does_not_matter():
    """etcd sorts them."""
    call = late("add", peer_urls=(OTHER_URL, NEW_URL))
    two = replace(learner(), peer_urls=(NEW_URL, OTHER_URL))
    assert with_late_learners(TurnsState(late=(call,)), cluster(3, two)).learners == (added(),)


def test_a_late_add_explains_no_other_member():
    """Neither a learner at another URL, nor a voter."""
    turns = TurnsState(late=(ADD,))
    elsewhere = cluster(3, learner(url=OTHER_URL))
    assert with_late_learners(turns, elsewhere).learners == ()
    voter = replace(learner(), is_learner=False)
    assert with_late_learners(turns, cluster(3, voter)).learners == ()


def test_other_late_calls_bring_no_learner():
    """A late promote or removal is about a member that is known."""
    calls = (late("promote", member_id=NEW_ID), late("remove", member_id=NEW_ID))
    assert with_late_learners(TurnsState(late=calls), cluster(3, learner())).learners == ()


def test_a_learner_that_is_known_stays_its_own_changes():
    """The same peer URL was added anew by the change that has the turn."""
    turns = TurnsState(holder=HOLDER, learners=(added(ticket=HOLDER),), late=(ADD,))
    known = with_late_learners(turns, cluster(3, learner()))
    assert known.learners == (added(ticket=HOLDER),)
    assert known.orphans == ()


def test_calls_whose_effect_is_seen_are_not_to_come():
    """Each kind by its own effect, and each other call stays."""
    promote, removal = late("promote", member_id=NEW_ID), late("remove", member_id="3")
    turns = TurnsState(late=(ADD, promote, removal))
    assert still_to_come(turns, cluster(3)) == (ADD, removal)  # a member that is gone is promoted no more
    assert still_to_come(turns, cluster(3, learner())) == (promote, removal)
    assert still_to_come(turns, cluster(2, learner())) == (promote,)


def test_a_late_learner_is_removed_first_by_every_change_but_its_own():
    """Its own join goes on with it."""
    before = Beforehand(cluster(3, learner()), TurnsState(late=(ADD,)))
    own = JoinRequest(cluster="prod", name="etcd-9", peer_urls=(NEW_URL,))
    other = JoinRequest(cluster="prod", name="etcd-7", peer_urls=(OTHER_URL,))
    assert orphans_beside(own, before) == learners_beside(own, before) == {}
    assert orphans_beside(other, before) == learners_beside(other, before) == {NEW_ID: added()}
