"""What a change's commands answer: early returns, refusals that name a difference, and questions that stay open."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import grpc
import yaml
from gate import gate

from client import follow
from client.connect import connect
from settings import Settings
from support.parts.lab import eventually, follower


def test_until_voter(lab):
    """Returns when the new member votes; the change goes on to its verification."""
    cluster = lab.cluster()
    new = cluster.new_member()
    added = cluster.join(new)
    added.start_member()
    end = lab.run("join", cluster.name, new.name, "--peer-url", new.peer_url, "--until", "voter", "-o", "yaml")
    answer = yaml.safe_load(end.stdout)
    assert end.code == 0, end
    assert answer["outcome"] in ("voter", "promoted", "already-voter"), end  # the join may be over already
    assert cluster.roles()[cluster.id_of(new)] == "voter"
    # A command waits for a workflow ID. Where the join was over, the second command started another run under it.
    assert added.wait().answer["outcome"] in {"promoted", answer["outcome"]} - {"voter"}


def test_a_member_that_votes_already_is_not_to_be_started(lab):
    """The handover stays known for a reboot, and is not printed as something to do."""
    cluster = lab.cluster()
    voter = cluster.members[0]
    end = lab.run("join", cluster.name, voter.name, "--peer-url", voter.peer_url)
    assert (end.code, "already-voter" in end.stderr) == (0, True), end
    assert "start the new member" not in end.stderr


def test_a_voter_that_may_have_lost_its_data_gets_no_file(lab, tmp_path):
    """The file stays as it is, with a reason, until the voter is verified; `env` has nothing for it, either."""
    cluster = lab.cluster()
    voter, file = follower(cluster), tmp_path / "join.env"
    asked = (
        "join",
        cluster.name,
        voter.name,
        "--peer-url",
        voter.peer_url,
        "--until",
        "added",
        "--env-file",
        str(file),
    )
    voter.kill()
    file.write_text("ETCD_NAME=before\n")
    end = lab.run(*asked, "--json")
    assert (end.code, end.answer["outcome"], end.answer["verified"]) == (0, "already-voter", False), end
    assert (file.read_text(), f"{file} is left as it is" in end.stderr) == ("ETCD_NAME=before\n", True), end
    env = lab.run("env", cluster.name, voter.name)
    assert (env.code, env.stdout, "could not verify" in env.stderr) == (1, "", True), env
    cluster.revive(voter)
    end = lab.run(*asked, "--json")
    assert (end.code, f"ETCD_NAME={voter.name}\n" in file.read_text()) == (0, True), end


def test_a_refused_run_hides_no_earlier_success(lab):
    """`env` of a member that joined, after the same name was asked for with another URL."""
    cluster = lab.cluster()
    join = cluster.join(cluster.new_member())
    values = join.handover()
    join.start_member()
    assert join.wait().code == 0
    name = join.new.name
    refused = lab.run("join", cluster.name, name, "--peer-url", "http://127.0.0.1:1", "--json")
    assert (refused.code, refused.answer["outcome"]) == (5, "refused"), refused
    end = eventually(lambda: _succeeded(lab.run("env", cluster.name, name, "--json")), "the first run to be visible")
    assert end.answer == values


def _succeeded(end):
    return end if end.code == 0 else None


def test_a_different_request_is_told_by_its_difference(lab):
    """Exit 2, and what differs; not what is equal."""
    cluster = lab.cluster()
    new = cluster.new_member()
    cluster.join(new).handover()
    end = lab.run("join", cluster.name, new.name, "--peer-url", new.peer_url, "--hold-before", "promote", "--json")
    assert (end.code, "hold_before: not set (yours: promote)" in end.answer["error"]) == (2, True), end
    assert new.peer_url not in end.answer["error"]


def test_who_cancelled_is_in_the_outcome_and_in_the_list(lab):
    """For whoever comes back to it."""
    cluster = lab.cluster()
    join = cluster.join(cluster.new_member())
    join.handover()
    end = lab.run("cancel", cluster.name, join.new.name, "--requested-by", "dora", "--json")
    assert (end.code, "dora" in end.answer["reason"]) == (0, True), end
    row = eventually(lambda: _cancelled(lab, cluster), "the cancel to be visible")
    assert "dora" in row["reason"]


def _cancelled(lab, cluster):
    [row] = lab.run("changes", cluster.name, "--limit", "1", "--json").answer["changes"]
    return row if row["outcome"] == "cancelled" else None


def test_a_question_is_deleted_after_its_answer(lab):
    """The list in Temporal's UI is for changes. Temporal drops the row of a deleted workflow half a minute later."""
    cluster = lab.cluster()
    lab.write_clusters_file()
    with gate(lab.server.address) as (address, calls):
        env = {**lab.env, "TEMPORAL_ADDRESS": address}
        assert lab.run("status", cluster.name, env=env).code == 0
        assert lab.run("doctor", env=env).code == 0
        assert lab.run("plan", "remove", cluster.name, cluster.members[0].name, env=env).code == 5
        assert lab.run("status", "unknown", env=env).code == 2
    assert calls["StartWorkflowExecution"] == calls["DeleteWorkflowExecution"] == 4, calls


