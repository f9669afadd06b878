"""Commands that tell the course of changes: events, wait, filters of changes. Dry runs, and a default cluster."""

from __future__ import annotations

import pytest

from support.parts.lab import eventually


@pytest.fixture
def held(lab):
    """A join that is held before its promote."""
    join = lab.cluster().join(lab.in_use[-1].new_member(), "--hold-before", "promote", "--requested-by", "ann")
    join.start_member()
    eventually(lambda: lab.executions.glimpse(join.cluster.workflow_id(join.new), "held"), "the hold")
    return join


def test_events_tell_the_course_of_a_join(lab, held):
    """Each act with its effect, who asked for something, and the end, in order."""
    cluster, name = held.cluster.name, held.new.name
    assert lab.run("resume", cluster, name, "--requested-by", "ben").code == 0
    assert held.wait().code == 0
    told = lab.run("events", cluster, name, "--json").answer["events"]
    texts = [f"{event['text']}: {event['result']}" for event in told]
    rest = iter(texts)
    for wanted in (
        "the change began: ",
        "got the turn",
        "add",
        "asked to resume: by ben",
        "promote",
        "the change ended: promoted",
    ):
        assert any(text.startswith(wanted) for text in rest), (wanted, texts)
    acts = [event["result"] for event in told if event["result"].startswith("sent once")]
    assert [act.partition(": ")[2] for act in acts] == ["answered, applied"] * 2
    seconds = [event["seconds"] for event in told]
    assert seconds == sorted(seconds)
    for_people = lab.run("events", cluster, name)
    assert (for_people.code, "asked to resume" in for_people.stdout) == (0, True), for_people


def test_wait_ends_with_the_last_change(lab, held):
    """Exit code 4 while a change is held, and 0 after it, for a script that must not disturb a change."""
    cluster, workflow_id = held.cluster.name, held.cluster.workflow_id(held.new)
    early = lab.run("wait", cluster, "--timeout", "1s", "--json")
    assert (early.code, early.answer) == (4, {"cluster": cluster, "running": [workflow_id]}), early
    waiting = lab.command("wait", cluster)
    eventually(lambda: workflow_id in waiting.said(), "the wait to name the change")
    assert lab.run("resume", cluster, held.new.name).code == 0
    end = waiting.wait()
    assert (end.code, f"{workflow_id}: promoted" in end.stderr) == (0, True), end


def test_changes_are_filtered(lab, held):
    """By kind, outcome and age."""
    cluster, name = held.cluster.name, held.new.name
    assert lab.run("cancel", cluster, name).code == 0
    assert held.wait().code == 1

    def listed(*args):
        ran = lab.run("changes", cluster, *args, "--json")
        assert ran.code == 0, ran
        return [each["member"] for each in ran.answer["changes"]]

    eventually(lambda: name in listed("--outcome", "cancelled"), "the ended change to be listed")
    assert name in listed("--verb", "join", "--since", "1h")
    assert name not in listed("--verb", "remove")
    assert name not in listed("--outcome", "promoted", "--outcome", "held")
    assert listed("--since", "1ms") == []
    unknown = lab.run("changes", cluster, "--outcome", "lost")
    assert (unknown.code, "promoted" in unknown.stderr) == (2, True), unknown


def test_a_dry_run_starts_nothing(lab):
    """The checks of `plan`, under the command that would change something."""
    cluster = lab.cluster()
    new, voter = cluster.new_member(), cluster.members[0].name
    lab.write_clusters_file()
    url = ("--peer-url", new.peer_url)
    for args, code in (
        (("join", cluster.name, new.name, *url), 0),
        (("replace", cluster.name, voter, new.name, *url), 0),
        (("remove", cluster.name, voter), 5),
    ):
        dry, plan = lab.run(*args, "--dry-run", "--json"), lab.run("plan", *args, "--json")
        assert (dry.code, plan.code) == (code, code), dry
        assert dry.answer["verdict"] == plan.answer["verdict"]
    query = f"WorkflowId STARTS_WITH 'memberflow:{cluster.name}:' AND ExecutionStatus = 'Running'"
    assert lab.temporal("workflow", "list", "--query", query) in ([], None)
    assert cluster.changes() == []


def test_a_default_cluster_need_not_be_named(lab, held):
    """MEMBERFLOW_CLUSTER stands in where an argument is missing, and nowhere else."""
    env = {**lab.env, "MEMBERFLOW_CLUSTER": held.cluster.name}
    assert lab.run("hold", held.new.name, env=env).code == 0
    assert lab.run("watch", held.cluster.name, held.new.name, "--timeout", "0s", env=env).code == 4
    assert lab.run("plan", "remove", held.cluster.members[0].name, env=env).code in (0, 5)
    assert lab.run("changes", "--json", env=env).answer["cluster"] == held.cluster.name
    assert lab.run("changes", "another", "--json", env=env).answer["cluster"] == "another"
