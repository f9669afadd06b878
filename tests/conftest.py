"""Fixtures, and the order of the files."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from client.search_attributes import register
from local.binary import find_etcd
from local.deployment import WorkerProcess
from local.temporal_server import DevServer
from settings import cache_dir, quiet_runtime
from support.parts.lab import Lab, eventually
from support.parts.secure_worker import secure_worker

# What starts the tests may ignore SIGINT, as shells do for their background; the commands under test must hear it.
signal.signal(signal.SIGINT, signal.default_int_handler)


# The folders, those whose files take longest first: a long file that starts last keeps one process busy, and the
# others idle.
LONGEST_FIRST = ("sweep", "cluster", "docker", "commands", "contract", "temporal", "etcd", "unit")


def pytest_collection_modifyitems(items):
    """The longest files first: by folder, and in it by the number of tests."""
    sizes = Counter(item.path for item in items)

    def place(item):
        folder = item.path.parent.name
        return (LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else 1, -sizes[item.path], item.path)

    items.sort(key=place)


@pytest.fixture(scope="session")
def etcd_binary():
    """The etcd that all tests run."""
    return find_etcd(cache_dir(), print)


@pytest.fixture(scope="session")
async def server(tmp_path_factory):
    """A Temporal dev server with the search attributes registered."""
    server = DevServer(tmp_path_factory.mktemp("temporal"), persistent=True)
    await register(await server.start(quiet_runtime()))
    yield server
    await server.stop()


@pytest.fixture(scope="session")
def temporal(server):
    """A client of the dev server."""
    return server.client


@pytest.fixture(scope="session")
def shared_lab(tmp_path_factory, etcd_binary, server):
    """Clusters and a worker process; tests take it as `lab`."""
    lab = Lab(tmp_path_factory.mktemp("lab"), etcd_binary, server)
    lab.write_clusters_file()
    lab.worker = WorkerProcess(lab.folder, server.address, lab.clusters_file)
    lab.worker.start()
    # A command says at once when nobody polls; a worker takes its time to start on a busy machine.
    eventually(lambda: "worker runs" in lab.worker.log_text(), "the worker")
    yield lab
    lab.close()


@pytest.fixture
def lab(shared_lab):
    """The laboratory; whatever clusters a test took are healed or stopped after it."""
    yield shared_lab
    shared_lab.clean_up()


@pytest.fixture(scope="session")
async def secure_parts(temporal, etcd_binary, tmp_path_factory):
    """A cluster with TLS and auth, its worker, and an attacker."""
    async with secure_worker(temporal, etcd_binary, tmp_path_factory.mktemp("secure")) as made:
        yield made


@pytest.fixture
def secure(secure_parts):
    """The same, with an empty table of limits."""
    secure_parts.others = ""
    secure_parts.allow()
    return secure_parts
