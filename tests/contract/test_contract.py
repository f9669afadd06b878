"""One suite for the port `Etcd`: the real client on real members, and the cluster in memory."""

from __future__ import annotations

import pytest
from worlds import DEADLINE, add, add_started

from membership import etcd_errors as e
from membership.errors import ClusterUnreachable, WrongCluster
from support.parts.lab import eventually


def test_a_look_at_a_healthy_cluster(world):
    """Everybody is seen, and through everybody one can read."""
    status = world.etcd.look()
    ids = {m.id for m in status.members}
    assert len(ids) == 3
    assert ids == set(status.statuses) == set(status.readers) == set(status.progress)
    assert status.leader in ids
    assert all(s.leader == status.leader and not s.is_learner for s in status.statuses.values())
    assert (status.dissent, status.silent, status.alarms) == ((), {}, ())
    assert status.members == world.etcd.members()


def test_without_auth_a_change_needs_no_token(world):
    """Nor a look before it is asked for."""
    world.etcd.authenticate()
    world.etcd.authenticate(avoid=["http://nobody:2379"])


def test_a_member_to_be_avoided_is_not_asked(world):
    """Its row is there, its own word is not."""
    avoided = next(m for m in world.etcd.look().members if m.id != world.etcd.look().leader)
    status = world.etcd.look(avoid=[avoided.id])
    assert avoided.id in {m.id for m in status.members}
    assert avoided.id not in status.statuses
    assert avoided.id not in status.readers


def test_a_look_at_another_cluster_than_the_expected_one_fails(world):
    """It is no evidence of anything; with the right ID the same look succeeds."""
    cluster_id = world.etcd.look().cluster_id
    with pytest.raises(WrongCluster, match=f"for cluster {cluster_id}, not for cluster abc"):
        world.etcd.expecting("abc").look()
    assert world.etcd.expecting(cluster_id).look().cluster_id == cluster_id


def test_progress_is_what_the_last_looks_leader_knows(world):
    """Without a read through raft: of everybody, also of a learner that was never heard of."""
    status, member = world.etcd.look(), add(world)
    view = eventually(
        lambda: (found := world.etcd.raft_view()) and member.id in found.progress and found, "the learner's log"
    )
    known = view.progress
    assert set(known) == {*status.progress, member.id}
    assert (known[member.id].match, known[status.leader].match > 0) == (0, True)


def test_a_leader_to_be_avoided_still_commits_and_hands_over(world):
    """It is not looked at; what must be sent to it still gets there."""
    before = world.etcd.look()
    status = world.etcd.look(avoid=[before.leader, *before.endpoints_of(before.leader)])
    assert status.leader == before.leader
    assert status.leader not in status.statuses
    world.etcd.commit()
    heir = next(m for m in status.voters if m.id != status.leader)
    world.etcd.move_leader(heir.id, DEADLINE)
    eventually(lambda: world.etcd.look().leader == heir.id, "the heir to lead")


def test_an_added_learner_is_in_the_list_and_has_not_started(world):
    """Without a name, without a client URL, without a word of its own."""
    member = add(world)
    status = world.etcd.look()
    assert member == status.member(member.id)
    assert (member.is_learner, member.name, member.client_urls) == (True, "", ())
    assert member.id in status.silent
    assert member.id not in status.readers
    assert status.progress[member.id].match == 0


def test_an_add_of_the_same_peer_url_is_refused(world):
    """Whoever has it; within the same second etcd makes the same ID of it, and refuses that."""
    member = add(world)
    with pytest.raises((e.PeerURLExist, e.MemberExist)):
        world.etcd.add_learner(member.peer_urls, DEADLINE)


def test_one_learner_at_a_time(world):
    """etcd's default for --max-learners."""
    add(world)
    with pytest.raises(e.TooManyLearners):
        world.etcd.add_learner(("http://127.0.0.1:7",), DEADLINE)


def test_a_learner_that_never_started_is_not_promoted(world):
    """By etcd itself: its log is not in sync."""
    member = add(world)
    with pytest.raises(e.LearnerNotReady):
        world.etcd.promote(member.id, DEADLINE)


def test_a_synced_learner_becomes_a_voter_once(world):
    """And a voter can't be promoted."""
    member = add_started(world)
    world.etcd.promote(member.id, DEADLINE)

    def all_agree():
        status = world.etcd.look()
        own = status.statuses.get(member.id)
        return own and not own.is_learner and not status.member(member.id).is_learner and member.id in status.readers

    eventually(all_agree, "everybody to say voter")
    with pytest.raises(e.MemberNotLearner):
        world.etcd.promote(member.id, DEADLINE)


def test_unknown_members(world):
    """Neither promoted nor removed."""
    with pytest.raises(e.MemberNotFound):
        world.etcd.promote("abc", DEADLINE)
    with pytest.raises(e.MemberNotFound):
        world.etcd.remove("abc", DEADLINE)


