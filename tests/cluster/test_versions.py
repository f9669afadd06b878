"""The older versions of etcd: the same changes, what the preflight says of their bugs, and one that is too old."""

from __future__ import annotations

import pytest
from test_secrets import PASSWORD, credentials, lock

from support.parts import etcd_versions
from support.parts.lab import follower
from tools.versions import courses
from tools.versions.courses import MIXES, Mix

# The two oldest clusters, and two in the middle of an upgrade. `make versions` runs the whole table.
SHORT = (MIXES[0], Mix(("3.5", "3.5", "3.6"), "3.6", "3.6"), Mix(("3.6", "3.7", "3.7"), "3.6", "3.7"))


@pytest.fixture(scope="module")
def etcd_3_4():
    return etcd_versions.etcd_3_4()


@pytest.fixture(scope="module")
def etcd_3_5():
    return etcd_versions.etcd_3_5_1()


def removed(cluster):
    """The removals that etcd answered with OK."""
    return [call.code for call in cluster.sent("MemberRemove")].count("OK")


@pytest.mark.parametrize("mix", SHORT, ids=lambda mix: mix.name)
def test_every_change_on(lab, mix):
    """A join whose promote answer is lost, a replacement, a removal of the leader: one call of each takes effect."""
    cluster = courses.build(lab, mix)
    courses.join(cluster, mix)
    assert cluster.counts() == (1, 1, 0)
    courses.replace(cluster, mix)
    assert (cluster.counts()[1], removed(cluster)) == (2, 1)  # etcd may refuse others while links are younger than 5 s
    courses.remove(cluster, mix)
    assert (cluster.counts()[1], removed(cluster)) == (2, 2)
    assert list(cluster.roles().values()) == ["voter"] * 3


def test_a_join_with_auth_on_etcd_3_5(lab, etcd_3_5, tmp_path):
    """Its reads pass without a token (CVE-2026-33413), its changes do not: the worker authenticates by itself."""
    cluster = lab.cluster(binary=etcd_3_5)
    lock(cluster)
    cluster.access = credentials(tmp_path, "root", PASSWORD)
    join = cluster.join(cluster.new_member())
    join.start_member()
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert cluster.counts() == (1, 1, 0)


def test_the_plan_tells_of_its_bugs(lab, etcd_3_5):
    """They warn and do not refuse."""
    cluster = lab.cluster(binary=etcd_3_5)
    args = ("--peer-url", cluster.new_member().peer_url)
    plan = lab.run("plan", "join", cluster.name, "another", *args, "--json").answer
    versions = next(check for check in plan["checks"] if check["name"] == "versions")
    assert (plan["verdict"], versions["verdict"]) == ("go", "warn"), plan
    assert "etcd 3.5.1" in versions["evidence"]


def test_one_that_is_too_old(lab, etcd_3_4):
    """It ignores `linearizable`, so no look at it could be trusted: each change is refused, and none proposed."""
    cluster = lab.cluster(binary=etcd_3_4)
    new, voter = cluster.new_member(), follower(cluster)
    before = cluster.roles()
    for end in (
        cluster.join(new).wait(),
        cluster.remove(voter.name).wait(),
        cluster.replace(voter.name, new).wait(),
        lab.run("plan", "join", cluster.name, new.name, "--peer-url", new.peer_url, "--json"),
    ):
        assert end.code == 5, end
        assert "3.5 is the oldest supported version" in end.stdout, end
    assert (before, cluster.changes()) == (cluster.roles(), [])
