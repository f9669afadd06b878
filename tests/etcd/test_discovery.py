"""The endpoints of a cluster from DNS: by etcd's own SRV names, from a real server, to a real member."""

from __future__ import annotations

import socket
import threading
from urllib.parse import urlsplit

import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest

from clusters import ClustersFile
from etcdapi import discovery
from etcdapi.client import EtcdClient
from etcdapi.discovery import Discovery, Undiscovered
from launchers.docker_launcher import DockerLauncher

PLAIN = "_etcd-client._tcp.example.com."
SECURE = "_etcd-client-ssl._tcp.example.com."


class Nameserver:
    """A DNS server on loopback, and a resolver that asks it. `records`: the SRV records of each name."""

    def __init__(self):
        self.records: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self.is_silent = False
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def resolver(self):
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], self._socket.getsockname()[1]
        return resolver

    def _serve(self):
        while True:
            question, client = self._socket.recvfrom(4096)
            if not question:
                return
            query = dns.message.from_wire(question)
            name = query.question[0].name.to_text()
            self.asked.append(name)
            answer = dns.message.make_response(query)
            answer.flags |= dns.flags.RA
            if records := self.records.get(name):
                answer.answer.append(dns.rrset.from_text(name, 60, "IN", "SRV", *records))
            else:
                answer.set_rcode(dns.rcode.NXDOMAIN)
            if not self.is_silent:
                self._socket.sendto(answer.to_wire(), client)

    def close(self):
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()


@pytest.fixture
def nameserver():
    """A DNS server without records."""
    server = Nameserver()
    yield server
    server.close()


@pytest.fixture
def always_anew(monkeypatch):
    """DNS is asked at every connect."""
    monkeypatch.setattr(discovery, "GOOD_FOR", 0.0)


def test_a_cluster_that_only_dns_knows(nameserver, single, tmp_path):
    """A clusters file with `discovery_srv` alone leads to the member."""
    nameserver.records[PLAIN] = [f"0 0 {urlsplit(single.client_url).port} localhost."]
    file = tmp_path / "clusters.toml"
    file.write_text('[clusters.prod]\ndiscovery_srv = "example.com"\n')
    clusters = ClustersFile(file, EtcdClient, DockerLauncher, Discovery(nameserver.resolver).find)
    etcd = clusters.connect("prod")
    assert [member.name for member in etcd.look().voters] == ["alone"]
    etcd.close()


def test_with_tls_only_the_tls_records_count(nameserver):
    """Records without TLS never make a connection without TLS. By priority, then weight."""
    nameserver.records = {
        PLAIN: ["0 0 2379 open.example.com."],
        SECURE: ["1 0 2379 c.example.com.", "0 5 2379 B.example.com.", "0 9 2380 a.example.com."],
    }
    found = Discovery(nameserver.resolver).find("example.com", tls=True)
    assert found == ("https://a.example.com:2380", "https://b.example.com:2379", "https://c.example.com:2379")
    assert nameserver.asked == [SECURE]


def test_dns_is_asked_once_a_minute(nameserver):
    """A look every few milliseconds costs DNS nothing."""
    nameserver.records[PLAIN] = ["0 0 2379 a.example.com."]
    found = Discovery(nameserver.resolver)
    for _ in range(3):
        assert found.find("example.com", tls=False) == ("http://a.example.com:2379",)
    assert nameserver.asked == [PLAIN]


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ([], "DNS has no SRV record _etcd-client._tcp.example.com"),
        (["0 0 0 ."], "the SRV record _etcd-client._tcp.example.com names no host and port"),
    ],
)
def test_a_domain_without_a_cluster(nameserver, records, told):
    """The record that is missing is named."""
    nameserver.records[PLAIN] = records
    with pytest.raises(Undiscovered) as caught:
        Discovery(nameserver.resolver).find("example.com", tls=False)
    assert str(caught.value) == f"discovery_srv: {told}"


def test_a_silent_nameserver(nameserver, monkeypatch):
    """It costs a moment, and says who did not answer."""
    monkeypatch.setattr(discovery, "DEADLINE", 0.2)
    nameserver.is_silent = True
    with pytest.raises(Undiscovered, match="no DNS server answered"):
        Discovery(nameserver.resolver).find("example.com", tls=False)


def test_the_last_good_answer_stays_in_use(nameserver, always_anew, caplog):
    """A change goes on while DNS is away, and hears of new records when it is back. The log says it once."""
    nameserver.records[PLAIN] = ["0 0 2379 a.example.com."]
    found = Discovery(nameserver.resolver)
    assert found.find("example.com", tls=False) == ("http://a.example.com:2379",)
    nameserver.records.clear()
    for _ in range(2):
        assert found.find("example.com", tls=False) == ("http://a.example.com:2379",)
    [record] = caplog.records
    assert record.message.endswith(", and the last good answer is used: http://a.example.com:2379")
    nameserver.records[PLAIN] = ["0 0 2379 b.example.com."]
    assert found.find("example.com", tls=False) == ("http://b.example.com:2379",)
