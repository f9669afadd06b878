"""Names and URLs, as etcd, Temporal and a handover can carry them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

# A workflow ID is made of two names and etcd writes a name into every line of its log.
LONGEST_NAME = 128
_LONGEST_HOST = 253
#: Of one member.
MOST_PEER_URLS = 16

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_DNS_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# Resolvers take such a host for an IP address in an old spelling: `0`, `127.1`, `0x7f.0.0.1`.
_NUMERIC = re.compile(r"(?:.*\.)?(?:\d+|0x[0-9a-f]*)")

_EXPECTED = "write scheme://host:port, e.g. https://10.0.0.14:2380"


def check_name(value: str) -> str:
    """
    A cluster's or member's name, unchanged.

    Raises ValueError for a name that could not stand in a workflow ID or in ETCD_INITIAL_CLUSTER.
    """
    if len(value) > LONGEST_NAME:
        raise ValueError(f"a name of {len(value)} characters is too long: use {LONGEST_NAME} at most")
    if not _NAME.fullmatch(value):
        raise ValueError(
            f"{value!r} is not a valid name: use letters, digits, '.', '_' and '-', first a letter or digit"
        )
    return value


def is_name(value: str) -> bool:
    """Whether `check_name` accepts a name that came from a cluster."""
    return len(value) <= LONGEST_NAME and _NAME.fullmatch(value) is not None


@dataclass(frozen=True)
class Address:
    """The parts of an etcd URL."""

    scheme: str
    #: In lower case. An IPv6 address has no brackets here.
    host: str
    port: int

    @property
    def ip(self) -> IPv4Address | IPv6Address | None:
        """The host as an IP address, None for a DNS name."""
        return _ip(self.host)

    @property
    def is_loopback(self) -> bool:
        """Whether it leads a client to the client's own machine."""
        return self.host == "localhost" or bool(self.ip and self.ip.is_loopback)

    @property
    def is_unspecified(self) -> bool:
        """Whether it is 0.0.0.0 or [::]: servers listen there, and no client can dial it."""
        return bool(self.ip and self.ip.is_unspecified)

    @property
    def place(self) -> tuple[str, int]:
        """Host and port, without the scheme. 127.0.0.1 and ::1 become `localhost`."""
        host = "localhost" if self.host in ("127.0.0.1", "::1") else self.host
        return host, self.port

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_url(value: str) -> Address:
    """
    The parts of an etcd URL.

    Raises ValueError, with the reason, for a URL that etcd would refuse as peer or client URL, or that a handover
    cannot carry.
    """
    # An error is logged and kept, so a possible password does not go into it.
    shown = repr(re.sub(r"//.*@", "//…@", value)[:200])
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(f"{shown} is not a valid URL: {_EXPECTED}") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{shown} has the scheme {parts.scheme!r}, not http or https: {_EXPECTED}")
    if re.search(r"\s", value):
        raise ValueError(f"{shown} has white space in it: {_EXPECTED}")
    if not parts.hostname or port is None:
        raise ValueError(f"{shown} lacks a host or a port: {_EXPECTED}")
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"{shown} has more than scheme, host and port: {_EXPECTED}")
    if port == 0:
        raise ValueError(f"{shown} has the port 0, where no member can be reached: {_EXPECTED}")
    host = _host(parts.hostname, bracketed=parts.netloc.startswith("["))
    if host is None:
        raise ValueError(f"{shown} has a host that is neither a DNS name nor an IP address: {_EXPECTED}")
    return Address(parts.scheme, host, port)


def find_address(url: str) -> Address | None:
    """The parts of a URL that came from a cluster, None where this service would not accept it."""
    try:
        return parse_url(url)
    except ValueError:
        return None


def place_of(url: str) -> tuple[str, int] | None:
    """Host and port of a URL that came from a cluster, None where `find_address` finds none."""
    address = find_address(url)
    return address.place if address else None


def is_loopback(url: str) -> bool:
    """Whether a URL leads each client to its own machine."""
    address = find_address(url)
    return address is not None and address.is_loopback


def is_unspecified(url: str) -> bool:
    """Whether a URL has 0.0.0.0 or [::] as its host, which no client can dial."""
    address = find_address(url)
    return address is not None and address.is_unspecified


def check_url(value: str) -> str:
    """
    An etcd URL (scheme, host and port): scheme and host in lower case, and nothing behind the port.

    Raises ValueError as `parse_url` does.
    """
    return str(parse_url(value))


def check_peer_url(value: str) -> str:
    """As `check_url`, for a new member's peer URL: the other members must be able to dial it."""
    address = parse_url(value)
    if address.is_unspecified:
        raise ValueError(f"{value!r} is not an address that other members can dial: write the new member's own address")
    return str(address)


def _host(host: str, *, bracketed: bool) -> str | None:
    """The host in its one spelling, None when it is neither a DNS name nor an IP address."""
    if ip := _ip(host):
        return str(ip) if bracketed == (ip.version == 6) else None
    if bracketed or len(host) > _LONGEST_HOST or _NUMERIC.fullmatch(host):
        return None
    return host if _DNS_NAME.fullmatch(host) else None


def _ip(host: str) -> IPv4Address | IPv6Address | None:
    for kind in (IPv4Address, IPv6Address):
        try:
            ip: IPv4Address | IPv6Address = kind(host)
        except AddressValueError:
            continue
        # A zone has a meaning on one machine only.
        return None if "%" in host else ip
    return None


Name = Annotated[str, AfterValidator(check_name)]
Url = Annotated[str, AfterValidator(check_url)]
PeerUrl = Annotated[str, AfterValidator(check_peer_url)]
