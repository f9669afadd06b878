"""The command line: exit codes, JSON, and what is said when something is missing."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from lab import eventually

from console.setup import register
from local.deployment import WorkerProcess
from local.processes import clean_environment, free_port
from local.temporal_server import DevServer
from membership.requests import SEARCH_ATTRIBUTES
from settings import quiet_runtime

# Seconds within which something missing must be said, Python's start included.
SOON = 15

EVERY_VERB = ["worker", "join", "watch", "env", "cancel", "status", "doctor", "setup", "schema", "demo"]


@pytest.mark.parametrize("verb", EVERY_VERB)
def test_help_teaches(lab, verb):
    """Every verb says what it does and what its options are for."""
    end = lab.run(verb, "--help")
    assert end.code == 0
    assert "Usage" in end.stdout


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("join", "prod"), "Missing argument"),
        (("join", "prod", "n"), "Missing option"),
        (("join", "a b", "n", "--peer-url", "http://a:1"), "cluster: 'a b' is no valid name"),
        (("join", "prod", "n", "--peer-url", "a:1"), "peer_urls[0]"),
        (("join", "prod", "n", "--peer-url", "http://a:1", "--until", "voted"), "--until: 'voted'"),
        (("join", "prod", "n", "--peer-url", "http://a:1", "--timeout", "soon"), "not a duration"),
        (("join", "prod", "n", "--peer-url", "http://a:1", "--hold-before", "lunch"), "hold_before"),
        (("join", "prod", "n", "--peer-url", "http://a:1", "--no-wait", "--env-file", "x"), "--no-wait"),
        (("join", "prod", "n", "--peer-url", "http://a:1", "--env-file", "/no/such/x"), "no such directory"),
        (("watch", "prod", "nobody"), "no change of nobody"),
        (("watch", "prod", "nobody", "--verb", "eat"), "--verb: 'eat'"),
        (("schema", "eat"), "no such request"),
        (("nonsense",), "No such command"),
    ],
)
def test_bad_usage(lab, args, told):
    """Exit 2, and the message names what is wrong."""
    end = lab.run(*args)
    assert (end.code, end.stdout) == (2, ""), end
    assert told in " ".join(end.stderr.split())


def test_no_temporal(lab):
    """Said within seconds, with exit 3."""
    lab_env = {**clean_environment(), "TEMPORAL_ADDRESS": f"127.0.0.1:{free_port()}"}
    started = time.monotonic()
    end = lab.run("join", "prod", "n", "--peer-url", "http://a:1", "--json", env=lab_env)
    assert (end.code, end.stdout) == (3, ""), end
    assert "is out of reach" in end.stderr
    assert time.monotonic() - started < SOON


def test_no_worker(lab):
    """Said within seconds, with exit 3, and nothing is started."""
    env = {**lab.env, "MEMBERFLOW_TASK_QUEUE": "nobody-polls-this"}
    started = time.monotonic()
    end = lab.run("join", "prod", "n", "--peer-url", "http://a:1", "--json", env=env)
    assert (end.code, end.stdout) == (3, ""), end
    assert "no worker polls the task queue 'nobody-polls-this'" in end.stderr
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
    """Exit 2; the SDK alone would have ignored a missing file in silence."""
    end = lab.run("doctor", env={**lab.env, **env})
    assert end.code == 2, end
    assert told in end.stderr


def test_exit_codes_survive_a_hundred_runs(lab):
    """A process that used Temporal's SDK may crash when the interpreter shuts down; ours keep their exit code."""
    cluster = lab.cluster()
    new = cluster.new_member()
    join = cluster.join(new)
    join.start_member()
    assert join.wait().code == 0
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: lab.run("watch", cluster.name, new.name, "--json"), range(100)))
    assert {0} == {end.code for end in runs}, [str(end) for end in runs if end.code]
    assert {"promoted"} == {end.answer["outcome"] for end in runs}


def test_schema_is_json_schema(lab):
    """One JSON object on stdout."""
    schema = lab.run("schema", "join").answer
    assert {"cluster", "name", "peer_urls"} == set(schema["required"])


def test_status(lab):
    """As JSON, and as a table for a person."""
    cluster = lab.cluster()
    seen = lab.run("status", cluster.name, "--json").answer
    assert 3 == len(seen["status"]["members"]) == len(seen["status"]["statuses"])
    table = lab.run("status", cluster.name)
    assert table.code == 0
    for word in ("etcd-1", "leader", "voter", "turn: nobody"):
        assert word in table.stdout
    assert lab.run("status", "nowhere").code == 2


def test_doctor(lab):
    """Every part with a verdict; a cluster that is down with its reason."""
    cluster = lab.cluster()
    good = lab.run("doctor", "--json")
    checks = {row["check"]: row for row in good.answer["checks"]}
    assert checks[f"cluster {cluster.name}"]["ok"], good
    assert {"configuration", "Temporal", "search attributes", "workers"} <= set(checks)
    for member in cluster.members:
        member.stop()
    bad = lab.run("doctor")
    assert bad.code == 1
    assert f"FAIL  cluster {cluster.name}: ClusterUnreachable" in bad.stdout
    lab.clusters_file.write_text("[clusters.x]\nendpoint = []\n")
    wrong = lab.run("doctor")
    assert wrong.code == 1
    assert "clusters.x.endpoint: unknown key" in wrong.stdout
    lab.write_clusters_file()


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
    assert queues["request_turn"] == own
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
    added = lab.run("join", cluster.name, new.name, "--peer-url", new.peer_url, "--until", "added", env=env)
    assert added.code == 0, added
    handover = lab.run("env", cluster.name, new.name, env=env).stdout
    new.start(dict(line.split("=", 1) for line in handover.splitlines()))
    assert lab.run("watch", cluster.name, new.name, env=env).code == 0
    setup = lab.run("setup", env=env)
    assert (0 if registered == "none" else 1) == setup.code, setup
    assert ("registered in default: EtcdCluster, EtcdMember, EtcdStage" in setup.stderr) is (registered == "none")
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
    lines = [json.loads(line) for line in lab.worker.log_text().splitlines() if new.name in line]
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
