"""The command line: exit codes, JSON, and what is said when something is missing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import pytest

import worker as worker_module
from client.search_attributes import register
from local.deployment import WorkerProcess
from local.processes import clean_environment, free_port
from local.temporal_server import DevServer
from messages.ids import SEARCH_ATTRIBUTES
from settings import quiet_runtime
from support.parts.lab import eventually

# Seconds within which something missing must be said, Python's start included.
SOON = 15


def test_version(lab):
    """That of the package."""
    assert lab.run("--version").stdout == f"memberflow {version('memberflow')}\n"


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("join", "prod"), "Missing argument"),
        (("join", "prod", "n"), "Missing option"),
        (("join", "a b", "n", "--peer-url", "http://a:1"), "cluster: 'a b' is not a valid name"),
        (("join", "prod", "n", "--peer-url", "a:1"), "peer_urls[0]"),
        (("join", "prod", "n", "--peer-url", "http://a:1", "--until", "voted"), "--until: 'voted'"),
        (("join", "prod", "n", "--peer-url", "http://a:1", "--timeout", "soon"), "not a duration"),
        (("join", "prod", "n", "--peer-url", "http://a:1", "--hold-before", "lunch"), "hold_before"),
        (("join", "prod", "n", "--peer-url", "http://a:1", "--no-wait", "--env-file", "x"), "--no-wait"),
        (("join", "prod", "n", "--peer-url", "http://a:1", "--env-file", "/no/such/x"), "no such directory"),
        (("watch", "prod", "nobody"), "no change of nobody"),
        (("watch", "prod", "nobody", "--verb", "eat"), "--verb: 'eat'"),
        (("join", "prod", "n", "--peer-url", "http://a:1", "--env-file", "/proc/x"), "/proc/x can't be written"),
        (("join", "prod", "n", "--peer-url", "http://a:1", "--env-file", "/tmp"), "/tmp is a directory"),
        (("env", "prod", "n", "--verb", "remove"), "--verb: 'remove'"),
        (("changes", "a'b"), "not a valid name"),
        (("schema", "eat"), "no such request"),
        (("nonsense",), "No such command"),
    ],
)
def test_bad_usage(lab, args, told):
    """Exit 2, and the message names what is wrong; with --json on stdout too."""
    commands = lab.command(*args), lab.command(*args, "--json")
    end, as_json = (command.wait() for command in commands)
    assert (end.code, end.stdout) == (2, ""), end
    assert told in " ".join(end.stderr.split())
    assert (as_json.code, as_json.answer["code"]) == (2, 2), as_json
    assert told in as_json.answer["error"]


def test_no_temporal(lab):
    """Said within seconds, with exit 3."""
    lab_env = {**clean_environment(), "TEMPORAL_ADDRESS": f"127.0.0.1:{free_port()}"}
    started = time.monotonic()
    end = lab.run("join", "prod", "n", "--peer-url", "http://a:1", "--json", env=lab_env)
    assert (end.code, end.answer["code"]) == (3, 3), end
    assert "is out of reach" in end.answer["error"]
    assert end.answer["error"] in end.stderr
    assert time.monotonic() - started < SOON


def test_no_worker(lab):
    """Said within seconds, with exit 3, and nothing is started."""
    env = {**lab.env, "MEMBERFLOW_TASK_QUEUE": "nobody-polls-this"}
    started = time.monotonic()
    end = lab.run("join", "prod", "n", "--peer-url", "http://a:1", "--json", env=env)
    assert (end.code, end.answer["code"]) == (3, 3), end
    assert "no worker polls the task queue 'nobody-polls-this'" in end.answer["error"]
    assert time.monotonic() - started < SOON
    assert lab.run("watch", "prod", "n").code == 2


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"TEMPORAL_CONFIG_FILE": "/no/such/file"}, "TEMPORAL_CONFIG_FILE"),
        ({"TEMPORAL_PROFILE": "nobody"}, "Temporal's configuration"),
    ],
)
def test_a_wrong_configuration_of_temporal(lab, env, told):
    """Exit 2, in `doctor` as a row; the SDK alone would have ignored a missing file in silence."""
    end = lab.run("status", "prod", env={**lab.env, **env})
    assert (end.code, told in end.stderr) == (2, True), end
    end = lab.run("doctor", "--json", env={**lab.env, **env})
    assert end.code == 2, end
    [row] = end.answer["checks"]
    assert (row["check"], row["ok"], told in row["verdict"]) == ("configuration", False, True)


@pytest.mark.timeout(900)
def test_exit_codes_survive_a_hundred_runs(lab):
    """A process that used Temporal's SDK may crash when the interpreter shuts down; ours keep code and answer."""
    cluster = lab.cluster()
    new, other = cluster.new_member(), cluster.new_member()
    join = cluster.join(new)
    join.start_member()
    assert join.wait().code == 0
    cancelled = cluster.join(other)
    cancelled.handover()
    lab.cancel(cluster.workflow_id(other))
    assert cancelled.wait().code == 1
    name, voter, strange = cluster.name, cluster.members[1], ("--peer-url", "http://127.0.0.1:1")
    expected = {
        ("join", name, voter.name, "--peer-url", voter.peer_url): 0,
        ("watch", name, new.name): 0,
        ("env", name, new.name): 0,
        ("plan", "remove", name, new.name): 0,
        ("watch", name, other.name): 1,
        ("env", name, other.name): 1,
        ("watch", name, "nobody"): 2,
        ("join", name, "etcd-1", "--peer-url", "nowhere"): 2,
        ("join", name, "etcd-1", *strange): 5,
        ("plan", "join", name, "etcd-1", *strange): 5,
    }
    with ThreadPoolExecutor(4) as pool:
        runs = pool.map(lambda args: lab.command(*args, "--json", interpreter=True).wait(), [*expected] * 10)
        ends = list(runs)
    assert len(ends) == 100
    wrong = [str(end) for end, code in zip(ends, [*expected.values()] * 10, strict=True) if end.code != code]
    assert wrong == []
    assert all(isinstance(json.loads(end.stdout), dict) for end in ends)


