"""Ports and processes of the local deployment: what they promise to the demo and to all other tests."""

from __future__ import annotations

import socket
from itertools import islice
from pathlib import Path

import pytest

from local.etcd_cluster import LocalFailure, LocalMember, bootstrap
from local.processes import claimed_ports, free_port


def test_a_free_port_is_nobodys_outgoing_connection():
    """None is given twice, and none is where the kernel takes those of connections from."""
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    ports = [free_port() for _ in range(100)]
    assert len(set(ports)) == 100
    assert not [port for port in ports if low <= port <= high]


def test_a_port_in_use_is_passed_over():
    """Whoever listens there."""
    port = free_port()
    with socket.create_server(("127.0.0.1", port + 1)):
        assert free_port() != port + 1


def test_no_two_processes_choose_the_same_port():
    """Although none of them is in use yet, and both begin at the same place."""
    one, other = ({*islice(claimed_ports(7), 120)} for _ in range(2))
    assert len(one) == len(other) == 120
    assert not one & other


def test_a_cluster_that_does_not_come_up_leaves_no_process(etcd_binary, tmp_path):
    """One port is taken: the error says so, and the members that did start are gone."""
    members = [LocalMember(f"etcd-{n}", etcd_binary, tmp_path / f"etcd-{n}") for n in (1, 2, 3)]
    with (
        socket.create_server(("127.0.0.1", members[1].peer_port)),
        pytest.raises(LocalFailure, match="address already in use"),
    ):
        bootstrap(members, "taken")
    started = [m.process for m in members if m.process]
    assert started
    assert all(process.exit_code() is not None for process in started)
