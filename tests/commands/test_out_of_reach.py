"""Temporal, a namespace or a worker is missing: said soon, with the right exit code, and without a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent import futures

import grpc
import pytest
from temporalio.service import RPCError, RPCStatusCode

from client import follow
from client.command_errors import command_error
from client.exit_codes import FAILED, OUT_OF_REACH, USAGE, CommandError
from console.following import follow_on_terminal
from etcdapi.faults import Fault
from local.processes import free_port
from local.temporal_server import DevServer
from messages.ids import apply_id
from settings import quiet_runtime
from support.parts.lab import eventually

# Seconds within which something missing must be said, Python's start included.
SOON = 25

A_JOIN = ("n", "--peer-url", "http://127.0.0.1:1")


def error_of(end):
    """What was said on stdout as the one JSON object, and on stderr too."""
    assert end.answer["code"] == end.code, end
    assert end.answer["error"] in end.stderr, end
    assert "Traceback" not in end.stderr, end
    return f"{end.answer['error']} {end.answer['hint']}"


@pytest.mark.parametrize(
    "command",
    [
        ("join", "prod", *A_JOIN),
        ("plan", "join", "prod", *A_JOIN),
        ("status", "prod"),
        ("watch", "prod", "n"),
        ("env", "prod", "n"),
        ("cancel", "prod", "n"),
        ("changes", "prod"),
        ("setup",),
    ],
)
def test_an_unknown_namespace(lab, command):
    """Exit 2 and the variable that is wrong; never `no change of n is known`."""
    end = lab.run(*command, "--json", env={**lab.env, "TEMPORAL_NAMESPACE": "typo"})
    assert end.code == 2, end
    told = error_of(end)
    assert "has no namespace 'typo'" in told
    assert "TEMPORAL_NAMESPACE" in told


def test_doctor_with_an_unknown_namespace(lab):
    """A failed row of its own beside what is well."""
    end = lab.run("doctor", "--json", env={**lab.env, "TEMPORAL_NAMESPACE": "typo"})
    assert end.code == 2, end
    levels = {row["check"]: row["level"] for row in end.answer["checks"]}
    assert levels == {"configuration": "ok", "Temporal": "ok", "namespace": "fail"}


def test_a_worker_with_an_unknown_namespace(lab):
    """It says so and ends, as everything else does; it never says that it runs."""
    env = {**lab.env, "MEMBERFLOW_CLUSTERS": str(lab.clusters_file), "TEMPORAL_NAMESPACE": "typo"}
    end = lab.run("worker", env=env)
    assert (end.code, "has no namespace 'typo'" in end.stderr, "worker runs" in end.stderr) == (2, True, False), end


async def test_a_server_that_dies_between_two_calls(tmp_path):
    """A call on an open connection that fails is as good as no connection."""
    server = DevServer(tmp_path)
    client = await server.start(quiet_runtime())
    server.kill()
    with pytest.raises(RPCError) as caught:
        await client.get_workflow_handle("x").describe()
    error = command_error(caught.value)
    assert (error.code, "is out of reach" in error.message) == (OUT_OF_REACH, True)


async def test_an_apply_whose_server_stays_away(tmp_path, monkeypatch, capsys):
    """As with one change: it is said once, and in the end the command ends. The apply goes on without it."""
    monkeypatch.setattr(follow, "_SILENCE", 0.1)
    monkeypatch.setattr(follow, "_GIVE_UP", 11.0)  # one call takes up to 10: the SDK tries again
    server = DevServer(tmp_path)
    client = await server.start(quiet_runtime())
    handle = client.get_workflow_handle(apply_id("prod"))
    server.kill()
    with pytest.raises(CommandError) as left:
        await follow_on_terminal(client, handle, "prod")
    assert (left.value.code, "out of reach for" in left.value.message) == (OUT_OF_REACH, True)
    assert capsys.readouterr().err.count("is out of reach") == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (RPCStatusCode.DEADLINE_EXCEEDED, OUT_OF_REACH),
        (RPCStatusCode.CANCELLED, OUT_OF_REACH),
        (RPCStatusCode.PERMISSION_DENIED, USAGE),
        (RPCStatusCode.UNAUTHENTICATED, USAGE),
        (RPCStatusCode.NOT_FOUND, FAILED),
        (RPCStatusCode.INVALID_ARGUMENT, FAILED),
    ],
)
def test_what_temporal_s_codes_mean(status, code):
    """Whoever is not let in looks at the key first; the rest is told as it came."""
    error = command_error(RPCError("so it is", status, b""))
    assert (error.code, "so it is" in error.message) == (code, True)
    assert ("TEMPORAL_API_KEY" in error.hint) is (code == USAGE)


class NobodyMayIn(grpc.GenericRpcHandler):
    """Answers every call as a server does that knows no such key."""

    def service(self, _):
        def refuse(_, context):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "invalid API key")

        return grpc.unary_unary_rpc_method_handler(refuse)


def test_a_key_that_nobody_knows(lab):
    """Exit 2: the server was reached, and another address would not help."""
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[NobodyMayIn()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    env = {**lab.env, "TEMPORAL_ADDRESS": f"127.0.0.1:{port}", "MEMBERFLOW_CLUSTERS": str(lab.clusters_file)}
    end, worker = lab.run("status", "prod", "--json", env=env), lab.run("worker", env=env)
    server.stop(None)
    assert (end.code, worker.code) == (2, 2), (end, worker)
    assert "TEMPORAL_API_KEY" in error_of(end)
    assert "TEMPORAL_API_KEY" in worker.stderr


def test_what_nobody_expected(lab):
    """Traceback and one object, and the exit code that scripts know; not that of a crash."""
    program = """
