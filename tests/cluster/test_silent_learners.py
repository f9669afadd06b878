"""A learner whose Status hangs: promoted on its peer port's and raft's word while it lives, and never otherwise."""

from __future__ import annotations

import re
import shutil

import pytest

from etcdapi.faults import Fault
from support.checks.puts import Puts
from support.parts.lab import eventually
from support.parts.relayed_cluster import raft_progress


def hang(cluster, new):
    """From now on no Status of this member is answered; it lives."""
    cluster.relays[new.name].inject(Fault("Status", "lose", times=None))


def silent_for(lab, workflow_id, seconds):
    """The wait has found the learner silent for so long."""

    def waited():
        told = lab.heartbeat(workflow_id)
        elapsed = re.search(r'"elapsed": ?([\d.]+)', told)
        return "does not answer" in told and elapsed is not None and float(elapsed[1]) >= seconds

    eventually(waited, f"{seconds} s of silence", 60)


def test_a_learner_that_hangs_and_follows_is_promoted(lab):
    """The leader's entry is acknowledged by it, and three live voters are a quorum of four."""
    cluster = lab.cluster()
    new = cluster.new_member()
    hang(cluster, new)
    join = cluster.join(new)
    join.start_member()
    eventually(lambda: list(cluster.roles().values()).count("voter") == 4, "the promote", 6, 0.05)
    cluster.mend()
    end = join.wait()
    assert (end.code, end.answer["outcome"], end.answer["verified"]) == (0, "promoted", True), end
    assert len(cluster.sent("Alarm")) <= 6, "a witness costs raft entries"


@pytest.mark.parametrize("leads", [True, False], ids=["leader", "follower"])
def test_a_voter_killed_right_after_such_a_promote_costs_no_more_than_an_election(lab, leads):
    """Of four voters three live, so every write needs the newcomer, for which only the witness spoke."""
    cluster = lab.cluster()
    cluster.fill(20)
    new = cluster.new_member()
    hang(cluster, new)
    leader = cluster.leader()
    victim = leader if leads else next(m for m in cluster.members[:3] if m is not leader)
    cluster.relays[leader.name].inject(Fault("MemberPromote", "pass", answered=victim.kill))
    with Puts(cluster) as puts:
        join = cluster.join(new)
        join.start_member()
        eventually(lambda: victim.process.exit_code() is not None, "the promote, and the kill", 20, 0.05)
        before = puts.count
        eventually(lambda: puts.count > before + 25, "writes", 20, 0.05)
        cluster.mend()
        end = join.wait()
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    puts.check()


def test_a_learner_that_hangs_is_not_promoted_where_it_would_be_needed(lab):
    """Of two voters both must live: only the newcomer's own word counts."""
    cluster = lab.cluster(1)
    cluster.policy = {"min_voters": 1, "min_spare": 0}
    new = cluster.new_member()
    hang(cluster, new)
    join = cluster.join(new)
    join.start_member()
    silent_for(lab, cluster.workflow_id(new), 5)
    assert not cluster.sent("MemberPromote")
    cluster.mend()
    assert join.wait().answer["outcome"] == "promoted"


@pytest.mark.parametrize("trouble", ["frozen", "killed", "wiped"])
def test_a_learner_that_does_not_live_is_never_promoted(lab, trouble):
    """However well it was in sync before."""
    cluster = lab.cluster()
    new = cluster.new_member()
    join = cluster.join(new, "--hold-before", "promote")
    join.start_member()
    workflow_id = cluster.workflow_id(new)
    eventually(lambda: lab.held(workflow_id), "the join to be held")
    if trouble == "frozen":
        new.freeze()
    else:
        new.kill()
    if trouble == "wiped":
        shutil.rmtree(new.folder / "data")
        new.start(join.handover())
    assert lab.run("resume", cluster.name, new.name).code == 0
    silent_for(lab, workflow_id, 4)
    assert not cluster.sent("MemberPromote")
    if trouble == "frozen":
        new.thaw()
        assert join.wait().answer["outcome"] == "promoted"
    else:
        lab.cancel(workflow_id)
        assert join.wait().answer["outcome"] == "cancelled"
        assert set(cluster.roles().values()) == {"voter"}


def test_a_learner_frozen_with_its_first_entries_is_not_promoted(lab):
    """As its data is being restored: its log matches, and nothing else speaks for it."""
    cluster = lab.cluster()
    cluster.fill(20)
    new = cluster.new_member()
    join = cluster.join(new)
    handover = join.handover()
    own = cluster.id_of(new)
    page = f"{cluster.leader().client_url}/debug/vars"
    new.start(handover)
    eventually(lambda: raft_progress(page)[own].match, "its first entries", 20, 0.001)
    new.freeze()
    silent_for(lab, cluster.workflow_id(new), 4)
    assert not cluster.sent("MemberPromote")
    new.thaw()
    assert join.wait().answer["outcome"] == "promoted"
