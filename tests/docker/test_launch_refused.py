"""Launchers that can't be used: said before anything is done. No engine is needed for that."""

from __future__ import annotations

import pytest

from support.parts.docker_engine import launcher_table
from support.parts.etcd_tools import unavailable

NOWHERE = "unix:///tmp/no-engine-is-here.sock"


@pytest.fixture
def table(lab):
    """Writes `[launchers.docker]`."""

    def write(**changes):
        lab.launchers = launcher_table(**{"engine": NOWHERE, "image": "any"} | changes)

    yield write
    lab.launchers = ""


@pytest.mark.parametrize(
    ("launcher", "changes", "code", "says"),
    [
        ("docker", {}, 5, "/tmp/no-engine-is-here.sock"),
        ("podman", {}, 2, "no launcher 'podman'"),
        # Under a name of its own: of a table that was good before, the last good state counts.
        ("broken", {"name": "broken", "image": ""}, 2, "launchers.broken.image"),
    ],
    ids=["no engine", "no such launcher", "a bad table"],
)
def test_a_launcher_that_cannot_be_used(lab, table, launcher, changes, code, says):
    """The join is refused, in words that name what is wrong."""
    cluster = lab.cluster()
    table(**changes)
    end = cluster.join(cluster.new_member(), "--launch", launcher).wait()
    assert end.code == code, end
    assert says in end.answer["reason"]
    assert cluster.counts() == (0, 0, 0)


def test_ci_runs_the_tests_of_launchers(monkeypatch):
    """Where no engine can be had they are skipped with a reason; on CI that is a failure."""
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no engine"):
        unavailable("no engine")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no engine"):
        unavailable("no engine")
