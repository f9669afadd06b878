"""deploy/Dockerfile, built and run by a real Docker engine, on a base that is a bare Debian with Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from uuid import uuid4

import pytest
from bare_debian import AUTHORITIES
from provisioning import ROOT, run

from support.parts.docker_engine import NoEngine, OwnEngine, usual_engine
from support.parts.etcd_tools import unavailable
from support.parts.lab import eventually

MINUTES = 10 * 60
BUILD = next(line for line in (ROOT / "docs" / "deploy.md").read_text().split("`") if line.startswith("docker build"))
# The base has what the machine needs behind a proxy that inspects TLS.
PROXY = [f"--change=ENV {name}={AUTHORITIES}" for name in ("SSL_CERT_FILE", "PIP_CERT") if name in os.environ]


@pytest.fixture(scope="module")
def docker():
    """Runs docker's command line on the engine of this machine, or on one of our own."""
    if not shutil.which("docker"):
        unavailable("docker's command line is not installed")
    own = None
    try:
        address = usual_engine() or (own := OwnEngine()).address
    except NoEngine as error:
        unavailable(str(error))
    # Debian's docker has no BuildKit.
    env = {"DOCKER_HOST": address, "DOCKER_BUILDKIT": "0", "PATH": os.environ["PATH"]}
    yield lambda *words: run("docker", *words, env=env, cwd=ROOT, timeout=MINUTES)
    if own:
        own.stop()


@pytest.fixture(scope="module")
def base(docker, bare_debian, tmp_path_factory):
    """An image of the bare Debian, with the packages that the Dockerfile needs."""
    assert bare_debian.install("python3", "python3-venv", "ca-certificates").code == 0
    if PROXY:
        shutil.copy(AUTHORITIES, bare_debian.folder / AUTHORITIES[1:])
    archive = tmp_path_factory.mktemp("base") / "base.tar"
    left_out = [f"--exclude=./{folder}/*" for folder in ("proc", "dev", "tmp", "var/cache/apt", "var/lib/apt/lists")]
    subprocess.run(["tar", "-C", bare_debian.folder, *left_out, "-cf", archive, "."], check=True, timeout=MINUTES)
    name = f"memberflow-base-{uuid4().hex[:8]}"
    imported = docker("import", *PROXY, archive, name)
    assert imported.code == 0, imported
    archive.unlink()
    yield name
    docker("image", "rm", "--force", name)


@pytest.fixture(scope="module")
def image(docker, base):
    """The image, built by the command of the page."""
    name = f"memberflow-test-{uuid4().hex[:8]}"
    _, *words = BUILD.replace("memberflow:0.1.0", name).split()
    built = docker(*words[:1], "--network=host", f"--build-arg=BASE={base}", *words[1:])
    assert built.code == 0, built
    yield name
    docker("image", "rm", "--force", name)


@pytest.fixture
def worker(docker, image, lab):
    """A container with a worker, on a task queue of its own, and the cluster in its clusters file."""
    cluster = lab.cluster()
    name = f"memberflow-worker-{uuid4().hex[:8]}"
    settings = {"TEMPORAL_ADDRESS": lab.server.address, "MEMBERFLOW_TASK_QUEUE": name}
    given = [f"--env={key}={value}" for key, value in settings.items()]
    mounted = f"--volume={lab.clusters_file}:/etc/memberflow/clusters.toml:ro"
    hardened = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges")
    started = docker("run", "--detach", f"--name={name}", "--network=host", *hardened, *given, mounted, image)
    assert started.code == 0, started
    yield name, cluster
    docker("rm", "--force", name)


@pytest.mark.timeout(2 * MINUTES)
def test_a_worker_in_a_container_makes_a_voter(docker, worker, lab, tmp_path):
    """With no rights, a read-only file system, and as no known user. It stops by itself when the engine says so."""
    name, cluster = worker
    eventually(lambda: "worker runs" in docker("logs", name).stderr, "the worker", 60)
    assert docker("exec", name, "memberflow", "doctor").code == 0
    new, handover = cluster.new_member(), tmp_path / "join.env"
    words = ("join", cluster.name, new.name, "--peer-url", new.peer_url, "--env-file", str(handover), "--json")
    join = lab.command(*words, env={**lab.env, "MEMBERFLOW_TASK_QUEUE": name})
    eventually(handover.exists, "the handover", 60)
    new.start(dict(line.split("=", 1) for line in handover.read_text().splitlines()))
    ended = join.wait(90)
    assert (ended.code, ended.answer["outcome"]) == (0, "promoted"), ended
    assert docker("exec", name, "id", "-u").stdout.strip() == "10001"
    assert docker("stop", "--time=30", name).code == 0
    state = json.loads(docker("inspect", name).stdout)[0]["State"]
    assert (state["ExitCode"], state["OOMKilled"]) == (0, False)
