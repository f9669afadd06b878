"""Calls to the endpoints of one cluster: many at once when reading, one and only once when changing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from threading import Lock
from typing import Any

import grpc

from etcdapi.auth import Auth
from etcdapi.connection import Connection
from etcdapi.errors import from_rpc
from membership.errors import InvalidAuthToken, InvalidConfiguration, MemberflowError, Unreachable, UserEmpty
from membership.ports import Access

# A new token reaches the other members through raft: within milliseconds, but after the answer.
TOKEN_SPREAD = (0.02, 0.1, 0.3)

_TOKEN_REFUSED = (InvalidAuthToken, UserEmpty)

Answers = dict[str, Any | MemberflowError]


class Calls:
    """Connections and the auth token of one cluster; threads may share it."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._lock = Lock()
        self._connections: dict[str, Connection] = {}
        self.auth = Auth(access, self.connection)
        self._tls_only = access.username is not None and all(map(_is_https, access.endpoints))

    def connection(self, url: str) -> Connection:
        """
        The one connection to an endpoint.

        Raises Unreachable for what is no client URL, or would be told a token without TLS although the configured
        endpoints have it; InvalidConfiguration for certificate files that can't be used.
        """
        if self._tls_only and not _is_https(url):
            raise Unreachable("not connected to: neither token nor password is sent without TLS", endpoint=url)
        with self._lock:
            if url not in self._connections:
                self._connections[url] = Connection(url, self._access)
            return self._connections[url]

    def read(self, urls: Iterable[str], method: str, request: Any, deadline: float) -> Answers:
        """
        What each endpoint answers to a read, or the error that it got; all are asked at once.

        A token that is missing or expired is renewed, once, and the read repeated where it was refused: it was
        certainly not executed.
        """
        used = self.auth.token
        answers = self._ask_all(list(urls), method, request, deadline)
        answered = [url for url, a in answers.items() if not isinstance(a, MemberflowError)]
        answers |= self.auth.after_read(used, _refused(answers), answered)
        if self.auth.is_new:
            for pause in TOKEN_SPREAD:
                if refused := _refused(answers):
                    time.sleep(pause)
                    answers |= self._ask_all(refused, method, request, deadline)
            self.auth.note_refusals(_refused(answers))
        return answers

    def send(self, url: str, method: str, request: Any, deadline: float) -> Any:
        """
        Sends a change, once and at once; raises the named error of whatever comes back.

        It never authenticates: what was checked before it must not grow old. After a token that was refused the
        next read or `auth.authenticate` asks for a new one.
        """
        used = self.auth.token
        future = self._start(url, method, request, deadline)
        try:
            return future.result()
        except grpc.RpcError as error:
            named = from_rpc(error, url)
            if isinstance(named, _TOKEN_REFUSED):
                self.auth.drop(used)
            raise named from error

    def stream(self, url: str, method: str, request: Any, deadline: float) -> Iterator[Any]:
        """What comes of a streamed read; raises the named error of whatever breaks it."""
        for attempt in range(2):
            used = self.auth.token
            try:
                yield from getattr(self.connection(url).maintenance, method)(
                    request, timeout=deadline, metadata=self.auth.metadata
                )
            except grpc.RpcError as error:
                named = from_rpc(error, url)
                # A token that is too old is said before the first piece.
                if attempt or not isinstance(named, _TOKEN_REFUSED) or self._access.username is None:
                    raise named from error
                for failure in self.auth.after_read(used, [url], []).values():
                    raise failure from error
            else:
                return

    def close(self) -> None:
        with self._lock:
            for connection in self._connections.values():
                connection.close()
            self._connections.clear()

    def _start(self, url: str, method: str, request: Any, deadline: float) -> Any:
        connection = self.connection(url)
        # A member without a leader then says so at once instead of hanging; Status must answer without one.
        metadata = [] if method == "Status" else [("hasleader", "true")]
        metadata += self.auth.metadata
        stub = connection.cluster if hasattr(connection.cluster, method) else connection.maintenance
        return getattr(stub, method).future(request, timeout=deadline, metadata=metadata)

    def _ask_all(self, urls: Sequence[str], method: str, request: Any, deadline: float) -> Answers:
        started: Answers = {}
        for url in urls:
            try:
                started[url] = self._start(url, method, request, deadline)
            except (Unreachable, InvalidConfiguration) as error:
                started[url] = error
        return {url: self._result(url, future) for url, future in started.items()}

    def _result(self, url: str, future: Any) -> Any | MemberflowError:
        if isinstance(future, MemberflowError):
            return future
        try:
            return future.result()
        except grpc.RpcError as error:
            return from_rpc(error, url)


def _refused(answers: Answers) -> list[str]:
    return [url for url, a in answers.items() if isinstance(a, _TOKEN_REFUSED)]


def _is_https(url: str) -> bool:
    return url.startswith("https://")