import sys
import cli
from console import options

@cli.app.command()
def boom(json: options.Json = False):
    raise KeyError("lost")

sys.argv = ["memberflow", "boom", "--json"]
cli.main()
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, "Traceback" in ran.stderr) == (1, True), ran
    assert json.loads(ran.stdout)["error"] == "unexpected error: KeyError: 'lost'"


# ---- workers ----


def test_a_worker_that_has_just_died(own):
    """Temporal lists it for a minute more: everybody who asks hears soon that nobody answers, and why."""
    new = own.join_until_added()
    cancelled = own.real.new_member().name
    queued = own.run("join", own.cluster, cancelled, "--peer-url", "http://127.0.0.1:9", "--no-wait", "--json")
    assert queued.code == 0, queued
    own.kill()
    started = time.monotonic()
    asked = {
        name: own.command(*args, "--json")
        for name, args in {
            "status": ("status", own.cluster),
            "plan": ("plan", "remove", own.cluster, "etcd-1"),
            "doctor": ("doctor",),
            "hold": ("hold", own.cluster, new.name),
            "resume": ("resume", own.cluster, new.name),
            "cancel": ("cancel", own.cluster, cancelled, "--requested-by", "dora"),
        }.items()
    }
    ends = {name: command.wait(60) for name, command in asked.items()}
    assert time.monotonic() - started < 2 * SOON
    assert {end.code for end in ends.values()} == {3}, [str(end) for end in ends.values()]
    rows = {row["check"]: row["level"] for row in ends.pop("doctor").answer["checks"]}
    assert (rows["workers"], rows["clusters"]) == ("ok", "fail")
    told = {name: error_of(end) for name, end in ends.items()}
    assert "no worker answered" in told["status"]
    assert "has not received the hold" in told["hold"]
    assert "nothing was started" not in "".join(told.values())
    assert "Temporal keeps the cancel" in told["cancel"]
    alive = own.run("env", own.cluster, new.name, "--json")
    assert alive.answer["ETCD_NAME"] == new.name
    own.start()
    end = own.run("watch", own.cluster, cancelled, "--json")
    assert (end.code, end.answer["outcome"]) == (1, "cancelled"), end
    assert end.answer["reason"] == "cancelled by dora"
    assert own.run("cancel", own.cluster, new.name).code == 0


