"""The launcher on a real Docker engine: a join, retries, crashes, what can't be started, what dies."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace

import pytest

from etcdapi.client import EtcdClient
from launchers import containers
from launchers.docker_launcher import DockerLauncher
from local.etcd_cluster import LocalMember, bootstrap
from local.processes import free_port
from membership.etcd import Access
from membership.model import handover
from messages.launching import LauncherUnavailable, LaunchFailed
from support.parts.docker_engine import SERVES, container_of, launcher, volume_of
from support.parts.lab import eventually

# ---- starting ----


@pytest.fixture
def cluster(etcd_binary, tmp_path):
    """A cluster of one voter, and a client of it."""
    member = LocalMember("etcd-1", etcd_binary, tmp_path / "etcd-1")
    bootstrap([member], "docker")
    with closing(EtcdClient(Access((member.client_url,)))) as client:
        yield client
    member.stop()


def test_a_container_joins_a_real_cluster(cluster, engine, config, launch):
    """It starts with the handover, on a volume of its own, and the cluster sees it start; `stop` leaves nothing."""
    cluster.look()
    peer_url = f"http://127.0.0.1:{free_port()}"
    member = cluster.add_learner((peer_url,), 5)
    values = handover(cluster.members(), member.id, launch.name)
    launch = replace(launch, member_id=member.id, environment=values.env())
    docker = launcher(config, flags=SERVES, restart="unless-stopped")

    launched = docker.start(launch)

    eventually(lambda: cluster.look().member(member.id).name == launch.name, "the member to start")
    assert cluster.look().member(member.id).client_urls == ("http://etcd-4:2379",)
    assert launched.created
    assert launched.volume.endswith(member.id)
    state = docker.state(launch)
    assert (state.status, state.exit_code, state.died) == ("running", None, False)
    container = container_of(engine, launch)
    assert container.short_id == launched.container_id
    assert container.attrs["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert [("volume", launched.volume)] == [(m["Type"], m["Name"]) for m in container.attrs["Mounts"]]

    assert docker.stop(launch)
    assert docker.state(launch) is None
    assert container_of(engine, launch) is None
    assert volume_of(engine, launch) is None


def test_a_retry_finds_the_running_one(up, launch):
    """Whichever change asks again."""
    first = up.start(launch)
    second = up.start(replace(launch, change="another"))
    assert (first.created, second.created) == (True, False)
    assert first == replace(second, created=True)


def test_attempts_at_the_same_moment_start_one(up, engine, launch):
    """The slower ones find it at once, or are told to ask again."""

    def attempt(_):
        with suppress(LauncherUnavailable):
            return up.start(launch)

    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            answers = [a for a in pool.map(attempt, range(4)) if a]
            assert [a.created for a in answers if a.created] == [True]
            assert {up.start(launch).container_id} == {a.container_id for a in answers}
            assert up.stop(launch)
            assert volume_of(engine, launch) is None


@pytest.mark.parametrize("left", ["volume", "created", "exited"])
def test_a_retry_goes_on_where_a_crash_or_a_reboot_left_it(up, engine, launch, left):
    """Between volume and container, between create and start, after the start."""
    name = containers.volume_name(launch)
    engine.volumes.create(name=name, labels=containers.labels_of(launch))
    if left != "volume":
        container = engine.containers.create(**containers.settings(up._config, launch))
    if left == "exited":
        container.start()
        container.kill()
        container.wait()
    launched = up.start(launch)
    assert launched.created == (left == "volume")
    assert up.state(launch).status == "running"


def test_an_earlier_member_that_is_gone_makes_room(up, engine, launch):
    """Its container goes, though it may still run; its data stays, and the new member gets a new volume."""
    earlier = replace(launch, member_id="1")
    up.start(earlier)
    launched = up.start(replace(launch, members=("2", launch.member_id)))
    assert launched.created
    assert volume_of(engine, earlier)
    assert launched.volume != containers.volume_name(earlier)
    assert container_of(engine, launch).labels[containers.MEMBER_ID] == launch.member_id


def test_a_network_with_names_knows_the_member_by_its_own(config, engine, launch):
    """As `http://etcd-4:2380` in a peer URL needs it; ports are published, files mounted read-only."""
    network = engine.networks.create(f"memberflow-{launch.cluster}", driver="bridge")
    try:
        table = config.model_copy(
            update={
                "network": network.name,
                "ports": (f"127.0.0.1:{free_port()}:2379",),
                "mounts": ("/etc/hostname:/host/{name}",),
                "environment": {"ETCD_LOG_LEVEL": "warn", "OF": "{cluster}"},
            }
        )
        DockerLauncher(table).start(launch)
        container = container_of(engine, launch)
        assert launch.name in container.attrs["NetworkSettings"]["Networks"][network.name]["Aliases"]
        assert [p["HostIp"] for p in container.attrs["HostConfig"]["PortBindings"]["2379/tcp"]] == ["127.0.0.1"]
        mounts = {m["Destination"]: m["RW"] for m in container.attrs["Mounts"]}
        assert mounts == {"/var/lib/etcd": True, "/host/etcd-4": False}
        assert {f"OF={launch.cluster}", "ETCD_DATA_DIR=/var/lib/etcd"} <= set(container.attrs["Config"]["Env"])
    finally:
        if container := container_of(engine, launch):
            container.remove(force=True)
        network.remove()


# ---- what can't be started, or dies ----


def test_a_dying_container_tells_why(config, launch):
    """Its exit code and its last lines."""
    docker = launcher(config, flags=("--no-such-flag",))
    docker.start(launch)
    state = eventually(lambda: (s := docker.state(launch)) and s.died and s, "its end")
    assert (state.status, state.exit_code) == ("exited", 2)
    assert "no-such-flag" in "\n".join(state.log)
    assert "exited, exit code 2; its last lines:\n" in str(state)


def test_a_container_that_dies_again_and_again_counts_as_dead(config, launch):
    """Also in the moments in which Docker waits before the next start."""
    docker = launcher(config, flags=("--no-such-flag",), restart="always")
    docker.start(launch)
    state = eventually(lambda: (s := docker.state(launch)) and s.restarts > 1 and s.died and s, "restarts")
    assert state.exit_code == 2
    assert docker.stop(launch)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"command": ("no-such-program",)}, "executable file not found"),
        (
            {"image": "memberflow-test-nowhere", "pull": "never"},
            "no image memberflow-test-nowhere, and this launcher never pulls one",
        ),
        ({"image": "memberflow-test.invalid/nowhere:1", "pull": "missing"}, "memberflow-test.invalid"),
        ({"image": "memberflow-test.invalid/nowhere:1", "pull": "always"}, "memberflow-test.invalid"),
        ({"network": "memberflow-test-nowhere"}, "network memberflow-test-nowhere not found"),
        ({"mounts": ("/no/such/folder:/certs",)}, "bind source path does not exist"),
    ],
)
def test_what_cannot_be_started_leaves_nothing(config, engine, launch, changes, told):
    """The engine's own words, and neither container nor volume."""
    docker = launcher(config, **changes)
    with pytest.raises(LaunchFailed, match=told):
        docker.start(launch)
    assert container_of(engine, launch) is None
    assert volume_of(engine, launch) is None


def test_always_pulling_means_always(config, engine, image, launch):
    """An image that is there already doesn't do when its registry is out of reach."""
    name = "memberflow-test.invalid/etcd:1"
    engine.images.get(image).tag(name)
    try:
        with pytest.raises(LaunchFailed, match=r"memberflow-test\.invalid"):
            launcher(config, image=name, pull="always").start(launch)
        assert launcher(config, image=name, pull="missing").start(launch)
    finally:
        engine.images.remove(name, force=True)


def test_a_failed_start_keeps_data_that_was_there(config, engine, launch):
    """A person removed the container, not the volume: that is the member's, whatever happens now."""
    engine.volumes.create(name=containers.volume_name(launch), labels=containers.labels_of(launch))
    with pytest.raises(LaunchFailed, match="executable file not found"):
        launcher(config, command=("no-such-program",)).start(launch)
    assert volume_of(engine, launch)