def test_schema_is_json_schema(lab):
    """One JSON object on stdout, asked for or not."""
    end = lab.run("schema", "join")
    assert {"cluster", "name", "peer_urls"} == set(end.answer["required"])
    assert lab.run("schema", "join", "--json").stdout == end.stdout


def test_doctor(lab):
    """Every part with a verdict; a cluster that is down with its reason."""
    cluster = lab.cluster()
    good = lab.run("doctor", "--json")
    checks = {row["check"]: row for row in good.answer["checks"]}
    assert good.code == 0, good
    assert checks[f"cluster {cluster.name}"]["ok"], good
    assert "(not found on this host" in checks["configuration"]["verdict"]
    assert {"configuration", "Temporal", "search attributes", "workers"} <= set(checks)
    for member in cluster.members:
        member.stop()
    bad = lab.run("doctor")
    assert bad.code == 1
    assert f"FAIL  cluster {cluster.name}: ClusterUnreachable" in bad.stdout
    lab.clusters_file.write_text("[clusters.x]\nendpoint = []\n")
    wrong = lab.run("doctor")
    assert wrong.code == 2
    assert "clusters.x.endpoint: unknown key" in wrong.stdout
    lab.write_clusters_file()


def test_the_path_of_etcd(lab):
    """The binary that is used, for scripts and as JSON."""
    assert lab.run("dev", "etcd-path").stdout == f"{lab.binary}\n"
    assert lab.run("dev", "etcd-path", "--json").answer == {"path": str(lab.binary)}


def test_a_clusters_file_that_is_wrong_at_start(lab, tmp_path):
    """The worker leaves with exit 2 and names file, key and what was expected."""
    file = tmp_path / "clusters.toml"
    file.write_text('[clusters.prod]\nendpoints = ["https://10.0.0.1:2379"]\nca = "missing.crt"\n')
    end = lab.run("worker", env={**lab.env, "MEMBERFLOW_CLUSTERS": str(file)})
    assert end.code == 2, end
    assert f"{file}: clusters.prod.ca: cannot read {tmp_path}/missing.crt" in end.stderr
    gone = lab.run("worker", env={**lab.env, "MEMBERFLOW_CLUSTERS": str(tmp_path / "none.toml")})
    assert gone.code == 2
    assert "none.toml: No such file" in gone.stderr


def test_a_worker_of_another_site_needs_no_certificates_of_ours(lab, tmp_path):
    """Files are checked only for clusters whose activities it runs."""
    file = tmp_path / "clusters.toml"
    file.write_text(
        '[clusters.far]\nendpoints = ["https://10.0.0.1:2379"]\nca = "missing.crt"\ntask_queue = "far-away"\n'
    )
    worker = WorkerProcess(tmp_path, lab.server.address, file)
    worker.start()
    eventually(lambda: "worker runs" in worker.log_text(), "the worker to run")
    worker.stop()
    served = lab.run("worker", "--serve", "far-away", env={**lab.env, "MEMBERFLOW_CLUSTERS": str(file)})
    assert served.code == 2
    assert "missing.crt" in served.stderr


def test_the_worker_without_the_command_line(lab, tmp_path):
    """`python worker.py` takes what `memberflow worker` takes, and nothing else in silence."""
    file = tmp_path / "clusters.toml"
    file.write_text(
        '[clusters.far]\nendpoints = ["https://10.0.0.1:2379"]\nca = "missing.crt"\ntask_queue = "far-away"\n'
    )
    env = {**lab.env, "MEMBERFLOW_CLUSTERS": str(file)}

    def worker(*args):
        command = [sys.executable, worker_module.__file__, *args]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)

    served = worker("--serve", "other", "--serve", "far-away")
    assert (served.returncode, "missing.crt" in served.stderr) == (2, True), served
    assert "--serve QUEUE" in worker("--help").stdout
    assert worker("--sreve", "far-away").returncode == 2


