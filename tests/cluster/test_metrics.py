"""The metrics of a worker, over a join, a wait in line, a hold, a refusal and a removal."""

from __future__ import annotations

import json
import math
import re
import signal
import urllib.error
from pathlib import Path

import pytest
import trustme
import yaml

from client.search_attributes import register
from local import loopback
from local.deployment import WorkerProcess
from local.processes import free_port
from local.temporal_server import DevServer
from logs import KEYS
from settings import quiet_runtime
from support.parts.inbox import Inbox, secret_file
from support.parts.lab import Lab, eventually
from support.parts.scrape import scrape

DEPLOY = Path(__file__).parents[2] / "deploy"
PAGE = (Path(__file__).parents[2] / "docs" / "observability.md").read_text()
MOMENTS = ("syncing", "held", "waiting", "after", "untold", "lost")
JOIN_STAGES = ("turn", "add", "sync", "promote", "verify")
# Labels whose values a caller could choose would make series without end.
OURS = {"cluster", "verb", "outcome", "failure", "stage", "result", "state", "role", "file", "le"}
# Changes by state while one waits behind a held one.
STATES = {"running": 0, "waiting": 1, "held": 1}
SDKS = {"namespace", "task_queue", "workflow_type", "activity_type"}


@pytest.fixture(scope="module")
async def metered(tmp_path_factory, etcd_binary):
    """A lab with a Temporal of its own, and a worker that shows its metrics at the lab's `url`."""
    server = DevServer(tmp_path_factory.mktemp("temporal"), persistent=True)
    await register(await server.start(quiet_runtime()))
    lab = Lab(tmp_path_factory.mktemp("metrics"), etcd_binary, server)
    lab.write_clusters_file()
    lab.url = f"http://127.0.0.1:{free_port()}"
    lab.worker = WorkerProcess(
        lab.folder, server.address, lab.clusters_file, None, "--metrics", lab.url.removeprefix("http://")
    )
    lab.worker.start()
    eventually(lambda: "worker runs" in lab.worker.log_text(), "the worker")
    yield lab
    lab.clean_up()
    lab.close()
    await server.stop()


@pytest.fixture(scope="module")
def seen(metered, tmp_path_factory):
    """The metrics at some moments, by name, and the cluster's name."""
    lab, seen = metered, {}
    ca = tmp_path_factory.mktemp("ca") / "ca.crt"
    trustme.CA().cert_pem.write_to_path(str(ca))
    lab.launchers = f'[clusters.away]\nendpoints = ["https://127.0.0.1:{free_port()}"]\nca = "{ca}"\n'
    inbox = Inbox()
    lab.launchers += f'[notify]\nurl = "{inbox.url}"\nsecret_file = "{secret_file(ca.parent)}"\n'
    cluster = lab.cluster()

    def until(name, metric, expected, **labels):
        """Scrapes until a metric of the cluster is as expected. None expects any value above 0."""

        def as_expected():
            seen[name] = scrape(lab.url)
            value = seen[name].get(metric, cluster=cluster.name, **labels)
            return value is not None and (value == expected or (expected is None and value > 0))

        eventually(as_expected, f"{metric} to be {expected}", 60)

    join = cluster.join(cluster.new_member(), "--hold-before", "promote")
    join.handover()
    until("syncing", "memberflow_sync_target", None)
    join.start_member()
    until("held", "memberflow_open_changes", 1, state="held")
    behind = lab.command("remove", cluster.name, cluster.members[0].name, "--force", "--json")
    until("waiting", "memberflow_open_changes", 1, state="waiting")
    assert lab.run("remove", cluster.name, cluster.members[1].name, "--json").code == 5
    assert lab.run("resume", cluster.name, join.new.name).code == 0
    assert join.wait().code == 0
    assert behind.wait(60).code == 0
    until("after", "memberflow_notices_total", 3, result="delivered")
    until("after", "memberflow_members", 0, role="learner")
    inbox.answers = 503
    assert lab.run("remove", cluster.name, cluster.members[1].name, "--json").code == 5
    until("untold", "memberflow_notice_age_seconds", None)
    inbox.answers = 410
    until("lost", "memberflow_notices_lost_total", 1)
    until("lost", "memberflow_notice_age_seconds", 0)
    inbox.close()
    return seen | {"cluster": cluster.name}