def test_a_removed_member_is_gone_for_good(world):
    """Its ID never comes back, not even for the same peer URL."""
    member = add(world)
    world.etcd.remove(member.id, DEADLINE)
    assert member.id not in {m.id for m in world.etcd.members()}
    with pytest.raises(e.MemberNotFound):
        world.etcd.remove(member.id, DEADLINE)
    again = eventually(lambda: _added_again(world, member.peer_urls), "the slot to be free")
    assert again.id != member.id


def _added_again(world, peer_urls):
    try:
        return world.etcd.add_learner(peer_urls, DEADLINE)
    except (e.MemberExist, e.MemberNotFound, e.Unhealthy):
        return None  # the same URL within the same second makes the same ID, and that one is removed


def test_the_leaders_view_of_raft(world):
    """Its own ID, leader, term and commit index, and all that `progress` has."""
    status = world.etcd.look()
    view = world.etcd.raft_view()
    assert (view.member_id, view.leader, view.term) == (status.leader, status.leader, status.term)
    assert view.commit == view.progress[status.leader].match
    assert set(view.progress) == {m.id for m in status.members}


def test_a_learners_peer_port_lists_it_as_a_learner(world):
    """By its ID, for this cluster, without any credential."""
    member = add_started(world)
    told = world.etcd.peer_list(member.peer_urls)
    assert told.cluster_id == world.etcd.look().cluster_id
    assert {m.id: m.is_learner for m in told.members} == {m.id: m.is_learner for m in world.etcd.members()}
    assert set(next(m.peer_urls for m in told.members if m.id == member.id)) == set(member.peer_urls)


def test_a_killed_member_refuses_and_does_not_hang(world):
    """Neither its client port nor its peer port answers."""
    member = add_started(world)
    world.kill(member.id)
    status = world.etcd.look(hurry=0.2)
    assert member.id in status.silent
    assert status.hung == ()
    with pytest.raises(e.Unreachable):
        world.etcd.peer_list(member.peer_urls)


def test_a_frozen_member_hangs_on_both_ports(world):
    """So nothing speaks for it, and its log stays where it was."""
    member = add_started(world)
    world.freeze(member.id)
    status = world.etcd.look(hurry=0.2)
    assert status.hung == (member.id,)
    with pytest.raises(e.Unreachable):
        world.etcd.peer_list(member.peer_urls)
    before = world.etcd.raft_view().progress[member.id].match
    world.etcd.commit()
    assert world.etcd.raft_view().progress[member.id].match == before


def test_a_commit_is_one_more_raft_entry(world):
    """What was proposed before it is decided by then."""
    before = world.etcd.look()
    world.etcd.commit()
    after = world.etcd.look()
    assert after.statuses[after.leader].raft_index > before.statuses[before.leader].raft_index


def test_a_voter_that_only_the_leader_reaches_lives(world):
    """Hidden from this worker it acknowledges entries. Frozen it does not, although raft still replicates to it."""
    leader = world.etcd.look().leader
    hidden = next(m.id for m in world.etcd.look().voters if m.id != leader)
    world.hide(hidden)
    status = world.etcd.look()
    assert (hidden in status.silent, status.unreached, status.down_voters) == (True, (hidden,), ())
    world.freeze(hidden)
    status = world.etcd.look()
    assert (status.unreached, status.unclear, [m.id for m in status.down_voters]) == ((), (), [hidden])


def test_no_add_while_one_of_three_is_down(world):
    """Not even of a learner."""
    status = world.etcd.look()
    down = next(m.id for m in status.voters if m.id != status.leader)
    world.kill(down)
    eventually(lambda: down in world.etcd.look().silent, "its silence")
    with pytest.raises(e.Unhealthy):
        eventually(lambda: _refused_add(world), "etcd to notice that a member is down")


def _refused_add(world):
    """Removes what was added too early: etcd notices a dead member by its connection, a moment later."""
    member = add(world)
    world.etcd.remove(member.id, DEADLINE)


@pytest.mark.voters(1)
def test_a_dead_learner_can_be_promoted_by_etcd(world):
    """The server compares logs and never asks whether the member lives: this is why memberflow asks it."""
    member = add_started(world)
    world.kill(member.id)
    world.etcd.promote(member.id, DEADLINE)
    with pytest.raises(ClusterUnreachable):
        eventually(world.etcd.members, "the loss of quorum")


def test_without_quorum_nothing_can_be_read_and_a_change_hangs(world):
    """And what was proposed may be applied when quorum returns."""
    member = add_started(world)
    status = world.etcd.look()
    followers = [m.id for m in status.voters if m.id != status.leader]
    for follower in followers:
        world.kill(follower)
    with pytest.raises((e.Ambiguous, e.NoLeader)):
        world.etcd.promote(member.id, 1.0)
    with pytest.raises(ClusterUnreachable):
        world.etcd.look()
    for follower in followers:
        world.revive(follower)
    after = eventually(lambda: _looked(world), "quorum")
    assert {m.id for m in status.members} == {m.id for m in after.members}


def _looked(world):
    try:
        return world.etcd.look()
    except ClusterUnreachable:
        return None
