"""The demo: what it claims is what happened, and nothing of it is left behind, however it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import urllib.request
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from local.processes import clean_environment
from settings import cache_dir, quiet_runtime
from support.parts.lab import Command, eventually

# Seconds; an interrupt is somebody who waits for the prompt.
PROMPT = 20

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found through /proc")


class Demo:
    """A running `memberflow demo`; its processes are known by a mark in their environment."""

    def __init__(self, folder, *args):
        self.folder = folder
        mark = str(uuid4())
        self._mark = f"DEMO_MARK={mark}".encode()
        env = {**clean_environment(), "MEMBERFLOW_CACHE": str(cache_dir()), "DEMO_MARK": mark}
        self.command = Command(env, "demo", "--folder", str(folder), *args, interpreter=True)

    def until(self, said):
        """Waits until it has said something, and returns that."""
        return eventually(lambda: re.search(said, self.command.said()), f"the demo to say {said!r}", 60)

    def end_by(self, sign):
        """How it ended, after one more signal."""
        self.command.send_signal(sign)
        return self.command.wait(PROMPT)

    def processes(self):
        """The command lines of what runs, by process ID."""
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if self._mark in (process / "environ").read_bytes().split(b"\0"):
                    found[int(process.name)] = (process / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
        return found

    def running(self, *words):
        """How many of its processes have each of these words in their command line."""
        lines = self.processes().values()
        return [sum(word in line for line in lines) for word in words]

    def end(self):
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        self.command.kill()


@pytest.fixture
def demo(etcd_binary, tmp_path):
    """Starts demos; whatever one leaves behind ends with the test."""
    started = []

    def start(*args):
        started.append(Demo(tmp_path / f"demo-{len(started)}", *args))
        return started[-1]

    yield start
    for one in started:
        one.end()


def test_the_demo_shows_what_it_claims(demo):
    """One voter more, one promote sent, its answer lost, no failure in etcd's own count; then all is gone."""
    show = demo("--json")
    end = show.command.wait()
    assert end.code == 0, end
    answer = end.answer
    expected = {"ok": True, "outcome": "promoted", "voters": ["etcd-1", "etcd-2", "etcd-3", "etcd-4"]}
    expected |= {"promote_calls": 1, "answers_lost": 1, "promote_failures": 0, "verified": True}
    assert expected == {key: answer[key] for key in expected}
    assert answer["attempts"]["promote"] == 1
    assert answer["workflow_id"] in answer["ui"]
    assert re.findall(r"^(\d)\. ", end.stderr, re.MULTILINE) == ["1", "2", "3", "4", "5"]
    assert "Run `memberflow demo --keep`" in end.stderr
    assert show.processes() == {}


@pytest.mark.parametrize(
    "step", ["1. Three etcd members start", "2. Temporal's dev server starts", "4. etcd-4 is added"]
)
def test_an_interrupted_demo_leaves_nothing_behind(demo, step):
    """Soon, whatever had been started by then; it has not succeeded, and says so."""
    show = demo("--json")
    show.until(re.escape(step))
    eventually(lambda: all(show.running("etcdapi.relay", "--data-dir")), "its first processes")
    end = show.end_by(signal.SIGINT)
    assert (end.code, end.answer["code"]) == (130, 130), end
    assert show.processes() == {}


def test_an_impatient_person_interrupts_twice(demo):
    """The second one must not leave behind what the first one was about to stop."""
    show = demo()
    show.until("4. etcd-4 is added")
    eventually(lambda: all(show.running("cli worker")), "its worker")
    show.command.interrupt()
    assert show.end_by(signal.SIGINT).code == 130
    assert show.processes() == {}


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGHUP], ids=lambda sign: sign.name)
def test_a_terminated_demo_leaves_nothing_behind(demo, sign):
    """A closed terminal or a stopped service ends it as an interrupt does."""
    show = demo()
    show.until("2. Temporal's dev server starts")
    eventually(lambda: all(show.running("etcdapi.relay", "--data-dir", "start-dev")), "its first processes")
    assert show.end_by(sign).code != 0
    assert show.processes() == {}


def run_in_ui(url):
    """The workflow and run that an address in Temporal's UI names; the page, and what it asks for, is there."""
    with urllib.request.urlopen(url, timeout=10) as page:
        assert "text/html" in page.headers["Content-Type"]
    parts = re.fullmatch(r"(.+)/namespaces/default/workflows/([^/]+)/([^/]+)/history", url)
    base, workflow_id, run_id = parts.groups()
    asked = f"{base}/api/v1/namespaces/default/workflows/{workflow_id}?execution.runId={run_id}"
    with urllib.request.urlopen(asked, timeout=10) as answer:
        info = json.load(answer)["workflowExecutionInfo"]
    assert info["execution"] == {"workflowId": workflow_id, "runId": run_id}
    assert info["status"] == "WORKFLOW_EXECUTION_STATUS_COMPLETED"
    return workflow_id, run_id


async def test_a_demo_that_is_kept(demo):
    """It tells how to look at it and how long it took, that works as it is told, and it stays until interrupted."""
    show = demo("--keep")
    address = show.until(r"export TEMPORAL_ADDRESS=(\S+)")[1]
    show.until(re.escape(f"Logs are in {show.folder}. Ctrl-C stops everything."))
    env = {**clean_environment(), "TEMPORAL_ADDRESS": address}
    took = float(show.until(r"This took (\d+) s\.")[1])
    assert took < 60
    workflow_id, run_id = run_in_ui(show.until(r"In Temporal's UI: (\S+)\n")[1])
    client = await Client.connect(address, runtime=quiet_runtime())
    seen = await client.get_workflow_handle(workflow_id, run_id=run_id).describe()
    assert (seen.status, seen.workflow_type) == (WorkflowExecutionStatus.COMPLETED, "JoinMember")
    watched = Command(env, "watch", "demo", "etcd-4", "--json").wait()
    assert watched.code == 0, watched
    assert watched.answer["outcome"] == "promoted"
    status = Command(env, "status", "demo", "--json").wait()
    assert status.code == 0, status
    assert len(status.answer["status"]["statuses"]) == 4
    assert show.running("--data-dir", "etcdapi.relay", "cli worker", "start-dev") == [4, 1, 1, 1]
    assert show.command.is_running()
    end = show.end_by(signal.SIGINT)
    assert (end.code, end.stdout) == (130, ""), end
    assert show.processes() == {}
