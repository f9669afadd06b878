"""Fixtures only: a Docker engine, an image with etcd, and whatever a test makes there, cleaned up after it."""

from __future__ import annotations

import io
import tarfile
import uuid
from contextlib import closing, suppress

import pytest
from docker.errors import ImageNotFound
from registry import serving

import docker
from launchers.config import LauncherConfig
from local.processes import free_port
from messages.launching import Launch
from support.parts.docker_engine import SERVES, NoEngine, OwnEngine, launcher, usual_engine
from support.parts.etcd_tools import unavailable


@pytest.fixture(scope="session")
def own_engine():
    """A dockerd of our own, with TLS."""
    try:
        engine = OwnEngine()
    except NoEngine as error:
        unavailable(str(error))
    yield engine
    engine.stop()


@pytest.fixture(scope="session")
def address(request):
    """Where an engine listens."""
    return usual_engine() or request.getfixturevalue("own_engine").address


@pytest.fixture(scope="session")
def engine(address):
    """A client of the engine, past the launcher."""
    with closing(docker.DockerClient(base_url=address)) as client:
        yield client


@pytest.fixture(scope="session")
def image(engine, etcd_binary):
    """An image with etcd and nothing else."""
    if b"ld-linux" in etcd_binary.read_bytes()[:8192]:
        unavailable(f"{etcd_binary} is linked dynamically and can't run in an empty image")
    name = f"memberflow-test-{uuid.uuid4().hex[:8]}"
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        recipe = b"FROM scratch\nCOPY etcd /usr/local/bin/etcd\n"
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(recipe)
        tar.addfile(entry, io.BytesIO(recipe))
        tar.add(etcd_binary, "etcd")
    context.seek(0)
    engine.images.build(fileobj=context, custom_context=True, tag=name, rm=True)
    yield name
    engine.images.remove(name, force=True)


@pytest.fixture
def registry(engine):
    """One image, which the engine doesn't have before or after."""
    with serving() as registry:
        yield registry
        for name in (f"{registry.image}:latest", f"{registry.image}@{registry.digest}"):
            with suppress(ImageNotFound):
                engine.images.remove(name, force=True)


@pytest.fixture
def config(address, image):
    """A launcher's table."""
    return LauncherConfig(engine=address, image=image, pull="never", restart="no")


@pytest.fixture
def launch(engine):
    """The only member of a cluster that nobody knows; whatever bears the cluster's name is removed after the test."""
    cluster = f"t{uuid.uuid4().hex[:8]}"
    peer_url = f"http://127.0.0.1:{free_port()}"
    environment = {
        "ETCD_NAME": "etcd-4",
        "ETCD_INITIAL_CLUSTER": f"etcd-4={peer_url}",
        "ETCD_INITIAL_CLUSTER_STATE": "new",
        "ETCD_INITIAL_ADVERTISE_PEER_URLS": peer_url,
    }
    yield Launch(
        cluster,
        "etcd-4",
        "8211f1d0f64f3269",
        environment,
        change=f"memberflow:{cluster}:join:etcd-4",
        cluster_id="cdf818194e3a8c32",
    )
    for container in engine.containers.list(all=True, filters={"name": f"memberflow-{cluster}"}):
        container.remove(v=True, force=True)
    for volume in engine.volumes.list(filters={"name": f"memberflow-{cluster}"}):
        volume.remove()


@pytest.fixture
def up(config):
    """A launcher whose members go on running."""
    return launcher(config, flags=SERVES)