def test_a_join_that_syncs_shows_how_far_it_is(seen):
    """A stalled sync is seen by its position, and a forgotten learner by its age."""
    now, cluster = seen["syncing"], seen["cluster"]
    assert now.value("memberflow_sync_target", cluster=cluster) > 0
    assert now.value("memberflow_sync_position", cluster=cluster) == 0
    assert now.value("memberflow_open_changes", cluster=cluster, state="running") == 1
    assert seen["held"].value("memberflow_learner_age_seconds", cluster=cluster) > 0
    assert seen["held"].value("memberflow_members", cluster=cluster, role="learner") == 1


def test_a_change_that_waits_behind_a_held_one(seen):
    """An operator sees that the line stands, and that a person must let the holder go on."""
    now, cluster = seen["waiting"], seen["cluster"]
    assert {s: now.value("memberflow_open_changes", cluster=cluster, state=s) for s in STATES} == STATES
    assert now.value("memberflow_turn_seconds", cluster=cluster) > 5
    assert now.value("memberflow_turn_idle_seconds", cluster=cluster) == 0


def test_what_is_over_is_shown_no_more(seen):
    """Temporal's exporter keeps old series for ever: they have no value, or 0."""
    now, cluster = seen["after"], seen["cluster"]
    assert math.isnan(now.value("memberflow_sync_target", cluster=cluster))
    assert now.value("memberflow_learner_age_seconds", cluster=cluster) == 0
    assert now.value("memberflow_turn_seconds", cluster=cluster) == 0
    assert all(now.value("memberflow_open_changes", cluster=cluster, state=state) == 0 for state in STATES)


def test_changes_acts_and_looks_are_counted(seen):
    """Once each, although several workflow tasks and attempts lead to them."""
    now, cluster = seen["after"], seen["cluster"]
    ended = {(s.labels["verb"], s.labels["outcome"], s.labels["failure"]): s.value for s in of(now, "changes_total")}
    assert ended == {
        ("join", "promoted", ""): 1,
        ("remove", "removed", ""): 1,
        ("remove", "refused", "TooFewVoters"): 1,
    }
    applied = {s.labels["activity_type"]: s.value for s in of(now, "acts_total") if s.labels["result"] == "applied"}
    applied.pop("move_leader", None)  # only where the removed member led
    assert applied == {"add_learner": 1, "promote_learner": 1, "remove_member": 1}
    assert now.value("memberflow_looks_total", cluster=cluster, result="ok") >= 8
    stages = {s.labels["stage"] for s in of(now, "stage_seconds_count") if s.labels["verb"] == "join"}
    assert stages == {"preflight", "turn", "add", "sync", "promote", "verify"}


def test_a_cluster_out_of_reach_and_its_certificate(seen):
    """It is seen before a change needs it."""
    now = seen["after"]
    assert now.value("memberflow_cluster_readable", cluster="away") == 0
    assert now.value("memberflow_cluster_readable", cluster=seen["cluster"]) == 1
    assert now.value("memberflow_certificate_days_left", cluster="away", file="ca") > 1
    assert now.value("memberflow_open_connections") >= 3


def test_a_message_that_its_receiver_does_not_take(seen):
    """An operator sees that it waits, and that it is lost once it is not sent again."""
    cluster = seen["cluster"]
    assert seen["after"].value("memberflow_notice_age_seconds", cluster=cluster) == 0
    assert seen["untold"].value("memberflow_notice_age_seconds", cluster=cluster) > 0
    assert seen["untold"].get("memberflow_notices_lost_total", cluster=cluster) is None


def test_every_metric_is_explained_and_has_few_labels(seen):
    """A label whose value a caller chooses, as a member's name, would make series without end."""
    now = seen["after"]
    for series in now.ours():
        metric = re.sub("_(bucket|sum|count)$", "", series.name)
        assert now.explained[metric].endswith("."), series
        assert set(series.labels) <= OURS | SDKS, series


def test_a_probe_is_answered_by_the_worker_s_state(metered):
    """Healthy and ready while Temporal answers. Without Temporal it is not ready, and still healthy."""
    ready = f"{metered.url}/readyz"
    eventually(lambda: answer(ready) == (200, b"ok\n"), "the worker to be ready")
    metered.server.process.send(signal.SIGSTOP)
    try:
        # Threads of a stopped process may answer once more.
        frozen = (503, b"Temporal has not answered within 3 s\n")
        eventually(lambda: answer(ready) == frozen, "the worker not to be ready")
        assert answer(f"{metered.url}/healthz") == (200, b"ok\n")
    finally:
        metered.server.process.send(signal.SIGCONT)
    eventually(lambda: answer(ready) == (200, b"ok\n"), "the worker to be ready again")


