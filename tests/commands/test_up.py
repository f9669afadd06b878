"""`memberflow up` and `down`: a Temporal and a worker for one's own cluster, on real processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from local.processes import free_port
from local.up_command import UpCommand
from support.parts.lab import eventually


class Standing:
    """The options of one deployment, and what is known about it."""

    def __init__(self, lab, folder):
        self.lab = lab
        self.folder = folder
        self.ports = ("--port", str(free_port()), "--ui-port", str(free_port()))
        self.env = {**lab.env, "XDG_STATE_HOME": str(folder), "TEMPORAL_ADDRESS": f"127.0.0.1:{self.ports[1]}"}

    def run(self, *args):
        return self.lab.run(*args, env=self.env, timeout=90)

    def up(self, clusters_file, *more):
        return self.run("up", "--clusters", str(clusters_file), *self.ports, *more)

    def pid(self, name):
        """The process ID in the lock file, 0 while a process that starts has not written it yet."""
        return int((self.folder / "memberflow" / f"{name}.lock").read_text() or 0)

    def is_held(self, name):
        """Whether a process holds the lock."""
        asked = ["flock", "--nonblock", self.folder / "memberflow" / f"{name}.lock", "true"]
        return subprocess.run(asked, check=False).returncode != 0


@pytest.fixture
def standing(lab, tmp_path):
    standing = Standing(lab, tmp_path / "state")
    yield standing
    standing.run("down")


def test_a_join_outlives_everything_that_up_started(lab, standing):
    """The watcher is killed in the middle of a join. A second `up` ends the rest, and the join goes on."""
    cluster = lab.cluster()
    new = cluster.new_member()
    first = standing.up(lab.clusters_file, "--detach", "--json")
    assert first.code == 0, first
    assert first.answer["address"] == standing.env["TEMPORAL_ADDRESS"]
    assert standing.run("doctor").code == 0
    added = standing.run("join", cluster.name, new.name, "--peer-url", new.peer_url, "--until", "added", "--json")
    assert added.answer["outcome"] == "added", added

    os.kill(standing.pid("up"), signal.SIGKILL)
    eventually(lambda: not standing.is_held("up"), "the watcher's end")
    left = {name: standing.pid(name) for name in ("worker", "temporal")}
    second = standing.up(lab.clusters_file, "--detach")
    assert second.code == 0, second
    assert (
        f"http://127.0.0.1:{standing.ports[3]}/namespaces/default/workflows?query=EtcdStage%20IS%20NOT%20NULL"
        in second.stderr
    )
    assert all(standing.pid(name) != pid for name, pid in left.items())

    env = standing.run("env", cluster.name, new.name)
    new.start(dict(line.split("=", 1) for line in env.stdout.splitlines()))
    watched = standing.run("watch", cluster.name, new.name, "--json")
    assert watched.answer["outcome"] == "promoted", watched
    assert standing.run("down", "--json").answer["stopped"] is True
    assert not any(standing.is_held(name) for name in ("up", "worker", "temporal"))
    assert standing.run("down", "--json").answer["stopped"] is False


def test_what_ends_starts_again_and_ctrl_c_ends_it_all(lab, standing):
    """A killed worker and a killed Temporal come back. The second `up` tells what runs."""
    lab.cluster()
    up = lab.command("up", "--clusters", str(lab.clusters_file), *standing.ports, env=standing.env)
    eventually(lambda: "Try `memberflow doctor`" in up.said(), "everything to answer")
    for name in ("worker", "temporal"):
        killed = standing.pid(name)
        os.kill(killed, signal.SIGKILL)
        eventually(lambda name=name, killed=killed: standing.pid(name) not in (0, killed), f"another {name}")
    eventually(lambda: standing.run("doctor").code == 0, "everything to answer again")
    again = standing.up(lab.clusters_file)
    assert (again.code, "runs already" in again.stderr) == (0, True), again
    other = standing.up(lab.folder / "other.toml", "--detach")
    assert (other.code, "other.toml" in other.stderr) == (2, True), other
    up.interrupt()
    ended = up.wait(60)
    assert (ended.code, "the data is kept" in ended.stderr) == (0, True), ended
    assert not any(standing.is_held(name) for name in ("up", "worker", "temporal"))


def test_an_impatient_person_interrupts_it_twice(lab, standing):
    """The second one must not leave Temporal behind, which the first one was about to stop."""
    lab.cluster()
    up = lab.command("up", "--clusters", str(lab.clusters_file), *standing.ports, env=standing.env)
    eventually(lambda: "Try `memberflow doctor`" in up.said(), "everything to answer")
    up.interrupt()
    eventually(lambda: not standing.is_held("worker"), "the worker to end")
    up.interrupt()
    ended = up.wait(60)
    assert (ended.code, "the data is kept" in ended.stderr) == (0, True), ended
    assert not any(standing.is_held(name) for name in ("up", "worker", "temporal"))


def test_a_port_that_is_taken_is_named(lab, standing, server):
    """Nothing is started beside the process that listens there."""
    taken = standing.run("up", "--port", str(server.port))
    assert (taken.code, f"port {server.port} of this machine cannot be used" in taken.stderr) == (2, True), taken
    assert "--port" in taken.stderr
    assert not (standing.folder / "memberflow" / "temporal.lock").exists()


def test_a_clusters_file_that_is_wrong_ends_it(standing, tmp_path):
    """With the worker's own words, and with nothing left running."""
    file = tmp_path / "clusters.toml"
    file.write_text("[clusters.prod]\nendpoint = []\n")
    wrong = standing.up(file, "--detach")
    assert (wrong.code, "clusters.prod.endpoint" in wrong.stderr) == (2, True), wrong
    assert not standing.is_held("temporal")


def test_a_folder_that_cannot_be_written_is_named(standing):
    """A read-only home is no obstacle when another folder is named."""
    refused = standing.run("up", "--folder", "/proc/memberflow")
    assert (refused.code, "XDG_STATE_HOME" in refused.stderr) == (2, True), refused


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_the_printed_unit_is_valid_and_names_everything_in_full(standing, tmp_path):
    """systemd reads it without a complaint; no path in it depends on the folder where it was printed."""
    odd = tmp_path / "a b%c$d"
    odd.mkdir()
    printed = standing.up(odd / "clusters.toml", "--print-unit")
    unit = tmp_path / "memberflow.service"
    unit.write_text(printed.stdout)
    env = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--user", str(unit)], env=env, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, ""), checked
    assert f'"{odd}/clusters.toml"'.replace("%", "%%").replace("$", "$$") in printed.stdout


def test_the_program_is_called_by_its_script(monkeypatch, tmp_path):
    """The self-contained file and the installed script start a process of themselves; a relative path stays right."""
    script = tmp_path / "memberflow"
    script.write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["memberflow"])
    command = UpCommand(tmp_path, 1, 2, tmp_path)
    assert command.program == [sys.executable, str(script)]
    assert json.dumps(command.arguments())
