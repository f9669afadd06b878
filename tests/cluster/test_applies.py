"""apply, grow and changes on real clusters: a list of members is reached, and the audit trail."""

from __future__ import annotations

import json
from typing import Any

import pytest
from temporalio.service import RPCError

from messages.ids import apply_id, change_id
from messages.queues import TASK_QUEUE
from support.checks.puts import Puts
from support.parts.lab import LOOSE, Cluster, Lab, eventually
from support.parts.running_apply import Apply


def outcomes(answer: dict[str, Any]) -> dict[str, str]:
    return {change["member"]: change["outcome"] for change in answer["changes"]}


def all_ports(cluster: Cluster) -> list[int]:
    """The client ports of all members, also of those that are still to come, as a client with a full list has them."""
    return [member.client_port for member in cluster.members]


def test_growth_from_one_to_three_to_five(lab, tmp_path):
    """In the file's order, one change at a time, and writers hardly notice. Members that are in stay as they are."""
    cluster = lab.cluster(1, fresh=True)
    members = [cluster.new_member() for _ in range(4)]
    with Puts(cluster) as puts:
        three = Apply(cluster, tmp_path, members[:2], verb="grow")
        three.start_members()
        end = three.command.wait()
        assert (end.code, list(outcomes(end.answer).values())) == (0, ["promoted"] * 2), end
        five = Apply(cluster, tmp_path, members, verb="grow")
        five.start_members()
        end = five.command.wait()
    assert (end.code, outcomes(end.answer)) == (0, {m.name: "promoted" for m in members[2:]}), end
    assert list(cluster.roles().values()) == ["voter"] * 5
    assert cluster.counts()[1:] == (4, 0)
    puts.check()


def test_a_list_of_new_names_replaces_all_members_under_load(lab, tmp_path):
    """
    No write fails for longer than an election, the leader leaves last, and leadership moves once.

    `plan apply` shows the same changes before; run again, it changes nothing.
    """
    cluster = lab.cluster()
    old, leader = list(cluster.members), cluster.id_of(cluster.leader())
    cluster.single_use = True
    new = [cluster.new_member() for _ in range(3)]
    file = tmp_path / "members"
    file.write_text("".join(f"{m.name} {m.peer_url}\n" for m in new))
    planned = lab.run("plan", "apply", cluster.name, "--from", str(file), "--prune", "--json")
    assert planned.code == 0, planned
    assert planned.answer["verdict"] == "go"
    assert [step["member"] for step in planned.answer["steps"]] == [m.name for m in new]
    assert planned.answer["steps"][-1]["old"] == leader
    with Puts(cluster, ports=all_ports(cluster)) as puts:
        apply = Apply(cluster, tmp_path, new, "--prune")
        apply.start_members()
        end = apply.command.wait()
    assert (end.code, end.answer["outcome"]) == (0, "applied"), end
    assert outcomes(end.answer) == {m.name: "replaced" for m in new}
    assert {row.name for row in cluster.rows(through=new[0])} == {m.name for m in new}
    assert [call.code for call in cluster.sent("MoveLeader")] == ["OK"]
    puts.check()
    assert all(eventually(lambda m=m: m.process.exit_code() is not None, m.name) for m in old)
    # As an operator does after it: the endpoints of the clusters file have all left.
    cluster.members[:] = new
    lab.write_clusters_file()
    again = lab.run(*apply.words, "--prune")
    assert (again.code, f"{cluster.name}: no changes" in again.stderr) == (0, True), again


def test_an_apply_interrupted_and_run_again(lab, tmp_path):
    """Ctrl-C ends the command alone. Run again it attaches, writes the handover anew, and nothing is added twice."""
    cluster = lab.cluster()
    members = [cluster.new_member() for _ in range(2)]
    apply = Apply(cluster, tmp_path, members)
    first = apply.path(members[0])
    eventually(first.exists, "the first handover")
    apply.command.interrupt()
    interrupted = apply.command.wait()
    assert interrupted.code == 130, interrupted
    assert f"`memberflow {' '.join(apply.words)}`" in interrupted.stderr
    assert lab.status(cluster.workflow_id(members[0])) == "WORKFLOW_EXECUTION_STATUS_RUNNING"
    first.unlink()
    other = lab.run("apply", cluster.name, "--from", str(apply.file), "--prune", "--json")
    assert (other.code, "prune: off (yours: on)" in other.answer["error"]) == (2, True), other
    apply.start()
    apply.start_members()
    end = apply.command.wait()
    assert (end.code, outcomes(end.answer)) == (0, {m.name: "promoted" for m in members}), end
    assert list(cluster.roles().values()) == ["voter"] * 5
    assert len([c for c in cluster.sent("MemberAdd") if c.code == "OK"]) == 2


