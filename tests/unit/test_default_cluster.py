"""MEMBERFLOW_CLUSTER stands in for the cluster that the arguments of a command do not name."""

from __future__ import annotations

import pytest
from typer import Context
from typer.main import get_command

from cli import app


@pytest.mark.parametrize(
    ("typed", "taken"),
    [
        ("status", "prod"),
        ("status test", "test"),
        ("remove etcd-4 --force", "prod etcd-4 --force"),
        ("remove test etcd-4", "test etcd-4"),
        ("cancel etcd-4", "prod etcd-4"),
        ("cancel", "prod"),
        ("join etcd-4 --peer-url http://a:2380", "prod etcd-4 --peer-url http://a:2380"),
        # It cannot be read, and the command itself says why.
        ("status --output", "--output"),
        # As hints print it: the apply of the cluster.
        ("cancel prod", "prod"),
        ("completion bash", "bash"),
    ],
)
def test_the_default_stands_in_front_where_no_cluster_is_named(typed, taken, monkeypatch):
    """A command that names the default cluster itself means the same with and without the variable."""
    monkeypatch.setenv("MEMBERFLOW_CLUSTER", "prod")
    group = get_command(app)
    _, _, rest = group.resolve_command(Context(group), typed.split())
    assert rest == taken.split()
