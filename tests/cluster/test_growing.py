"""grow and changes: many joins by turns, and the audit trail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from temporalio.service import RPCError

from local.etcd_cluster import LocalMember
from messages.requests import TASK_QUEUE, change_id
from support.checks.puts import Puts
from support.parts.lab import Cluster, Command, Lab, eventually


class Growth:
    """A running `memberflow grow`, and the members that its file names."""

    def __init__(self, cluster: Cluster, file: Path, members: list[LocalMember], *args: str) -> None:
        self._cluster, self._file, self._args = cluster, file, args
        self.members = members
        file.write_text("# grows\n" + "".join(f"{m.name} {m.peer_url}  # new\n" for m in members))
        cluster.lab.write_clusters_file()
        self.command = self.start()

    def start(self) -> Command:
        args = ("grow", self._cluster.name, "--from", str(self._file), "--env-dir", str(self._file.parent))
        self.command = self._cluster.lab.command(*args, "--json", *self._args)
        return self.command

    def handover(self, member: LocalMember, timeout: float = 60) -> dict[str, str]:
        """The ETCD_* values of a member, as soon as its file is there."""
        path = self.path(member)
        eventually(lambda: path.exists() or not self.command.is_running(), f"{path.name}", timeout)
        assert path.exists(), self.command.wait()
        return dict(line.split("=", 1) for line in path.read_text().splitlines())

    def path(self, member: LocalMember) -> Path:
        return self._file.parent / f"{member.name}.env"

    def start_members(self) -> None:
        """Each as soon as it may, in whatever order that is."""
        waiting = [m for m in self.members if m.process is None]
        while waiting:
            ready = eventually(lambda: next((m for m in waiting if self.path(m).exists()), None), "the next", 60)
            waiting.remove(ready)
            ready.start(self.handover(ready))


def outcomes(answer: dict[str, Any]) -> dict[str, str]:
    return {join["member"]: join["outcome"] for join in answer["joins"]}


def test_growth_from_one_to_three_to_five(lab, tmp_path):
    """In the file's order, one change at a time, and writers hardly notice; whoever is in already stays as it is."""
    cluster = lab.cluster(1, fresh=True)
    members = [cluster.new_member() for _ in range(4)]
    with Puts(cluster) as puts:
        three = Growth(cluster, tmp_path / "members", members[:2])
        three.start_members()
        end = three.command.wait()
        assert (end.code, list(outcomes(end.answer).values())) == (0, ["promoted"] * 2), end
        five = Growth(cluster, tmp_path / "members", members)
        five.start_members()
        end = five.command.wait()
    told = dict(zip((m.name for m in members), ["already-voter"] * 2 + ["promoted"] * 2, strict=True))
    assert (end.code, outcomes(end.answer)) == (0, told), end
    assert list(cluster.roles().values()) == ["voter"] * 5
    assert cluster.counts()[1:] == (4, 0)
    puts.check()


def test_the_file_s_order_is_the_order_of_the_turns(lab, tmp_path):
    """Whoever stands first is added first, and the others wait in their order."""
    cluster = lab.cluster()
    members = [cluster.new_member() for _ in range(4)]
    growth = Growth(cluster, tmp_path / "members", members)
    ids = [cluster.workflow_id(m) for m in members]
    turns = eventually(lambda: all_in_line(lab, cluster), "all of them to be in line")
    for workflow_id in reversed(ids):
        lab.cancel(workflow_id)
    end = growth.command.wait()
    assert (end.code, outcomes(end.answer)) == (1, {m.name: "cancelled" for m in members}), end
    assert ids == [ticket["workflow_id"] for ticket in turns]


def all_in_line(lab: Lab, cluster: Cluster) -> list[dict[str, str]]:
    turns = lab.run("status", cluster.name, "--json").answer["turns"]
    line = [turns["holder"], *turns["waiting"]]
    return line if len(line) == 4 and turns["holder"] else []


def test_growth_interrupted_and_run_again(lab, tmp_path):
    """The joins go on without the command; run again it goes on where it stood, and nothing is added twice."""
    cluster = lab.cluster()
    members = [cluster.new_member() for _ in range(2)]
    growth = Growth(cluster, tmp_path / "members", members)
    first = eventually(lambda: next((m for m in members if growth.path(m).exists()), None), "the first handover")
    growth.command.interrupt()
    interrupted = growth.command.wait()
    assert interrupted.code == 130, interrupted
    again = f"memberflow grow {cluster.name} --from {tmp_path / 'members'} --env-dir {tmp_path}"
    assert f"`{again}`" in interrupted.stderr
    assert lab.status(cluster.workflow_id(first)) == "WORKFLOW_EXECUTION_STATUS_RUNNING"
    growth.path(first).unlink()
    growth.start()
    growth.start_members()
    end = growth.command.wait()
    assert (end.code, outcomes(end.answer)) == (0, {m.name: "promoted" for m in members}), end
    assert list(cluster.roles().values()) == ["voter"] * 5
    assert len([c for c in cluster.sent("MemberAdd") if c.code == "OK"]) == 2


def test_growth_that_takes_too_long(lab, tmp_path):
    """--timeout: exit 4 and where each join stands, and the joins go on."""
    cluster = lab.cluster()
    new = cluster.new_member()
    growth = Growth(cluster, tmp_path / "members", [new], "--timeout", "1s", "--requested-by", "dora")
    end = growth.command.wait()
    assert (end.code, list(outcomes(end.answer))) == (4, [new.name]), end
    assert outcomes(end.answer)[new.name] in ("started", "added")
    assert eventually(lambda: changes(lab, cluster, "--limit", "1"), "the join to be visible")[0]["by"] == "dora"
    new.start(dict(line.split("=", 1) for line in handed_over(lab, cluster, new).splitlines()))
    assert lab.run("watch", cluster.name, new.name).code == 0


def handed_over(lab: Lab, cluster: Cluster, new: LocalMember) -> str:
    """What `memberflow env` prints, once it prints something."""
    return eventually(lambda: lab.run("env", cluster.name, new.name).stdout, "the handover")


A, B = "http://127.0.0.1:1", "http://127.0.0.1:2"
BAD_FILES = {
    "no such file": (None, "No such file"),
    "nothing in it": ("# nobody\n\n", "no members in it"),
    "a name without a URL": (f"first {A}\nb\n", ":2: expected a name and its peer URLs"),
    "a third word": (f"first {A} voter\n", ":1: 'voter' has the scheme ''"),
    "a bad URL": (f"first {A}\nb 127.0.0.1:2380\n", ":2: '127.0.0.1:2380' has the scheme ''"),
    "a bad name": (f"first {A}\na/b {B}\n", "not a valid name"),
    "one name twice": (f"first {A}\nfirst {B}\n", "first"),
    "one peer URL twice": (f"first {A}\nb {A}\n", A),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file(lab, tmp_path, case):
    """Exit 2 with what is wrong with it, and not even the first join is started."""
    text, says = BAD_FILES[case]
    file = tmp_path / "members"
    if text is not None:
        file.write_text(text)
    cluster = f"no-{case.replace(' ', '-')}"
    end = lab.run("grow", cluster, "--from", str(file), timeout=20)
    assert end.code == 2, end
    assert says in end.stderr
    assert "Traceback" not in end.stderr
    with pytest.raises(RPCError, match="not found"):
        lab.describe(change_id(cluster, "join", "first"))


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
