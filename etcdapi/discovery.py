"""Finds the client URLs of a cluster in DNS, by etcd's own SRV names."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

import dns.exception
import dns.resolver

from membership.errors import ClusterUnreachable
from membership.names import find_address

# Seconds for one question, and seconds until DNS is asked again.
DEADLINE = 2.0
GOOD_FOR = 60.0

_log = logging.getLogger("memberflow.clusters")


class Undiscovered(ClusterUnreachable):
    """DNS names no endpoint of the cluster."""

    hint = "`dig SRV NAME` shows the records (with ca: _etcd-client-ssl._tcp.DOMAIN, else _etcd-client._tcp.DOMAIN)"


@dataclass(frozen=True)
class _Found:
    """The last good answer for one name."""

    urls: tuple[str, ...]
    #: Seconds on the monotonic clock at which DNS was asked last, whether it answered or not.
    asked: float
    #: Why the last question failed. Empty: it did not.
    problem: str = ""


class Discovery:
    """
    The client URLs behind a domain's SRV records. Threads may share it.

    With TLS these are the records of `_etcd-client-ssl._tcp`, without TLS those of `_etcd-client._tcp`: so DNS alone
    never decides that a connection has no TLS. While DNS does not answer, the last good answer stays in use.
    """

    def __init__(self, resolver: Callable[[], dns.resolver.Resolver] = dns.resolver.Resolver) -> None:
        self._resolver = resolver
        self._lock = Lock()
        self._found: dict[str, _Found] = {}

    def find(self, domain: str, *, tls: bool) -> tuple[str, ...]:
        """The client URLs, by priority. Raises Undiscovered when there are none, and none are known from before."""
        service, scheme = ("_etcd-client-ssl", "https") if tls else ("_etcd-client", "http")
        name = f"{service}._tcp.{domain}"
        with self._lock:
            last = self._found.get(name)
        if last and time.monotonic() - last.asked < GOOD_FOR:
            return last.urls
        try:
            found = _Found(self._ask(name, scheme), time.monotonic())
        except Undiscovered as error:
            if last is None:
                raise
            if str(error) != last.problem:
                _log.error("%s, and the last good answer is used: %s", error, ", ".join(last.urls))
            found = _Found(last.urls, time.monotonic(), str(error))
        with self._lock:
            self._found[name] = found
        return found.urls

    def _ask(self, name: str, scheme: str) -> tuple[str, ...]:
        try:
            answer = self._resolver().resolve(name, "SRV", lifetime=DEADLINE, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            raise Undiscovered(f"discovery_srv: DNS has no SRV record {name}") from None
        except dns.exception.Timeout:
            raise Undiscovered(f"discovery_srv: no DNS server answered within {DEADLINE:.0f} s for {name}") from None
        except dns.exception.DNSException as error:
            raise Undiscovered(f"discovery_srv: DNS does not answer for {name}: {_first_line(error)}") from None
        records = sorted(answer, key=lambda record: (record.priority, -record.weight, record.target.to_text()))
        hosts = [(record.target.to_text(omit_final_dot=True), record.port) for record in records]
        # A target that is the root says that there is no such service.
        addresses = (find_address(f"{scheme}://{host}:{port}") for host, port in hosts)
        urls = tuple(dict.fromkeys(str(address) for address in addresses if address))
        if not urls:
            raise Undiscovered(f"discovery_srv: the SRV record {name} names no host and port")
        return urls


def _first_line(error: dns.exception.DNSException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
