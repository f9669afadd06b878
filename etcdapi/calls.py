"""Calls to the endpoints of one cluster: many at once when reading, one and only once when changing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Lock
from typing import Any

import grpc

from etcdapi.connection import Connection
from etcdapi.errors import from_rpc
from etcdapi.stubs import rpc_pb2
from membership.errors import InvalidAuthToken, InvalidConfiguration, MemberflowError, Unreachable, UserEmpty
from membership.ports import Access

AUTH_DEADLINE = 2.0
# A new token reaches the other members through raft: within milliseconds, but after the answer.
TOKEN_SPREAD = (0.02, 0.1, 0.3)

Ask = Callable[[Connection], "grpc.Future[Any]"]
Answers = dict[str, Any | MemberflowError]


class Calls:
    """Connections and the auth token of one cluster; threads may share it."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._lock = Lock()
        self._connections: dict[str, Connection] = {}
        self._token: str | None = None

    def connection(self, url: str) -> Connection:
        """The one connection to an endpoint; raises Unreachable for what is no client URL."""
        with self._lock:
            if url not in self._connections:
                self._connections[url] = Connection(url, self._access)
            return self._connections[url]

    def read(self, urls: Iterable[str], method: str, request: Any, deadline: float) -> Answers:
        """
        What each endpoint answers to a read, or the error that it got; all are asked at once.

        An expired token is renewed and the read repeated: it was certainly not executed.
        """
        answers = self._ask_all(list(urls), method, request, deadline)
        for pause in TOKEN_SPREAD:
            unknown = [url for url, a in answers.items() if isinstance(a, InvalidAuthToken | UserEmpty)]
            if not unknown or self._access.username is None:
                break
            failure = self._renew_token(unknown)
            if failure is not None:
                answers |= dict.fromkeys(unknown, failure)
                break
            time.sleep(pause)
            answers |= self._ask_all(unknown, method, request, deadline)
        return answers

    def send(self, url: str, method: str, request: Any, deadline: float) -> Any:
        """
        Sends a change, once; raises the named error of whatever comes back.

        Authenticates before it: some servers let every read pass without a token (CVE-2026-33413). After a token
        that was refused the next change has a new one.
        """
        if self._access.username is not None and self._token is None and (failure := self._renew_token([url])):
            raise failure
        future = self._start(url, method, request, deadline)
        try:
            return future.result()
        except grpc.RpcError as error:
            named = from_rpc(error, url)
            if isinstance(named, InvalidAuthToken | UserEmpty):
                self._token = None
            raise named from error

    def stream(self, url: str, method: str, request: Any, deadline: float) -> Iterator[Any]:
        """What comes of a streamed read; raises the named error of whatever breaks it."""
        for attempt in range(2):
            metadata = [("token", self._token)] if self._token else []
            try:
                yield from getattr(self.connection(url).maintenance, method)(
                    request, timeout=deadline, metadata=metadata
                )
            except grpc.RpcError as error:
                named = from_rpc(error, url)
                # A token that is too old is said before the first piece.
                if attempt or not isinstance(named, InvalidAuthToken | UserEmpty) or self._access.username is None:
                    raise named from error
                self._renew_token([url])
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
        if self._token:
            metadata.append(("token", self._token))
        stub = connection.cluster if hasattr(connection.cluster, method) else connection.maintenance
        return getattr(stub, method).future(request, timeout=deadline, metadata=metadata)

    def _ask_all(self, urls: Sequence[str], method: str, request: Any, deadline: float) -> Answers:
        started: Answers = {}
        for url in urls:
            try:
                started[url] = self._start(url, method, request, deadline)
            except Unreachable as error:
                started[url] = error
        return {url: self._result(url, future) for url, future in started.items()}

    def _result(self, url: str, future: Any) -> Any | MemberflowError:
        if isinstance(future, MemberflowError):
            return future
        try:
            return future.result()
        except grpc.RpcError as error:
            return from_rpc(error, url)

    def _renew_token(self, alive: Sequence[str]) -> MemberflowError | None:
        """Authenticates at the first endpoint that answers, those that have just answered first; learners refuse."""
        assert self._access.password_file
        try:
            password = self._access.password_file.read_text().rstrip("\n")
        except OSError as error:
            return InvalidConfiguration(f"cannot read {self._access.password_file}: {error.strerror}")
        request = rpc_pb2.AuthenticateRequest(name=self._access.username, password=password)
        failure: MemberflowError | None = None
        for url in dict.fromkeys((*alive, *self._access.endpoints)):
            try:
                self._token = self.connection(url).auth.Authenticate(request, timeout=AUTH_DEADLINE).token
            except grpc.RpcError as error:
                failure = from_rpc(error, url)
            else:
                return None
        return failure
