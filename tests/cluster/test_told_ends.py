"""The receiver of `[notify]`, through a worker that dies, and with its secrets kept."""

from __future__ import annotations

import json

import pytest

from messages.notices import notice_id
from support.checks.histories import history
from support.faults.deaths import kill_and_restart
from support.parts.inbox import SECRET, Inbox, secret_file
from support.parts.lab import eventually, once


@pytest.fixture
def inbox(lab, tmp_path):
    """A receiver that every cluster of the worker has, for this test."""
    inbox = Inbox()
    table = {"url": inbox.url, "secret_file": str(secret_file(tmp_path))}
    lab.launchers = "[notify]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
    yield inbox
    lab.launchers = ""
    lab.write_clusters_file()
    inbox.close()


def test_the_worker_is_killed_while_it_tells(lab, inbox):
    """
    The next worker tells it again, under the same ID. No history, log or answer has the secret or the receiver's path.
    """
    cluster = lab.cluster()
    inbox.before = once(lambda: kill_and_restart(lab))
    ended = cluster.remove("etcd-1").wait()
    assert (ended.code, ended.answer["outcome"]) == (5, "refused"), ended
    eventually(lambda: len(inbox.of(cluster.name)) > 1, "the second delivery", timeout=60)
    first, second = inbox.of(cluster.name)[:2]
    assert (first.id, first.body, second.genuine) == (second.id, second.body, True)
    assert second.data["reason"] == ended.answer["reason"]
    notice = notice_id(cluster.name, ended.answer["run_id"])
    eventually(lambda: lab.status(notice) == "WORKFLOW_EXECUTION_STATUS_COMPLETED", "the end of the notice")
    doctor = lab.run("doctor", "--json")
    rows = {row["check"]: row for row in doctor.answer["checks"]}
    assert rows[f"webhook of {cluster.name}"]["verdict"] == f"http://127.0.0.1:{inbox.port} hears how changes end"
    kept = [text for workflow_id in (notice, ended.answer["workflow_id"]) for text in history(lab, workflow_id)]
    for place in (*kept, lab.worker.log_text(), ended.stdout + ended.stderr, doctor.stdout + doctor.stderr):
        assert not [secret for secret in (SECRET, Inbox.PATH) if secret in place]
