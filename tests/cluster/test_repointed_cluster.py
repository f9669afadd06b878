"""A name that leads to another real cluster for a while is never evidence, and two names lead to no cluster."""

from __future__ import annotations

from contextlib import closing

import pytest

from etcdapi.client import EtcdClient
from etcdapi.faults import Fault
from membership.etcd import Access
from support.checks.afterwards import Before
from support.faults.repointed import another_cluster, lead_away, lead_back, sees_the_other
from support.parts.lab import Cluster, Join, Lab, LocalMember, eventually, once


@pytest.fixture
def other(lab):
    """The only member of another cluster."""
    with another_cluster(lab) as member:
        yield member


def joins_and_is_led_away(lab: Lab, other: LocalMember) -> tuple[Cluster, Before, Join]:
    """A join with a learner, whose cluster's name then leads to the other cluster."""
    cluster = lab.cluster()
    before = Before(cluster)
    join = cluster.join(cluster.new_member())
    join.handover()
    lead_away(cluster, other)
    return cluster, before, join


def test_in_sync(lab, other):
    """The join neither fails nor forgets its learner, and goes on when the name leads back."""
    cluster, before, join = joins_and_is_led_away(lab, other)
    workflow_id = cluster.workflow_id(join.new)
    eventually(lambda: sees_the_other(lab, workflow_id), "the join to see the other cluster")
    lead_back(cluster)
    join.start_member()
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert cluster.counts() == (1, 1, 0)
    before.assert_joined(join.new)


def test_in_a_rollback(lab, other):
    """Cancelled there, the join does not say that its learner is gone. It removes it when the name leads back."""
    cluster, before, join = joins_and_is_led_away(lab, other)
    workflow_id = cluster.workflow_id(join.new)
    lab.cancel(workflow_id)
    eventually(lambda: "rollback" in lab.stage(workflow_id), "the rollback")
    eventually(lambda: sees_the_other(lab, workflow_id), "the rollback to see the other cluster")
    assert join.command.is_running()
    lead_back(cluster)
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (1, "cancelled"), end
    assert cluster.counts() == (1, 0, 1)
    before.assert_unchanged()


def test_as_the_answer_of_a_promote_is_lost(lab, other):
    """Cancelled there, the join does not take its voter for gone: it was promoted, and the cancel came too late."""
    cluster = lab.cluster()
    before = Before(cluster)
    new = cluster.new_member()
    workflow_id = cluster.workflow_id(new)

    def lead_away_and_cancel() -> None:
        lead_away(cluster, other)
        lab.cancel(workflow_id)

    cluster.inject(Fault("MemberPromote", "lose", answered=once(lead_away_and_cancel)))
    join = cluster.join(new)
    join.start_member()
    eventually(lambda: cluster.sent("MemberPromote"), "the promote", 60)
    eventually(lambda: sees_the_other(lab, workflow_id), "the join to see the other cluster", 60)
    assert join.command.is_running()
    lead_back(cluster)
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert cluster.counts() == (1, 1, 0)
    before.assert_joined(new)


def test_between_two_changes(lab, other):
    """Another cluster under the name is refused by `plan` and shown by `doctor`, and taken by an explicit word."""
    cluster = lab.cluster()
    known = cluster.members[0]
    done = lab.run("join", cluster.name, known.name, "--peer-url", known.peer_url, "--json")
    assert done.answer["outcome"] == "already-voter", done
    lead_away(cluster, other)

    def refused():
        plan = lab.run("plan", "join", cluster.name, "new", "--peer-url", "http://127.0.0.1:1", "--json")
        return plan if "WrongCluster" in plan.stdout else None

    plan = eventually(refused, "the plan to see the other cluster")
    assert plan.code == 5, plan
    theirs = id_of(other)
    assert f"cluster ID {theirs}" in lab.run("doctor").stdout
    cluster.access["cluster_id"] = theirs
    lab.write_clusters_file()
    eventually(lambda: refused() is None, "the worker to take the cluster that the file names")
    del cluster.access["cluster_id"]
    lead_back(cluster)


def test_two_names_of_one_cluster(lab):
    """They would have two lines of turns. Where their endpoints do not meet, the cluster's ID shows it."""
    cluster = lab.cluster()
    voter, new = cluster.members[0], cluster.new_member()
    known = lab.run("join", cluster.name, voter.name, "--peer-url", voter.peer_url, "--json")
    assert known.answer["outcome"] == "already-voter", known
    lab.launchers = f'[clusters.alias]\nendpoints = ["{voter.client_url}"]\n'
    lab.write_clusters_file()
    try:
        end = lab.run("join", "alias", new.name, "--peer-url", new.peer_url, "--json")
    finally:
        lab.launchers = ""
        lab.write_clusters_file()
    assert (end.code, end.answer["outcome"], cluster.changes()) == (2, "refused", []), end
    assert f"clusters {cluster.name} and alias are one etcd cluster" in end.answer["reason"], end


def id_of(member):
    """The ID of a member's cluster, as etcd prints it."""
    with closing(EtcdClient(Access((member.client_url,)))) as client:
        return client.look().cluster_id