def test_questions_that_stay_open_fail_alone(lab):
    """Without the right to list workflows or to describe a task queue, `status` shows etcd and says what is missing."""
    cluster = lab.cluster()
    refused = {"ListWorkflowExecutions": grpc.StatusCode.UNAVAILABLE}
    refused["DescribeTaskQueue"] = grpc.StatusCode.PERMISSION_DENIED
    with gate(lab.server.address, **refused) as (address, _):
        env = {**lab.env, "TEMPORAL_ADDRESS": address}
        seen, table = lab.run("status", cluster.name, "--json", env=env), lab.run("status", cluster.name, env=env)
        doctor = lab.run("doctor", "--json", env=env)
    assert (seen.code, len(seen.answer["status"]["members"])) == (0, 3), seen
    assert "could not list the changes" in seen.answer["problems"][0]
    assert "refused by the gate" in table.stdout
    assert "cannot check whether a worker polls" in table.stderr
    levels = {row["check"]: row["level"] for row in doctor.answer["checks"]}
    assert (doctor.code, levels["workers"], levels[f"cluster {cluster.name}"]) == (0, "warn", "ok"), doctor


async def test_following_a_waiting_change_costs_little(lab, monkeypatch):
    """At most one call in two seconds, the long poll for its end counted; and its end is seen at once."""
    cluster = lab.cluster()
    join = cluster.join(cluster.new_member())
    join.handover()
    monkeypatch.setattr(follow, "_PACES", ((0.0, 0.2),))  # as after the first half minute
    with gate(lab.server.address) as (address, calls):
        client = await connect(Settings("", Path(), {"target_host": address, "namespace": "default"}))
        calls.clear()
        handle = client.get_workflow_handle(cluster.workflow_id(join.new))
        began = time.monotonic()
        sights = [seen async for seen in follow.follow(client, handle, timeout=timedelta(seconds=20))]
        assert calls.total() <= (time.monotonic() - began) / 2 + 2, calls
        assert all(seen.view and not seen.silent for seen in sights)
        following = asyncio.create_task(_last(follow.follow(client, handle)))
        lab.cancel(cluster.workflow_id(join.new))
        assert (await following).end.outcome.outcome == "cancelled"


async def _last(sights):
    return [seen async for seen in sights][-1]


def test_status_that_is_watched(lab):
    """Tables until Ctrl-C, and no object that would never end."""
    cluster = lab.cluster()
    watching = lab.command("status", cluster.name, "--watch")
    eventually(lambda: "leader" in watching.wrote(), "the first table")
    watching.interrupt()
    end = watching.wait()
    assert (end.code, "etcd-1" in end.stdout, "Traceback" in end.stderr) == (130, True, False), end
    assert lab.run("status", cluster.name, "--watch", "--json").code == 2
