"""What is shown of many changes at once: status and changes; and what is said of a held one."""

from __future__ import annotations

import yaml

from support.parts.lab import eventually


def rows_of(answer):
    """Turn, verb, stage and whether it is held, by member."""
    return {c["member"]: (c["turn"], c["verb"], c["stage"], bool(c["held"])) for c in answer["changes"]}


def test_status(lab):
    """As JSON, and as a table for a person."""
    cluster = lab.cluster()
    seen = lab.run("status", cluster.name, "--json").answer
    assert 3 == len(seen["status"]["members"]) == len(seen["status"]["statuses"])
    assert sorted(m["role"] for m in seen["status"]["members"]) == ["leader", "voter", "voter"]
    assert all(isinstance(m["lag"], int) for m in seen["status"]["members"])
    assert seen["changes"] == []
    table = lab.run("status", cluster.name)
    assert table.code == 0
    for word in ("etcd-1", "leader", "voter", "turn: free"):
        assert word in table.stdout
    assert "TURN" not in table.stdout
    assert not set(table.stdout) & set("│┃─━┏┗")
    assert max(map(len, table.stdout.splitlines())) <= 80
    wide = lab.run("status", cluster.name, "-o", "wide").stdout
    assert all(member["id"] in wide for member in seen["status"]["members"])
    assert lab.run("status", cluster.name, "-o", "name").stdout.split() == ["etcd-1", "etcd-2", "etcd-3"]
    as_yaml = yaml.safe_load(lab.run("status", cluster.name, "-o", "yaml").stdout)
    assert as_yaml["cluster"] == cluster.name
    assert lab.run("status", "nowhere").code == 2


def test_status_tells_of_every_change(lab):
    """The holder, who waits behind it, and one that is held and has left the line: stage, reason, what it waits for."""
    cluster = lab.cluster()
    first, second, third = _in_line(cluster)
    assert lab.run("hold", cluster.name, third.new.name, "--requested-by", "alice").code == 0
    eventually(lambda: lab.held(cluster.workflow_id(third.new)), "the third to be held")
    seen = eventually(lambda: _status(lab, cluster, 3), "status to show three changes")
    assert rows_of(seen) == {
        first.new.name: ("holder", "join", "sync", False),
        second.new.name: ("1", "join", "turn", False),
        third.new.name: ("", "join", "turn", True),
    }
    learner = next(m for m in seen["status"]["members"] if m["role"] == "learner")
    assert learner["lag"] is None
    table = lab.run("status", cluster.name).stdout
    for word in ("holder", "has not started", "asked for by alice", "its turn behind"):
        assert word in table, table


def _in_line(cluster):
    """Three joins, one after the other."""
    joins = []
    for _ in range(3):
        joins.append(cluster.join(cluster.new_member()))
        workflow_id = cluster.workflow_id(joins[-1].new)
        if len(joins) == 1:
            joins[0].handover()
            eventually(lambda i=workflow_id: "has not started" in cluster.lab.waits_for(i), "the wait for the member")
        else:
            eventually(lambda i=workflow_id: "its turn behind" in cluster.lab.waits_for(i), "it to wait in line")
    return joins


def _status(lab, cluster, count):
    seen = lab.run("status", cluster.name, "--json").answer
    return seen if len(seen["changes"]) == count else None


async def test_a_held_join_tells_how_to_go_on(lab, temporal):
    """Exit 4 when the wait ends, and `changes` shows why it is held; cancelled, it is told who cancelled it."""
    cluster = lab.cluster()
    join = cluster.join(cluster.new_member(), "--hold-before", "promote", "--timeout", "20s")
    name = join.new.name
    join.start_member()
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (4, "held"), end
    assert f"memberflow resume {cluster.name} {name}" in end.answer["hint"]
    assert f"memberflow cancel {cluster.name} {name}" in end.answer["hint"]
    [row] = lab.run("changes", cluster.name, "--limit", "1", "--json").answer["changes"]
    assert (row["outcome"], "hold_before" in row["reason"]) == ("held", True), row
    await temporal.get_workflow_handle(cluster.workflow_id(join.new)).cancel(reason="rack 7 moves")
    watched = lab.run("watch", cluster.name, name, "--json")
    assert (watched.code, watched.answer["reason"]) == (1, "rack 7 moves"), watched
    row = eventually(lambda: _cancelled(lab, cluster), "the cancel to be visible")
    assert row["reason"] == "rack 7 moves"
    late = lab.run("cancel", cluster.name, name, "--json")
    assert (late.code, late.answer["code"]) == (1, 1), late
    assert "not running any more" in late.answer["error"]


def _cancelled(lab, cluster):
    [row] = lab.run("changes", cluster.name, "--limit", "1", "--json").answer["changes"]
    return row if row["outcome"] == "cancelled" else None


# ---- the handover ----


def test_a_handover_that_can_not_be_written_any_more(lab, tmp_path):
    """Exit 1: it says that the change goes on, and how to get the values."""
    cluster = lab.cluster()
    first = cluster.join(cluster.new_member())
    first.handover()
    new, folder = cluster.new_member(), tmp_path / "etcd"
    folder.mkdir()
    args = ("--peer-url", new.peer_url, "--env-file", str(folder / "join.env"), "--json")
    command = lab.command("join", cluster.name, new.name, *args)
    eventually(lambda: "its turn behind" in lab.waits_for(cluster.workflow_id(new)), "the second join to wait")
    folder.rmdir()
    lab.cancel(cluster.workflow_id(first.new))
    end = command.wait()
    assert (end.code, "can't be written" in end.answer["error"]) == (1, True), end
    assert f"memberflow env {cluster.name} {new.name}" in end.answer["hint"]
    assert "Traceback" not in end.stderr
    assert lab.run("env", cluster.name, new.name, "--json").answer["ETCD_NAME"] == new.name


def test_a_join_and_a_replace_of_one_name(lab):
    """--verb decides whose handover is meant."""
    cluster = lab.cluster()
    new = cluster.new_member()
    cluster.join(new).handover()
    lab.cancel(cluster.workflow_id(new))
    assert lab.run("watch", cluster.name, new.name).code == 1
    replace = cluster.replace("etcd-3", new)
    replace.env_file.unlink()
    values = replace.handover()
    for args in ((), ("--verb", "replace")):
        assert lab.run("env", cluster.name, new.name, "--json", *args).answer == values
    dead = lab.run("env", cluster.name, new.name, "--json", "--verb", "join")
    assert (dead.code, "did not succeed" in dead.answer["error"]) == (1, True), dead
