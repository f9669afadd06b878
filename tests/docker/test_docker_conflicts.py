"""What isn't this member's: the launcher doesn't touch it, and says whose it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from docker.types import Mount

from launchers import containers
from messages.launching import LaunchConflict
from support.parts.docker_engine import container_of, volume_of


@pytest.mark.parametrize(
    ("labels", "members", "told"),
    [
        ({}, (), "memberflow did not make it"),
        ({containers.CLUSTER: "a", containers.MEMBER: "b"}, (), "belongs to member b of cluster a"),
        ({containers.CLUSTER_ID: "f1"}, (), "member etcd-4 of cluster .* with the ID f1, not cdf818194e3a8c32"),
        ({containers.CLUSTER_ID: "f1", containers.MEMBER_ID: "1"}, ("2",), "with the ID f1, not cdf818194e3a8c32"),
        ({containers.CLUSTER_ID: "", containers.MEMBER_ID: "1"}, ("2",), r"with the ID \(none\), not cdf818194e3a8c32"),
        ({containers.MEMBER_ID: "1"}, ("1", "2"), "earlier member 1, which is a member of the cluster"),
        ({containers.MEMBER_ID: "1"}, (), "earlier member 1, which is not known to be removed"),
        ({containers.MEMBER_ID: ""}, ("1", "2"), "earlier member of no known ID"),
    ],
)
def test_a_foreign_container_of_that_name_is_a_conflict(up, engine, image, launch, labels, members, told):
    """A stranger's, another cluster's, or that of a member that lives: none of them is touched, now or by `stop`."""
    if labels:
        labels = {**containers.labels_of(launch), **labels}
    name = containers.container_name(launch)
    other = engine.containers.create(image, ["etcd", "--version"], name=name, labels=labels)
    with pytest.raises(LaunchConflict, match=told):
        up.start(replace(launch, members=members))
    assert up.state(launch) is None
    assert not up.stop(launch)
    assert container_of(engine, launch).id == other.id
    assert volume_of(engine, launch) is None


def test_a_live_member_of_another_cluster_of_that_name_runs_on(up, engine, launch):
    """Of another installation, or of the cluster before it was built anew: said before a learner is added, too."""
    theirs = replace(launch, cluster_id="f1", member_id="1")
    up.start(theirs)
    ours = replace(launch, members=("2", launch.member_id))
    with pytest.raises(LaunchConflict, match="with the ID f1"):
        up.check(replace(ours, member_id="", environment={}))
    with pytest.raises(LaunchConflict, match="with the ID f1"):
        up.start(ours)
    same = replace(theirs, cluster_id=launch.cluster_id)
    assert not up.stop(same)
    assert up.state(same) is None
    assert up.state(theirs).status == "running"
    assert volume_of(engine, theirs)


def test_a_launch_that_knows_no_cluster_id_removes_nothing(up, engine, launch):
    """As in an order that an earlier version wrote into a history."""
    unknown = replace(launch, cluster_id="")
    up.start(replace(unknown, member_id="1"))
    with pytest.raises(LaunchConflict, match="not known to be removed"):
        up.start(replace(unknown, members=("2",)))
    assert container_of(engine, launch).status == "running"


def test_a_foreign_volume_of_that_name_is_a_conflict(up, engine, launch):
    """No container is made, and nobody's data is used or removed."""
    engine.volumes.create(name=containers.volume_name(launch))
    with pytest.raises(LaunchConflict, match=r"a volume .* exists already"):
        up.start(launch)
    assert container_of(engine, launch) is None
    assert not up.stop(launch)
    assert volume_of(engine, launch)


def test_a_volume_that_somebody_else_uses_stays(up, engine, image, launch):
    """`stop` says so, and asked again when it is free, finishes."""
    up.start(launch)
    mounts = [Mount("/data", containers.volume_name(launch))]
    user = engine.containers.create(image, ["etcd"], name=f"memberflow-{launch.cluster}-user", mounts=mounts)
    with pytest.raises(LaunchConflict, match="in use by another container"):
        up.stop(launch)
    user.remove()
    assert up.stop(launch)
    assert not up.stop(launch)
    assert volume_of(engine, launch) is None
