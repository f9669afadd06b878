"""A snapshot before the removal, where the policy wants one."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from local.etcd_cluster import LocalMember
from support.parts.etcd_tools import tool
from support.parts.lab import LOOSE, Cluster, follower

KEY = "kept"


@pytest.fixture(scope="session")
def etcdutl():
    """The snapshot part of etcd's own tool."""
    return tool("etcdutl")


def restored(etcdutl: Path, saved: Path, cluster: Cluster) -> LocalMember:
    """A cluster of its own that etcd made from the file; it checks the file's own SHA-256 before."""
    member = LocalMember("restored", cluster.members[0].binary, cluster.lab.folder / cluster.name / "restored")
    args = [f"--name={member.name}", f"--data-dir={member.folder / 'data'}"]
    args += [f"--initial-cluster={member.name}={member.peer_url}", f"--initial-advertise-peer-urls={member.peer_url}"]
    member.folder.mkdir(parents=True)
    ran = subprocess.run([etcdutl, "restore", saved, *args], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    member.start()
    member.wait_until_serving()
    return member


def test_a_snapshot_comes_before_the_removal(lab, tmp_path, etcdutl):
    """Streamed to the worker's disk, named in the outcome, and whole: etcd takes it up with all that was in it."""
    cluster = lab.cluster(fresh=True)
    cluster.fill(5)
    client = cluster.client(cluster.leader())
    client.put(KEY, "a value")
    client.close()
    cluster.policy = {**LOOSE, "snapshot_before_removal": f"{tmp_path}/{{cluster}}-{{time}}.db"}
    end = cluster.remove(follower(cluster).name).wait()
    assert (end.code, end.answer["outcome"]) == (0, "removed"), end
    [saved] = tmp_path.iterdir()
    assert saved.name.startswith(cluster.name)
    assert any(str(saved) in warning for warning in end.answer["warnings"])
    content = saved.read_bytes()
    assert len(content) > 5_000_000
    assert hashlib.sha256(content[:-32]).digest() == content[-32:]
    seen = subprocess.run([etcdutl, "status", saved], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(seen.stdout)["totalKey"] == 51  # 50 to fill it, and one
    member = restored(etcdutl, saved, cluster)
    try:
        client = cluster.client(member)
        assert client.get(KEY)[0] == b"a value"
        assert len(list(client.get_prefix("fill/", keys_only=True))) == 50
        client.close()
    finally:
        member.kill()


def test_a_snapshot_that_fails_stops_the_removal(lab):
    """Nothing is removed without the snapshot that the policy wants."""
    cluster = lab.cluster(fresh=True)
    cluster.policy = {**LOOSE, "snapshot_before_removal": "/no/such/folder/{time}.db"}
    end = cluster.remove(follower(cluster).name).wait()
    assert end.code == 5, end
    assert "/no/such/folder" in end.answer["reason"]
    assert not cluster.sent("MemberRemove")
    assert len(cluster.rows()) == 3
