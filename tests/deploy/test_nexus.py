"""deploy/provisioning/nexus: a workflow of another namespace calls memberflow's Nexus service on the dev server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from provisioning import EXAMPLES, run

from local.deployment import WorkerProcess
from local.temporal_server import temporal_cli
from support.parts.lab import eventually

NEXUS = EXAMPLES / "nexus"
NAMESPACE = "provisioning"


@pytest.fixture(scope="session")
def endpoint(shared_lab):
    """A worker that answers Nexus operations, the endpoint that leads to it, and the caller's namespace."""
    lab = shared_lab
    worker = WorkerProcess(lab.folder, lab.server.address, lab.clusters_file, None, "--nexus")
    worker.start()
    lab.temporal("operator", "namespace", "create", "--namespace", NAMESPACE)
    path = f"{Path(temporal_cli()).parent}:/usr/bin:/bin"
    made = run(NEXUS / "set-up.sh", env={"PATH": path, "TEMPORAL_ADDRESS": lab.server.address})
    assert made.code == 0, made
    eventually(lambda: "worker runs" in worker.log_text(), "the worker")
    yield
    worker.stop()


class Caller:
    """A machine of the caller's namespace, with Temporal's SDK and nothing of memberflow."""

    def __init__(self, host, cluster):
        self.host = host
        self.cluster = cluster
        self.env = {**host.env, "TEMPORAL_NAMESPACE": NAMESPACE}

    def command(self, name, peer_url, start):
        return [sys.executable, str(NEXUS / "provision.py"), self.cluster.name, name, peer_url, str(start)]

    def provision(self, new, start):
        return run(*self.command(new.name, new.peer_url, start), env=self.env, cwd=self.host.folder)


@pytest.fixture
def caller(endpoint, host, lab):
    return Caller(host, lab.cluster())


def start_script(host, member):
    """The program that starts the new member's process from its environment."""
    env_file = host.folder / "join.env"
    start = host.start_script(member, env_file)
    script = host.folder / "start"
    script.write_text(f"#!/bin/sh\nenv | grep ^ETCD_ | sed \"s/=\\(.*\\)/='\\1'/\" >{env_file}\nexec {start}\n")
    script.chmod(0o755)
    return script


def test_a_workflow_of_another_namespace_makes_a_voter(caller, host):
    """The handover reaches the caller through Nexus, and the operation ends with the outcome."""
    cluster = caller.cluster
    new = cluster.new_member()
    cluster.at_end.append(lambda: host.kill_pid_in(host.folder / f"{new.name}.pid"))
    done = caller.provision(new, start_script(host, new))
    assert done.code == 0, done
    assert new.name in done.stdout
    assert new.name in host.voters(cluster)
    again = caller.provision(new, "/bin/false")
    assert again.code == 0, again


def test_a_cancelled_operation_rolls_back(caller, host):
    """A machine that does not start cancels the join, and the learner is gone."""
    cluster = caller.cluster
    new = cluster.new_member()
    failed = caller.provision(new, "/bin/false")
    assert failed.code == 1, failed
    assert "cancel" in failed.stderr.lower()
    assert len(cluster.rows()) == 3


def test_another_request_under_the_same_name_is_refused(caller, host, lab):
    """The caller learns the difference, and the change that runs goes on."""
    cluster = caller.cluster
    new = cluster.new_member()
    lab.run("join", cluster.name, new.name, "--peer-url", new.peer_url, "--until", "added")
    refused = run(*caller.command(new.name, "http://127.0.0.1:2", "/bin/true"), env=caller.env, cwd=host.folder)
    assert (refused.code, "different request" in refused.stderr) == (1, True), refused
    assert lab.status(f"memberflow:{cluster.name}:join:{new.name}").endswith("RUNNING")


def test_a_refusal_reaches_the_caller(caller, host):
    """With the failure's own sentence."""
    voter = caller.cluster.members[0]
    refused = run(*caller.command(voter.name, "http://127.0.0.1:2", "/bin/true"), env=caller.env, cwd=host.folder)
    assert (refused.code, f"NameConflict: the name {voter.name} belongs to" in refused.stderr) == (1, True), refused


def test_the_example_needs_nothing_of_memberflow():
    """It runs where Temporal's SDK alone is installed."""
    code = f"import sys; sys.path.insert(0, {str(NEXUS)!r}); import provision; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True, check=True)
    assert not {"messages", "membership", "client", "nexus_service"} & set(ran.stdout.split())
