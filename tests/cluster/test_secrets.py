"""A password is told to etcd and to nobody else: no history, log line, answer or error has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from etcdapi.stubs import rpc_pb2, rpc_pb2_grpc
from messages.ids import change_id, turns_id
from support.checks.histories import history
from support.parts.lab import LOOSE, Cluster

PASSWORD = "correct-horse-battery-staple"
WRONG = "wrong-horse-battery-staple"


def lock(cluster: Cluster, guest: str = "") -> None:
    """From now on only `root` may change the cluster; a `guest` may only look at it."""
    cluster.single_use = True
    client = cluster.client(cluster.leader())
    auth = rpc_pb2_grpc.AuthStub(client.channel)
    auth.UserAdd(rpc_pb2.AuthUserAddRequest(name="root", password=PASSWORD))
    auth.RoleAdd(rpc_pb2.AuthRoleAddRequest(name="root"))
    auth.UserGrantRole(rpc_pb2.AuthUserGrantRoleRequest(user="root", role="root"))
    if guest:
        auth.UserAdd(rpc_pb2.AuthUserAddRequest(name=guest, password=PASSWORD))
    auth.AuthEnable(rpc_pb2.AuthEnableRequest())
    client.close()


def credentials(folder: Path, user: str, password: str) -> dict[str, str]:
    """What the clusters file says of a user."""
    secret = folder / f"{user}.password"
    secret.write_text(password)
    return {"username": user, "password_file": str(secret)}


def test_a_user_who_may_not_change_the_cluster(lab, tmp_path):
    """Plan, doctor and the change itself say so by its name, before anything is sent: no waiting mends it."""
    cluster = lab.cluster(fresh=True)
    lock(cluster, guest="reader")
    cluster.access = credentials(tmp_path, "reader", PASSWORD)
    new = cluster.new_member()
    end = cluster.join(new).wait(60)
    assert (end.code, end.answer["outcome"], cluster.changes()) == (5, "refused", []), end
    assert "etcdserver: permission denied" in end.answer["reason"]
    assert "role root" in end.answer["hint"]
    plan = lab.run("plan", "join", cluster.name, new.name, "--peer-url", new.peer_url, "--json")
    refused = next(check for check in plan.answer["checks"] if check["verdict"] == "refuse")
    assert (plan.code, refused["name"], refused["error"]) == (5, "access", "PermissionDenied"), plan
    doctor = lab.run("doctor", "--json")
    failed = [row["verdict"] for row in doctor.answer["checks"] if row["check"] == f"cluster {cluster.name}"]
    assert any("PermissionDenied" in verdict for verdict in failed), doctor


def test_auth_without_a_user_in_the_file(lab):
    """Plan, doctor and the change itself say so, and nothing retries for ever."""
    cluster = lab.cluster(fresh=True)
    lock(cluster)
    new = cluster.new_member()
    end = cluster.join(new).wait(60)
    assert (end.code, end.answer["outcome"], cluster.changes()) == (5, "refused", []), end
    assert "set username and password_file" in end.answer["hint"], end
    plan = lab.run("plan", "join", cluster.name, new.name, "--peer-url", new.peer_url, "--json")
    assert (plan.code, plan.answer["error"].split(":")[0]) == (1, "UserEmpty"), plan  # it has seen nothing to judge
    doctor = lab.run("doctor", "--json")
    [row] = [row for row in doctor.answer["checks"] if row["check"] == f"cluster {cluster.name}"]
    assert row["level"] == "fail", doctor


def test_the_password_stays_with_the_worker(lab, tmp_path):
    """Through a wrong one, its correction, a join, a removal, and everything that can be asked meanwhile."""
    cluster = lab.cluster(fresh=True)
    lock(cluster)
    secret = tmp_path / "password"
    cluster.access = {"username": "root", "password_file": str(secret)}
    cluster.policy = LOOSE
    secret.write_text(WRONG)
    new = cluster.new_member()
    # Without TLS a token goes to configured endpoints alone, and this etcd answers no status without one.
    cluster.named = [new.advertised]
    refused = cluster.join(new).wait()
    assert (refused.code, "authentication failed" in refused.answer["reason"]) == (5, True), refused
    secret.write_text(PASSWORD)
    join = cluster.join(new)
    join.start_member()
    promoted = join.wait()
    assert (promoted.code, promoted.answer["outcome"]) == (0, "promoted"), promoted
    removed = cluster.remove(new.name).wait()
    assert (removed.code, removed.answer["outcome"]) == (0, "removed"), removed
    asked = [lab.run("status", cluster.name), lab.run("doctor"), lab.run("changes", cluster.name, "--json")]
    ids = [change_id(cluster.name, verb, new.name) for verb in ("join", "remove")]
    said = [end.stdout + end.stderr for end in (refused, promoted, removed, *asked)]
    kept = [text for workflow_id in (*ids, turns_id(cluster.name)) for text in history(lab, workflow_id)]
    logged = lab.worker.process.log.read_text()
    assert new.name in " ".join(said)
    assert any(new.name in text for text in kept)
    assert new.name in logged
    for place in (*said, *kept, logged, *files(lab.folder / cluster.name)):
        assert PASSWORD not in place
        assert WRONG not in place


def files(folder: Path) -> Iterator[str]:
    """What was written for the members: their logs, the handover."""
    for path in folder.rglob("*.log"):
        yield path.read_text(errors="replace")
    for path in folder.glob("*.env"):
        yield path.read_text()