def answer(url):
    """The status code and the body."""
    try:
        return 200, loopback.get(url, 15)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def of(scraped, name):
    return [series for series in scraped.ours() if series.name == f"memberflow_{name}"]


# ---- rules and dashboard ----


def expressions():
    """Every PromQL expression of the rules and the dashboard, by its place."""
    for group in yaml.safe_load((DEPLOY / "prometheus" / "memberflow.rules.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    for panel in json.loads((DEPLOY / "grafana" / "memberflow.json").read_text())["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def labels_of(expression):
    """The labels that an expression selects or groups by."""
    selected = re.findall(r'(\w+) *(?:=~|!=|!~|=) *"', expression)
    grouped = [name.strip() for names in re.findall(r"\bby \(([^)]*)\)", expression) for name in names.split(",")]
    return {*selected, *grouped}


@pytest.mark.parametrize(("place", "expression"), list(expressions()))
def test_every_query_asks_for_what_a_worker_shows(seen, place, expression):
    """A metric or a label that was renamed would leave an alert silent, and a panel empty."""
    metrics = set(re.findall(r"\b(?:memberflow|temporal)_\w+", expression))
    assert metrics, place
    labels = set()
    for metric in metrics:
        series = [s for scraped in MOMENTS for s in seen[scraped].series if s.name == metric]
        assert series, f"{place}: no worker shows {metric}"
        labels.update(*(s.labels for s in series))
    assert labels_of(expression) <= labels, place


def test_the_page_explains_every_metric(seen):
    """Each metric of memberflow's own is in docs/observability.md, with its labels, and none that is not shown."""
    rows = re.findall(r"^\| (`memberflow_.+?) \| (.*?) \|", PAGE, re.MULTILINE)
    told = {
        name: set(re.findall(r"`(\w+)`", labels)) for names, labels in rows for name in re.findall(r"`(\w+)`", names)
    }
    shown = {}
    for series in (s for moment in MOMENTS for s in seen[moment].ours()):
        metric = re.sub("_(bucket|sum|count)$", "", series.name)
        shown.setdefault(metric, set()).update(set(series.labels) - {"le", "namespace", "task_queue", "workflow_type"})
    assert told == shown


# ---- the log of the same run ----


def test_every_line_of_the_log_has_the_documented_keys(metered, seen):
    """A log collector finds each key under the name in the page, and no other."""
    told = {key for keys, _, _ in log_rows() for key in re.findall(r"`(\w+)`", keys)}
    assert told == set(KEYS)
    lines = log(metered)
    assert len(lines) > 20
    for line in lines:
        assert set(line) <= told, line
        assert set(line) >= {"timestamp", "level", "logger", "event"}, line
        if line["logger"] in ("temporalio.workflow", "temporalio.activity"):
            assert set(line) >= {"workflow_id", "run_id", "workflow_type", "attempt"}, line
        for key in required_of(line["event"]):
            assert key in line, line


def test_the_log_tells_the_course_of_a_join(metered, seen):
    """Its stages and acts in order, once each."""
    join = [line for line in log(metered) if line.get("workflow_type") == "JoinMember"]
    assert [line["stage"] for line in join if line["event"] == "stage"] == [*JOIN_STAGES, "ended"]
    acts = [(line["act"], line["applied"]) for line in join if line["event"] == "act"]
    assert acts == [("add", "yes"), ("promote", "yes")]


def log(lab):
    """The lines that are memberflow's or Temporal's: gRPC's library writes to stderr, too."""
    return [json.loads(line) for line in lab.worker.log_text().splitlines() if line.startswith("{")]


def log_rows():
    """The rows of the page's table of keys."""
    _, _, part = PAGE.partition("## The log")
    return re.findall(r"^\| (`.+?) \| (.*?) ?\| (.*?) \|$", part.partition("\n## ")[0], re.MULTILINE)


def required_of(event):
    """The keys that the page promises for an event."""
    rows = [keys for keys, events, _ in log_rows() if f"`{event}`" == events]
    return [key for keys in rows for key in re.findall(r"`(\w+)`", keys)]
