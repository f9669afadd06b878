"""
One endpoint: a gRPC channel and an HTTP connection.

etcd3's client opens the channel. Both are kept while they are used.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

import grpc

from etcdapi import stubs
from etcdapi.http import HttpAnswer, HttpEndpoint
from etcdapi.resolving import is_address, resolve
from membership.errors import InvalidConfiguration
from membership.etcd import Access
from membership.etcd_errors import Unreachable

stubs.install()

import etcd3  # noqa: E402  (its own stubs must not load)

# Bytes. The largest answer is a member list of some kB. A piece of a snapshot has 32 kB.
MOST_MESSAGE_BYTES = 1024 * 1024

# Only the workflow retries. A member that comes up must be noticed within a second, not after gRPC's 120.
_OPTIONS = (
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", MOST_MESSAGE_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.use_local_subchannel_pool", 1),
    # Calls go to the members themselves, not to a proxy that the environment names.
    ("grpc.enable_http_proxy", 0),
    # A machine without power closes no connection. etcd allows a ping every 5 s while a call is under way. In a stream
    # in which only the server sends, gRPC stops by default after two pings. It also sends no ping while a ping that
    # measures the bandwidth of a stream is unanswered. Such a ping has its own time-out.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 0),
)

#: Make the interceptors of the calls on a new connection, from its URL. Empty unless a worker records traces.
INTERCEPTORS: list[Callable[[str], grpc.UnaryUnaryClientInterceptor]] = []

# Seconds.
HTTP_DEADLINE = 1.0


class Connection:
    """
    The calls of one endpoint. Not for use after `close`.

    The constructor raises Unreachable for a malformed client URL, and InvalidConfiguration for unusable certificate
    files.
    """

    def __init__(self, url: str, access: Access) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            port = None
        if not port or not parts.hostname:
            raise Unreachable(f"{url!r} is not a client URL", endpoint=url)
        self.url = url
        tls = parts.scheme == "https"
        #: Whether the certificate was checked for the host's name, or needs no such check.
        self.name_checked = not tls or is_address(parts.hostname)
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self._http = HttpEndpoint(parts.hostname, port, tls_context(access) if tls else None)
        files = {"ca_cert": access.ca, "cert_cert": access.cert, "cert_key": access.key} if tls else {}
        try:
            client = etcd3.client(host=host, port=port, grpc_options=_OPTIONS, **files)
        except (OSError, ValueError) as error:
            raise InvalidConfiguration(f"certificate files of the cluster: {error}") from error
        channel = grpc.intercept_channel(client.channel, *(make(url) for make in INTERCEPTORS))
        self.cluster = stubs.rpc_pb2_grpc.ClusterStub(channel)  # type: ignore[no-untyped-call]  # generated
        self.maintenance = stubs.rpc_pb2_grpc.MaintenanceStub(channel)  # type: ignore[no-untyped-call]
        self.auth = stubs.rpc_pb2_grpc.AuthStub(channel)  # type: ignore[no-untyped-call]
        self._channel = client

    def close(self) -> None:
        self._channel.close()
        self._http.close()

    def get(self, path: str, within: float = HTTP_DEADLINE) -> HttpAnswer:
        """
        The answer to a plain HTTP GET on the client port, within that many seconds in all.

        Raises Unreachable for every other outcome than an answer of 200.
        """
        try:
            answer = self._http.get(path, within)
        except (OSError, HTTPException) as error:
            raise Unreachable(f"GET {path}: {reason_of(error)}", endpoint=self.url) from error
        if answer.status != 200:
            raise Unreachable(f"GET {path}: HTTP {answer.status}", endpoint=self.url)
        return answer


def nothing_listens(url: str) -> bool:
    """Whether the host of a client URL refuses the connection at each of its addresses: no process listens there."""
    parts, until = urlsplit(url), time.monotonic() + HTTP_DEADLINE
    try:
        addresses = resolve(parts.hostname or "", parts.port or 0, until)
    except (OSError, ValueError):
        return False  # the name has no address
    return bool(addresses) and all(_refuses(family, address, until) for family, address in addresses)


def _refuses(family: socket.AddressFamily, address: tuple[Any, ...], until: float) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(max(0.001, until - time.monotonic()))
        try:
            probe.connect(address)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def tls_context(access: Access) -> ssl.SSLContext:
    """TLS with the files of a cluster. Raises InvalidConfiguration for an unusable file, with its key and path."""
    try:
        context = ssl.create_default_context(cafile=access.ca)
    except (OSError, ValueError) as error:
        raise InvalidConfiguration(f"ca {access.ca}: {reason_of(error)}") from error
    # etcd's own clients no longer accept a host name in the CN.
    context.hostname_checks_common_name = False
    if access.cert:
        try:
            context.load_cert_chain(access.cert, access.key)
        except (OSError, ValueError) as error:
            raise InvalidConfiguration(f"cert {access.cert} with key {access.key}: {reason_of(error)}") from error
    return context


def reason_of(error: Exception) -> str:
    """The system's or OpenSSL's words for an error, without their numbers and the place in Python's source."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