async def test_activities_run_at_the_clusters_site(lab, temporal, tmp_path):
    """Workflows on one queue, the cluster's activities on another; nothing else is served there."""
    cluster = lab.cluster()
    queue = f"site-{free_port()}"
    file = tmp_path / "clusters.toml"
    file.write_text(f'[clusters.site]\nendpoints = {json.dumps(cluster.endpoints())}\ntask_queue = "{queue}"\n')
    own = f"flow-{free_port()}"
    env = {"MEMBERFLOW_TASK_QUEUE": own}
    central = WorkerProcess(tmp_path, lab.server.address, file, env)
    site = WorkerProcess(tmp_path, lab.server.address, file, env, "--serve", queue)
    central.start()
    site.start()
    new = cluster.new_member()
    handle = await temporal.start_workflow(
        "JoinMember",
        {"cluster": "site", "name": new.name, "peer_urls": [new.peer_url]},
        id=f"memberflow:site:join:{new.name}",
        task_queue=own,
    )
    new.start(await handle.execute_update("wait_until_added") and await _env(handle))
    end = await handle.result()
    assert end["outcome"] == "promoted"
    queues = {}
    async for event in handle.fetch_history_events():
        if event.HasField("activity_task_scheduled_event_attributes"):
            scheduled = event.activity_task_scheduled_event_attributes
            queues[scheduled.activity_type.name] = scheduled.task_queue.name
    assert {"add_learner": queue, "promote_learner": queue, "check_status": queue} == {
        name: queues[name] for name in ("add_learner", "promote_learner", "check_status")
    }
    assert queues["ask_turn"] == own
    central.stop()
    site.stop()


async def _env(handle):
    values = await handle.query("handover")
    return {
        "ETCD_NAME": values["name"],
        "ETCD_INITIAL_CLUSTER": values["initial_cluster"],
        "ETCD_INITIAL_CLUSTER_STATE": values["initial_cluster_state"],
        "ETCD_INITIAL_ADVERTISE_PEER_URLS": values["initial_advertise_peer_urls"],
    }


@pytest.mark.parametrize("registered", ["none", "wrong type"])
async def test_a_namespace_without_our_search_attributes(lab, tmp_path, registered):
    """Missing or of another type, they break nothing; `setup` and `doctor` say what is wrong."""
    wrong = [f"--search-attribute={name}=Int" for name in SEARCH_ATTRIBUTES]
    server = DevServer(tmp_path / "temporal", extra_args=wrong if registered == "wrong type" else [])
    await server.start(quiet_runtime())
    worker = WorkerProcess(tmp_path, server.address, lab.clusters_file)
    worker.start()
    env = {**lab.env, "TEMPORAL_ADDRESS": server.address}
    cluster = lab.cluster()
    new = cluster.new_member()
    eventually(lambda: "worker runs" in worker.log_text(), "the worker to run")
    doctor = lab.run("doctor", "--json", env=env)
    assert (doctor.code, doctor.answer["ok"]) == (0, True), doctor
    row = next(row for row in doctor.answer["checks"] if row["check"] == "search attributes")
    assert (row["level"], "memberflow setup" in row["hint"]) == ("warn", True)
    added = lab.run("join", cluster.name, new.name, "--peer-url", new.peer_url, "--until", "added", env=env)
    assert added.code == 0, added
    handover = lab.run("env", cluster.name, new.name, env=env).stdout
    new.start(dict(line.split("=", 1) for line in handover.splitlines()))
    assert lab.run("watch", cluster.name, new.name, env=env).code == 0
    setup = lab.run("setup", env=env)
    assert (0 if registered == "none" else 1) == setup.code, setup
    assert ("registered in default: EtcdCluster, EtcdMember, EtcdStage" in setup.stderr) is (registered == "none")
    assert "/namespaces/default/workflows?query=EtcdStage%20IS%20NOT%20NULL" in setup.stderr
    again = lab.run("setup", env=env)
    assert setup.code == again.code
    if registered == "wrong type":
        assert "another type than Keyword: EtcdCluster, EtcdMember, EtcdStage" in again.stderr
        assert "has a wrong type" in lab.run("doctor", env=env).stdout
    worker.stop()
    await server.stop()


async def test_registering_twice_is_once(temporal):
    """The second time nothing is missing."""
    assert await register(temporal) == []


def test_worker_logs_are_json_with_what_they_belong_to(lab):
    """Workflow, run, activity, attempt, cluster and member; on stderr, a line each."""
    cluster = lab.cluster()
    new = cluster.new_member()
    join = cluster.join(new)
    join.start_member()
    answer = join.wait().answer
    lines = [json.loads(line) for line in lab.worker.log_text().splitlines() if answer["workflow_id"] in line]
    acts = [line for line in lines if line["event"].startswith("sent once")]
    sent = next(line for line in acts if line["activity"] == "promote_learner")
    expected = {
        "workflow_id": answer["workflow_id"],
        "run_id": answer["run_id"],
        "attempt": 1,
        "cluster": cluster.name,
        "member": new.name,
        "level": "info",
    }
    assert expected == {key: sent[key] for key in expected}
    stages = [line["stage"] for line in lines if line["event"] == "stage"]
    assert stages == ["turn", "add", "sync", "promote", "verify", "ended"]
