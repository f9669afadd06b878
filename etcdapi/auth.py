"""
The auth token of one cluster.

The password goes to the configured endpoints. Where the cluster has a CA, which proves that a server belongs to it, the
password also goes to two more kinds of voters: those through which the last look read this cluster's list, and those
that a change remembers. It is sent as rarely as possible: each Authenticate is a raft entry and a slow hash.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from threading import Lock

import grpc

from etcdapi.connection import Connection
from etcdapi.error_texts import from_rpc
from etcdapi.stubs import rpc_pb2
from membership.errors import InvalidConfiguration, MemberflowError
from membership.etcd import Access
from membership.etcd_errors import NO_ACCESS, AuthFailed, AuthNotEnabled

# Seconds.
AUTH_DEADLINE = 2.0
# A younger token may not have reached every member through raft yet. It is used again, and not replaced.
NEW_FOR = 2.0
# An older token is replaced before a change. A URL that refused a new token causes no renewal for as long.
GOOD_FOR = 60.0

_HOPELESS = (*NO_ACCESS, InvalidConfiguration)


@dataclass(frozen=True)
class Token:
    """The answer of an Authenticate."""

    #: The token itself. Empty: the cluster uses no auth.
    text: str
    #: Seconds on the monotonic clock at which the token came.
    since: float

    @property
    def age(self) -> float:
        return time.monotonic() - self.since


class Auth:
    """Holds the token. Threads may share it."""

    def __init__(self, access: Access, use: Callable[[str, float], AbstractContextManager[Connection]]) -> None:
        self._access = access
        self._use = use
        self._renewing = Lock()
        self._refused_new: dict[str, float] = {}
        #: URLs through which the last look read this cluster's list. `EtcdClient.look` sets them.
        self.verified: tuple[str, ...] = ()
        #: None before the first Authenticate, and after `drop`.
        self.token: Token | None = None

    @property
    def metadata(self) -> list[tuple[str, str]]:
        """The token, as metadata of a call."""
        token = self.token
        return [("token", token.text)] if token and token.text else []

    @property
    def is_new(self) -> bool:
        """Whether the token may still be on its way to some members."""
        token = self.token
        return bool(token and token.text and token.age < NEW_FOR)

    def authenticate(self, avoid: Collection[str] = (), also: Collection[str] = ()) -> None:
        """Makes sure of a token at most GOOD_FOR seconds old, where auth is used. Raises the error of Authenticate."""
        token = self.token
        if self._access.username is None or (token and token.age < GOOD_FOR):
            return
        if failure := self._renew(token, [url for url in self._trusted(also) if url not in avoid]):
            raise failure

    def after_read(
        self, used: Token | None, refused: Collection[str], answered: Collection[str], also: Collection[str] = ()
    ) -> dict[str, MemberflowError]:
        """
        Renews the token that a read `used`, if the answers ask for it. Returns errors that replace answers.

        A client without a token asks for a token even when all members answered: etcd 3.5.0 to 3.5.27 let reads pass
        and refuse changes. `also`: URLs of voters that a change remembers. They get the password only with TLS.
        """
        if self._access.username is None:
            return {}
        if used is None:
            concerned = [*refused, *answered]
        elif used.text and used.age < NEW_FOR:
            return {}
        else:
            concerned = [url for url in refused if self._may_help(url, used, also)]
        trusted = self._trusted(also)
        places = [url for url in concerned if url in trusted]
        if refused:
            places += [url for url in trusted if url not in places]
        failure = self._renew(used, places) if concerned and places else None
        if failure is None:
            return {}
        spoilt = concerned if used is None and isinstance(failure, _HOPELESS) else refused
        return dict.fromkeys(spoilt, failure)

    def note_refusals(self, urls: Iterable[str]) -> None:
        """Notes that these URLs refuse even a new token, so another token would not help."""
        self._refused_new |= dict.fromkeys(urls, time.monotonic())

    def drop(self, used: Token | None) -> None:
        """Forgets a token with which a change was refused. The next read or change gets a new token."""
        if self.token is used:
            self.token = None

    def _trusted(self, also: Collection[str]) -> tuple[str, ...]:
        known = dict.fromkeys((*self.verified, *self._access.endpoints, *also))
        return tuple(url for url in known if self._access.trusts(url))

    def _may_help(self, url: str, used: Token, also: Collection[str]) -> bool:
        """Whether a new token may satisfy this URL. A foreign server asks for a token for ever."""
        if url in self._trusted(also):
            return True
        return bool(used.text) and time.monotonic() - self._refused_new.get(url, -GOOD_FOR) >= GOOD_FOR

    def _renew(self, used: Token | None, urls: Collection[str]) -> MemberflowError | None:
        """Authenticates at the first of these URLs that accepts it. Learners refuse it."""
        with self._renewing:
            if self.token is not used:
                return None  # another thread has done it
            failure: MemberflowError | None = None
            for url in urls:
                try:
                    self.token = Token(self._ask(url), time.monotonic())
                except AuthFailed as error:
                    return error  # every member would say so
                except MemberflowError as error:
                    failure = error
                else:
                    return None
            return failure

    def _ask(self, url: str) -> str:
        assert self._access.password_file
        try:
            password = self._access.password_file.read_text().rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise InvalidConfiguration(f"cannot read {self._access.password_file}: {why}") from None
        request = rpc_pb2.AuthenticateRequest(name=self._access.username, password=password)
        # Without this, a member that has no leader would hang.
        metadata = [("hasleader", "true")]
        try:
            with self._use(url, AUTH_DEADLINE) as connection:
                answer = connection.auth.Authenticate(request, timeout=AUTH_DEADLINE, metadata=metadata)
            return str(answer.token)
        except grpc.RpcError as error:
            named = from_rpc(error, url)
            if isinstance(named, AuthNotEnabled):
                return ""
            raise named from error
