"""One endpoint: one gRPC channel, opened by etcd3's client and kept."""

from __future__ import annotations

import socket
import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection, RemoteDisconnected
from threading import Lock
from urllib.parse import urlsplit

from etcdapi import stubs
from membership.errors import InvalidConfiguration, Unreachable
from membership.ports import Access

stubs.install()

import etcd3  # noqa: E402  (its own stubs must not load)

# Retries are the workflow's alone; a member that comes up must be noticed within a second, not after gRPC's 120.
_OPTIONS = (
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.use_local_subchannel_pool", 1),
    # Members are asked themselves, not a proxy that the environment names.
    ("grpc.enable_http_proxy", 0),
    # A machine without power closes no connection. etcd allows a ping every 5 s while a call is under way; left to
    # itself, gRPC stops after two of them in a stream in which only the server sends, and sends none while one of
    # those that measure the bandwidth of a stream has no answer: that one has a time-out of its own.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 0),
)

HTTP_DEADLINE = 1.0


class Connection:
    """
    The calls of one endpoint. Not for use after `close`.

    Making one raises Unreachable for what is no client URL, and InvalidConfiguration for files that can't be used.
    """

    def __init__(self, url: str, access: Access) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            port = None
        if not port or not parts.hostname:
            raise Unreachable(f"no client URL: {url!r}", endpoint=url)
        self.url = url
        tls = parts.scheme == "https"
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self._http = _http(parts.hostname, port, access if tls else None)
        files = {"ca_cert": access.ca, "cert_cert": access.cert, "cert_key": access.key} if tls else {}
        try:
            client = etcd3.client(host=host, port=port, grpc_options=_OPTIONS, **files)
        except (OSError, ValueError) as error:
            raise InvalidConfiguration(f"certificate files of the cluster: {error}") from error
        self.cluster: stubs.rpc_pb2_grpc.ClusterStub = client.clusterstub
        self.maintenance: stubs.rpc_pb2_grpc.MaintenanceStub = client.maintenancestub
        self.auth = stubs.rpc_pb2_grpc.AuthStub(client.channel)  # type: ignore[no-untyped-call]  # generated
        self._channel = client
        self._http_lock = Lock()

    def close(self) -> None:
        self._channel.close()
        self._http.close()

    def get(self, path: str) -> bytes:
        """As `get_dated`, without the date."""
        return self.get_dated(path)[0]

    def get_dated(self, path: str) -> tuple[bytes, str]:
        """
        The body and the server's date of a plain HTTP GET on the client port, over one connection that is kept.

        Raises Unreachable for anything but an answer of 200 within a second.
        """
        with self._http_lock:
            try:
                try:
                    status, body, date = self._exchange(path)
                except (RemoteDisconnected, ConnectionError):
                    self._http.close()  # the server closed a kept connection; a new one tells how it is now
                    status, body, date = self._exchange(path)
            except (OSError, HTTPException) as error:
                self._http.close()
                raise Unreachable(f"GET {path}: {error}", endpoint=self.url) from error
        if status != 200:
            raise Unreachable(f"GET {path}: HTTP {status}", endpoint=self.url)
        return body, date

    def _exchange(self, path: str) -> tuple[int, bytes, str]:
        self._http.request("GET", path)
        answer = self._http.getresponse()
        return answer.status, answer.read(), answer.headers.get("Date", "")


def refuses(url: str) -> bool:
    """Whether the host of a client URL says, at each of its addresses, that no process listens there."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port), timeout=HTTP_DEADLINE, all_errors=True).close()
    except ExceptionGroup as errors:
        return all(isinstance(error, ConnectionRefusedError) for error in errors.exceptions)
    except OSError:
        return False  # the name has no address
    return False


def _http(host: str, port: int, access: Access | None) -> HTTPConnection:
    if access is None:
        return HTTPConnection(host, port, timeout=HTTP_DEADLINE)
    return HTTPSConnection(host, port, timeout=HTTP_DEADLINE, context=_context(access))


def _context(access: Access) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=access.ca)
    except (OSError, ValueError) as error:
        raise InvalidConfiguration(f"ca {access.ca}: {error}") from error
    if access.cert:
        try:
            context.load_cert_chain(access.cert, access.key)
        except (OSError, ValueError) as error:
            raise InvalidConfiguration(f"cert {access.cert} with key {access.key}: {error}") from error
    return context
