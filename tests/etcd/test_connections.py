"""Connections cost files: unused ones are closed, and a replaced client keeps none."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from reach import client

from etcdapi import connections
from etcdapi.client import EtcdClient
from etcdapi.connection import etcd3
from etcdapi.connections import Connections
from membership.etcd import Access
from support.parts.command import eventually


def files():
    """How many files this process has open, sockets among them."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def fast(monkeypatch):
    """Connections are idle after a moment, and looked for as often."""
    monkeypatch.setattr(connections, "IDLE_AFTER", 0.3)
    monkeypatch.setattr(connections, "LOOK_EVERY", 0.1)
    monkeypatch.setattr(connections, "_closer", connections._Closer())


def test_an_unused_cluster_costs_no_file(single, fast):
    """A while after the last look; the next look opens what it needs."""
    with client(single.client_url) as etcd:
        before = files()
        for _ in range(2):
            assert etcd.look().progress
            assert files() >= before + 2
            eventually(lambda: files() <= before, "the connections to be closed")


def test_the_real_limits():
    """Together they are less than a minute."""
    assert connections.IDLE_AFTER + connections.LOOK_EVERY < 60


def test_a_connection_in_use_is_not_closed(single, fast):
    """A snapshot may take hours, and no new call begins meanwhile."""
    own = etcd3.client("127.0.0.1", single.client_port, timeout=5)
    for number in range(20):
        own.put(f"key-{number}", bytes(1_000_000))
    own.close()
    with client(single.client_url) as etcd:
        etcd.look()
        pieces = etcd.snapshot()
        size = len(next(pieces)[0])
        threading.Event().wait(1)
        assert size + sum(len(piece) for piece, _ in pieces) > 20_000_000


def test_a_replaced_client_keeps_no_connection(single):
    """Its certificates were renewed: what it still does ends, and then nothing of it is left."""
    etcd = EtcdClient(Access((single.client_url,)))
    before = files()
    etcd.look()
    pieces = etcd.snapshot()
    next(pieces)
    etcd.close()
    assert files() > before
    list(pieces)
    eventually(lambda: files() <= before, "the last connection to be closed")
    etcd.look()
    eventually(lambda: files() <= before, "those of a late call to be closed as well")


def test_one_connection_for_all_calls(single):
    """Two threads that use an endpoint at once share it."""
    shared = Connections(Access((single.client_url,)))
    with shared.use(single.client_url) as one, shared.use(single.client_url) as other:
        assert one is other
    shared.retire()
