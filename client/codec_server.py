"""Decrypts payloads for Temporal's UI and command line, which have no key (Temporal's remote codec protocol)."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from google.protobuf import json_format
from temporalio.api.common.v1 import Payloads

from client.encryption import Encryption
from client.exit_codes import USAGE, CommandError
from client.limited_server import LimitedServer
from membership.missing_key import MissingKey

# A page of Temporal's UI shows a few hundred payloads of some kB.
_MOST_BYTES = 16 * 2**20
_ALLOWED_HEADERS = "Authorization, Caller-Type, Content-Type, X-Namespace"


@dataclass(frozen=True)
class Admission:
    """Who may have payloads decrypted."""

    #: Origins of web pages, as `https://temporal.example`. Programs outside a browser name no origin.
    origins: Collection[str]
    #: The bearer token that every request must have. Empty: none.
    token: str = ""

    def refusal(self, origin: str | None, authorization: str) -> str:
        """Why a request is refused. Empty if it is not."""
        if origin is not None and origin not in self.origins:
            return f"the origin {origin!r} is not allowed: start this server with --ui and its URL"
        wanted = f"Bearer {self.token}".encode()
        if self.token and not hmac.compare_digest(authorization.encode(), wanted):
            return "the bearer token is missing or wrong"
        return ""


def listen(host: str, port: int, codec: Encryption, admission: Admission) -> LimitedServer:
    """
    A server that listens. `serve_forever` makes it answer.

    Raises CommandError with USAGE where it cannot listen, or where others could reach it without a token.
    """
    if not admission.token and not _is_loopback(host):
        message = f"{host} can be reached from other machines, and every caller would get payloads decrypted"
        raise CommandError(USAGE, message, "give --token-file, or listen on 127.0.0.1")
    handler = type("_CodecHandler", (_Handler,), {"codec": codec, "admission": admission})
    try:
        return LimitedServer((host, port), handler)
    except OSError as error:
        raise CommandError(
            USAGE, f"cannot listen on {host} port {port}: {error.strerror}", "choose another address with --listen"
        ) from None


def origin_of(url: str) -> str:
    """The origin of a web page. Raises CommandError with USAGE for a URL without scheme or host."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise CommandError(
            USAGE, f"--ui: {url!r} is not a URL: write that of Temporal's UI, like https://temporal.example"
        )
    return f"{parts.scheme}://{parts.netloc}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Handler(BaseHTTPRequestHandler):
    codec: Encryption
    admission: Admission
    server_version, sys_version = "memberflow-codec", ""

    def do_OPTIONS(self) -> None:
        """A browser asks whether the page may ask. This request never has the token."""
        if self._origin not in self.admission.origins:
            self._answer(HTTPStatus.FORBIDDEN, self.admission.refusal(self._origin or "", ""))
            return
        self._answer(HTTPStatus.NO_CONTENT)

    def do_POST(self) -> None:
        operation = urlsplit(self.path).path.rstrip("/").rpartition("/")[2]
        if refusal := self.admission.refusal(self._origin, self.headers.get("Authorization", "")):
            self._answer(HTTPStatus.FORBIDDEN, refusal)
        elif operation not in ("encode", "decode"):
            self._answer(HTTPStatus.NOT_FOUND, "this server has /encode and /decode")
        elif (body := self._body()) is None:
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request has at most {_MOST_BYTES} bytes")
        else:
            self._answer(*self._converted(operation, body))

    def _converted(self, operation: str, body: bytes) -> tuple[HTTPStatus, str]:
        convert = self.codec.encode if operation == "encode" else self.codec.decode
        try:
            given = json_format.Parse(body, Payloads())
            made = Payloads(payloads=asyncio.run(convert(given.payloads)))
        except (json_format.ParseError, UnicodeDecodeError) as error:
            return HTTPStatus.BAD_REQUEST, f"the body is not payloads in JSON: {error}"
        except MissingKey as error:
            return HTTPStatus.BAD_REQUEST, f"{error}; {error.hint}"
        return HTTPStatus.OK, json_format.MessageToJson(made)

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or len(length) > len(str(_MOST_BYTES)) or int(length) > _MOST_BYTES:
            return None
        return self.rfile.read(int(length))

    def _answer(self, status: HTTPStatus, text: str = "") -> None:
        body = text.encode()
        self.send_response(status)
        if self._origin in self.admission.origins:
            self.send_header("Access-Control-Allow-Origin", self._origin or "")
            self.send_header("Access-Control-Allow-Headers", _ALLOWED_HEADERS)
            self.send_header("Access-Control-Allow-Methods", "POST, OPTIONS")
            # A page of Temporal Cloud may ask a server on the user's own machine.
            self.send_header("Access-Control-Allow-Private-Network", "true")
        self.send_header("Vary", "Origin")
        self.send_header("Content-Type", "application/json" if status is HTTPStatus.OK else "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @property
    def _origin(self) -> str | None:
        return self.headers.get("Origin")

    def log_message(self, format: str, *args: object) -> None:
        """No log: its lines would have the names of clusters and members, and a browser sends hundreds."""
