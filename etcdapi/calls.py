"""Calls to the endpoints of one cluster. A read goes to many endpoints at once, a change to one endpoint, once."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import grpc

from etcdapi.auth import Auth
from etcdapi.causes import Causes, check_name
from etcdapi.connection import Connection
from etcdapi.connections import Connections
from etcdapi.error_texts import from_rpc
from membership.errors import InvalidConfiguration, MemberflowError
from membership.etcd import Access
from membership.etcd_errors import InvalidAuthToken, UnknownEtcdError, Unreachable, Untrusted, UserEmpty

# A new token reaches the other members through raft: within milliseconds, but after the answer.
TOKEN_SPREAD = (0.02, 0.1, 0.3)

# An answer to a read. A member takes some 200 bytes in the list, and Temporal takes no result of megabytes.
MOST_BYTES = 64 * 1024

# Seconds for the check of a certificate before a stream, which itself lasts for hours.
NAME_DEADLINE = 2.0

_TOKEN_REFUSED = (InvalidAuthToken, UserEmpty)

Answers = dict[str, Any | MemberflowError]


class Calls:
    """
    Connections and the auth token of one cluster. Threads may share it.

    The token goes with calls to the addresses that `Access.trusts`. Any other address is merely advertised by a member.
    It is called without a token, and when it asks for a token, that is an Untrusted error.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._connections = Connections(access)
        self._causes = Causes(access)
        self.auth = Auth(access, self._checked)
        self._tls_only = access.username is not None and all(map(_is_https, access.endpoints))

    def use(self, url: str) -> AbstractContextManager[Connection]:
        """
        The connection to an endpoint, for a `with` block.

        Raises Untrusted for an address without TLS where users and all configured endpoints have it, Unreachable for
        a malformed client URL, InvalidConfiguration for unusable certificate files.
        """
        if self._tls_only and not _is_https(url):
            raise Untrusted(
                "no connection was made: the URL has no TLS, and the endpoints of this cluster do", endpoint=url
            )
        return self._connections.use(url)

    @contextmanager
    def _checked(self, url: str, within: float) -> Iterator[Connection]:
        """As `use`, for a call that carries a secret. Raises the errors of `check_name`, too."""
        with self.use(url) as connection:
            self._check_name(connection, within)
            yield connection

    def read(
        self, urls: Iterable[str], method: str, request: Any, deadline: float, also: Collection[str] = ()
    ) -> Answers:
        """
        The answer of each endpoint to a read, or its error. All endpoints are asked at once.

        A missing or expired token is renewed once. The read is then repeated at the endpoints that refused it, since
        they certainly did not execute it. `also`: see `Auth.after_read`.
        """
        used, until = self.auth.token, time.monotonic() + deadline
        answers = self._ask_all(list(urls), method, request, deadline)
        answered = [url for url, a in answers.items() if not isinstance(a, MemberflowError)]
        answers |= self.auth.after_read(used, _refused(answers), answered, also)
        if self.auth.is_new:
            for pause in TOKEN_SPREAD:
                refused, left = _refused(answers), until - time.monotonic() - pause
                if refused and left > 0:
                    time.sleep(pause)
                    answers |= self._ask_all(refused, method, request, left)
            self.auth.note_refusals(_refused(answers))
        return answers | self._causes.explain(answers, until)

    def send(self, url: str, method: str, request: Any, deadline: float) -> Any:
        """
        Sends a change, once and at once. Raises the named error of any failure.

        It never authenticates: the checks made before the change must not grow old. After a refused token the next
        read or `auth.authenticate` asks for a new token.
        """
        used = self.auth.token
        if used and used.text and not self._access.trusts(url):
            raise _untrusted(url)
        try:
            with self._checked(url, deadline) as connection:
                return self._start(connection, method, request, deadline).result()
        except grpc.RpcError as error:
            named = from_rpc(error, url)
            if isinstance(named, _TOKEN_REFUSED):
                self.auth.drop(used)
            if isinstance(named, UserEmpty) and self._access.username is not None:
                # The file has a user. Only its token was missing, and the next look gets one.
                named = InvalidAuthToken(named.text, named.code, url)
            raise named from error

    def stream(self, url: str, method: str, request: Any, deadline: float) -> Iterator[Any]:
        """The pieces of a streamed read. Raises the named error of a broken stream."""
        for attempt in range(2):
            used = self.auth.token
            try:
                with self._checked(url, NAME_DEADLINE) as connection:
                    yield from getattr(connection.maintenance, method)(
                        request, timeout=deadline, metadata=self._token_for(url)
                    )
            except grpc.RpcError as error:
                named = from_rpc(error, url)
                # A member refuses a token that is too old before it sends the first piece.
                if attempt or not isinstance(named, _TOKEN_REFUSED) or self._access.username is None:
                    raise named from error
                for failure in self.auth.after_read(used, [url], []).values():
                    raise failure from error
            else:
                return

    def close(self) -> None:
        """Closes every connection, at the latest when its last call ends."""
        self._connections.retire()

    def _start(self, connection: Connection, method: str, request: Any, deadline: float) -> Any:
        # With `hasleader`, a member without a leader says so at once instead of hanging. Status must answer even then.
        metadata = [] if method == "Status" else [("hasleader", "true")]
        metadata += self._token_for(connection.url)
        stubs = (connection.cluster, connection.maintenance, connection.auth)
        stub = next(stub for stub in stubs if hasattr(stub, method))
        return getattr(stub, method).future(request, timeout=deadline, metadata=metadata)

    def _ask_all(self, urls: Sequence[str], method: str, request: Any, deadline: float) -> Answers:
        started: Answers = {}
        until = time.monotonic() + deadline
        with ExitStack() as stack:
            for url in urls:
                try:
                    started[url] = stack.enter_context(self.use(url))
                except (Unreachable, Untrusted, InvalidConfiguration) as error:
                    started[url] = error
            started |= self._misnamed([c for c in started.values() if isinstance(c, Connection)], deadline)
            for url, connection in started.items():
                if isinstance(connection, Connection):
                    started[url] = self._start(connection, method, request, max(0.0, until - time.monotonic()))
            return {url: self._result(url, future) for url, future in started.items()}

    def _misnamed(self, connections: Sequence[Connection], within: float) -> Answers:
        """The errors of the hosts that their certificates do not name. Each connection is checked once."""
        doubtful = [c for c in connections if not c.name_checked]
        if not doubtful:
            return {}
        with ThreadPoolExecutor(len(doubtful)) as pool:
            checks = {c.url: pool.submit(self._check_name, c, within) for c in doubtful}
        errors = {url: check.exception() for url, check in checks.items()}
        return {url: error for url, error in errors.items() if isinstance(error, MemberflowError)}

    def _check_name(self, connection: Connection, within: float) -> None:
        """Raises the error of `check_name`. A connection is checked once."""
        if not connection.name_checked:
            check_name(connection.url, self._access, within)
            connection.name_checked = True

    def _result(self, url: str, future: Any) -> Any | MemberflowError:
        if isinstance(future, MemberflowError):
            return future
        try:
            answer = future.result()
            size = answer.ByteSize()
            if size > MOST_BYTES:
                return UnknownEtcdError(f"the answer has {size} bytes, more than etcd ever sends", endpoint=url)
            return answer
        except grpc.RpcError as error:
            named = from_rpc(error, url)
            wants_token = isinstance(named, _TOKEN_REFUSED) and self._access.username is not None
            return _untrusted(url) if wants_token and not self._access.trusts(url) else named

    def _token_for(self, url: str) -> list[tuple[str, str]]:
        return self.auth.metadata if self._access.trusts(url) else []


def _untrusted(url: str) -> Untrusted:
    return Untrusted(
        "the member asks for a token, which goes to endpoints of the file and to TLS by the cluster's CA alone",
        endpoint=url,
    )


def _refused(answers: Answers) -> list[str]:
    return [url for url, a in answers.items() if isinstance(a, _TOKEN_REFUSED)]


def _is_https(url: str) -> bool:
    return url.startswith("https://")
