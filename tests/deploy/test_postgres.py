"""
A deployment as docs/deploy.md describes it: Temporal on PostgreSQL, a central worker, and a worker at a site.

The central worker runs the workflows and reaches no cluster. Each part is killed under a running join.
"""

from __future__ import annotations

import json
import socket

import pytest
from postgres import Postgres
from temporal_on_postgres import TemporalOnPostgres

from client.search_attributes import register
from etcdapi.faults import Fault
from local.deployment import WorkerProcess
from settings import quiet_runtime
from support.parts.lab import Lab, eventually, once

SITE = "memberflow-site-a"
OUT_OF_REACH = 3


class Deployment:
    """All parts, each of which can be killed and started again."""

    def __init__(self, lab, postgres):
        self.lab = lab
        self.postgres = postgres
        self.central_file = lab.folder / "central.toml"
        self.central = WorkerProcess(lab.folder, lab.server.address, self.central_file)
        self.site = WorkerProcess(lab.folder, lab.server.address, lab.clusters_file, None, "--serve", SITE)
        self.killed = []

    def take_cluster(self):
        """A cluster that the worker at the site alone reaches: the central file has a port where nothing listens."""
        cluster = self.lab.cluster()
        cluster.access = {"task_queue": SITE}
        self.lab.write_clusters_file()
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            nowhere = [f"http://127.0.0.1:{closed.getsockname()[1]}"]
        self.central_file.write_text(
            f'[clusters.{cluster.name}]\nendpoints = {json.dumps(nowhere)}\ntask_queue = "{SITE}"\n'
        )
        return cluster

    def start(self):
        self.central.start()
        self.site.start()
        for worker in (self.central, self.site):
            eventually(lambda worker=worker: "worker runs" in worker.log_text(), "the worker", 60)

    def kill(self, part):
        match part:
            case "temporal":
                self.lab.server.kill()
            case "postgresql":
                self.postgres.kill()
            case _:
                self.worker(part).kill()
        self.killed.append(part)

    def start_again(self, part):
        match part:
            case "temporal":
                self.lab.restart_server()
            case "postgresql":
                self.postgres.start()
            case _:
                self.worker(part).start()

    def worker(self, part):
        return {"central worker": self.central, "site worker": self.site}[part]


@pytest.fixture(scope="module")
async def deployment(tmp_path_factory, etcd_binary):
    """Everything runs."""
    folder = tmp_path_factory.mktemp("deployment")
    postgres = Postgres()
    postgres.create()
    server = TemporalOnPostgres(folder, postgres=postgres)
    server.create_schema()
    await register(await server.start(quiet_runtime(), timeout=120))
    lab = Lab(folder, etcd_binary, server)
    deployment = Deployment(lab, postgres)
    deployment.take_cluster()
    deployment.start()
    lab.clean_up()
    yield deployment
    lab.clean_up()
    lab.close()
    for worker in (deployment.central, deployment.site):
        worker.stop()
    await server.stop()
    postgres.stop()


@pytest.mark.parametrize("part", ["temporal", "postgresql", "central worker", "site worker"])
def test_a_join_outlives_each_part(deployment, part):
    """Killed as the promote arrives, and started again: one add, one promote, and the command says so."""
    lab, cluster = deployment.lab, deployment.take_cluster()
    new = cluster.new_member()
    kill = once(lambda: deployment.kill(part))
    for relay in cluster.relays.values():
        relay.inject(Fault("MemberPromote", "pass", arrives=kill))
    join = cluster.join(new)
    join.start_member()
    eventually(lambda: part in deployment.killed, "the promote", 60)
    deployment.start_again(part)
    end = join.wait()
    if end.code == OUT_OF_REACH:  # the command says that Temporal is away, and is run again
        again = ("join", cluster.name, new.name, "--peer-url", new.peer_url, "--json")
        end = eventually(lambda: (ran := lab.run(*again, timeout=120)).code != OUT_OF_REACH and ran, "Temporal", 120)
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert cluster.counts() == (1, 1, 0)
    lab.clean_up()
