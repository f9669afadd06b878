"""With a key, nothing that Temporal keeps can be read, and Temporal's UI and command line show it all the same."""

from __future__ import annotations

import json
import shutil
import subprocess
from base64 import b64decode, b64encode
from uuid import uuid4

import pytest

from client.search_attributes import register
from local.deployment import WorkerProcess
from local.processes import free_port
from local.temporal_server import DevServer, temporal_cli
from messages.ids import change_id
from settings import quiet_runtime
from support.parts.command import eventually
from support.parts.key_files import write_key
from support.parts.lab import LOOSE, Lab, LocalMember

REQUESTER = "carol-of-operations"


class Encrypted:
    """A Temporal of its own, a worker and commands with a key, and a codec server with the same key."""

    def __init__(self, lab: Lab, folder) -> None:
        self.lab = lab
        self.folder = folder
        self.codec_url = f"http://127.0.0.1:{free_port()}"
        extra = ("--ui-codec-endpoint", self.codec_url)
        self.server = DevServer(folder / "temporal", persistent=True, extra_args=extra)
        self.keys = {"MEMBERFLOW_PAYLOAD_KEYS": str(write_key(folder, "2026-11"))}
        self.env = {**lab.env, "TEMPORAL_ADDRESS": self.server.address, **self.keys}
        self.cluster = lab.cluster()
        self.worker = WorkerProcess(folder, self.server.address, lab.clusters_file, self.keys)
        self.new: LocalMember

    def start(self) -> None:
        self.worker.start()
        eventually(lambda: "worker runs" in self.worker.log_text(), "the worker to run")
        listen = self.codec_url.removeprefix("http://")
        self.lab.command("codec", "--listen", listen, "--ui", self.server.ui, env=self.env)

    def run(self, *args: str):
        return self.lab.run(*args, env=self.env, timeout=90)

    def show(self, workflow_id: str, *args: str) -> str:
        """A history, as Temporal's own command line shows it."""
        command = [str(temporal_cli()), "workflow", "show", "--workflow-id", workflow_id, "--output", "json"]
        ran = subprocess.run(
            [*command, "--address", self.server.address, *args], capture_output=True, text=True, timeout=30, check=False
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def database(self) -> bytes:
        """Everything that the server has written, so far."""
        return b"".join(path.read_bytes() for path in (self.folder / "temporal").glob("temporal.db*"))


@pytest.fixture(scope="module")
async def encrypted(shared_lab, tmp_path_factory):
    """A deployment with a key, in which a whole run has been made."""
    made = Encrypted(shared_lab, tmp_path_factory.mktemp("encrypted"))
    await register(await made.server.start(quiet_runtime()))
    made.start()
    made.new = whole_run(made)
    yield made
    shared_lab.clean_up()
    made.worker.stop()
    await made.server.stop()


def whole_run(encrypted: Encrypted) -> LocalMember:
    """A join, a refusal, a removal and everything that can be asked; returns the new member."""
    cluster = encrypted.cluster
    cluster.policy = LOOSE
    new = cluster.new_member()
    encrypted.lab.write_clusters_file()
    env_file = encrypted.folder / "new.env"
    by = ("--requested-by", REQUESTER)
    url = ("--peer-url", new.peer_url)
    join = encrypted.lab.command(
        *("join", cluster.name, new.name, *url, *by, "--env-file", str(env_file), "--json"), env=encrypted.env
    )
    eventually(env_file.exists, "the handover")
    new.start(dict(line.split("=", 1) for line in env_file.read_text().splitlines()))
    promoted = join.wait(90)
    assert (promoted.code, promoted.answer["outcome"]) == (0, "promoted"), promoted
    refused = encrypted.run("join", cluster.name, "etcd-other", *url, *by, "--json")
    assert (refused.code, new.peer_url in refused.answer["reason"]) == (5, True), refused
    told = [
        encrypted.run("status", cluster.name, "--json"),
        encrypted.run("changes", cluster.name, "--json"),
        encrypted.run("plan", "remove", cluster.name, new.name, "--json"),
        encrypted.run("env", cluster.name, new.name),
        encrypted.run("remove", cluster.name, new.name, *by, "--json"),
    ]
    assert [end.code for end in told] == [0] * len(told), told
    assert REQUESTER in told[1].stdout, "the audit trail is decrypted for who has the key"
    return new


def marks(encrypted: Encrypted, new) -> list[str]:
    """Texts of requests, handovers, looks and outcomes that nothing else on this machine has."""
    members = [*encrypted.cluster.members, new]
    ports = [text for m in members for text in (m.peer_url, m.client_url, m.advertised) if text]
    return [*ports, REQUESTER, "ETCD_INITIAL_CLUSTER", "is a peer URL", "io.memberflow"]


async def test_a_whole_run_leaves_nothing_to_read(encrypted):
    """Neither in plain nor in base64; and the search finds what a client without a key leaves."""
    new = encrypted.new
    workflow_id = change_id(encrypted.cluster.name, "join", new.name)
    plain = str(uuid4())
    client = encrypted.server.client
    await client.start_workflow("Nothing", plain, id="plain", task_queue="nobody", memo={"note": plain})
    kept = encrypted.database()
    assert workflow_id.encode() in kept
    assert plain.encode() in kept, "this search finds nothing at all"
    for mark in marks(encrypted, new):
        assert mark.encode() not in kept, mark
        assert b64encode(mark.encode())[2:-4] not in kept, mark


async def test_who_has_no_key(encrypted):
    """It is told which key is missing, and the change is none the worse."""
    new = encrypted.new
    blind = {**encrypted.env, "MEMBERFLOW_PAYLOAD_KEYS": ""}
    for args in (("watch", encrypted.cluster.name, new.name), ("changes", encrypted.cluster.name)):
        end = encrypted.lab.run(*args, env=blind)
        assert (end.code, "the key '2026-11'" in end.stderr) == (2, True), end
        assert "MEMBERFLOW_PAYLOAD_KEYS" in end.stderr


async def test_the_ui_and_temporals_command_line_show_it(encrypted):
    """Through the codec server, which has the key, and not without it."""
    url = encrypted.new.peer_url
    workflow_id = change_id(encrypted.cluster.name, "join", encrypted.new.name)
    assert url not in asked(encrypted.show(workflow_id))
    assert url in asked(encrypted.show(workflow_id, "--codec-endpoint", encrypted.codec_url))
    if browser := shutil.which("chromium"):
        assert url in dom_of(browser, f"{encrypted.server.ui}/namespaces/default/workflows/{workflow_id}")


def asked(history: str) -> str:
    """The request of a change, as Temporal's command line shows it."""
    started = json.loads(history)["events"][0]["workflowExecutionStartedEventAttributes"]
    return b64decode(started["input"]["payloads"][0]["data"]).decode(errors="replace")


def dom_of(browser: str, url: str) -> str:
    """The page as it stands when everything has been loaded."""
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom", url]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=True).stdout
