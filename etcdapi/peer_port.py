"""
`GET /members` on a member's peer port: a second witness when its client port is silent.

The request carries no client certificate, no token and no password. The answer is small, and it is waited for only
until the deadline.
"""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from urllib.parse import urlsplit

from etcdapi.connection import reason_of
from membership.etcd_errors import Unreachable
from membership.model import Member
from membership.witness import PeerList

# Bytes. A member takes about 200 in the list.
SIZE_LIMIT = 256 * 1024


def ask_peer_port(urls: Sequence[str], ca: Path | None, deadline: float) -> PeerList:
    """
    The first answer of these peer URLs. All are asked at once. `deadline`: seconds, with name resolution.

    `ca`: the file of the authority that must have certified an https URL. None: the machine's own authorities.
    Raises Unreachable when no URL answers in time.
    """
    question = _Question(len(urls), ca, deadline)
    for url in urls:
        Thread(target=question.ask, args=(url,), daemon=True, name="peer-port").start()
    return question.answer()


class _Question:
    """One question to several URLs."""

    def __init__(self, asked: int, ca: Path | None, deadline: float) -> None:
        self._asked = asked
        self._ca = ca
        self._deadline = deadline
        self._answers: Queue[PeerList | str] = Queue()
        self._opened: list[HTTPConnection] = []

    def answer(self) -> PeerList:
        until = time.monotonic() + self._deadline
        failures: list[str] = []
        try:
            while len(failures) < self._asked:
                told = self._answers.get(timeout=max(0.0, until - time.monotonic()))
                if isinstance(told, PeerList):
                    return told
                failures.append(told)
        except Empty:
            failures.append(f"no answer within {self._deadline} s")
        finally:
            self._hang_up()
        raise Unreachable("; ".join(failures))

    def ask(self, url: str) -> None:
        try:
            self._answers.put(self._get(url))
        except (OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            known = isinstance(error, (OSError, HTTPException))
            self._answers.put(f"{url}: {reason_of(error) if known else 'this is no answer of etcd'}")

    def _get(self, url: str) -> PeerList:
        """Raises one of the errors in `ask` when the answer is no member list."""
        connection = self._connect(url)
        self._opened.append(connection)
        try:
            connection.request("GET", "/members")
            answer = connection.getresponse()
            body = answer.read(SIZE_LIMIT + 1)
        finally:
            connection.close()
        if answer.status != 200 or len(body) > SIZE_LIMIT:
            raise ValueError(f"HTTP {answer.status}, {len(body)} bytes")
        return parse_peer_list(answer.headers["X-Etcd-Cluster-ID"], body)

    def _connect(self, url: str) -> HTTPConnection:
        parts = urlsplit(url)
        if not parts.hostname or not parts.port:
            raise ValueError("not a peer URL")
        if parts.scheme != "https":
            return HTTPConnection(parts.hostname, parts.port, timeout=self._deadline)
        context = ssl.create_default_context(cafile=self._ca)
        return HTTPSConnection(parts.hostname, parts.port, timeout=self._deadline, context=context)

    def _hang_up(self) -> None:
        """Ends the threads: a server that sends a byte now and then would keep a thread for long."""
        for connection in self._opened:
            with suppress(OSError):
                if connection.sock:
                    connection.sock.shutdown(socket.SHUT_RDWR)


def parse_peer_list(cluster_id: str, body: bytes) -> PeerList:
    """Raises ValueError, KeyError, TypeError, AttributeError or RecursionError when the answer is not etcd's."""
    members = [_member(row) for row in json.loads(body)]
    return PeerList(f"{int(cluster_id, 16):x}", tuple(sorted(members, key=lambda m: int(m.id, 16))))


def _member(row: dict[str, object]) -> Member:
    """Reads a row as Go marshals it in etcd: a false or an empty value is left out."""
    return Member(
        id=f"{int(str(row['id'])):x}",
        name=str(row.get("name") or ""),
        peer_urls=_urls(row.get("peerURLs")),
        client_urls=_urls(row.get("clientURLs")),
        is_learner=row.get("isLearner") is True,
    )


def _urls(value: object) -> tuple[str, ...]:
    return tuple(sorted(str(url) for url in value)) if isinstance(value, list) else ()