def test_an_apply_is_watched_held_and_cancelled_without_a_name(lab, tmp_path):
    """The commands without a NAME mean the apply: exit 4 while it runs, and a cancel takes its change back."""
    cluster = lab.cluster()
    new = cluster.new_member()
    apply = Apply(cluster, tmp_path, [new, cluster.new_member()], "--timeout", "1s", "--requested-by", "dora")
    end = apply.command.wait()
    assert (end.code, end.answer["outcome"], len(end.answer["left"])) == (4, "started", 2), end
    assert lab.run("hold", cluster.name).code == 0
    status = lab.run("status", cluster.name)
    assert "apply" in status.stdout, status
    watched = lab.run("watch", cluster.name, "--timeout", "1s")
    assert (watched.code, f"{new.name} joins" in watched.stderr) == (4, True), watched
    assert "to be held after the running change" in watched.stderr
    gone = lab.run("cancel", cluster.name, "--json")
    assert (gone.code, gone.answer["outcome"], gone.answer["changes"]) == (0, "cancelled", []), gone
    assert cluster.counts()[2] == 1
    assert list(cluster.roles().values()) == ["voter"] * 3
    rows = eventually(lambda: ended(lab, cluster), "the audit trail to be complete")
    assert sorted((row["verb"], row["outcome"], row["by"]) for row in rows) == [
        ("apply", "cancelled", "dora"),
        ("join", "cancelled", "dora"),
    ]


def ended(lab: Lab, cluster: Cluster) -> list[dict[str, Any]]:
    listed = changes(lab, cluster, "--limit", "2")
    return listed if len(listed) == 2 and "running" not in [row["outcome"] for row in listed] else []


def test_a_machine_that_waits_for_its_own_member(lab, tmp_path):
    """--member: every machine runs the same command, and starts etcd when its own turn has come."""
    cluster = lab.cluster()
    members = [cluster.new_member() for _ in range(2)]
    applies = [Apply(cluster, tmp_path, members, "--member", member.name) for member in members]
    for apply, member in zip(applies, members, strict=True):
        end = apply.command.wait()
        assert (end.code, end.answer["outcome"], end.answer["member"]) == (0, "added", member.name), end
        apply.start_member(member)
    assert lab.run("watch", cluster.name).code == 0
    again = lab.run(*applies[0].words, "--member", members[0].name, "--json")
    # The second by a command that sees the list compared before the apply has ended.
    assert (again.code, again.answer["outcome"] in ("no-changes", "already-voter")) == (0, True), again
    stranger = lab.run(*applies[0].words, "--member", "nobody")
    assert (stranger.code, "nobody is not in the list" in stranger.stderr) == (2, True), stranger


def test_a_list_that_is_refused(lab, tmp_path):
    """Exit 5, before anything is proposed, with the member that is in the way; the plan says the same."""
    cluster = lab.cluster()
    file, made = tmp_path / "members", tmp_path / "not" / "there"
    file.write_text("etcd-1=http://127.0.0.1:1\n")
    words = ("apply", cluster.name, "--from", str(file), "--json")
    end = lab.run(*words, "--env-dir", str(made))
    assert (end.code, end.answer["outcome"], made.is_dir()) == (5, "refused", True), end
    assert "the name etcd-1 belongs to member etcd-1" in end.answer["reason"]
    planned = lab.run("plan", *words)
    assert planned.code == 5, planned
    assert (planned.answer["verdict"], planned.answer["steps"]) == ("refuse", [])
    few = lab.run("apply", cluster.name, "--from", str(file), "--prune", "--json")
    assert (few.code, "min_voters is 3" in few.answer["reason"]) == (5, True), few
    unwritable = lab.run(*words, "--env-dir", "/proc")
    assert (unwritable.code, "--env-dir: /proc/" in unwritable.answer["error"]) == (2, True), unwritable
    assert cluster.changes() == []


def test_a_member_that_does_not_start(lab, tmp_path):
    """The apply stops at the change that fails, and names it; what was done stays, and run again it does the rest."""
    cluster = lab.cluster()
    cluster.policy = {**LOOSE, "start_timeout": "2s"}
    members = [cluster.new_member() for _ in range(2)]
    apply = Apply(cluster, tmp_path, members)
    apply.start_member(members[0])
    end = apply.command.wait()
    assert (end.code, outcomes(end.answer)) == (1, {members[0].name: "promoted", members[1].name: "rolled-back"}), end
    assert f"{members[1].name} joins" in end.answer["reason"]
    assert list(cluster.roles().values()) == ["voter"] * 4
    cluster.policy = LOOSE
    new_folder = tmp_path / "again"
    new_folder.mkdir()
    again = Apply(cluster, new_folder, members)
    again.start_member(members[1])
    end = again.command.wait()
    assert (end.code, outcomes(end.answer)) == (0, {members[1].name: "promoted"}), end


