"""A newcomer whose settings endanger the cluster: held before it may vote, or warned of."""

from __future__ import annotations

from contextlib import closing

import pytest
from grpc import RpcError

from support.parts.etcd_versions import newest
from support.parts.lab import Cluster, Join, eventually
from tools.versions import courses
from tools.versions.courses import Mix

# Less than etcd's default of 2 GB, which the voters have.
SMALL = ("--quota-backend-bytes=33554432",)


def held_for(join: Join, told: str) -> None:
    """Waits until the join is held for this reason."""
    cluster = join.cluster
    held = eventually(lambda: cluster.lab.held(cluster.workflow_id(join.new)), "the join to be held", 60)
    assert told in held
    assert not cluster.sent("MemberPromote")


def promoted_although(join: Join, told: str) -> None:
    """It is promoted, and its outcome warns of this."""
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert any(told in warning for warning in end.answer["warnings"]), end


def resume(join: Join) -> None:
    assert join.cluster.lab.run("resume", join.cluster.name, join.new.name).code == 0


@pytest.mark.parametrize("policy", ["hold", "warn"])
def test_a_newcomer_with_a_smaller_quota(lab, policy):
    """Held until a person says that it may vote as it is; the outcome says so in either case."""
    # Young: etcd sends no snapshot, after which the learner would be silent and show no quota.
    cluster = lab.cluster(fresh=True)
    cluster.policy = {"newcomer": policy}
    new = cluster.new_member(flags=SMALL)
    join = cluster.join(new)
    join.start_member()
    if policy == "hold":
        held_for(join, "its quota is 34 MB, and the others' is 2147 MB")
        resume(join)
    promoted_although(join, "its quota is 34 MB")


def test_a_newcomer_whose_quota_is_smaller_than_the_database(lab):
    """It makes the cluster read-only although it is only a learner. The outcome says so, and how that ends."""
    cluster = lab.cluster(fresh=True)
    # Values of 1 MB: after more than a hundred entries etcd sends a snapshot, and the learner is silent.
    cluster.fill(40, size=1_000_000)
    before = cluster.roles()
    join = cluster.join(cluster.new_member(flags=SMALL))
    join.start_member()
    held_for(join, "the whole cluster")
    learner = cluster.id_of(join.new)
    eventually(lambda: is_read_only(cluster), "the learner to stop the writes")
    assert lab.run("cancel", cluster.name, join.new.name).code == 0
    end = join.wait()
    assert end.answer["outcome"] == "cancelled", end
    assert "the whole cluster is read-only until `etcdctl alarm disarm`" in str(end.answer["warnings"]), end
    assert cluster.roles() == before
    cluster.set_alarm(learner, "NOSPACE", "DEACTIVATE")
    assert not is_read_only(cluster)


def is_read_only(cluster: Cluster) -> bool:
    with closing(cluster.client(cluster.leader())) as client:
        try:
            client.put("a", "b")
        except RpcError as error:
            return "database space exceeded" in error.details()
    return False


def test_a_newcomer_that_is_older_than_every_voter(lab):
    """The last old voter is upgraded while the join waits for its member, which still runs the old version."""
    mix = Mix(("3.6", "3.7", "3.7"), "3.6", "3.7")
    cluster = courses.build(lab, mix)
    join = cluster.join(cluster.new_member(binary=newest(mix.newcomer)))
    join.handover()
    last = cluster.members[0]
    last.stop()
    last.binary = newest("3.7")
    cluster.revive(last)
    join.start_member()
    told = "it runs etcd 3.6."
    held_for(join, told)
    resume(join)
    promoted_although(join, told)


def test_a_newcomer_that_advertises_every_address(lab):
    """0.0.0.0 leads each client to its own machine, and here to the member by chance. The policy says to warn."""
    cluster = lab.cluster()
    cluster.policy = {"newcomer": "warn"}
    new = cluster.new_member()
    new.advertised = f"http://0.0.0.0:{cluster.relays[new.name].port}"
    join = cluster.join(new)
    join.start_member()
    promoted_although(join, f"it advertises {new.advertised}, which is not an address that clients can reach")


def test_a_newcomer_that_advertises_its_own_machine(lab):
    """The voters advertise names, which only the file's endpoints help this worker to reach."""
    cluster = lab.cluster(fresh=True, settled=False)
    advertise_names(cluster)
    lab.let_settle(cluster)
    join = cluster.join(cluster.new_member())
    join.start_member()
    told = f"it advertises {join.new.advertised}, which only its own machine reaches"
    held_for(join, told)
    resume(join)
    promoted_although(join, told)


def advertise_names(cluster: Cluster) -> None:
    """The voters advertise names that do not resolve here, as behind NAT. The clusters file has their addresses."""
    cluster.single_use = True
    cluster.listed = cluster.endpoints()
    for member in cluster.members:
        member.stop()
        member.advertised = f"http://{member.name}.invalid:2379"
        cluster.revive(member)