def test_a_cancel_that_no_worker_has_heard(own):
    """From that moment on the handover is dead, for `env` and for whoever attaches; the next worker rolls back."""
    new = own.join_until_added()
    join = ("join", own.cluster, new.name, "--peer-url", new.peer_url, "--json", "--until", "added")
    own.kill()
    assert own.run("cancel", own.cluster, new.name).code == 3
    dead = own.run("env", own.cluster, new.name, "--json")
    assert (dead.code, "is being cancelled" in error_of(dead)) == (1, True), dead
    attached = own.run(*join, "--timeout", "0s")  # one look
    assert (attached.code, attached.answer["outcome"]) == (4, "started"), attached
    own.start()
    end = own.run("watch", own.cluster, new.name, "--json")
    assert (end.code, end.answer["outcome"]) == (1, "cancelled"), end
    assert len(own.real.rows()) == 3


def test_a_queue_that_no_worker_serves(own):
    """The cluster's own task queue: a question says so at once, and a join waits for a worker and goes on with it."""
    site = f"{own.cluster}-far"
    own.write(site, more='task_queue = "far-away"')
    join = own.command("join", site, *A_JOIN, "--until", "added", "--json")
    asked = [own.command(*args, "--json") for args in (("status", site), ("plan", "join", site, *A_JOIN), ("doctor",))]
    says = "no worker polls the task queue 'far-away' of this cluster: `memberflow worker --serve far-away`"
    eventually(lambda: says in join.said(), "the join to say what is missing", SOON)
    status, plan, doctor = (command.wait(60) for command in asked)
    for end in (status, plan):
        assert (end.code, "NoWorker" in error_of(end)) == (3, True), end
    assert doctor.code == 3, doctor
    row = next(row for row in doctor.answer["checks"] if row["check"] == f"cluster {site}")
    assert (row["ok"], "'far-away'" in row["verdict"]) == (False, True)
    own.serve("far-away")
    end = join.wait(60)
    assert (end.code, end.answer["outcome"]) == (0, "added"), end


def test_steering_where_no_worker_has_been_for_long(lab):
    """A change on a queue that nobody polls: the answer takes no time-out."""
    env = {**lab.env, "MEMBERFLOW_TASK_QUEUE": f"nobody-{free_port()}"}
    workflow_id = "memberflow:prod:join:lonely"
    request = '{"cluster": "prod", "name": "lonely", "peer_urls": ["http://127.0.0.1:1"]}'
    args = ("--workflow-id", workflow_id, "--type", "JoinMember", "--task-queue", env["MEMBERFLOW_TASK_QUEUE"])
    lab.temporal("workflow", "start", *args, "--input", request)
    started = time.monotonic()
    end = lab.run("hold", "prod", "lonely", "--json", env=env)
    assert time.monotonic() - started < SOON
    assert (end.code, "no worker polls the task queue 'nobody" in error_of(end)) == (3, True), end
    lab.terminate(workflow_id)


# ---- a rollback ----


def test_a_handover_dies_when_the_rollback_begins(lab, tmp_path):
    """Neither `env` nor a join that attaches gives it out, however long the rollback takes."""
    cluster = lab.cluster()
    join = cluster.join(cluster.new_member())
    join.handover()
    cluster.inject(Fault("MemberRemove", "refuse", times=None))
    workflow_id = cluster.workflow_id(join.new)
    lab.cancel(workflow_id)
    eventually(lambda: lab.view(workflow_id)["stage"] == "rollback", "the rollback")
    dead = lab.run("env", cluster.name, join.new.name, "--json")
    assert (dead.code, "its handover must not be used" in error_of(dead)) == (1, True), dead
    file = tmp_path / "late.env"
    late = ("--peer-url", join.new.peer_url, "--env-file", str(file), "--until", "added", "--timeout", "2s", "--json")
    attached = lab.run("join", cluster.name, join.new.name, *late)
    assert (attached.code, attached.answer["outcome"], file.exists()) == (4, "started", False), attached
    for relay in cluster.relays.values():
        relay.faults.clear()
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (1, "cancelled"), end