A, B = "http://127.0.0.1:1", "http://127.0.0.1:2"
BAD_FILES = {
    "no such file": (None, "No such file"),
    "nothing in it": ("# none\n\n", "no members in it"),
    "a name without a URL": (f"first {A}\nb\n", ":2: expected a name and its peer URLs"),
    "a third word": (f"first {A} voter\n", ":1: 'voter' has the scheme ''"),
    "a bad URL": (f"first {A}\nb 127.0.0.1:2380\n", ":2: '127.0.0.1:2380' has the scheme ''"),
    "a bad name": (f"first {A}\na/b {B}\n", "not a valid name"),
    "one name twice": (f"first {A}\nfirst {B}\n", "first"),
    "one peer URL twice": (f"first {A}\nb {A}\n", A),
    "too many": ("".join(f"m{n} http://127.0.0.1:{n}\n" for n in range(1, 52)), "members: "),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file(lab, tmp_path, case):
    """Exit 2 with the mistake in it, and nothing is started."""
    text, told = BAD_FILES[case]
    file = tmp_path / "members"
    if text is not None:
        file.write_text(text)
    cluster = f"no-{case.replace(' ', '-')}"
    end = lab.run("apply", cluster, "--from", str(file), timeout=20)
    assert end.code == 2, end
    assert told in end.stderr
    assert "Traceback" not in end.stderr
    with pytest.raises(RPCError, match="not found"):
        lab.describe(apply_id(cluster))


# ---- the audit trail ----


def changes(lab: Lab, cluster: Cluster, *args: str) -> list[dict[str, Any]]:
    end = lab.run("changes", cluster.name, "--json", *args)
    assert end.code == 0, end
    return end.answer["changes"]


def test_changes(lab):
    """The latest first: verb, member, outcome, who asked, and how long it took."""
    cluster = lab.cluster()
    none = lab.run("changes", "never-changed")
    assert (none.code, "no change of never-changed" in none.stdout) == (0, True), none
    join = cluster.join(cluster.new_member(), "--requested-by", "alice")
    join.start_member()
    assert join.wait().code == 0
    gone = cluster.remove("gone", "--requested-by", "bob").wait()
    assert gone.code == 0, gone
    cluster.policy = {"min_voters": 5}
    refused = cluster.remove("etcd-1").wait()
    assert refused.code == 5, refused
    running = cluster.join(cluster.new_member())
    running.handover()
    listed = eventually(lambda: latest(lab, cluster), "the audit trail to be complete")
    assert [(row["verb"], row["member"], row["outcome"]) for row in listed] == [
        ("join", running.new.name, "running"),
        ("remove", "etcd-1", "refused"),
        ("remove", "gone", "already-removed"),
        ("join", join.new.name, "promoted"),
    ]
    assert [row["by"] for row in listed[2:]] == ["bob", "alice"]
    assert "@" in listed[0]["by"]
    assert "min_voters is 5" in listed[1]["reason"]
    for row, end in ((listed[3], join.wait()), (listed[2], gone)):
        assert (row["workflow_id"], row["run_id"]) == (end.answer["workflow_id"], end.answer["run_id"])
        assert abs(row["seconds"] - end.answer["seconds"]["total"]) < 1
    assert listed[0]["seconds"] > 0
    assert [row["member"] for row in changes(lab, cluster, "--limit", "2")] == [running.new.name, "etcd-1"]
    table = lab.run("changes", cluster.name)
    assert table.code == 0
    for word in ("alice", "promoted", "refused", "running", "gone"):
        assert word in table.stdout
    lab.cancel(cluster.workflow_id(running.new))
    running.wait_quietly()


def test_changes_of_another_client(lab):
    """One that was started without our memo says in its input who asked."""
    cluster = lab.cluster()
    workflow_id = change_id(cluster.name, "remove", "nobody")
    request = {"cluster": cluster.name, "member": "nobody", "requested_by": "carol"}
    args = ("--workflow-id", workflow_id, "--type", "RemoveMember", "--task-queue", TASK_QUEUE)
    lab.temporal("workflow", "execute", *args, "--input", json.dumps(request))
    row = eventually(lambda: changes(lab, cluster, "--limit", "1"), "the change to be visible")[0]
    assert (row["workflow_id"], row["by"]) == (workflow_id, "carol")


def latest(lab: Lab, cluster: Cluster) -> list[dict[str, Any]]:
    """The last four, once three of them are known to have ended: visibility comes a moment after the end."""
    listed = changes(lab, cluster)[:4]
    return listed if [row["outcome"] for row in listed].count("running") == 1 else []
